# SPDX-License-Identifier: Apache-2.0
"""Who did what is listed: for a tenant what was done in it and with its credentials, for administrators everything."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from pinakes.client import AsyncClient, InvalidArgument, PermissionDenied, Unauthenticated, scoped_token
from pinakes.local import Platform
from pinakes.v1.audit_pb2 import AuditEvent
from tests.integration._servers import Tenant, new_tenant

SECONDS = 20.0
WHY = "looking into ticket 4711"
K = AuditEvent.Kind


async def listed(
    client: AsyncClient, chosen: str = "", *, least: int = 1, everything: bool = False
) -> list[AuditEvent]:
    """Return events, when there are so many."""
    end = time.monotonic() + SECONDS
    while True:
        pages = client.list_platform_audit_events(chosen) if everything else client.list_audit_events(chosen)
        found = [event async for event in pages]
        if len(found) >= least:
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.3)


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant with a key of its administrator."""
    return await new_tenant(platform)


async def test_what_is_changed_in_a_tenant_is_listed_with_who_did_it(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        made = await client.create_key("user")
        await client.revoke_key(made.api_key.name)
        await client.create_collection("books")
        await client.delete_collection("books")
        events = await listed(client, 'kind = "CHANGE"', least=6)
    mine = f"key:{tenant.key.split('_')[1]}"
    assert [event.action for event in reversed(events)] == [
        "TenantService.CreateTenant", "TenantService.CreateApiKey", "TenantService.CreateApiKey",
        "TenantService.RevokeApiKey", "IndexService.CreateCollection", "IndexService.DeleteCollection",
    ]  # fmt: skip
    assert [event.resource for event in reversed(events)][2:] == [
        made.api_key.name, made.api_key.name, f"{tenant.name}/collections/books", f"{tenant.name}/collections/books",
    ]  # fmt: skip
    assert {event.tenant for event in events} == {tenant.name}
    assert {event.subject for event in events} == {mine, "bootstrap"}
    assert {event.role for event in events} == {"tenant-admin", "admin"}
    assert all(event.code == "OK" and event.request_id and event.credential for event in events)
    assert [list(event.fields) for event in events if event.resource == made.api_key.name] == [[], ["role"]]
    assert made.secret.split("_", 2)[2] not in repr(events), "no secret"


async def test_refusals_are_listed_where_the_credential_is_and_nowhere_else(platform: Platform, tenant: Tenant) -> None:
    other = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        user = (await client.create_key("user")).secret
        revoked = await client.create_key("user")
        await client.revoke_key(revoked.api_key.name)
        async with AsyncClient(platform.endpoint, key=user) as reader:
            with pytest.raises(PermissionDenied):
                await reader.create_key("user")
            for _ in range(5):
                with pytest.raises(PermissionDenied):
                    await reader.get_tenant(other.tenant_id)
        end = time.monotonic() + SECONDS
        async with AsyncClient(platform.endpoint, key=revoked.secret) as late:
            while time.monotonic() < end:
                try:
                    await late.get_tenant()
                except Unauthenticated:
                    break
        async with AsyncClient(platform.endpoint, key=scoped_token(revoked.secret, expire=60)) as late:
            with pytest.raises(Unauthenticated) as caught:
                await late.get_tenant()
            assert caught.value.reason == "API_KEY_REVOKED"
        events = await listed(client, 'kind = "SECURITY"', least=4)
        used = [event for event in events if event.reason == "API_KEY_REVOKED"]
        assert {event.credential for event in used} == {f"key:{revoked.api_key.name.rpartition('/')[2]}"}
        assert sum(event.count for event in used) == 2, "of the key, and of a token made of it"
        foreign = [
            event for event in events if event.action == "TenantService.GetTenant" and event.code == "PERMISSION_DENIED"
        ]
        assert sum(event.count for event in foreign) == 5
        assert {event.resource for event in foreign} == {other.name}
    async with AsyncClient(platform.endpoint, key=other.key) as client:
        events = await listed(client)
        assert not [event for event in events if tenant.tenant_id in repr(event)]
        assert not [event for event in events if event.kind == K.KIND_SECURITY]


async def test_an_administrator_in_a_tenant_is_seen_by_it_with_the_reason(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=WHY) as admin:
        for _ in range(20):
            await admin.count_documents(tenant=tenant.tenant_id)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        events = await listed(client, 'action = "SearchService.CountDocuments"', least=2)
    assert sum(event.count for event in events) == 20, "alike ones together"
    assert {(event.kind, event.role, event.justification) for event in events} == {(K.KIND_ACCESS, "admin", WHY)}
    assert {event.resource for event in events} == {tenant.collection}


async def test_a_flood_of_wrong_credentials_is_a_few_events_with_counts(platform: Platform) -> None:
    key = f"pk_{uuid.uuid4().hex[:16]}_{'A' * 43}"
    async with AsyncClient(platform.endpoint, key=key) as client:
        for _ in range(30):
            with pytest.raises(Unauthenticated):
                await client.get_tenant()
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        events = await listed(admin, f'credential = "key:{key[3:19]}"', least=2, everything=True)
    assert sum(event.count for event in events) == 30
    assert {(event.kind, event.reason, event.tenant) for event in events} == {(K.KIND_SECURITY, "API_KEY_UNKNOWN", "")}
    assert all(event.details["network"].endswith((".0/24", "/48")) for event in events)


async def test_events_are_filtered_and_paged(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        for _ in range(60):
            await client.create_key("user")
        events = await listed(client, 'action = "TenantService.CreateApiKey"', least=61)
        assert len(events) == 61
        assert [event.sequence for event in events] == sorted((event.sequence for event in events), reverse=True)
        middle = events[30].time.ToJsonString()
        # Not as texts: a whole second has no fraction in its own.
        after = {event.sequence for event in events if event.time.ToNanoseconds() > events[30].time.ToNanoseconds()}
        later = await listed(client, f'action = "TenantService.*" AND time > "{middle}" AND kind = "CHANGE"', least=30)
        assert {event.sequence for event in later} == after
        (one,) = await listed(client, f'request_id = "{events[7].request_id}" OR resource = "{events[7].resource}"')
        assert one == events[7]
        for wrong in ("action", 'nothing = "x"', 'kind > "A" now()', 'time > "yesterday"', 'details.network = "x"'):
            with pytest.raises(InvalidArgument):
                await listed(client, wrong)
        with pytest.raises(PermissionDenied):
            await listed(client, everything=True)
