# SPDX-License-Identifier: Apache-2.0
"""A quiet tenant alone, and while another sends 20 times what it may: in turns, on one platform."""

from __future__ import annotations

import asyncio
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import orjson

from pinakes.client import AlreadyExists, Client
from pinakes.demo.corpus import python_documents
from pinakes.v1.search_pb2 import SearchRequest
from tests.bench.load import Plan, Target
from tests.bench.noise import BEGUN, Noise
from tests.bench.place import Place, processor_seconds
from tests.bench.report import Value, at_most, table, told
from tests.bench.searching import METHOD, distinct_requests, load

# Few enough that two cores have room for them beside the engine, Envoy and both callers: it is about whose requests are
# refused, not about what this machine can take.
QUIET_RATE = 20.0
LIMIT, TIMES = 10.0, 20
IN_FORCE_SECONDS = 6.0


def run(place: Place, *, quick: bool, seed: int) -> list[Value]:
    """Compare the p95 of searches at the front door, and tell what a refusal costs."""
    documents = list(python_documents())[: 500 if quick else 4000]
    keys = {name: _tenant(place, name) for name in ("quiet", "noisy")}
    for key in keys.values():
        with Client(place.endpoint, key=key, timeout=30.0) as client:
            if failed := [one.error for one in client.write_many(documents, mode="searchable") if not one.ok]:
                raise RuntimeError(failed[0])
    requests = distinct_requests(seed, documents, 4000)
    quiet, noisy = (
        Target(name, place.endpoint, METHOD, requests, (("authorization", f"Bearer {key}"),))
        for name, key in keys.items()
    )
    asyncio.run(_warmed([quiet, noisy]))
    with Client(place.endpoint, key=place.admin_key) as admin:
        admin.set_limits("noisy", {"requests_per_second": LIMIT})
    time.sleep(IN_FORCE_SECONDS)
    rounds, seconds = (1, 2.0) if quick else (8, 5.0)
    latencies: dict[str, list[float]] = {"alone": [], "beside": []}
    noise = {"passed": 0.0, "refused": 0.0, "failed": 0.0, "seconds": 0.0, "processor": 0.0}
    for number in range(rounds):
        # Other searches each time, so that no cache knows them.
        alone, beside = (
            Plan([replace(quiet, requests=requests[2 * number + which :: 2 * rounds])], 1, seconds, 0, QUIET_RATE)
            for which in (0, 1)
        )
        latencies["alone"] += load(alone)["quiet"]["latencies"]
        before = processor_seconds(place)["search"]
        with _noise(Noise(noisy, LIMIT * TIMES)) as found:
            latencies["beside"] += load(beside)["quiet"]["latencies"]
        noise["processor"] += processor_seconds(place)["search"] - before
        for name, value in found.items():
            noise[name] += value
    late = {name: statistics.quantiles(taken, n=20)[-1] * 1e3 for name, taken in latencies.items()}
    middle = {name: statistics.median(taken) * 1e3 for name, taken in latencies.items()}
    a_second = {name: noise[name] / noise["seconds"] for name in ("passed", "refused", "failed")}
    table(
        f"A quiet tenant's {QUIET_RATE:g} searches/s through Envoy, another sends {LIMIT * TIMES:g}/s and may {LIMIT:g}/s; of "
        f"those {a_second['passed']:.0f}/s passed, {a_second['refused']:.0f}/s were refused, {a_second['failed']:.0f}/s failed",
        ["", "p50 ms", "p95 ms"],
        [[name, f"{middle[name]:.2f}", f"{late[name]:.2f}"] for name in latencies],
    )
    return [
        at_most("isolation.noisy.p95_ratio", late["beside"] / late["alone"], "x", 1.5),
        told("isolation.noisy.passed_of_limit", a_second["passed"] / LIMIT, "x"),
        told("isolation.noisy.server_us_per_call", noise["processor"] * 1e6 / _calls(noise, latencies), "us"),
    ]


async def _warmed(targets: Sequence[Target]) -> None:
    """Ask all with another page size: every word has been seen then, and the engine has compiled what it runs."""
    gate = asyncio.Semaphore(8)
    for target in targets:
        async with grpc.aio.insecure_channel(target.address) as channel:
            send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(target.method)

            async def ask(
                given: bytes, send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = send, target: Target = target
            ) -> None:
                request = SearchRequest.FromString(given)
                request.page_size = 9
                async with gate:
                    await send(request.SerializeToString(), metadata=target.metadata, timeout=30)

            await asyncio.gather(*map(ask, target.requests))


def _calls(noise: dict[str, float], latencies: dict[str, list[float]]) -> float:
    return noise["passed"] + noise["refused"] + noise["failed"] + len(latencies["beside"])


def _tenant(place: Place, name: str) -> str:
    """Make a tenant without a limit to speak of, and return a key of its."""
    with Client(place.endpoint, key=place.admin_key) as admin:
        try:
            admin.create_tenant(name)
        except AlreadyExists:
            pass  # an earlier run made it
        admin.set_limits(name, {"requests_per_second": 1e6})
        secret = admin.create_key("service", tenant=name, display_name="bench").secret
        with Client(place.endpoint, key=secret, timeout=30.0) as own:
            own.get_tenant()
    return secret


@contextmanager
def _noise(noise: Noise) -> Iterator[dict[str, Any]]:
    """Make noise in a process of its own for as long as the block lasts; what came of it is in the mapping afterwards."""
    found: dict[str, Any] = {}
    command = [sys.executable, "-m", "tests.bench.noise"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            message = "the noise has no pipes"
            raise RuntimeError(message)
        try:
            process.stdin.write(pickle.dumps(noise))
            process.stdin.flush()
            if process.stdout.readline().strip() != BEGUN.encode():
                message = "the noise didn't begin"
                raise RuntimeError(message)
            yield found
            process.stdin.close()
            found |= orjson.loads(process.stdout.read())
        finally:
            process.kill()
