# SPDX-License-Identifier: Apache-2.0
"""Counting in memory: totals of a day, written again until they are taken, and nothing lost in between."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.engine.usage import Counts, Row
from pinakes.core.faults import Fault, unavailable
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.usage import ledger
from pinakes.core.usage.ledger import Usage

DAY = 86_400.0


class Store:
    """Keeps rows by process, tenant and day, as the engine does, unless it is away."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, date], Row] = {}
        self.away, self.counted, self.asked = False, 0, 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def keep(self, process: str, rows: Sequence[Row]) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.away:
            raise unavailable("the store")
        self.rows |= {(process, row.tenant_uid, row.day): copy.copy(row) for row in rows}

    async def count(self, tenants: Sequence[TenantRecord]) -> list[Counts | None]:
        if self.away:
            raise unavailable("the store")
        self.counted += 1
        return [Counts(10, 1000)]


class Clock:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = 0.5 * DAY

    def __call__(self) -> float:
        return self.now


def made(seconds: float = 60.0) -> tuple[Usage, Store, Clock]:
    """Return a ledger over a store of its own."""
    clock, store = Clock(), Store()
    usage = Usage(cast("Any", type("Engine", (), {"prefix": "p"})()), seconds, clock)
    usage.store = cast("Any", store)
    return usage, store, clock


async def test_a_row_holds_the_totals_of_the_day_and_is_replaced() -> None:
    usage, store, clock = made()
    for _ in range(3):
        usage.add("t", searches=2, writes=1, cost=0.5)
        await usage.flush()
    clock.now += DAY
    usage.add("t", searches=1)
    await usage.close()
    told = {row.day: (row.searches, row.writes, row.cost) for row in store.rows.values()}
    assert told == {date(1970, 1, 1): (6, 3, 1.5), date(1970, 1, 2): (1, 0, 0.0)}


async def test_what_the_store_does_not_take_is_written_later() -> None:
    usage, store, _ = made(seconds=0.02)
    store.away = True
    usage.add("t", searches=1)
    with pytest.raises(Fault):
        await usage.flush()
    usage.add("t", searches=1)
    await asyncio.sleep(0.1)
    assert not store.rows
    store.away = False
    await asyncio.sleep(0.1)
    assert [row.searches for row in store.rows.values()] == [2]


async def test_what_hangs_and_fails_over_midnight_is_written_later_and_nothing_beside_it() -> None:
    usage, store, clock = made(seconds=0.01)
    store.answers.clear()
    usage.add("t", searches=1)
    await asyncio.sleep(0.05)
    clock.now += 2 * DAY
    for _ in range(3):
        usage.add("t", searches=1)
        await asyncio.sleep(0.02)
    assert store.asked == 1, "one write at a time"
    store.away = True
    store.answers.set()
    await asyncio.sleep(0.05)
    assert not store.rows
    store.away = False
    await asyncio.sleep(0.05)
    await usage.close()
    assert {row.day: row.searches for row in store.rows.values()} == {date(1970, 1, 1): 1, date(1970, 1, 3): 3}


async def test_a_clock_that_goes_back_over_midnight_begins_no_day_anew() -> None:
    usage, store, clock = made()
    for day, searches in ((0, 5), (1, 1), (0, 2), (1, 1)):
        clock.now = (day + 0.5) * DAY
        usage.add("t", searches=searches)
        await usage.flush()
    assert {row.day: row.searches for row in store.rows.values()} == {date(1970, 1, 1): 7, date(1970, 1, 2): 2}
    clock.now += 2 * DAY
    await usage.flush()
    assert not usage._rows, "older days are forgotten"


async def test_what_is_counted_while_rows_are_written_is_written_too() -> None:
    usage, store, _ = made()
    usage.add("t", searches=1)
    writing = asyncio.create_task(usage.flush())
    await asyncio.sleep(0)
    usage.add("t", searches=1)
    await writing
    await usage.close()
    assert [row.searches for row in store.rows.values()] == [2]


async def test_a_count_is_taken_once_for_all_who_ask_and_not_at_all_while_the_engine_is_away() -> None:
    usage, store, _ = made()
    tenant = TenantRecord(tenant_id="t", uid="u")
    store.away = True
    with pytest.raises(Fault):
        await usage.known(tenant)
    usage, store, _ = made()
    found = await asyncio.gather(*(usage.known(tenant) for _ in range(20)))
    assert set(found) == {Counts(10, 1000)}
    assert store.counted == 1
    usage.wrote("u", 3, 1, -200)
    usage.wrote("other", 3, 9, 9)
    assert await usage.known(tenant) == Counts(11, 800)


async def test_of_a_tenant_that_nobody_asks_about_any_more_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(ledger, "time", SimpleNamespace(monotonic=lambda: now))
    usage, store, _ = made()
    tenant = TenantRecord(tenant_id="t", uid="u")
    await usage.known(tenant)
    now += 50.0
    usage.wrote("u", 1, 1, 100)
    assert await usage.known(tenant) == Counts(11, 1100)
    await asyncio.sleep(0)  # it was counted anew beside
    now += 70.0
    usage.wrote("u", 1, 1, 100)
    assert not usage._known
    assert await usage.known(tenant) == Counts(10, 1000)
    assert store.counted == 3
    await usage.close()
