# SPDX-License-Identifier: Apache-2.0
"""Calls that have the engine search: who sends more than it may gives way, and what the searches come to is charged and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pinakes.core.fair import Way
from pinakes.core.limits.kinds import Limit
from pinakes.core.rpc import call as calls

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.usage.ledger import Usage

GIVE_WAY_SECONDS = 0.05
"""Time for which a search waits at most while others' are under way, if its caller sends more than it may."""
Answer = TypeVar("Answer")


def one_search(_answer: object) -> int:
    """Count an answer as one search."""
    return 1


def not_a_search(_answer: object) -> int:
    """Count an answer that costs what a search does, and isn't one."""
    return 0


class Searching:
    """Lets running calls search and charges them for it. One per servicer; its RPCs are of `Kind.SEARCH`."""

    def __init__(self, usage: Usage) -> None:
        """Count as their tenants' use."""
        self._usage = usage
        self._way = Way(GIVE_WAY_SECONDS)

    async def ask(
        self,
        scope: TenantScope,
        work: Callable[[], Awaitable[Answer]],
        searches: Callable[[Answer], int] = one_search,
    ) -> Answer:
        """Do what searches in this scope for the running call; `searches` tells as how many its answer counts.

        Who sends more than it may is let through now and then: not while others' searches are under way, for a moment at
        most. What failed counts as none, and is charged all the same.
        """
        call, answered = calls.current(), 0
        beyond = call.budget is not None and call.budget.beyond
        try:
            async with self._way.passing(call.tenant.uid, gives_way=beyond):
                answer = await work()
            answered = searches(answer)
        finally:
            self.charge(scope.cost, answered)
        return answer

    def charge(self, cost: float, searches: int) -> None:
        """Count searches that were answered, and what they and those that weren't cost, as the running call's."""
        call = calls.current()
        self._usage.add(call.tenant.uid, searches=searches, cost=cost)
        if call.budget is not None:
            call.budget.charge(Limit.SEARCH_COST, cost)
