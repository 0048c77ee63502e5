# SPDX-License-Identifier: Apache-2.0
"""Calls that search: what they cost is charged however they end, and who sends more than it may gives way to others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.fair import Way
from pinakes.core.faults import Fault, unavailable
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.limiter import Limiter
from pinakes.core.rpc import call as calls
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.searching import Searching, not_a_search
from pinakes.v1 import index_pb2
from tests.unit.core.limits._world import Clock, allowed, alone, caller, tenant

LIST = "/pinakes.v1.IndexService/ListDocuments"


class Used:
    """What was counted as tenants' use."""

    def __init__(self) -> None:
        self.added: list[tuple[str, int, float]] = []

    def add(self, tenant_uid: str, *, searches: int, cost: float) -> None:
        self.added.append((tenant_uid, searches, cost))


class _Context:
    """The transport's side of a call that says nothing."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


def enter(limiter: Limiter, uid: str, rate: float = 100.0) -> Call:
    """Begin a call of a tenant."""
    call = Call(LIST, cast("Any", _Context()), index_pb2.ListDocumentsRequest)
    call.caller, call.target = caller(), tenant(uid, rate=rate, search_cost_per_second=100.0)
    call.budget = limiter.budget(call.caller, call.target, LIST)
    calls.enter(call)
    return call


async def test_what_a_call_cost_is_charged_and_counted_however_it_ends() -> None:
    used = Used()
    subject, scope = Searching(cast("Any", used)), cast("Any", SimpleNamespace(cost=0.0))
    call = enter(alone(Clock()), "t")
    assert call.budget is not None
    await call.budget.take()
    (share,) = [one for one in call.budget._charged if one.limit is Limit.SEARCH_COST]
    before = share.tokens

    async def work(cost: float, *, fails: bool = False) -> list[str]:
        scope.cost = cost
        if fails:
            raise unavailable("the search engine")
        return ["one", "two"]

    assert await subject.ask(scope, lambda: work(1.5)) == ["one", "two"]
    await subject.ask(scope, lambda: work(2.0), len)
    await subject.ask(scope, lambda: work(1.25), not_a_search)
    with pytest.raises(Fault):
        await subject.ask(scope, lambda: work(0.5, fails=True))
    assert used.added == [("t", 1, 1.5), ("t", 2, 2.0), ("t", 0, 1.25), ("t", 0, 0.5)]
    assert before - share.tokens == pytest.approx(5.25)


async def test_a_call_without_a_budget_searches_and_is_counted() -> None:
    used = Used()
    enter(alone(Clock()), "t").budget = None
    scope = cast("Any", SimpleNamespace(cost=1.0))
    assert await Searching(cast("Any", used)).ask(scope, lambda: asyncio.sleep(0, "found")) == "found"
    assert used.added == [("t", 1, 1.0)]


async def test_who_sends_more_than_it_may_is_let_through_when_others_are_not_under_way() -> None:
    subject, limiter, order = Searching(cast("Any", Used())), alone(Clock()), []
    subject._way = Way(10.0)
    released = asyncio.Event()

    async def asked(uid: str, *, rate: float = 100.0, beyond: bool = False) -> None:
        call = enter(limiter, uid, rate)
        if beyond:
            assert call.budget is not None
            await allowed(call.budget, 3)

        async def work() -> None:
            order.append(f"{uid} begins")
            if not beyond:
                await released.wait()
            order.append(f"{uid} ends")

        await subject.ask(cast("Any", SimpleNamespace(cost=1.0)), work)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(asked("quiet"))
        await asyncio.sleep(0)
        group.create_task(asked("noisy", rate=1.0, beyond=True))
        await asyncio.sleep(0.05)
        assert order == ["quiet begins"]
        released.set()
    assert order == ["quiet begins", "quiet ends", "noisy begins", "noisy ends"]
