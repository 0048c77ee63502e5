# SPDX-License-Identifier: Apache-2.0
"""What callers see when a store fails (design §8), on real stores that are really stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import pytest

from pinakes.client import AsyncClient, DeadlineExceeded, Unavailable, document
from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.integration import _servers
from tests.integration._servers import NOT_SERVING, SERVICES, SERVING, Stubs, Tenant, bearer, open_channel, stubs

# A breaker stays open for 30 s.
BACK_SECONDS = 60.0
PATIENCE = 5.0


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Give a tenant with three documents."""
    made = await _servers.new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=made.key, timeout=20) as client:
        await client.batch_write([document(f"d{n}", title="a title") for n in range(3)], mode="searchable")
    return made


@pytest.fixture
async def servers(platform: Platform) -> AsyncIterator[Stubs]:
    """Give the stubs of the servers themselves, without Envoy."""
    async with (
        open_channel(platform.address("search")) as search,
        open_channel(platform.address("index")) as index,
        open_channel(platform.address("tenant")) as tenants,
    ):
        yield Stubs(stubs(search).search, stubs(index).index, stubs(tenants).tenant)


async def find(servers: Stubs, tenant: Tenant) -> search_pb2.SearchResponse:
    """Search for the three documents."""
    request = search_pb2.SearchRequest(parent=tenant.collection, query="title")
    return await servers.search.Search(request, metadata=bearer(tenant.key), timeout=PATIENCE)


async def is_cached(servers: Stubs, tenant: Tenant) -> bool:
    """Tell whether the second of two equal searches comes from the cache."""
    first = await find(servers, tenant)
    second = await find(servers, tenant)
    assert first.total_size == second.total_size == 3
    return second.cached


async def test_without_the_cache_searches_are_answered_and_with_it_again_from_it(
    platform: Platform, servers: Stubs, tenant: Tenant
) -> None:
    await eventually_cached(servers, tenant)
    await asyncio.to_thread(platform.stop, "redis-cache", kill=True)
    try:
        for _ in range(3):
            began = time.monotonic()
            answer = await find(servers, tenant)
            assert (answer.total_size, answer.cached) == (3, False)
            assert time.monotonic() - began < PATIENCE / 2
        for name, service in SERVICES.items():
            async with open_channel(platform.address(name)) as channel:
                assert await _servers.health(channel, service) == SERVING
        made = await servers.index.CreateDocument(
            index_pb2.CreateDocumentRequest(parent=tenant.collection, document=resources_pb2.Document(title="x")),
            metadata=bearer(tenant.key), timeout=PATIENCE,
        )  # fmt: skip
        assert made.title == "x"
        assert (await servers.tenant.GetTenant(
            tenant_pb2.GetTenantRequest(name=tenant.name), metadata=bearer(tenant.key), timeout=PATIENCE
        )).name == tenant.name  # fmt: skip
    finally:
        await asyncio.to_thread(platform.start, "redis-cache")
    await eventually_cached(servers, tenant)


async def eventually_cached(servers: Stubs, tenant: Tenant) -> None:
    """Wait until answers come from the cache."""
    end = time.monotonic() + BACK_SECONDS
    while not await is_cached(servers, tenant):
        assert time.monotonic() < end
        await asyncio.sleep(0.3)


async def test_without_the_engine_callers_hear_when_to_try_again_and_all_comes_back_with_it(
    platform: Platform, servers: Stubs, tenant: Tenant
) -> None:
    await find(servers, tenant)
    await servers.index.GetDocument(
        index_pb2.GetDocumentRequest(name=tenant.document("d0")), metadata=bearer(tenant.key), timeout=PATIENCE
    )
    await servers.tenant.GetTenant(
        tenant_pb2.GetTenantRequest(name=tenant.name), metadata=bearer(tenant.key), timeout=PATIENCE
    )
    await asyncio.to_thread(platform.stop, "opensearch", kill=True)
    try:
        await asyncio.sleep(1.1)  # answers are cached for a second
        for attempt in (
            servers.search.Search(
                search_pb2.SearchRequest(parent=tenant.collection, query="title"),
                metadata=bearer(tenant.key), timeout=PATIENCE,
            ),
            servers.index.GetDocument(
                index_pb2.GetDocumentRequest(name=tenant.document("d0")), metadata=bearer(tenant.key), timeout=PATIENCE
            ),
            servers.index.CreateDocument(
                index_pb2.CreateDocumentRequest(
                    parent=tenant.collection, document_id="during", document=resources_pb2.Document(title="x")
                ),
                metadata=bearer(tenant.key), timeout=PATIENCE,
            ),
            servers.tenant.CreateTenant(
                tenant_pb2.CreateTenantRequest(), metadata=bearer(platform.admin_key), timeout=PATIENCE
            ),
        ):  # fmt: skip
            began = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await attempt
            assert time.monotonic() - began < PATIENCE
            # The key is known, so the engine's absence is no reason to refuse it.
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            found = _servers.details(caught.value)
            assert {"ErrorInfo", "RetryInfo"} <= set(found)
            assert "127.0.0.1" not in str(caught.value.details())
        for name, service in SERVICES.items():
            # The index server has something to do without the engine: it accepts writes.
            expected = SERVING if name == "index" else NOT_SERVING
            async with open_channel(platform.address(name)) as channel:
                await _servers.until_health(channel, expected, service)
                assert await _servers.health(channel, "liveness") == SERVING
        async with AsyncClient(platform.endpoint, key=tenant.key, timeout=PATIENCE) as client:
            await client.put_document(document("accepted", title="accepted meanwhile"), mode="accepted")
    finally:
        await asyncio.to_thread(platform.start, "opensearch")
    for name, service in SERVICES.items():
        async with open_channel(platform.address(name)) as channel:
            await _servers.until_health(channel, SERVING, service, BACK_SECONDS)
    assert (await find(servers, tenant)).total_size == 3
    made = await servers.index.CreateDocument(
        index_pb2.CreateDocumentRequest(
            parent=tenant.collection, document_id="after", document=resources_pb2.Document(title="x")
        ),
        metadata=bearer(tenant.key), timeout=30,
    )  # fmt: skip
    assert made.title == "x"
    await eventually_through_the_front_door(platform, tenant)
    async with (
        AsyncClient(platform.endpoint, key=tenant.key, timeout=PATIENCE) as client,
        asyncio.timeout(BACK_SECONDS),
    ):
        while (await client.get_documents(["accepted"])).missing:
            await asyncio.sleep(0.1)


async def eventually_through_the_front_door(platform: Platform, tenant: Tenant) -> None:
    """Wait until Envoy has seen that the servers are healthy again."""
    end = time.monotonic() + BACK_SECONDS
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=PATIENCE) as client:
        while True:
            try:
                await asyncio.gather(client.search("title"), client.get_document("d0"), client.get_tenant())
            except (Unavailable, DeadlineExceeded):
                assert time.monotonic() < end
                await asyncio.sleep(0.2)
            else:
                return
