# SPDX-License-Identifier: Apache-2.0
"""The queue and the worker's parts on real stores, without a server: import the fixtures `parts` and `queue`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.platform import Platform as Parts
from pinakes.core.queue.consumer import Consumer, Delivered, Lease
from pinakes.core.queue.producer import Claim, Enqueued, Producer, StreamPosition
from pinakes.core.settings import Settings
from pinakes.core.writing.changes import Change
from pinakes.local import Platform
from tests.integration._redis import RedisServer


def settings_of(platform: Platform, **changes: object) -> Settings:
    """Return the settings a worker of the platform has, with changes."""
    given: dict[str, object] = {
        "opensearch_urls": [platform.opensearch_url], "queue_url": platform.queue_url, "cache_url": platform.cache_url,
        "secret_key": platform.state.secret_key, "operations_at_once": 0,
    }  # fmt: skip
    return Settings.model_validate(given | changes)


@pytest.fixture
async def parts(platform: Platform) -> AsyncIterator[Parts]:
    """Give what a worker stands on, on the platform's stores."""
    opened = await Parts.open(settings_of(platform))
    await opened.prepared.wait()
    await opened.revisions.ready()
    yield opened
    await opened.close()


@dataclass(slots=True)
class Queue:
    """A queue of a test's own, with a producer and as many consumers as asked for."""

    settings: Settings
    producer: Producer
    consumers: list[Consumer]

    def consumer(self) -> Consumer:
        """Return another worker's view of the queue."""
        self.consumers.append(Consumer(self.settings))
        return self.consumers[-1]

    async def put(
        self,
        owner: Owner,
        changes: Sequence[Change],
        *,
        claim: Claim | None = None,
        position: StreamPosition | None = None,
    ) -> Enqueued:
        """Queue changes."""
        packed = self.producer.parts(owner, list(enumerate(changes)), 1)
        return await self.producer.enqueue(owner, packed, len(changes), claim=claim, position=position)

    async def all_of(self, consumer: Consumer, leases: Sequence[Lease]) -> list[tuple[int, Delivered]]:
        """Read everything new in these partitions."""
        return [(lease.partition, item) for lease in leases for item in await consumer.read(lease, 1000)]


def owner(tenant: str = "") -> Owner:
    """Return a collection of a tenant."""
    uid = tenant or secrets.token_hex(6)
    return Owner(uid, f"{uid}-collection", f"t-{uid}", "default")


@pytest.fixture
async def queue(redis_server: RedisServer) -> AsyncIterator[Queue]:
    """Give a queue in a Redis of the test's own."""
    settings = Settings.model_validate({
        "secret_key": "x" * 32, "queue_url": redis_server.url, "queue_lease_seconds": 1, "queue_max_age_seconds": 2,
    })  # fmt: skip
    made = Queue(settings, Producer(settings), [])
    yield made
    await made.producer.close()
    for consumer in made.consumers:
        await consumer.close()
