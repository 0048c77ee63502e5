# SPDX-License-Identifier: Apache-2.0
"""Bulk calls shared by concurrent callers: who gets which answer, and whose fault is whose."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from pinakes.core.engine.bulk import LINES, BulkWriter, Line, line

Json = dict[str, Any]


class Wire:
    """What would go to the engine: answers each line with its number as status, and refuses calls with a bad line."""

    def __init__(self) -> None:
        self.calls: list[list[Json]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, payload: bytes, searchable: bool, until: float) -> Json:
        """Take one call."""
        await self.open.wait()
        bodies = [orjson.loads(line) for line in payload.splitlines()[1::2]]
        self.calls.append(bodies)
        if any(body.get("bad") for body in bodies):
            message = "refused as a whole"
            raise ValueError(message)
        return {"items": [{"index": {"status": body["n"], "result": "created"}} for body in bodies]}


def lines(*numbers: int, bad: bool = False) -> list[Line]:
    """Return lines with numbers."""
    return [line(b"{}", orjson.dumps({"n": n} | ({"bad": True} if bad else {}))) for n in numbers]


async def test_callers_that_come_while_calls_are_under_way_share_the_next_one() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    wire.open.clear()
    tasks = [asyncio.create_task(writer.write(lines(n, n + 1000), searchable=False)) for n in range(50)]
    await asyncio.sleep(0.01)
    wire.open.set()
    for n, items in enumerate(await asyncio.gather(*tasks)):
        assert [item.status for item in items] == [n, n + 1000], "each has its own answers, in order"
        assert all(item.created for item in items)
    assert len(wire.calls) <= 3


async def test_a_caller_alone_does_not_wait_for_others() -> None:
    wire = Wire()
    (item,) = await BulkWriter(wire.send).write(lines(7), searchable=False)
    assert item.status == 7
    assert await BulkWriter(wire.send).write([], searchable=False) == []


async def test_what_one_caller_is_refused_for_is_not_the_others_fault() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    wire.open.clear()
    good = [asyncio.create_task(writer.write(lines(n), searchable=False)) for n in range(5)]
    bad = asyncio.create_task(writer.write(lines(99, bad=True), searchable=False))
    await asyncio.sleep(0.01)
    wire.open.set()
    assert [(await task)[0].status for task in good] == list(range(5))
    with pytest.raises(ValueError, match="refused as a whole"):
        await bad


async def test_a_caller_that_goes_takes_nobody_along() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    wire.open.clear()
    going = asyncio.create_task(writer.write(lines(1), searchable=False))
    staying = asyncio.create_task(writer.write(lines(2), searchable=False))
    await asyncio.sleep(0.01)
    going.cancel()
    wire.open.set()
    assert (await staying)[0].status == 2
    with pytest.raises(asyncio.CancelledError):
        await going


async def test_calls_are_bounded() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    wire.open.clear()
    tasks = [asyncio.create_task(writer.write(lines(*range(600)), searchable=False)) for _ in range(10)]
    await asyncio.sleep(0.01)
    wire.open.set()
    await asyncio.gather(*tasks)
    assert sum(map(len, wire.calls)) == 6000
    assert max(map(len, wire.calls)) <= LINES
    large = await writer.write(lines(*range(LINES + 10)), searchable=False)
    assert len(large) == LINES + 10, "a caller with more goes alone"


async def test_who_writes_much_keeps_nobody_waiting_for_more_than_a_call() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    wire.open.clear()
    much = [asyncio.create_task(writer.write(lines(*range(1500)), searchable=False, caller="much")) for _ in range(8)]
    await asyncio.sleep(0.01)
    little = asyncio.create_task(writer.write(lines(7), searchable=False, caller="little"))
    await asyncio.sleep(0.01)
    wire.open.set()
    await asyncio.gather(*much, little)
    assert any({"n": 7} in call for call in wire.calls[:4]), "two are under way, and one is before it in turn"
    assert sum(map(len, wire.calls)) == 8 * 1500 + 1


async def test_those_who_wait_for_the_refresh_hold_up_nobody() -> None:
    wire = Wire()
    writer = BulkWriter(wire.send)
    slow = asyncio.Event()

    async def send(payload: bytes, searchable: bool, until: float) -> Json:
        if searchable:
            await slow.wait()
        return await wire.send(payload, searchable, until)

    writer = BulkWriter(send)
    waiting = asyncio.create_task(writer.write(lines(1), searchable=True))
    assert (await writer.write(lines(2), searchable=False))[0].status == 2
    slow.set()
    assert (await waiting)[0].status == 1
