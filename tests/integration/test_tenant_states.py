# SPDX-License-Identifier: Apache-2.0
"""Suspended and deleted tenants: what their credentials meet in every process, with and without Redis, and the way back."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from pinakes.client import AsyncClient, NotFound, PermissionDenied, PinakesError, Unauthenticated, document
from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2
from tests.integration._servers import (
    Tenant,
    bearer,
    new_tenant,
    open_channel,
    reason,
    running,
    stubs,
    until_health,
)  # fmt: skip
from tests.integration.test_identity import AUDIENCE, ISSUER, Issuer, issuer, refused

__all__ = ["issuer"]
WITHIN = 5.0
REASON = "tests of the states of tenants"
NOBODY = "redis://127.0.0.1:1/0"
State = resources_pb2.Tenant.State


async def served(attempt: Callable[[], Awaitable[object]]) -> None:
    """Wait until a call is served; fail if it still isn't after the time a change may take."""
    end = time.monotonic() + WITHIN
    while True:
        try:
            await attempt()
        except (PinakesError, grpc.aio.AioRpcError):
            assert time.monotonic() < end, f"still refused after {WITHIN} s"
            await asyncio.sleep(0.1)
        else:
            return


async def unknown(attempt: Callable[[], Awaitable[object]]) -> None:
    """Wait until a credential isn't known any more; on the way there it may be one of a suspended tenant."""
    end = time.monotonic() + WITHIN
    while True:
        try:
            await attempt()
        except Unauthenticated:
            return
        except PermissionDenied:
            pass
        assert time.monotonic() < end, f"still known after {WITHIN} s"
        await asyncio.sleep(0.1)


async def test_a_suspended_tenant_s_credentials_are_dead_in_every_process_within_5_s(
    platform: Platform, issuer: Issuer, tmp_path: Path
) -> None:
    tenant, other = await new_tenant(platform), await new_tenant(platform)
    tokens = {"PINAKES_JWT_ISSUER": ISSUER, "PINAKES_JWT_AUDIENCE": AUDIENCE, "PINAKES_JWT_JWKS_URL": issuer.url}
    async with AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=REASON) as admin:
        with (
            running(platform, "index", tmp_path, **tokens) as one,
            running(platform, "index", tmp_path, PINAKES_CACHE_URL=NOBODY, **tokens) as without_redis,
        ):
            async with open_channel(one.address) as first, open_channel(without_redis.address) as second:
                await asyncio.gather(until_health(first), until_health(second))
                token = issuer.token(tenant_id=tenant.tenant_id, role="service")

                async def code(channel: grpc.aio.Channel, credential: str) -> str:
                    request = index_pb2.GetCollectionRequest(name=tenant.collection)
                    try:
                        await stubs(channel).index.GetCollection(request, metadata=bearer(credential), timeout=10)
                    except grpc.aio.AioRpcError as error:
                        return f"{error.code().name} {reason(error)}"
                    return "OK"

                async def codes() -> set[str]:
                    both = (first, second)
                    return set(await asyncio.gather(*(code(c, k) for c in both for k in (tenant.key, token))))

                assert await codes() == {"OK"}
                foreign = {await code(channel, other.key) for channel in (first, second)}
                stream = stubs(second).index.StreamWriteDocuments(metadata=bearer(tenant.key), timeout=60)
                await stream.write(index_pb2.StreamWriteDocumentsRequest(parent=tenant.collection))
                await stream.read()

                suspended = await admin.suspend_tenant(tenant.tenant_id, "unpaid")
                at = time.monotonic()
                assert (suspended.state, suspended.suspend_reason) == (State.STATE_SUSPENDED, "unpaid")
                while await codes() != {"PERMISSION_DENIED TENANT_SUSPENDED"}:
                    assert time.monotonic() < at + WITHIN, f"still let in after {WITHIN} s"
                    await asyncio.sleep(0.1)
                await stream.write(index_pb2.StreamWriteDocumentsRequest(sequence=1))
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    while await stream.read():
                        pass
                assert reason(caught.value) == "TENANT_SUSPENDED"
                assert {await code(channel, other.key) for channel in (first, second)} == foreign, "others see nothing"

                await admin.resume_tenant(tenant.tenant_id)
                at = time.monotonic()
                while await codes() != {"OK"}:
                    assert time.monotonic() < at + WITHIN, f"still refused after {WITHIN} s"
                    await asyncio.sleep(0.1)


async def test_a_suspended_tenant_neither_reads_nor_writes_and_administrators_go_on_administering(
    platform: Platform,
) -> None:
    tenant = await new_tenant(platform)
    async with (
        AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=REASON) as admin,
        AsyncClient(platform.endpoint, key=tenant.key) as client,
    ):
        await client.put_document(document("a", title="x"), mode="searchable")
        await admin.suspend_tenant(tenant.tenant_id, "first")
        again = await admin.suspend_tenant(tenant.tenant_id, "second")
        assert again.suspend_reason == "second"
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: client.search("x"), lambda: client.get_document("a"), lambda: client.put_document(document("b")),
            client.get_tenant, lambda: client.create_key("user"), lambda: client.purge_documents(force=True),
            lambda: admin.search("x", tenant=tenant.tenant_id),
        ]  # fmt: skip
        for call in calls:
            error = await refused(call, PermissionDenied, WITHIN)
            assert error.reason == "TENANT_SUSPENDED"
            assert "second" not in str(error), "the reason is for administrators"
        assert (await admin.get_tenant(tenant.tenant_id)).HasField("suspend_time")
        assert tenant.name in {one.name async for one in admin.list_tenants()}
        await admin.create_key("user", tenant=tenant.tenant_id)
        with pytest.raises(PinakesError) as caught:
            await admin.create_tenant(tenant.tenant_id)
        assert caught.value.reason == "TENANT_EXISTS"
        resumed = await admin.resume_tenant(tenant.tenant_id)
        assert (resumed.state, resumed.suspend_reason) == (State.STATE_ACTIVE, "")
        await served(lambda: client.search("x"))
        assert (await client.search("x")).total_size == 1


async def test_writes_accepted_before_a_suspension_are_applied(platform: Platform) -> None:
    tenant = await new_tenant(platform)
    names = [f"d{number}" for number in range(300)]
    async with (
        AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=REASON) as admin,
        AsyncClient(platform.endpoint, key=tenant.key) as client,
    ):
        await client.batch_write([document(name, title=name) for name in names], mode="accepted")
        await admin.suspend_tenant(tenant.tenant_id, "just now")
        await refused(client.get_collection, PermissionDenied, WITHIN)
        await asyncio.sleep(1)
        await admin.resume_tenant(tenant.tenant_id)
        await served(client.get_collection)
        async with asyncio.timeout(30):
            pages = [names[first : first + 50] for first in range(0, len(names), 50)]
            while sum([len((await client.get_documents(page)).documents) for page in pages]) < len(names):
                await asyncio.sleep(0.1)


async def test_a_deleted_tenant_comes_back_as_it_was_until_its_time_is_over(platform: Platform, tmp_path: Path) -> None:
    tenant = await new_tenant(platform)
    async with (
        AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=REASON) as admin,
        AsyncClient(platform.endpoint, key=tenant.key) as client,
    ):
        await client.put_document(document("a", title="x"), mode="searchable")
        with pytest.raises(PinakesError) as caught:
            await admin.undelete_tenant(tenant.tenant_id)
        assert caught.value.reason == "TENANT_NOT_DELETED"
        await admin.suspend_tenant(tenant.tenant_id, "before")
        await admin.delete_tenant(tenant.tenant_id)
        deleted = await admin.get_tenant(tenant.tenant_id)
        assert deleted.state == State.STATE_DELETED
        assert deleted.purge_time.seconds - deleted.delete_time.seconds == 30 * 86_400
        await unknown(lambda: client.get_document("a"))
        with pytest.raises(NotFound):
            await admin.get_document("a", tenant=tenant.tenant_id)
        assert (await admin.undelete_tenant(tenant.tenant_id)).state == State.STATE_SUSPENDED
        await admin.resume_tenant(tenant.tenant_id)
        await served(lambda: client.get_document("a"))
        assert (await client.search("x")).total_size == 1
        with running(platform, "tenant", tmp_path, PINAKES_UNDELETE_DAYS="0.00001") as server:
            async with open_channel(server.address) as channel:
                await until_health(channel)
            async with AsyncClient(server.address, key=platform.admin_key) as brief:
                await brief.delete_tenant(tenant.tenant_id)
                await asyncio.sleep(1)
                with pytest.raises(PinakesError) as caught:
                    await brief.undelete_tenant(tenant.tenant_id)
                assert caught.value.reason == "UNDELETE_WINDOW_OVER"


async def test_a_tenant_whose_id_was_taken_anew_cannot_be_undeleted(platform: Platform) -> None:
    tenant_id = f"t-{uuid.uuid4().hex[:10]}"
    tenant: Tenant = await new_tenant(platform, tenant_id)
    async with AsyncClient(platform.endpoint, key=platform.admin_key, admin_reason=REASON) as admin:
        await admin.delete_tenant(tenant_id)
        await new_tenant(platform, tenant_id)
        with pytest.raises(PinakesError) as caught:
            await admin.undelete_tenant(tenant_id)
        assert caught.value.reason == "TENANT_NOT_DELETED"
    async with AsyncClient(platform.endpoint, key=tenant.key) as former:
        await refused(lambda: former.get_document("a"), Unauthenticated, WITHIN)
