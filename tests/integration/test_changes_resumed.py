# SPDX-License-Identifier: Apache-2.0
"""Changes whose answer was lost: the attempt after knows what the one before has done, and is answered as that would have been."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pinakes.core.faults import Fault, unavailable
from pinakes.core.platform import Platform as Parts
from pinakes.core.resilience import deadline
from pinakes.core.tenancy import collections as records
from pinakes.core.tenancy.marks import KEPT, Mark
from pinakes.core.tenancy.models import TenantRecord
from pinakes.index.commands import collections, failures
from pinakes.index.commands.write import Writer
from pinakes.tenant.commands import tenants
from pinakes.tenant.servicer import TENANTS
from pinakes.v1 import failures_pb2, index_pb2, lifecycle_pb2, resources_pb2, tenant_pb2
from tests.integration._engine import ADMIN, Direct, direct
from tests.integration._workers import parts
from tests.integration.test_changes_once import Door, door, failed, refused

__all__ = ["direct", "door", "parts"]
Work = Callable[[Mark], Awaitable[object]]
State = resources_pb2.Tenant.State
NOT_FOUND, ABORTED = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED


@dataclass(slots=True)
class Server:
    """A server whose answers are lost: it stands on the platform's stores, as the real ones do."""

    parts: Parts
    tenant: TenantRecord

    async def lose(self, request: Any, work: Work, within: str = "") -> None:
        """Do a request, and break off before its answer is kept."""

        async def broken(mark: Mark) -> Message:
            await work(mark)
            raise unavailable("the search engine")

        with pytest.raises(Fault, match="UNAVAILABLE"):
            await self.parts.requests.change(
                "" if within == TENANTS else self.tenant.uid,
                request.request_id, request, empty_pb2.Empty, broken, within=within,
            )  # fmt: skip

    async def lose_tenant(self, request: Any, change: Callable[[Any, Parts, Mark], Awaitable[object]]) -> None:
        """Lose the answer to a change of the tenant."""
        await self.lose(request, lambda mark: change(request, self.parts, mark), f"tenants/{self.tenant.tenant_id}")


@pytest.fixture
async def server(parts: Parts, direct: Direct, door: Door) -> Server:
    """Give such a server."""
    tenant, _ = await direct.records(door.tenant)
    return Server(parts, tenant)


@pytest.mark.parametrize("chosen", [True, False])
async def test_a_tenant_that_was_created_is_not_created_again(door: Door, server: Server, chosen: bool) -> None:
    tenant_id = f"t-{uuid.uuid4().hex[:12]}" if chosen else ""
    request = tenant_pb2.CreateTenantRequest(tenant_id=tenant_id, request_id=uuid.uuid4().hex)
    made: list[TenantRecord] = []

    async def work(mark: Mark) -> None:
        made.append(await tenants.create(request, server.parts, mark))

    await server.lose(request, work, TENANTS)
    answer = await door.services.tenant.CreateTenant(request, metadata=door.admin)
    assert (answer.name, answer.uid) == (f"tenants/{made[0].tenant_id}", made[0].uid)
    assert await door.services.tenant.CreateTenant(request, metadata=door.admin) == answer


async def test_a_tenant_that_was_created_in_part_is_created_whole(door: Door, server: Server) -> None:
    request = tenant_pb2.CreateTenantRequest(tenant_id=f"t-{uuid.uuid4().hex[:12]}", request_id=uuid.uuid4().hex)
    uids: list[str] = []

    async def work(mark: Mark) -> None:
        uid = mark.uid("tenant")
        record = TenantRecord(tenant_id=request.tenant_id, uid=uid)
        default = records.new_collection(record, "default", mark.uid("collection"))
        await records.create(server.parts.directory, record, default, mark)
        uids.append(uid)

    await server.lose(request, work, TENANTS)
    assert (await door.services.tenant.CreateTenant(request, metadata=door.admin)).uid == uids[0]


async def test_conditional_changes_of_a_tenant_do_not_meet_themselves(door: Door, server: Server) -> None:
    rpc, name, admin = door.services.tenant, door.tenant.name, door.admin
    etag = (await door.get()).etag
    rename = tenant_pb2.UpdateTenantRequest(
        tenant={"name": name, "display_name": "new", "etag": etag}, request_id="rename"
    )
    await server.lose_tenant(rename, tenants.update)
    renamed = await rpc.UpdateTenant(rename, metadata=admin)
    assert (renamed.display_name, renamed.etag) == ("new", (await door.get()).etag)

    suspend = lifecycle_pb2.SuspendTenantRequest(name=name, reason="x", etag=renamed.etag, request_id="suspend")
    await server.lose_tenant(suspend, tenants.suspend)
    suspended = await rpc.SuspendTenant(suspend, metadata=admin)
    assert suspended.state == State.STATE_SUSPENDED

    resume = lifecycle_pb2.ResumeTenantRequest(name=name, etag=suspended.etag, request_id="resume")
    await server.lose_tenant(resume, tenants.resume)
    resumed = await rpc.ResumeTenant(resume, metadata=admin)
    assert resumed.state == State.STATE_ACTIVE

    delete = tenant_pb2.DeleteTenantRequest(name=name, etag=resumed.etag, request_id="delete")
    await server.lose_tenant(delete, tenants.delete)
    await rpc.DeleteTenant(delete, metadata=admin)

    undelete = lifecycle_pb2.UndeleteTenantRequest(name=name, request_id="undelete")
    await server.lose_tenant(undelete, tenants.undelete)
    assert (await rpc.UndeleteTenant(undelete, metadata=admin)).state == State.STATE_ACTIVE


async def test_an_attempt_that_had_done_nothing_is_done_now(door: Door, server: Server) -> None:
    etag = (await door.get()).etag
    rename = tenant_pb2.UpdateTenantRequest(
        tenant={"name": door.tenant.name, "display_name": "new", "etag": etag}, request_id="rename"
    )
    await server.lose_tenant(rename, lambda *_: asyncio.sleep(0))
    assert (await door.services.tenant.UpdateTenant(rename, metadata=door.admin)).display_name == "new"


async def test_a_request_whose_server_was_killed_is_taken_over_when_its_time_is_over(
    door: Door, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object, **__: object) -> None:
        """Nobody is left who could say that the attempt is over."""

    etag = (await door.get()).etag
    rename = tenant_pb2.UpdateTenantRequest(
        tenant={"name": door.tenant.name, "display_name": "new", "etag": etag}, request_id="rename"
    )
    monkeypatch.setattr(server.parts.requests, "_give_up", killed)
    token = deadline.set_deadline(1.0)
    await server.lose_tenant(rename, tenants.update)
    deadline.reset_deadline(token)
    call = door.services.tenant.UpdateTenant(rename, metadata=door.admin)
    assert await refused(call, ABORTED) == "REQUEST_UNDER_WAY"
    await asyncio.sleep(2.1)
    assert (await door.services.tenant.UpdateTenant(rename, metadata=door.admin)).display_name == "new"


async def test_a_collection_s_changes_do_not_meet_themselves(door: Door, server: Server) -> None:
    rpc, theirs, name = door.services.index, door.theirs, f"{door.tenant.name}/collections/books"
    limits = {"name": door.tenant.name, "limits": {"collections": 2}}
    await door.services.tenant.UpdateTenant(tenant_pb2.UpdateTenantRequest(tenant=limits), metadata=door.admin)
    create = index_pb2.CreateCollectionRequest(parent=door.tenant.name, collection_id="books", request_id="create")
    await server.lose(create, lambda mark: collections.create(create, server.tenant, server.parts, mark))
    # It is the last one that the tenant may have.
    made = await rpc.CreateCollection(create, metadata=theirs)

    rename = index_pb2.UpdateCollectionRequest(
        collection={"name": name, "display_name": "new", "etag": made.etag}, request_id="rename"
    )
    await server.lose(rename, lambda mark: collections.update(rename, server.tenant, ADMIN, server.parts, mark))
    renamed = await rpc.UpdateCollection(rename, metadata=theirs)
    assert renamed.display_name == "new"

    delete = index_pb2.DeleteCollectionRequest(name=name, etag=renamed.etag, request_id="delete")
    await server.lose(delete, lambda mark: collections.delete(delete, server.tenant, server.parts, mark))
    await rpc.DeleteCollection(delete, metadata=theirs)
    await refused(rpc.DeleteCollection(index_pb2.DeleteCollectionRequest(name=name), metadata=theirs), NOT_FOUND)


async def test_what_others_have_changed_since_is_not_changed_back(door: Door, server: Server) -> None:
    rpc, admin = door.services.tenant, door.admin
    rename = tenant_pb2.UpdateTenantRequest(tenant={"name": door.tenant.name, "display_name": "mine"}, request_id="id")
    await server.lose_tenant(rename, tenants.update)
    other = tenant_pb2.UpdateTenantRequest(tenant={"name": door.tenant.name, "display_name": "theirs"})
    await rpc.UpdateTenant(other, metadata=admin)
    assert (await rpc.UpdateTenant(rename, metadata=admin)).display_name == "theirs"


async def test_what_cannot_be_known_any_more_is_said(door: Door, server: Server) -> None:
    rpc, admin = door.services.tenant, door.admin
    rename = tenant_pb2.UpdateTenantRequest(tenant={"name": door.tenant.name, "display_name": "mine"}, request_id="id")
    await server.lose_tenant(rename, tenants.update)
    for number in range(KEPT):
        other = tenant_pb2.UpdateTenantRequest(tenant={"name": door.tenant.name, "display_name": f"theirs {number}"})
        await rpc.UpdateTenant(other, metadata=admin)
    assert await refused(rpc.UpdateTenant(rename, metadata=admin), ABORTED) == "REQUEST_OUTCOME_UNKNOWN"
    assert (await door.get()).display_name.startswith("theirs")


async def test_a_collection_that_was_created_deleted_and_created_by_another_stays_as_it_is(
    door: Door, server: Server
) -> None:
    rpc, theirs, name = door.services.index, door.theirs, f"{door.tenant.name}/collections/books"
    create = index_pb2.CreateCollectionRequest(parent=door.tenant.name, collection_id="books", request_id="create")
    await server.lose(create, lambda mark: collections.create(create, server.tenant, server.parts, mark))
    delete = index_pb2.DeleteCollectionRequest(name=name)
    await rpc.DeleteCollection(delete, metadata=theirs)
    again = index_pb2.CreateCollectionRequest(parent=door.tenant.name, collection_id="books")
    await rpc.CreateCollection(again, metadata=theirs)
    await rpc.DeleteCollection(delete, metadata=theirs)
    assert await refused(rpc.CreateCollection(create, metadata=theirs), ABORTED) == "REQUEST_OUTCOME_UNKNOWN"


async def test_all_failed_writes_are_those_that_had_failed_when_it_was_asked_for(
    door: Door, server: Server, direct: Direct
) -> None:
    scope = await direct.scope(door.tenant)
    _, record = await direct.records(door.tenant)
    writer = Writer(scope, record, record.schema(), server.parts)
    await failed(server.parts, direct, door.tenant, 3)
    discard = failures_pb2.DiscardFailedWritesRequest(parent=door.tenant.collection, all=True, request_id="discard")
    await asyncio.sleep(0.01)
    await server.lose(discard, lambda mark: failures.discard(discard, writer, mark))
    await failed(server.parts, direct, door.tenant, 2)
    assert (await door.services.index.DiscardFailedWrites(discard, metadata=door.theirs)).count == 0
    left = failures_pb2.ListFailedWritesRequest(parent=door.tenant.collection)
    assert len((await door.services.index.ListFailedWrites(left, metadata=door.theirs)).failed_writes) == 2
