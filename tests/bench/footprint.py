# SPDX-License-Identifier: Apache-2.0
"""What a platform holds for its tenants: the engine's cluster state, heap and disk, a server's memory, the cost of a poll."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from opensearchpy import AsyncOpenSearch

from tests.bench.place import resident_mib
from tests.bench.searching import METHOD

WARM = 100
IN_FLIGHT = 16
POLLS = 200
_OWN = "pinakes-own-footprint-v1"
_SAMPLE_SECONDS = 0.1
_SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """Where engine and search server of a platform are: URL and pid, address and pid."""

    engine: str
    engine_pid: int
    search: str
    search_pid: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of the cluster state as JSON, of the engine's live heap, resident memory and documents and records on disk.

    `index_state` is what the cluster state grows by with an index that one tenant has for itself. `server_first` and `server_after` are the search server's resident memory before and after the requests, in bytes.
    """

    cluster_state: int
    engine_heap: int
    engine_resident: int
    engine_disk: int
    server_first: int
    server_after: int
    poll_ms: float
    index_state: int

    @property
    def server_growth(self) -> int:
        """Bytes by which the search server has grown."""
        return self.server_after - self.server_first

    def row(self) -> list[str]:
        """Return it as a table's cells."""
        sizes = (self.engine_heap, self.engine_resident, self.engine_disk, self.server_first, self.server_after)
        return [f"{self.cluster_state:,}", *(f"{size / (1 << 20):.1f}" for size in sizes), f"{self.poll_ms:.2f}"]


async def footprint(part: Part, requests: Sequence[bytes], metadata: tuple[tuple[str, str], ...]) -> Footprint:
    """Send requests and look at what both sides hold then. The live heap is the least that was seen between collections."""
    engine = AsyncOpenSearch(hosts=[part.engine], timeout=30)
    try:
        async with grpc.aio.insecure_channel(part.search) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            await _send(call, requests[:WARM], metadata)
            await asyncio.sleep(_SETTLE_SECONDS)
            first = resident_mib(part.search_pid)
            heaps: list[int] = []
            sampling = asyncio.create_task(_sample(engine, heaps))
            await _send(call, requests, metadata)
            sampling.cancel()
            await asyncio.sleep(_SETTLE_SECONDS)
            after = resident_mib(part.search_pid)
        stats: Any = await engine.transport.perform_request("GET", "/_stats/store")
        state = await _state_bytes(engine)
        await engine.transport.perform_request("PUT", f"/{_OWN}")
        with_index = await _state_bytes(engine)
        await engine.transport.perform_request("DELETE", f"/{_OWN}")
        return Footprint(
            cluster_state=state,
            engine_heap=min(heaps),
            engine_resident=round(resident_mib(part.engine_pid) * (1 << 20)),
            engine_disk=int(stats["_all"]["total"]["store"]["size_in_bytes"]),
            server_first=round(first * (1 << 20)),
            server_after=round(after * (1 << 20)),
            poll_ms=await _poll_ms(engine),
            index_state=with_index - state,
        )
    finally:
        await engine.close()


async def _state_bytes(engine: AsyncOpenSearch) -> int:
    state: Any = await engine.transport.perform_request("GET", "/_cluster/state")
    return len(json.dumps(state, separators=(",", ":")))


async def _send(
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes],
    requests: Sequence[bytes],
    metadata: tuple[tuple[str, str], ...],
) -> None:
    waiting = iter(requests)

    async def one_after_another() -> None:
        for request in waiting:
            await call(request, metadata=metadata, timeout=60)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(one_after_another())


async def _sample(engine: AsyncOpenSearch, heaps: list[int]) -> None:
    """Note the engine's heap again and again."""
    params = {"filter_path": "nodes.*.jvm.mem.heap_used_in_bytes"}
    while True:
        found: Any = await engine.transport.perform_request("GET", "/_nodes/stats/jvm", params=params)
        heaps.extend(node["jvm"]["mem"]["heap_used_in_bytes"] for node in found["nodes"].values())
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _poll_ms(engine: AsyncOpenSearch) -> float:
    """Return the median time of what every server asks every two seconds: which tenants changed lately."""
    took: list[float] = []
    for _ in range(POLLS):
        body = {"size": 1000, "query": {"range": {"changed": {"gte": time.time_ns() // 1_000_000}}}}
        started = time.perf_counter()
        await engine.transport.perform_request("POST", "/pinakes-sys-tenants/_search", body=body)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e3
