# SPDX-License-Identifier: Apache-2.0
"""The load process: reads a plan (pickle) from standard input, sends it, writes latencies as JSON to standard output."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pickle
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import orjson
import uvloop
from opensearchpy import AsyncOpenSearch, JSONSerializer

Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Target:
    """One alternative: gRPC (method, requests, metadata) or the engine (method empty; requests are path and body)."""

    name: str
    address: str
    method: str
    requests: list[Any]
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `in_flight` > 0: closed loop, so many at a time; 0: open loop, `rate` a second by the clock."""

    targets: list[Target]
    rounds: int
    seconds: float
    in_flight: int
    rate: float = 0.0


class Orjson(JSONSerializer):
    """The fastest serializer that opensearch-py can be given, so that the comparison is a fair one."""

    def dumps(self, data: Any) -> Any:
        """Serialise, unless it is text already."""
        return data if isinstance(data, str | bytes) else orjson.dumps(data).decode()

    def loads(self, data: Any) -> Any:
        """Parse an answer."""
        return orjson.loads(data)


def _opened(target: Target) -> tuple[Call, Callable[[], Awaitable[object]]]:
    """Open a connection; return how to send the request of a number, and how to close."""
    count = len(target.requests)
    if not target.method:
        engine = AsyncOpenSearch(hosts=[target.address], serializer=Orjson(), maxsize=64, timeout=30)

        def ask(number: int) -> Awaitable[object]:
            path, body = target.requests[number % count]
            answer: Awaitable[object] = engine.transport.perform_request("POST", path, body=body)
            return answer

        return ask, engine.close
    channel = grpc.aio.insecure_channel(target.address, options=[("grpc.max_receive_message_length", -1)])
    send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(target.method)

    def call(number: int) -> Awaitable[object]:
        answer: Awaitable[object] = send(target.requests[number % count], metadata=target.metadata, timeout=30)
        return answer

    return call, channel.close


async def _closed(
    call: Call, numbers: itertools.count[int], in_flight: int, seconds: float
) -> tuple[list[float], float]:
    """Keep so many under way for so long; return latencies and the time it took, in seconds."""
    taken: list[float] = []
    started = time.perf_counter()

    async def worker() -> None:
        while (begin := time.perf_counter()) - started < seconds:
            await call(next(numbers))
            taken.append(time.perf_counter() - begin)

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return taken, time.perf_counter() - started


async def _open(call: Call, numbers: itertools.count[int], rate: float, seconds: float) -> tuple[list[float], float]:
    """Send by the clock, whether answers have come or not; a latency counts from when the request was due."""
    taken: list[float] = []
    started = time.perf_counter()

    async def one(due: float) -> None:
        await call(next(numbers))
        taken.append(time.perf_counter() - due)

    under_way = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        under_way.append(asyncio.create_task(one(due)))
    await asyncio.gather(*under_way)
    return taken, time.perf_counter() - started


async def _run(plan: Plan) -> dict[str, dict[str, Any]]:
    """Take the alternatives in turn, round after round, each on a connection of its own that stays open."""
    opened = {target.name: _opened(target) for target in plan.targets}
    numbers = {target.name: itertools.count() for target in plan.targets}
    found: dict[str, dict[str, Any]] = {target.name: {"latencies": [], "seconds": 0.0} for target in plan.targets}
    try:
        for number in range(plan.rounds + 1):
            # The order turns round after round, so that nobody always follows the heaviest neighbour.
            shift = number % len(plan.targets)
            for target in [*plan.targets[shift:], *plan.targets[:shift]]:
                call = opened[target.name][0]
                seconds = plan.seconds if number else min(plan.seconds, 0.5)  # the first round only warms up
                if plan.in_flight:
                    taken, spent = await _closed(call, numbers[target.name], plan.in_flight, seconds)
                else:
                    taken, spent = await _open(call, numbers[target.name], plan.rate, seconds)
                if number:
                    found[target.name]["latencies"] += taken
                    found[target.name]["seconds"] += spent
    finally:
        for _, close in opened.values():
            await close()
    return found


if __name__ == "__main__":
    measured = uvloop.run(_run(pickle.load(sys.stdin.buffer)))  # noqa: S301 - from our own parent
    # What is longer than a pipe holds must arrive whole, whatever running has made of the pipe.
    os.set_blocking(sys.stdout.fileno(), True)
    sys.stdout.write(json.dumps(measured))
