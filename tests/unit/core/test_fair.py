# SPDX-License-Identifier: Apache-2.0
"""Waiting in turn: who has much to do keeps nobody waiting for more than one thing of its."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.fair import Gate, Turns, Way

CALLERS = st.sampled_from("abc")


@given(st.lists(st.one_of(CALLERS, st.none()), max_size=60))
def test_callers_are_served_in_turn_and_each_in_its_own_order(steps: list[str | None]) -> None:
    """A letter puts an item of a caller in, None takes one out."""
    turns: Turns[tuple[str, int]] = Turns()
    waiting: dict[str, list[int]] = defaultdict(list)
    since: dict[str, int] = {}  # how many of others were taken since a caller waits for its next
    for number, caller in enumerate(steps):
        if caller is not None:
            turns.put(caller, (caller, number))
            if not waiting[caller]:
                since[caller] = 0
            waiting[caller].append(number)
        elif turns:
            first = turns.first()
            taken, item = turns.take()
            assert first == (taken, item)
            assert waiting[taken].pop(0) == item
            assert since[taken] <= 2, "nobody waits for more than one of each other caller"
            since = {one: times + 1 for one, times in since.items() if waiting[one] and one != taken}
            if waiting[taken]:
                since[taken] = 0
        assert bool(turns) == any(waiting.values())


async def test_who_has_gone_takes_nobody_s_turn() -> None:
    turns: Turns[str] = Turns()
    for caller, item in (("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")):
        turns.put(caller, item)
    turns.drop()
    assert [turns.take(), turns.take()] == ["a2", "b1"]
    turns.drop()
    assert not turns


async def test_a_gate_lets_in_turn_who_waits() -> None:
    gate, order = Gate(1), []

    async def pass_through(caller: str, number: int) -> None:
        async with gate.passing(caller):
            order.append(f"{caller}{number}")

    async with gate.passing("noisy"):
        waiting = [asyncio.create_task(pass_through("noisy", number)) for number in range(3)]
        waiting += [asyncio.create_task(pass_through("quiet", number)) for number in range(2)]
        await asyncio.sleep(0.01)
        assert not order
    await asyncio.gather(*waiting)
    assert order == ["noisy0", "quiet0", "noisy1", "quiet1", "noisy2"]


@pytest.mark.parametrize("late", [False, True])
async def test_who_goes_while_waiting_takes_no_place_along(late: bool) -> None:
    """`late`: it was given its place at the moment at which it goes."""
    gate, passed = Gate(1), []

    async def pass_through(caller: str) -> None:
        async with gate.passing(caller):
            passed.append(caller)

    async with gate.passing("first"):
        going, last = (asyncio.create_task(pass_through(caller)) for caller in ("going", "last"))
        await asyncio.sleep(0.01)
        if not late:
            going.cancel()
    if late:
        going.cancel()
    await asyncio.gather(going, last, return_exceptions=True)
    assert going.cancelled()
    assert passed == ["last"]
    async with asyncio.timeout(1):
        await pass_through("another")


async def test_who_gives_way_lets_all_others_pass_first_and_its_own_don_t_count() -> None:
    way, order = Way(10.0), []

    async def pass_along(caller: str, seconds: float, *, gives_way: bool = False) -> None:
        async with way.passing(caller, gives_way=gives_way):
            order.append(caller)
            await asyncio.sleep(seconds)

    await asyncio.gather(
        pass_along("noisy", 0.2, gives_way=True), pass_along("quiet", 0.02), pass_along("noisy again", 0.0, gives_way=True),
        pass_along("other", 0.04),
    )  # fmt: skip
    # Nobody was on the way when the first came; the third had to wait for everybody, and nobody for it.
    assert order == ["noisy", "quiet", "other", "noisy again"]
    order.clear()
    async with asyncio.timeout(5), way.passing("noisy", gives_way=False):
        await pass_along("noisy", 0.0, gives_way=True)
    # Nor do those wait for one another who all give way.
    async with asyncio.timeout(5), way.passing("other", gives_way=True):
        await pass_along("noisy", 0.0, gives_way=True)
    assert order == ["noisy"] * 2


async def test_nobody_gives_way_for_longer_than_a_moment_and_who_goes_leaves_nothing() -> None:
    way, passed = Way(0.05), []

    async def pass_along() -> None:
        async with way.passing("noisy", gives_way=True):
            passed.append("noisy")

    loop = asyncio.get_running_loop()
    async with way.passing("quiet", gives_way=False):
        going = asyncio.create_task(pass_along())
        await asyncio.sleep(0)
        going.cancel()
        began = loop.time()
        await pass_along()
        assert 0.04 < loop.time() - began < 5
    await asyncio.gather(going, return_exceptions=True)
    assert going.cancelled()
    assert passed == ["noisy"]
    began = loop.time()
    await pass_along()
    assert loop.time() - began < 0.04
