# SPDX-License-Identifier: Apache-2.0
"""A noisy tenant in a process of its own: sends by the clock whatever it is answered, until standard input is closed."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
import time
from dataclasses import dataclass

import grpc
import uvloop

from tests.bench.load import Target

CONNECTIONS = 4
BEGUN = "begun"
# Callers have machines of their own: what sending costs isn't to be taken from the platform's cores.
NICE = 19


@dataclass(slots=True)
class Noise:
    """What to send and how often a second."""

    target: Target
    rate: float


async def _run(noise: Noise, ended: threading.Event) -> dict[str, float]:
    """Send, and count what passed and what was refused."""
    target = noise.target
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target.address, options=options) for _ in range(CONNECTIONS)]
    send = [channel.unary_unary(target.method) for channel in channels]
    found = {"passed": 0.0, "refused": 0.0, "failed": 0.0}
    started, number = time.perf_counter(), 0
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        request = target.requests[number % len(target.requests)]
        try:
            await send[number % CONNECTIONS](request, metadata=target.metadata, timeout=30)
            found["passed"] += 1
        except grpc.aio.AioRpcError as error:
            found["refused" if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED else "failed"] += 1

    while not ended.is_set():
        if number == round(noise.rate):
            print(BEGUN, flush=True)  # it has been there for a second
        await asyncio.sleep(max(0.0, started + number / noise.rate - time.perf_counter()))
        task = asyncio.create_task(one(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number += 1
    seconds = time.perf_counter() - started
    await asyncio.gather(*under_way)
    for channel in channels:
        await channel.close()
    return found | {"seconds": seconds}


def main() -> None:
    """Read what to send (pickle) from standard input, and write what came of it as JSON."""
    os.nice(NICE)
    noise: Noise = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), ended.set()), daemon=True).start()
    sys.stdout.write(json.dumps(uvloop.run(_run(noise, ended))))


if __name__ == "__main__":
    main()
