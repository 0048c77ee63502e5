# SPDX-License-Identifier: Apache-2.0
"""How the client makes changes of tenants, collections, keys and failed writes: each with a request id, so that it is done once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from pinakes.client import AsyncClient, Conflict
from pinakes.client._channel import service_config
from pinakes.v1.failures_pb2 import DiscardFailedWritesResponse, RetryFailedWritesResponse
from pinakes.v1.resources_pb2 import ApiKey, Collection, Tenant
from tests.integration.clients._scripted_server import Scripted, refuse, status

Change = Callable[[AsyncClient, str], Awaitable[object]]
BOOKS = Collection(name="tenants/-/collections/books", display_name="Books")
ACME = Tenant(name="tenants/acme", display_name="Acme")
CHANGES: dict[str, tuple[Message, Change]] = {
    "IndexService/CreateCollection": (BOOKS, lambda c, once: c.create_collection("books", request_id=once)),
    "IndexService/UpdateCollection": (BOOKS, lambda c, once: c.update_collection(BOOKS, request_id=once)),
    "IndexService/DeleteCollection": (Empty(), lambda c, once: c.delete_collection("books", request_id=once)),
    "IndexService/RetryFailedWrites": (
        RetryFailedWritesResponse(), lambda c, once: c.retry_failed_writes(all=True, request_id=once)
    ),
    "IndexService/DiscardFailedWrites": (
        DiscardFailedWritesResponse(), lambda c, once: c.discard_failed_writes(all=True, request_id=once)
    ),
    "TenantService/CreateTenant": (ACME, lambda c, once: c.create_tenant("acme", request_id=once)),
    "TenantService/UpdateTenant": (ACME, lambda c, once: c.update_tenant(ACME, request_id=once)),
    "TenantService/DeleteTenant": (Empty(), lambda c, once: c.delete_tenant("acme", request_id=once)),
    "TenantService/UndeleteTenant": (ACME, lambda c, once: c.undelete_tenant("acme", request_id=once)),
    "TenantService/SuspendTenant": (ACME, lambda c, once: c.suspend_tenant("acme", "unpaid", request_id=once)),
    "TenantService/ResumeTenant": (ACME, lambda c, once: c.resume_tenant("acme", request_id=once)),
    "TenantService/RevokeApiKey": (ApiKey(), lambda c, once: c.revoke_key("k1", request_id=once)),
}  # fmt: skip


@pytest.mark.parametrize("method", CHANGES)
async def test_a_change_is_tried_again_while_the_platform_is_away_as_the_same_request(
    scripted: Scripted, method: str
) -> None:
    answer, change = CHANGES[method]
    calls = itertools.count()

    def away_at_first(_: Message, context: grpc.ServicerContext) -> Message:
        if next(calls) == 0:
            refuse(context, status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away"))
        return answer

    scripted.answers[method] = away_at_first
    async with AsyncClient(scripted.endpoint) as client:
        await change(client, "")
        await change(client, "")
        await change(client, "mine")
    ids = [request.request_id for request in scripted.requests]
    assert len(ids) == 4
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert "" not in ids
    assert ids[3] == "mine"


def test_the_retry_policy_names_every_change_that_has_a_request_id() -> None:
    named = {
        f"{one['service'].rpartition('.')[2]}/{one['method']}"
        for one in json.loads(service_config())["methodConfig"][0]["name"]
    }
    assert set(CHANGES) <= named


async def test_the_answer_of_a_try_that_is_under_way_is_waited_for(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.ABORTED, "REQUEST_UNDER_WAY", "try again", retry=0.05)
    calls = itertools.count()

    def under_way_at_first(_: Message, context: grpc.ServicerContext) -> Message:
        if next(calls) < 2:
            refuse(context, told)
        return ACME

    scripted.answers["TenantService/CreateTenant"] = under_way_at_first
    async with AsyncClient(scripted.endpoint) as client:
        assert await client.create_tenant("acme") == ACME
        assert len({request.request_id for request in scripted.requests}) == 1
        scripted.answers["TenantService/CreateTenant"] = lambda _, context: refuse(context, told) or ACME
        with pytest.raises(Conflict, match="REQUEST_UNDER_WAY"):
            await client.create_tenant("acme", timeout=0.2)


async def test_another_conflict_is_raised_at_once(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "changed")
    scripted.answers["TenantService/UpdateTenant"] = lambda _, context: refuse(context, told) or ACME
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(Conflict, match="ETAG_MISMATCH"):
            await client.update_tenant(ACME)
    assert len(scripted.requests) == 1
