# SPDX-License-Identifier: Apache-2.0
"""`pinakes-worker`: applies queued writes, runs operations and sweeps; serves only health."""

from __future__ import annotations

import asyncio

import grpc

from pinakes.core.platform import Platform
from pinakes.core.rpc.server import Service, run
from pinakes.worker import audit, census, controller, operations, partitions, sweeper


def add(platform: Platform, server: grpc.aio.Server) -> None:
    """Add nothing: a worker is asked for its health only."""


async def work(platform: Platform, stop: asyncio.Event) -> None:
    """Do everything a worker does, until `stop` is set."""
    async with asyncio.TaskGroup() as group:
        if platform.settings.queue_url:
            group.create_task(partitions.run(platform, stop), name="partitions")
        group.create_task(operations.run(platform, stop), name="operations")
        group.create_task(sweeper.run(platform, stop), name="sweeper")
        group.create_task(audit.run(platform, stop), name="audit")
        group.create_task(census.run(platform, stop), name="census")
        group.create_task(controller.run(platform, stop), name="placement")


SERVICE = Service("pinakes.worker", add, work=work)


def main() -> None:
    """Work until a signal."""
    run(SERVICE)


if __name__ == "__main__":
    main()
