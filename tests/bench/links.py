# SPDX-License-Identifier: Apache-2.0
"""What a call of Redis or the engine costs the process that makes it, by the platform's connections and by the libraries' own."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import uvloop
from opensearchpy import AIOHttpConnection, AsyncOpenSearch
from redis.asyncio import Redis

from pinakes.core.engine.client import OrjsonSerializer
from pinakes.core.engine.connection import EngineConnection
from pinakes.core.redis import connect, connect_blocking
from tests.bench.place import Place
from tests.bench.report import Value, table, told

IN_FLIGHT = 32
KEYS = [b"pinakes:bench:a", b"pinakes:bench:b", b"pinakes:bench:c"]
BYTES = 2000
"""What the cache has of an answer, about."""
Call = Callable[[], Awaitable[object]]


def run(place: Place, *, quick: bool) -> list[Value]:
    """Measure the processor time of a call, one at a time and many at once, in turns."""
    return uvloop.run(_measured(place, rounds=2 if quick else 9, calls=100 if quick else 1000))


async def _measured(place: Place, *, rounds: int, calls: int) -> list[Value]:
    shared, pooled = connect(place.cache, 5.0), connect_blocking(place.cache, 5.0, IN_FLIGHT)
    ours, theirs = (
        AsyncOpenSearch(
            hosts=[place.engine], connection_class=kind, serializer=OrjsonSerializer(), pool_maxsize=IN_FLIGHT,
            maxsize=IN_FLIGHT, max_retries=0,
        )
        for kind in (EngineConnection, AIOHttpConnection)
    )  # fmt: skip
    await shared.set(KEYS[0], b"x" * BYTES, ex=600)
    ways = {
        "redis, a shared connection": _mget(shared),
        "redis, redis-py's pool": _mget(pooled),
        "engine, httptools": _searched(ours),
        "engine, aiohttp": _searched(theirs),
    }
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds + 1):
        for name, call in ways.items():
            for at_once in (1, IN_FLIGHT):
                spent = await _spent(call, calls, at_once)
                if number:  # the first round only warms up
                    found.setdefault((name, at_once), []).append(spent)
    await shared.delete(*KEYS)
    for client in (shared, pooled):
        await client.aclose()
    for engine in (ours, theirs):
        await engine.close()
    middle = {key: statistics.median(spent) * 1e6 for key, spent in found.items()}
    table(
        "Processor time of the caller for a call, µs",
        ["way", "one at a time", f"{IN_FLIGHT} at once"],
        [[name, *(f"{middle[name, at_once]:.0f}" for at_once in (1, IN_FLIGHT))] for name in ways],
    )
    redis, pool, lean, aiohttp = ways
    return [
        told("links.redis_vs_pool", middle[redis, 1] / middle[pool, 1], "x"),
        told("links.redis_vs_pool.at_once", middle[redis, IN_FLIGHT] / middle[pool, IN_FLIGHT], "x"),
        told("links.engine_vs_aiohttp", middle[lean, 1] / middle[aiohttp, 1], "x"),
        told("links.engine_vs_aiohttp.at_once", middle[lean, IN_FLIGHT] / middle[aiohttp, IN_FLIGHT], "x"),
    ]


def _mget(redis: Redis) -> Call:
    return lambda: redis.mget(KEYS)


def _searched(engine: AsyncOpenSearch) -> Call:
    """Ask for what costs the engine least and has a body and an answer."""
    body = b'{"index":"nothing-*"}\n{"size":0}\n'
    return lambda: engine.transport.perform_request("POST", "/_msearch", body=body)


async def _spent(call: Call, calls: int, at_once: int) -> float:
    """Return the processor time of this process for a call, in seconds."""

    async def some() -> None:
        for _ in range(calls // at_once):
            await call()

    before = time.process_time()
    await asyncio.gather(*(some() for _ in range(at_once)))
    return (time.process_time() - before) / (calls // at_once * at_once)
