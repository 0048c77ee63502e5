# SPDX-License-Identifier: Apache-2.0
"""What searches cost: by what the engine did for them, and little when the cache has the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from pydantic import SecretStr

from pinakes.core.engine.searches import Search
from pinakes.core.fair import Way
from pinakes.core.faults import Fault
from pinakes.core.identity.principal import Principal
from pinakes.core.limits.kinds import Limit
from pinakes.core.platform import Platform as Core
from pinakes.core.rpc import call as calls
from pinakes.core.rpc.call import Call
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import TenantRecord
from pinakes.index.servicer import IndexServicer
from pinakes.local import Platform
from pinakes.search.servicer import SearchServicer
from pinakes.v1 import index_pb2, insights_pb2, operations_pb2, search_pb2
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, new_tenant
from tests.unit.core.limits._world import SEARCH, caller

__all__ = ["direct"]


SOON = 20.0  # seconds, on however slow a machine


class _Context:
    """The transport's side of a call that says nothing."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


@pytest.fixture
async def core(platform: Platform) -> AsyncIterator[Core]:
    """Give the parts of a search server, in this process."""
    made = await Core.open(
        Settings(
            opensearch_urls=[platform.opensearch_url], cache_url=platform.cache_url,
            secret_key=SecretStr(platform.state.secret_key), search_cost_per_second=1e6,
        )
    )  # fmt: skip
    yield made
    await made.close()


class Searcher:
    """A tenant's service, and what it may use."""

    def __init__(self, servicer: SearchServicer, core: Core, tenant: Tenant, record: TenantRecord) -> None:
        self.servicer, self.core, self.tenant, self.record = servicer, core, tenant, record
        self.index = IndexServicer(core)
        self.who = caller()._replace(tenants=(record.tenant_id,), tenant_uids=(record.uid,))
        self.budget = core.limiter.budget(self.who, record, SEARCH)

    def enter(self, method: str, who: Principal, message_type: type[Message]) -> None:
        """Begin a call of a method."""
        call = Call(method, cast("Any", _Context()), message_type)
        call.caller, call.target = who, self.record
        call.budget = self.core.limiter.budget(who, self.record, method)
        calls.enter(call)

    async def search(self, query: str = "") -> search_pb2.SearchResponse:
        """Search as a call does."""
        self.enter(SEARCH, self.who, search_pb2.SearchRequest)
        request = search_pb2.SearchRequest(parent=self.tenant.collection, query=query)
        return search_pb2.SearchResponse.FromString(await self.servicer.Search(request, cast("Any", None)))

    async def ask(self, rpc: str, request: Message, narrowing: str = "") -> None:
        """Call another method, by a credential that is narrowed by a filter; that there is no such document is an answer."""
        servicer: Any = self.servicer if rpc == "GetSearchInsights" else self.index
        service = "SearchService" if rpc == "GetSearchInsights" else "IndexService"
        self.enter(f"/pinakes.v1.{service}/{rpc}", self.who._replace(filter=narrowing), type(request))
        with suppress(Fault):
            await getattr(servicer, rpc)(request, None)

    def use(self) -> tuple[float, int]:
        """Return the cost and the searches that were counted as the tenant's use."""
        (row,) = [row for (uid, _), row in self.core.usage._rows.items() if uid == self.record.uid]
        return row.cost, row.searches


async def test_a_search_costs_what_the_engine_did_and_a_cached_one_a_tenth(
    platform: Platform, direct: Direct, core: Core
) -> None:
    tenant = await new_tenant(platform)
    record, _ = await direct.records(tenant)
    searcher = Searcher(SearchServicer(core), core, tenant, record)
    (share,) = [one for one in searcher.budget._charged if one.limit is Limit.SEARCH_COST]
    await searcher.budget.take()

    async def spent(query: str) -> tuple[float, bool]:
        """Search, and return what it was charged and whether it was cached."""
        before = share.tokens
        answer = await searcher.search(query)
        return before - share.tokens, answer.cached

    first, cached = await spent("papyrus")
    assert not cached
    assert first >= 2, "the search, and the look-up of its word"
    for _ in range(5):
        again, cached = await spent("papyrus")
        if cached:
            break
    assert cached
    assert again == pytest.approx(0.1)
    assert (await spent("papyrus -x"))[0] >= 1


async def test_whatever_searches_is_charged_and_counted_as_use(platform: Platform, direct: Direct, core: Core) -> None:
    tenant = await new_tenant(platform)
    record, _ = await direct.records(tenant)
    searcher = Searcher(SearchServicer(core), core, tenant, record)
    (share,) = [one for one in searcher.budget._charged if one.limit is Limit.SEARCH_COST]
    await searcher.budget.take()
    await searcher.search()
    parent, name = tenant.collection, f"{tenant.collection}/documents/absent"
    by_name = index_pb2.GetDocumentRequest(name=name)
    names = index_pb2.BatchGetDocumentsRequest(parent=parent, names=[name])
    red = 'tags = "red"'
    asked: list[tuple[str, Message, str, float, int]] = [
        # What it is, by which filter it is narrowed, what it costs at least, as how many searches it counts.
        ("ListDocuments", index_pb2.ListDocumentsRequest(parent=parent, filter='title:"a" OR title:"b"'), "", 1, 1),
        ("GetDocument", by_name, "", 0, 0),
        ("BatchGetDocuments", names, "", 0, 0),
        ("BatchGetDocuments", names, red, 1, 1),
        ("GetDocument", by_name, red, 1, 0),  # not found: charged, and not answered
        ("PurgeDocuments", operations_pb2.PurgeDocumentsRequest(parent=parent, filter=red), "", 2, 0),
        ("GetSearchInsights", insights_pb2.GetSearchInsightsRequest(parent=parent), "", 1.6, 0),
    ]
    for rpc, request, narrowing, least, searches in asked:
        tokens, (cost, counted) = share.tokens, searcher.use()
        await searcher.ask(rpc, request, narrowing)
        more, (now_cost, now_counted) = tokens - share.tokens, searcher.use()
        assert (more >= least, now_counted - counted) == (True, searches), rpc
        assert more == pytest.approx(now_cost - cost), rpc
        assert bool(more) == bool(least), rpc


async def test_who_sends_more_than_it_may_is_let_through_when_others_searches_are_not_under_way(
    platform: Platform, direct: Direct, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    servicer, searchers = SearchServicer(core), []
    for _ in range(2):
        tenant = await new_tenant(platform)
        record, _ = await direct.records(tenant)
        searchers.append(Searcher(servicer, core, tenant, record))
    quiet, noisy = searchers
    seen: list[tuple[str, str]] = []
    real = core.engine.searches.run
    together = asyncio.Barrier(2)
    held: Callable[[], Awaitable[object]] = together.wait

    async def run(search: Search, seconds: float) -> dict[str, Any]:
        seen.append(("asked", search.tenant))
        await held()
        answer = await real(search, seconds)
        seen.append(("answered", search.tenant))
        return answer

    monkeypatch.setattr(core.engine.searches, "run", run)
    async with asyncio.timeout(SOON):  # neither is done before the other one has come: within its limits nobody waits
        await asyncio.gather(quiet.search(), noisy.search())

    released = asyncio.Event()
    held = released.wait
    way = Way(SOON)  # for however long this test needs
    monkeypatch.setattr(servicer._searching, "_way", way)
    noisy.budget._refused_at = core.limiter.clock() + SOON
    seen.clear()
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as searches:
        searches.create_task(quiet.search("-one"))
        while not seen:
            await asyncio.sleep(0.01)
        searches.create_task(noisy.search("-two"))
        while way._left is None:
            await asyncio.sleep(0.01)
        assert seen == [("asked", quiet.record.uid)]
        released.set()
    assert seen == [(did, one.record.uid) for one in searchers for did in ("asked", "answered")]
