# SPDX-License-Identifier: Apache-2.0
"""What may happen in the queue between two steps of a write, made to happen there: accepted writes stay in their order."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis.asyncio as redis

from pinakes.client import AsyncClient, NotFound, document
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS, STEP
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import pool_alias
from pinakes.core.queue import keys
from pinakes.core.writing import changes
from pinakes.core.writing.apply import apply
from pinakes.core.writing.changes import Change
from pinakes.local import Platform
from pinakes.v1 import resources_pb2
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, new_tenant

__all__ = ["direct"]
ROUNDS = 40


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


async def test_updates_of_one_document_at_once_are_all_kept(platform: Platform, tenant: Tenant) -> None:
    fields = ("title", "body", "tags", "source_uri")
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
        for number in range(ROUNDS):
            await client.create_document(document(f"d{number}", language="en"))
            new = {"title": "new", "body": "new", "tags": ["new"], "source_uri": "new"}
            await asyncio.gather(
                *(client.update_document(document(f"d{number}", **{field: new[field]}), [field]) for field in fields)
            )
            read = await client.get_document(f"d{number}")
            assert {field: list(read.tags) if field == "tags" else getattr(read, field) for field in fields} == new, (
                number
            )


async def test_what_a_writer_left_between_its_two_writes_is_built_upon_and_its_second_comes_too_late(
    platform: Platform, tenant: Tenant, direct: Direct
) -> None:
    scope = await direct.scope(tenant)
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
        await client.create_document(document("a", title="old", body="old", language="en"))
        (seen,) = await scope.settled(["a"])
        assert seen is not None
        left = Put("a", seen.source | {"title_en": "left", "revision": seen.revision + 1000 * STEP})
        position = {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term, "routing": scope.owner.tenant_uid}
        path = f"/{pool_alias(direct.engine.prefix)}/_doc/{scope.owner.engine_id('a')}"
        await direct.engine.call("compare_and_set", "PUT", path, params=position, body=left.body)
        found = await scope.get("a")
        assert found is not None
        assert not found.settled
        with pytest.raises(ValueError, match="settled"):
            await scope.write_if(left, found, searchable=False)
        await client.update_document(document("a", body="new"), ["body"])
        for raising in (True, False):
            (late,) = await scope.bulk([left], searchable=False, raising=raising)
            assert late.status == 409
        read = await client.get_document("a")
    assert (read.title, read.body) == ("left", "new")
