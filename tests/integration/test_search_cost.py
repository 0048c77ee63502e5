# SPDX-License-Identifier: Apache-2.0
"""What searches cost: by what the engine did for them, and little when the cache has the answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import SecretStr

from pinakes.core.limits.kinds import Limit
from pinakes.core.platform import Platform as Core
from pinakes.core.rpc import call as calls
from pinakes.core.rpc.call import Call
from pinakes.core.settings import Settings
from pinakes.local import Platform
from pinakes.search.servicer import SearchServicer
from pinakes.v1 import search_pb2
from tests.integration._engine import Direct, direct
from tests.integration._servers import new_tenant
from tests.unit.core.limits._world import SEARCH, caller

__all__ = ["direct"]


class _Context:
    """The transport's side of a call that says nothing."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


async def test_a_search_costs_what_the_engine_did_and_a_cached_one_a_tenth(platform: Platform, direct: Direct) -> None:
    tenant = await new_tenant(platform)
    record, _ = await direct.records(tenant)
    core = await Core.open(
        Settings(
            opensearch_urls=[platform.opensearch_url], cache_url=platform.cache_url,
            secret_key=SecretStr(platform.state.secret_key), search_cost_per_second=1e6,
        )
    )  # fmt: skip
    servicer = SearchServicer(core)
    who = caller()._replace(tenants=(record.tenant_id,), tenant_uid=record.uid)
    budget = core.limiter.budget(who, record, SEARCH)
    (share,) = [one for one in budget._charged if one.limit is Limit.SEARCH_COST]
    await budget.take()

    async def spent(request: search_pb2.SearchRequest) -> tuple[float, bool]:
        """Search, and return what it was charged and whether it was cached."""
        call = Call(SEARCH, cast("Any", _Context()), search_pb2.SearchRequest)
        call.caller, call.target, call.budget = who, record, budget
        calls.enter(call)
        before = share.tokens
        answer = search_pb2.SearchResponse.FromString(await servicer.Search(request, cast("Any", None)))
        return before - share.tokens, answer.cached

    plain = search_pb2.SearchRequest(parent=tenant.collection, query="papyrus")
    first, cached = await spent(plain)
    assert not cached
    assert first >= 2, "the search, and the look-up of its word"
    for _ in range(5):
        again, cached = await spent(plain)
        if cached:
            break
    assert cached
    assert again == pytest.approx(0.1)
    assert (await spent(search_pb2.SearchRequest(parent=tenant.collection, query="papyrus -x")))[0] >= 1
    await core.close()
