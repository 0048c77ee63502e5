# SPDX-License-Identifier: Apache-2.0
"""How long an operation is tried again: a day of faults in a row, however long it went on well before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from pinakes.core.faults import Fault, unavailable
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.records import FAILED, RUNNING, SUCCEEDED, OperationRecord
from pinakes.core.resilience.deadline import exceeded
from pinakes.core.tenancy.models import TenantRecord
from pinakes.worker import leased
from pinakes.worker.leased import Leased

HOUR = 3600.0
DAY = 24 * HOUR
PAUSE = 30.0
Run = Callable[[Context], Awaitable[Message]]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, failures: int, fault: Fault) -> float:
        self.now += PAUSE
        return 0.0


class Store:
    """Keeps one operation for its holder."""

    async def renew(
        self, record: OperationRecord, seconds: float, state: Callable[[], dict[str, Any]]
    ) -> OperationRecord:
        return record.changed(**state())

    async def release(self, record: OperationRecord, last: dict[str, Any]) -> OperationRecord:
        return record.changed(**last)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the runner a clock that its pauses move."""
    clock = Clock()
    monkeypatch.setattr(leased, "time", clock)
    monkeypatch.setattr(leased, "_pause", clock.pause)
    return clock


async def ended(run: Run) -> str:
    """Run a job as a worker does, and return how it ended."""
    tenant = TenantRecord(tenant_id="t", uid="u")

    async def any_tenant(*_: str) -> TenantRecord:
        return tenant

    platform: Any = SimpleNamespace(directory=SimpleNamespace(any_tenant=any_tenant))
    record = OperationRecord(operation_id="o", tenant_uid="u", tenant_id="t", verb="v", state=RUNNING)
    store: Any = Store()
    held = Leased(platform, store, Job("v", run, of_tenant=True), record, 60.0)
    await held.run()
    return held.record.state


async def test_one_fault_after_days_of_waiting_ends_nothing(clock: Clock) -> None:
    tries = 0

    async def run(context: Context) -> Message:
        nonlocal tries
        tries += 1
        clock.now += 2 * DAY
        if tries < 4:
            raise unavailable("the search engine")
        return Empty()

    assert await ended(run) == SUCCEEDED
    assert tries == 4, "nor do several, each after days"


async def test_who_fails_all_the_time_ends_after_a_day(clock: Clock) -> None:
    begun = clock.now

    async def run(context: Context) -> Message:
        # By itself it has waited for a store, and was at the same document as ever.
        await context.advance({}, done=7)
        clock.now += HOUR / 4
        raise unavailable("the search engine")

    assert await ended(run) == FAILED
    assert DAY < clock.now - begun < DAY + HOUR


async def test_an_engine_that_is_late_again_and_again_is_not_asked_for_ever(clock: Clock) -> None:
    tries = 0

    async def run(context: Context) -> Message:
        nonlocal tries
        tries += 1
        clock.now += 2 * HOUR
        raise exceeded()

    assert await ended(run) == FAILED
    assert tries == 10


@pytest.mark.parametrize("how", ["checkpoint", "done"])
async def test_who_gets_further_goes_on(clock: Clock, how: str) -> None:
    begun, tries = clock.now, 0

    async def run(context: Context) -> Message:
        nonlocal tries
        tries += 1
        await (context.advance({"at": tries}) if how == "checkpoint" else context.advance({}, done=tries))
        clock.now += HOUR / 4
        if clock.now - begun < 3 * DAY:
            raise unavailable("the search engine")
        return Empty()

    assert await ended(run) == SUCCEEDED
