# SPDX-License-Identifier: Apache-2.0
"""Writes that were accepted and can't be applied: listed, retried, discarded, by their tenant alone."""

from __future__ import annotations

import asyncio

import grpc
import orjson
import pytest

from pinakes.client import Client
from pinakes.core.engine.scope import TenantScope
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.platform import Platform as Parts
from pinakes.core.usage.ledger import KNOWN_SECONDS, REFRESH_SECONDS
from pinakes.core.writing import changes
from pinakes.core.writing.changes import Change
from pinakes.index.commands import failures
from pinakes.index.commands.write import Writer
from pinakes.local import Platform
from pinakes.v1 import failures_pb2
from tests.integration._caller import ACCEPTED, APPLIED, Caller, Document, caller, refused, until
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, bearer, new_tenant
from tests.integration._workers import parts

__all__ = ["caller", "direct", "parts"]


async def poison(parts: Parts, direct: Direct, tenant: Tenant, document_id: str, readers: tuple[str, ...] = ()) -> int:
    """Queue a body that no mapping takes, between two good ones; return its revision."""
    scope = await direct.scope(tenant)
    first = parts.revisions.take(1)
    good = [Change(f"{document_id}-{n}", parts.revisions.next(), b"") for n in range(2)]
    made = changes.put(Document(title="bad", readers=readers), scope.owner, Direct.schema(), document_id, first)
    bad = made._replace(data=orjson.dumps(orjson.loads(made.data) | {"no_such_field": True}))
    packed = parts.queue.parts(scope.owner, list(enumerate([good[0], bad, good[1]])), 1)
    assert sum(len(entry.writes) for entry in packed) == 3
    await parts.queue.enqueue(scope.owner, packed, 3)
    return first


async def test_what_cannot_be_applied_is_listed_retried_and_discarded(
    caller: Caller, parts: Parts, direct: Direct
) -> None:
    revision = await poison(parts, direct, caller.tenant, "bad")
    await caller.put("neighbour", "fine", ACCEPTED)
    await until(lambda: caller.get("neighbour"))
    (failed,) = await until(caller.failed)
    assert failed.revision == revision
    assert (failed.document.name, failed.document.title) == (caller.tenant.document("bad"), "bad")
    assert failed.status.message
    assert failed.expire_time.seconds - failed.accept_time.seconds == 7 * 86_400

    names = {"parent": caller.tenant.collection, "names": [failed.name]}
    retried = await caller.index.RetryFailedWrites(
        failures_pb2.RetryFailedWritesRequest(**names), metadata=caller.metadata
    )
    assert retried.count == 1

    # Compiled anew, it has no field that no mapping takes.
    assert (await until(lambda: caller.get("bad"))).title == "bad"
    assert await caller.failed() == []
    await poison(parts, direct, caller.tenant, "worse")
    await until(caller.failed)
    discard = failures_pb2.DiscardFailedWritesRequest(parent=caller.tenant.collection, all=True)
    assert (await caller.index.DiscardFailedWrites(discard, metadata=caller.metadata)).count == 1
    assert await caller.failed() == []
    assert (await caller.index.DiscardFailedWrites(discard, metadata=caller.metadata)).count == 0


async def test_of_a_failed_write_only_the_name_is_shown_to_who_may_not_read_the_document(
    caller: Caller, parts: Parts, direct: Direct
) -> None:
    await poison(parts, direct, caller.tenant, "bad", ("ann",))
    (failed,) = await until(caller.failed)
    assert (failed.document.title, list(failed.document.readers)) == ("bad", ["ann"])
    tenant, collection = await direct.records(caller.tenant)
    request = failures_pb2.ListFailedWritesRequest(parent=caller.tenant.collection)
    for readers, title in ((("ann", "zoe"), "bad"), (("bob",), ""), ((), "")):
        # No credential both writes and is bound to readers; that one might is no reason to show more.
        who = Principal("test", Role.SERVICE, (tenant.tenant_id,), readers)
        writer = Writer(TenantScope(parts.engine, who, tenant, collection), collection, collection.schema(), parts)
        (shown,) = (await failures.list_failed(request, writer)).failed_writes
        assert shown.document.title == title
        assert title or shown.document == Document(name=failed.document.name)


async def test_failed_writes_are_their_tenants_alone(
    platform: Platform, caller: Caller, parts: Parts, direct: Direct
) -> None:
    await poison(parts, direct, caller.tenant, "bad")
    (failed,) = await until(caller.failed)
    other = await new_tenant(platform)
    for made in (failures_pb2.RetryFailedWritesRequest, failures_pb2.DiscardFailedWritesRequest):
        rpc = caller.index.RetryFailedWrites if "Retry" in made.__name__ else caller.index.DiscardFailedWrites
        mine = made(parent=other.collection, names=[failed.name])
        assert await refused(rpc(mine, metadata=bearer(other.key)), grpc.StatusCode.INVALID_ARGUMENT)
        same_id = made(parent=other.collection, names=[failed.name.replace(caller.tenant.tenant_id, other.tenant_id)])
        assert (await rpc(same_id, metadata=bearer(other.key))).count == 0
        both = made(parent=caller.tenant.collection, names=[failed.name], all=True)
        assert await refused(rpc(both, metadata=caller.metadata), grpc.StatusCode.INVALID_ARGUMENT)
    assert len(await caller.failed()) == 1


@pytest.mark.parametrize("limit", ["documents", "bytes"])
async def test_failed_writes_that_there_is_no_room_for_stay_in_the_list(
    platform: Platform, caller: Caller, parts: Parts, direct: Direct, limit: str
) -> None:
    def allow(most: int) -> None:
        with Client(platform.endpoint, key=platform.admin_key) as admin:
            admin.set_limits(caller.tenant.tenant_id, {limit: most})

    async def retried() -> failures_pb2.RetryFailedWritesResponse | None:
        request = failures_pb2.RetryFailedWritesRequest(parent=caller.tenant.collection, all=True)
        try:
            return await caller.index.RetryFailedWrites(request, metadata=caller.metadata)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
            return None

    async def both_failed() -> bool:
        return len(await caller.failed()) == 2

    for document_id in ("one", "two"):
        await poison(parts, direct, caller.tenant, document_id)
    await until(both_failed)
    written = 0

    async def full() -> bool:
        nonlocal written
        try:
            await caller.put(f"more-{written}", "bad", APPLIED)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
            return True
        written += 1
        return False

    allow(1)
    await until(full)
    assert await retried() is None
    assert len(await caller.failed()) == 2

    # What was written while there was no limit is known when it has been counted.
    await asyncio.sleep(KNOWN_SECONDS + 2 * REFRESH_SECONDS)
    # Each of them is a document, and the three bytes of its title.
    each = {"documents": 1, "bytes": 3}[limit]
    allow((written + 1) * each)
    answer = await until(retried, 60.0)  # counting takes a small part of the time only, so a slow count stands for long
    assert (answer.count, answer.kept) == (1, 1)
    assert (await until(lambda: caller.get("one"))).title == "bad"
    assert len(await caller.failed()) == 1

    allow((written + 2) * each)
    answer = await until(retried, 60.0)  # counting takes a small part of the time only, so a slow count stands for long
    assert (answer.count, answer.kept) == (1, 0)
    assert (await until(lambda: caller.get("two"))).title == "bad"
    assert await caller.failed() == []
