# SPDX-License-Identifier: Apache-2.0
"""Calls that are cancelled while they ask for what they lack: what was granted is kept, or goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from pinakes.core.limits.budget import Budget
from pinakes.core.limits.ledger import Answer, LocalLedger, Question, Room
from pinakes.core.limits.limiter import Limiter
from tests.unit.core.limits._world import OTHER, Clock, allowed, alone, caller, tenant


class FarLedger:
    """A ledger that grants at once what it is asked for, as Redis does; its answers are on their way until `arrive`."""

    def __init__(self, clock: Clock) -> None:
        self._there, self._clock = LocalLedger(), clock
        self.asked: list[Sequence[Question]] = []
        self.arrive = asyncio.Event()
        self.redis = self

    async def exchange(self, questions: Sequence[Question]) -> list[Answer]:
        self.asked.append(questions)
        answers = self._there.exchange(questions, self._clock())
        await self.arrive.wait()
        return answers

    async def aclose(self) -> None:
        pass


def far(clock: Clock) -> tuple[Limiter, FarLedger]:
    """Make a limiter, and the ledger that it asks."""
    limiter, ledger = alone(clock), FarLedger(clock)
    stands: Any = ledger
    limiter._ledger = stands
    return limiter, ledger


async def leaving(budget: Budget, calls: int, *, enter: bool) -> None:
    """Let some callers, one after the other, leave while they wait to be let in."""
    for _ in range(calls):
        call = asyncio.create_task(budget.take(enter=enter))
        for _ in range(3):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_what_was_granted_to_callers_who_have_left_is_there_for_others() -> None:
    limiter, ledger = far(Clock())
    home = tenant(rate=1000.0)
    await leaving(limiter.budget(caller(rate=50.0), home, OTHER), 20, enter=False)
    ledger.arrive.set()
    assert await allowed(limiter.budget(caller(), home, OTHER), 1100) == 1000
    await limiter.close()


async def test_places_of_a_caller_who_has_left_go_back() -> None:
    limiter, ledger = far(Clock())
    budget = limiter.budget(caller(), tenant(rate=1000.0, concurrent_requests=64), OTHER)
    await leaving(budget, 1, enter=True)
    ledger.arrive.set()
    await asyncio.sleep(0.25)  # they are given back beside the calls
    rooms = [one for asked in ledger.asked for one in asked if isinstance(one, Room)]
    assert (rooms[0].wanted > 0, rooms[-1].wanted) == (True, 0)
    await limiter.close()


async def test_who_has_left_asks_for_no_more_and_others_ask_when_the_answer_is_there() -> None:
    limiter, ledger = far(Clock())
    budget = limiter.budget(caller(), tenant(rate=1000.0), OTHER)
    await leaving(budget, 1, enter=False)
    others = [asyncio.create_task(budget.take(enter=False)) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert len(ledger.asked) == 1
    ledger.arrive.set()
    await asyncio.gather(*others)
    assert len(ledger.asked) == 1, "what was granted does for them"
    await limiter.close()


async def test_a_limiter_that_closes_waits_for_what_it_asked() -> None:
    limiter, ledger = far(Clock())
    budget = limiter.budget(caller(), tenant(rate=1000.0), OTHER)
    await leaving(budget, 1, enter=False)
    closing = asyncio.create_task(limiter.close())
    await asyncio.sleep(0.01)
    assert not closing.done()
    ledger.arrive.set()
    await closing
    assert await allowed(budget, 50) == 50
    assert len(ledger.asked) == 1
