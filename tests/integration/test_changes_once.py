# SPDX-License-Identifier: Apache-2.0
"""Changes of tenants, collections, keys and failed writes with a request id: done once, and answered again as they were."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pinakes.core.engine.erasure import Remains
from pinakes.core.faults import Fault, Kind
from pinakes.core.platform import Platform as Parts
from pinakes.core.writing.changes import Change
from pinakes.local import Platform
from pinakes.queue.v1 import entry_pb2
from pinakes.v1 import failures_pb2, index_pb2, lifecycle_pb2, resources_pb2, tenant_pb2
from tests.integration._caller import refused
from tests.integration._engine import Direct, direct
from tests.integration._servers import Metadata, Stubs, Tenant, bearer, new_tenant, open_channel, reason, stubs
from tests.integration._workers import parts

__all__ = ["direct", "parts"]
Code = grpc.StatusCode
State = resources_pb2.Tenant.State


@dataclass(slots=True)
class Door:
    """The services, a tenant's administrator and the platform's."""

    services: Stubs
    tenant: Tenant
    theirs: Metadata
    admin: Metadata

    async def get(self) -> resources_pb2.Tenant:
        """Read the tenant."""
        request = tenant_pb2.GetTenantRequest(name=self.tenant.name)
        return await self.services.tenant.GetTenant(request, metadata=self.admin)


@pytest.fixture
async def door(platform: Platform) -> AsyncIterator[Door]:
    """Give a tenant of the test's own."""
    tenant = await new_tenant(platform)
    async with open_channel(platform.endpoint) as channel:
        yield Door(stubs(channel), tenant, bearer(tenant.key), bearer(platform.admin_key))


async def twice(call: Callable[..., Awaitable[Any]], request: Message, metadata: Metadata) -> Any:
    """Send a request two times, and expect the same answer."""
    first = await call(request, metadata=metadata)
    assert await call(request, metadata=metadata) == first
    return first


async def test_a_tenant_s_changes_are_done_once_and_answered_as_they_were(door: Door) -> None:
    rpc, name, admin = door.services.tenant, f"tenants/t-{uuid.uuid4().hex[:12]}", door.admin
    create = tenant_pb2.CreateTenantRequest(
        tenant_id=name.removeprefix("tenants/"), tenant=resources_pb2.Tenant(display_name="first"), request_id="create"
    )
    made = await twice(rpc.CreateTenant, create, admin)
    rename = tenant_pb2.UpdateTenantRequest(
        tenant=resources_pb2.Tenant(name=name, display_name="second", etag=made.etag), request_id="rename"
    )
    renamed = await twice(rpc.UpdateTenant, rename, admin)
    suspend = lifecycle_pb2.SuspendTenantRequest(name=name, reason="unpaid", etag=renamed.etag, request_id="suspend")
    suspended = await twice(rpc.SuspendTenant, suspend, admin)
    resume = lifecycle_pb2.ResumeTenantRequest(name=name, etag=suspended.etag, request_id="resume")
    resumed = await twice(rpc.ResumeTenant, resume, admin)
    delete = tenant_pb2.DeleteTenantRequest(name=name, etag=resumed.etag, request_id="delete")
    assert await twice(rpc.DeleteTenant, delete, admin) == empty_pb2.Empty()
    undelete = lifecycle_pb2.UndeleteTenantRequest(name=name, request_id="undelete")
    back = await twice(rpc.UndeleteTenant, undelete, admin)
    # All of them are known still, and none of them is done again.
    assert await rpc.CreateTenant(create, metadata=admin) == made
    assert await rpc.UpdateTenant(rename, metadata=admin) == renamed
    assert await rpc.SuspendTenant(suspend, metadata=admin) == suspended
    assert await rpc.DeleteTenant(delete, metadata=admin) == empty_pb2.Empty()
    assert await rpc.GetTenant(tenant_pb2.GetTenantRequest(name=name), metadata=admin) == back
    assert (back.state, back.display_name) == (State.STATE_ACTIVE, "second")


async def test_a_collection_s_changes_are_done_once_and_answered_as_they_were(door: Door) -> None:
    rpc, theirs = door.services.index, door.theirs
    name = f"{door.tenant.name}/collections/books"
    create = index_pb2.CreateCollectionRequest(
        parent=door.tenant.name, collection_id="books", collection={"display_name": "first"}, request_id="create"
    )
    made = await twice(rpc.CreateCollection, create, theirs)
    rename = index_pb2.UpdateCollectionRequest(
        collection={"name": name, "display_name": "second", "etag": made.etag}, request_id="rename"
    )
    renamed = await twice(rpc.UpdateCollection, rename, theirs)
    delete = index_pb2.DeleteCollectionRequest(name=name, etag=renamed.etag, request_id="delete")
    await twice(rpc.DeleteCollection, delete, theirs)
    assert await rpc.UpdateCollection(rename, metadata=theirs) == renamed
    again = index_pb2.CreateCollectionRequest(parent=door.tenant.name, collection_id="books", request_id="create-2")
    anew = await twice(rpc.CreateCollection, again, theirs)
    assert anew.uid != made.uid
    # The first deletion is known still, and doesn't touch what was made since.
    await rpc.DeleteCollection(delete, metadata=theirs)
    assert await rpc.GetCollection(index_pb2.GetCollectionRequest(name=name), metadata=theirs) == anew


async def test_a_revocation_is_answered_as_it_was(door: Door) -> None:
    create = tenant_pb2.CreateApiKeyRequest(parent=door.tenant.name, api_key={"role": "ROLE_TENANT_USER"})
    made = await door.services.tenant.CreateApiKey(create, metadata=door.theirs)
    revoke = tenant_pb2.RevokeApiKeyRequest(name=made.api_key.name, request_id="revoke")
    revoked = await twice(door.services.tenant.RevokeApiKey, revoke, door.theirs)
    assert revoked.HasField("revoke_time")


async def test_failed_writes_are_retried_and_discarded_once(door: Door, parts: Parts, direct: Direct) -> None:
    await failed(parts, direct, door.tenant, 3)
    discard = failures_pb2.DiscardFailedWritesRequest(parent=door.tenant.collection, all=True, request_id="discard")
    answer = await twice(door.services.index.DiscardFailedWrites, discard, door.theirs)
    assert answer.count == 3
    await failed(parts, direct, door.tenant, 2)
    assert (await door.services.index.DiscardFailedWrites(discard, metadata=door.theirs)).count == 3
    retry = failures_pb2.RetryFailedWritesRequest(parent=door.tenant.collection, all=True, request_id="retry")
    assert (await twice(door.services.index.RetryFailedWrites, retry, door.theirs)).count == 2


async def test_another_request_under_the_same_id_is_refused(door: Door) -> None:
    rpc, name = door.services.tenant, door.tenant.name
    await rpc.SuspendTenant(
        lifecycle_pb2.SuspendTenantRequest(name=name, reason="one", request_id="id"), metadata=door.admin
    )
    others: list[Awaitable[object]] = [
        rpc.SuspendTenant(
            lifecycle_pb2.SuspendTenantRequest(name=name, reason="two", request_id="id"), metadata=door.admin
        ),
        rpc.ResumeTenant(lifecycle_pb2.ResumeTenantRequest(name=name, request_id="id"), metadata=door.admin),
    ]
    for call in others:
        assert await refused(call, Code.INVALID_ARGUMENT) == "REQUEST_ID_REUSED"
    assert (await door.get()).suspend_reason == "one"


async def test_an_id_of_a_write_of_documents_is_not_one_of_a_change_too(door: Door) -> None:
    for mode in (index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_ACCEPTED):
        request_id = uuid.uuid4().hex
        write = index_pb2.CreateDocumentRequest(
            parent=door.tenant.collection, document={"title": "x"}, mode=mode, request_id=request_id
        )
        await door.services.index.CreateDocument(write, metadata=door.theirs)
        create = index_pb2.CreateCollectionRequest(
            parent=door.tenant.name, collection_id="books", request_id=request_id
        )
        call = door.services.index.CreateCollection(create, metadata=door.theirs)
        assert await refused(call, Code.INVALID_ARGUMENT) == "REQUEST_ID_REUSED"


async def test_a_refused_change_and_a_mere_check_leave_the_id_free(door: Door) -> None:
    rpc, admin, theirs = door.services.tenant, door.admin, door.theirs
    once = uuid.uuid4().hex
    taken = tenant_pb2.CreateTenantRequest(tenant_id=door.tenant.tenant_id, request_id=once)
    assert await refused(rpc.CreateTenant(taken, metadata=admin), Code.ALREADY_EXISTS) == "TENANT_EXISTS"
    checked = tenant_pb2.CreateTenantRequest(tenant_id=f"t-{once[:12]}", validate_only=True, request_id=once)
    await rpc.CreateTenant(checked, metadata=admin)
    await rpc.CreateTenant(tenant_pb2.CreateTenantRequest(request_id=once), metadata=admin)

    stale = lifecycle_pb2.SuspendTenantRequest(name=door.tenant.name, reason="x", etag="stale", request_id="id")
    assert await refused(rpc.SuspendTenant(stale, metadata=admin), Code.ABORTED) == "ETAG_MISMATCH"
    unsaid = lifecycle_pb2.SuspendTenantRequest(name=door.tenant.name, request_id="id")
    await refused(rpc.SuspendTenant(unsaid, metadata=admin), Code.INVALID_ARGUMENT)
    rename = tenant_pb2.UpdateTenantRequest(tenant={"name": door.tenant.name, "display_name": "x"}, request_id="id")
    assert (await rpc.UpdateTenant(rename, metadata=admin)).display_name == "x"

    index = door.services.index
    wrong = index_pb2.CreateCollectionRequest(parent=door.tenant.name, collection_id="books", request_id="id")
    wrong.collection.attributes.add(name="a", type="TYPE_TEXT", sortable=True)
    assert await refused(index.CreateCollection(wrong, metadata=theirs), Code.INVALID_ARGUMENT) == "SCHEMA_INVALID"
    wrong.collection.attributes[0].sortable = False
    wrong.validate_only = True
    await index.CreateCollection(wrong, metadata=theirs)
    wrong.validate_only = False
    await index.CreateCollection(wrong, metadata=theirs)


async def test_of_many_at_once_with_one_id_one_is_done(door: Door) -> None:
    create = tenant_pb2.CreateTenantRequest(request_id=uuid.uuid4().hex)
    rpc = door.services.tenant
    answers = await asyncio.gather(
        *(rpc.CreateTenant(create, metadata=door.admin) for _ in range(10)), return_exceptions=True
    )
    made = {answer.name for answer in answers if isinstance(answer, resources_pb2.Tenant)}
    assert len(made) == 1
    for lost in answers:
        if isinstance(lost, grpc.aio.AioRpcError):
            assert reason(lost) == "REQUEST_UNDER_WAY"
    assert {(await rpc.CreateTenant(create, metadata=door.admin)).name} == made


async def test_ids_of_two_tenants_and_of_their_administrators_never_meet(platform: Platform, door: Door) -> None:
    other = await new_tenant(platform)
    for tenant in (door.tenant, other):
        create = index_pb2.CreateCollectionRequest(parent="tenants/-", collection_id="books", request_id="id")
        made = await door.services.index.CreateCollection(create, metadata=bearer(tenant.key))
        assert made.name == f"{tenant.name}/collections/books"
        suspend = lifecycle_pb2.SuspendTenantRequest(name=tenant.name, reason="x", request_id="id")
        suspended = await door.services.tenant.SuspendTenant(suspend, metadata=door.admin)
        assert suspended.name == tenant.name


async def test_a_deletion_that_is_known_is_answered_and_another_one_finds_nothing(door: Door) -> None:
    rpc, name, admin = door.services.tenant, door.tenant.name, door.admin
    known = tenant_pb2.DeleteTenantRequest(name=name, request_id="known")
    await rpc.DeleteTenant(known, metadata=admin)
    for other in (tenant_pb2.DeleteTenantRequest(name=name), tenant_pb2.DeleteTenantRequest(name=name, request_id="2")):
        assert await refused(rpc.DeleteTenant(other, metadata=admin), Code.NOT_FOUND) == "TENANT_NOT_FOUND"
    await rpc.DeleteTenant(known, metadata=admin)
    # Another tenant has the name now: it isn't the one that was meant.
    await rpc.CreateTenant(tenant_pb2.CreateTenantRequest(tenant_id=door.tenant.tenant_id), metadata=admin)
    await rpc.DeleteTenant(known, metadata=admin)
    assert (await door.get()).state == State.STATE_ACTIVE


async def test_what_is_remembered_of_a_tenant_s_creation_is_the_tenant_s_and_goes_with_it(
    door: Door, parts: Parts
) -> None:
    create = tenant_pb2.CreateTenantRequest(request_id=uuid.uuid4().hex)
    made = await door.services.tenant.CreateTenant(create, metadata=door.admin)
    assert (await Remains(parts.engine, made.uid).count())["request_ids"] == 1


async def failed(parts: Parts, direct: Direct, tenant: Tenant, count: int) -> None:
    """Put so many deletions among the failed writes of a tenant's `default`."""
    record, collection = await direct.records(tenant)
    entry = entry_pb2.Entry(tenant_uid=record.uid, collection_uid=collection.uid)
    fault = Fault(Kind.INTERNAL, "NOT_INDEXABLE", "the engine refuses the document")
    await parts.failures.keep([
        (entry, Change(f"d{number}", parts.revisions.next(), b""), fault) for number in range(count)
    ])  # fmt: skip
