# SPDX-License-Identifier: Apache-2.0
"""`TenantScope`: nothing of another tenant, collection or reader comes through it, and no neighbour moves a score."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pinakes.client import AsyncClient, document
from pinakes.core.engine.documents import Owner
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.local import Platform
from tests.integration._engine import ADMIN, Direct, direct
from tests.integration._servers import Tenant, new_tenant

__all__ = ["direct"]

ALL = {"query": {"match_all": {}}, "size": 50, "_source": True, "track_total_hits": True}


@pytest.fixture
async def pair(platform: Platform) -> tuple[Tenant, Tenant]:
    """Give two tenants with documents of the same ids, the first also in a second collection."""
    first, second = await new_tenant(platform), await new_tenant(platform)

    async def fill(tenant: Tenant, collection: str) -> None:
        title = f"{tenant.tenant_id} {collection}"
        documents = [document("a", title=title), document("b", title=title, readers=["ann"])]
        async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
            if collection != "default":
                await client.create_collection(collection)
            await client.batch_write(documents, collection=collection, mode="searchable")

    await asyncio.gather(fill(first, "default"), fill(first, "more"), fill(second, "default"))
    return first, second


def readers_of(tenant: Tenant, *readers: str) -> Principal:
    """Return a principal of a tenant that reads as these."""
    return Principal("test", Role.TENANT_USER, (tenant.tenant_id,), readers)


async def test_the_same_ids_in_tenants_and_collections_are_different_documents(
    direct: Direct, pair: tuple[Tenant, Tenant]
) -> None:
    first, second = pair
    for tenant, collection in ((first, "default"), (first, "more"), (second, "default")):
        scope = await direct.scope(tenant, collection)
        title = f"{tenant.tenant_id} {collection}"
        page = await scope.search(dict(ALL), 5)
        assert (page.total, {hit.source["title_en"] for hit in page.hits}) == (2, {title})
        found = await scope.mget(["a", "b", "c"])
        assert [f.source["title_en"] if f else None for f in found] == [title, title, None]


async def test_a_principal_of_another_tenant_gets_no_scope(direct: Direct, pair: tuple[Tenant, Tenant]) -> None:
    first, second = pair
    tenant, collection = await direct.records(first)
    _, foreign = await direct.records(second)
    strangers = [
        (readers_of(second, "ann"), collection),
        (readers_of(first)._replace(tenant_uids=("of an earlier tenant of that name",)), collection),
        (ADMIN, foreign),
    ]
    for principal, wanted in strangers:
        with pytest.raises(Fault) as caught:
            TenantScope(direct.engine, principal, tenant, wanted)
        assert caught.value.kind is Kind.DENIED


async def test_readers_are_filtered_in_searches_and_checked_in_reads(
    direct: Direct, pair: tuple[Tenant, Tenant]
) -> None:
    tenant, _ = pair
    for readers, visible in ((("ann",), ["a", "b"]), (("bob",), ["a"]), ((), ["a"])):
        scope = await direct.scope(tenant, principal=readers_of(tenant, *readers))
        page = await scope.search(dict(ALL), 5)
        assert sorted(hit.source["id"] for hit in page.hits) == visible
        assert [f.source["id"] for f in await scope.mget(["a", "b"]) if f] == visible


async def test_whatever_the_engine_returns_is_checked_once_more(
    direct: Direct, pair: tuple[Tenant, Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pair
    scope, other = await direct.scope(first), await direct.scope(second)
    # As if ids weren't derived from tenant and collection: the engine then finds the neighbour's document.
    foreign = other.owner.engine_id("a")
    monkeypatch.setattr(Owner, "engine_id", lambda _self, _document_id: foreign)
    assert await other.get("a") is not None
    assert await scope.get("a") is None


async def test_queries_that_could_look_beyond_the_scope_are_never_sent(platform: Platform, direct: Direct) -> None:
    scope = await direct.scope(await new_tenant(platform))
    queries: list[dict[str, Any]] = [
        {"global": {}},
        {"fuzzy": {"title_en": "x"}},
        {"bool": {"should": [{"query_string": {"query": "*"}}]}},
        {"script": {"script": "true"}},
        {"more_like_this": {"like": "x"}},
    ]
    for query in queries:
        for place in ("query", "filter"):
            with pytest.raises(ValueError, match="isn't on the list"):
                await scope.search({place: query, "size": 1}, 5)


async def test_order_and_scores_stay_the_same_whatever_the_neighbours_hold(platform: Platform) -> None:
    mine, neighbour = await new_tenant(platform), await new_tenant(platform)
    async with (
        AsyncClient(platform.endpoint, key=mine.key, timeout=20) as client,
        AsyncClient(platform.endpoint, key=neighbour.key, timeout=20) as other,
    ):
        await client.batch_write(
            [
                document("a", title="rare common", body="common common words"),
                document("b", title="common", body="rare words in a long body " * 20),
                document("c", title="words", tags=["rare"], body="common"),
            ],
            mode="searchable",
        )

        async def ranking(query: str) -> list[tuple[str, float]]:
            answer = await client.search(query, page_size=50)
            return [(result.document.name, result.score) for result in answer.results]

        queries = ("rare common words", "rare", "common", '"long body"', "words")
        before = [await ranking(query) for query in queries]
        assert all(before)
        assert all(score > 0 for found in before for _, score in found)
        await other.batch_write(
            [document(f"n{n}", title="rare rare", body="rare " * n, tags=["rare"]) for n in range(300)],
            mode="searchable",
        )
        # Beyond the second that answers are cached for.
        await asyncio.sleep(1.1)
        assert [await ranking(query) for query in queries] == before
