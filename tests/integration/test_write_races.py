# SPDX-License-Identifier: Apache-2.0
"""What may happen in the queue between two steps of a write, made to happen there: accepted writes stay in their order."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis.asyncio as redis

from pinakes.client import AsyncClient, NotFound, document
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS, STEP
from pinakes.core.engine.scope import TenantScope
from pinakes.core.queue import keys
from pinakes.core.writing import changes
from pinakes.core.writing.apply import apply
from pinakes.core.writing.changes import Change
from pinakes.local import Platform
from pinakes.v1 import resources_pb2
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, new_tenant

__all__ = ["direct"]


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Give a tenant of the test's own."""
    return await new_tenant(platform)


async def drained(platform: Platform) -> None:
    """Wait until the queue is empty."""
    end = time.monotonic() + 30
    async with redis.Redis.from_url(platform.queue_url) as queue:
        while int(await queue.hget(keys.DOCUMENTS, "*") or 0):
            assert time.monotonic() < end, "the queue isn't emptied"
            await asyncio.sleep(0.02)


async def nothing_older() -> bool:
    """Say that the queue is empty."""
    return False


def put(scope: TenantScope, title: str, revision: int) -> Change:
    """Make a put at a revision."""
    return changes.put(resources_pb2.Document(title=title), scope.owner, Direct.schema(), "a", revision)


@pytest.mark.parametrize("deletion", [True, False])
async def test_what_leaves_the_queue_while_a_write_looks_does_not_stand_above_it(
    platform: Platform, tenant: Tenant, direct: Direct, deletion: bool
) -> None:
    scope = await direct.scope(tenant)
    first = (time.time_ns() // 1000 - EPOCH_US) << SLOT_BITS
    if not deletion:
        await apply(scope, [put(scope, "same", first)], nothing_older)
    queued = put(scope, "queued", first + STEP)
    later = changes.deletion("a", first + 2 * STEP) if deletion else put(scope, "same", first + 2 * STEP)

    async def a_worker_comes_between() -> bool:
        await apply(scope, [queued], nothing_older)
        return False

    await apply(scope, [later], a_worker_comes_between)
    stands = await scope.get("a")
    assert stands is not None
    assert stands.gone if deletion else stands.source["title_en"] == "same", "the accepted write came after a later one"


async def test_what_is_accepted_for_a_collection_that_was_made_anew_is_written(
    platform: Platform, tenant: Tenant
) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
        await client.create_collection("again")
        await client.put_document(document("a", title="first"), collection="again", mode="accepted")
        await drained(platform)
        assert (await client.get_document("a", collection="again")).title == "first"
        for number in range(3):
            await client.delete_collection("again")
            await client.create_collection("again")
            with pytest.raises(NotFound):
                await client.get_document("a", collection="again")
            await client.put_document(document("a", title=f"anew {number}"), collection="again", mode="accepted")
            await drained(platform)
            assert (await client.get_document("a", collection="again")).title == f"anew {number}"
