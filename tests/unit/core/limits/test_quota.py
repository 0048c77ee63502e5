# SPDX-License-Identifier: Apache-2.0
"""What this process has let in counts until the engine counts it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.engine.usage import Counts
from pinakes.core.limits import quota
from pinakes.core.limits.figures import in_force
from pinakes.core.limits.quota import Admitted, Incoming, Quota
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.usage import ledger, recent
from pinakes.core.usage.ledger import Usage
from tests.unit.core.limits._world import DEFAULTS, Clock, tenant


class Behind:
    """Counts nothing of what was accepted: it waits in the queue still."""

    async def count(self, tenants: Sequence[TenantRecord]) -> list[Counts | None]:
        return [Counts(0, 0) for _ in tenants]


class Empty:
    """The scope of a tenant whose documents aren't written yet."""

    async def mget(self, ids: Sequence[str], _fields: Sequence[str]) -> list[None]:
        return [None for _ in ids]


def made() -> Quota:
    """Return a quota over an engine that is behind."""
    usage = Usage(cast("Any", type("Engine", (), {"prefix": "p"})()), 60.0)
    usage.store = cast("Any", Behind())
    return Quota(usage, lambda record: in_force(record, DEFAULTS))


async def ask(subject: Quota, record: TenantRecord, count: int) -> Admitted:
    """Ask for room for so many new documents of ten bytes."""
    incoming = [Incoming(f"d{number}", 10) for number in range(count)]
    return await subject.admit(cast("Any", Empty()), record, incoming)


async def let_in(subject: Quota, record: TenantRecord, count: int) -> int:
    """Send so many new documents, and return how many may be written."""
    return (await ask(subject, record, count)).faults.count(None)


@pytest.mark.parametrize("limits", [{"documents": 20}, {"bytes": 200}])
async def test_what_is_given_back_takes_no_room(limits: dict[str, int]) -> None:
    subject, record = made(), tenant("asking", **limits)
    for _ in range(5):
        for count in (12, 30):  # far from the limit, and beyond it
            admitted = await ask(subject, record, count)
            assert admitted.faults.count(None) == min(count, 20)
            for _ in range(2):
                admitted.give_back()
    assert await let_in(subject, record, 30) == 20
    assert await let_in(subject, record, 1) == 0


async def test_what_is_given_back_is_missing_from_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject, record = Clock(), made(), tenant("slow", documents=20)
    for module in (quota, recent, ledger):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock, time=clock))
    tried = await ask(subject, record, 20)
    clock.now += 2.0
    tried.give_back()
    assert await let_in(subject, record, 30) == 20
    clock.now += 2.0
    tried = await ask(subject, record, 20)
    clock.now += 60.0
    assert await let_in(subject, record, 20) == 20, "what was let in so long ago was counted since, or never written"
    tried.give_back()
    assert await let_in(subject, record, 20) == 0, "what is forgotten can't be given back any more"


async def test_of_too_many_tenants_the_one_that_wrote_last_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_TENANTS", 3)
    subject, active = made(), tenant("active", documents=20)
    for number in range(6):
        assert await let_in(subject, active, 2) == 2
        assert await let_in(subject, tenant(f"other-{number}", documents=20), 1) == 1
    assert await let_in(subject, active, 20) == 20 - 12
    assert len(subject._held) == 3


class Abreast:
    """Counts all that was written, and is the scope of who wrote it."""

    def __init__(self) -> None:
        self.written = 0

    async def count(self, tenants: Sequence[TenantRecord]) -> list[Counts | None]:
        return [Counts(self.written, 10 * self.written) for _ in tenants]


@pytest.mark.parametrize("limits", [{"documents": 400}, {"bytes": 4000}])
async def test_who_writes_all_the_time_may_hold_just_what_it_may(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    clock, store, subject, record = Clock(), Abreast(), made(), tenant("steady", **limits)
    for module in (quota, recent, ledger):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock, time=clock))
    subject._usage.store = cast("Any", store)

    async def write_for(seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            clock.now += 0.05
            await asyncio.sleep(0)  # counting goes on beside
            store.written += await let_in(subject, record, 1)

    await write_for(18.0)
    assert store.written == 360, "far from the limit nothing is refused: what is let in and counted counts once"
    await write_for(10.0)
    assert store.written == 400
    store.written -= 7
    await write_for(10.0)
    assert store.written == 400, "what was deleted leaves room, for one who never pauses too"
