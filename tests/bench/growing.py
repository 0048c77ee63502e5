# SPDX-License-Identifier: Apache-2.0
"""Whether a worker's memory stays flat: a million documents through one stream, its resident memory on the way."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time

import grpc

from pinakes.demo.corpus import python_documents
from tests.bench.place import Place, resident_mib
from tests.bench.report import Value, at_most, table, told
from tests.bench.streaming import drained, messages, send

PART = 20_000
WARM = 5
"""Parts after which memory counts as the beginning: code and pools are loaded by then."""


def run(place: Place, *, quick: bool) -> list[Value]:
    """Stream parts of documents one after the other; compare the worker's memory at the end with the beginning."""
    parts = (7 * PART if quick else 1_000_000) // PART
    documents = list(itertools.islice(itertools.cycle(python_documents()), PART))
    sizes: list[float] = []

    async def go() -> None:
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(place.addresses["index"], options=options) as channel:
            for _ in range(parts):
                await send(channel, place, messages(documents, f"g{time.time_ns()}~"))
                await drained(place)
                sizes.append(resident_mib(place.pids["worker"]))

    started = time.perf_counter()
    asyncio.run(go())
    total = parts * PART
    # Medians of several parts: a single reading depends on what the garbage collector has just done.
    several = max(1, (parts - WARM) // 4)
    begin, end = statistics.median(sizes[WARM : WARM + several]), statistics.median(sizes[-several:])
    table(
        f"A worker's memory over {total:,} documents ({total / (time.perf_counter() - started):,.0f} a second)",
        ["after documents", "MiB"],
        [[f"{(n + 1) * PART:,}", f"{sizes[n]:.1f}"] for n in sorted({WARM - 1, parts // 2, parts - 1})],
    )
    return [
        at_most("worker.memory_growth", end / begin, "x", 1.1),
        told("worker.memory_mib", max(sizes), "MiB"),
    ]
