# SPDX-License-Identifier: Apache-2.0
"""Calls shared by concurrent callers: who gets which answer, whose fault is whose, and when a call ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pinakes.core.shared import SharedCalls


class Wire:
    """What is asked: doubles numbers, refuses negative ones, and breaks as a whole over a zero."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        """Take one call."""
        self.calls.append(list(numbers))
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if 0 in numbers:
            message = "broken"
            raise RuntimeError(message)
        return [ValueError(str(n)) if n < 0 else 2 * n for n in numbers]


async def test_what_is_asked_while_calls_are_out_goes_together() -> None:
    wire = Wire()
    shared: SharedCalls[int, int] = SharedCalls(wire.send, at_once=2, most=16)
    wire.open.clear()
    tasks = [asyncio.create_task(shared.ask(n)) for n in range(1, 41)]
    await asyncio.sleep(0.01)
    assert [len(call) for call in wire.calls] == [1, 16], "one at once, and one full call beside it"
    wire.open.set()
    assert await asyncio.gather(*tasks) == [2 * n for n in range(1, 41)]
    assert sorted(n for call in wire.calls for n in call) == list(range(1, 41))


async def test_of_callers_who_wait_none_fills_the_next_call_alone() -> None:
    wire = Wire()
    shared: SharedCalls[int, int] = SharedCalls(wire.send, at_once=1, most=4, caller_of=lambda n: n // 100)
    wire.open.clear()
    tasks = [asyncio.create_task(shared.ask(n)) for n in [*range(100, 110), 201, 202, 301]]
    await asyncio.sleep(0.01)
    wire.open.set()
    await asyncio.gather(*tasks)
    assert wire.calls[:3] == [[100], [101, 201, 301, 102], [202, 103, 104, 105]]


async def test_one_alone_does_not_wait_and_ends_with_its_caller() -> None:
    wire = Wire()
    shared: SharedCalls[int, int] = SharedCalls(wire.send, at_once=2, most=16)
    assert await shared.ask(3) == 6
    wire.open.clear()
    task = asyncio.create_task(shared.ask(4))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.cancelled == 1
    wire.open.set()
    assert await shared.ask(5) == 10, "the next one is asked all the same"


async def test_a_refusal_is_one_caller_s_and_a_break_is_all_s() -> None:
    wire = Wire()
    shared: SharedCalls[int, int] = SharedCalls(wire.send, at_once=1, most=16)
    wire.open.clear()
    first = asyncio.create_task(shared.ask(1))
    await asyncio.sleep(0)
    good, bad = asyncio.create_task(shared.ask(2)), asyncio.create_task(shared.ask(-2))
    await asyncio.sleep(0.01)
    wire.open.set()
    assert (await first, await good) == (2, 4)
    with pytest.raises(ValueError, match="-2"):
        await bad
    wire.open.clear()
    first = asyncio.create_task(shared.ask(1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared.ask(n)) for n in (0, 7)]
    await asyncio.sleep(0.01)
    wire.open.set()
    assert await first == 2
    for other in others:
        with pytest.raises(RuntimeError, match="broken"):
            await other
    assert await shared.ask(8) == 16


async def test_callers_who_go_take_nobody_along_and_a_call_for_nobody_ends() -> None:
    wire = Wire()
    shared: SharedCalls[int, int] = SharedCalls(wire.send, at_once=2, most=16)
    wire.open.clear()
    tasks = [asyncio.create_task(shared.ask(n)) for n in (1, 2, 3, 4)]
    await asyncio.sleep(0.01)
    assert wire.calls == [[1], [2, 3, 4]]
    tasks[1].cancel()
    await asyncio.sleep(0.01)
    assert wire.cancelled == 0, "two still wait for it"
    tasks[2].cancel()
    tasks[3].cancel()
    await asyncio.sleep(0.01)
    assert wire.cancelled == 1
    wire.open.set()
    assert await tasks[0] == 2
    await shared.close()
    assert await shared.ask(9) == 18
