# SPDX-License-Identifier: Apache-2.0
"""The slot of revisions: leased once, kept from then on, and of no use to a clock that is wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from pinakes.core.engine import revisions
from pinakes.core.engine.revisions import RevisionSource
from pinakes.core.faults import Fault, Kind
from tests.integration._engine import Direct, direct

__all__ = ["direct"]
SKEW = 5.0


@pytest.fixture
async def source(direct: Direct, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RevisionSource]:
    """Give a source that renews its lease soon, and looks at clocks at once."""
    monkeypatch.setattr(revisions, "_RENEW_SECONDS", 0.1)
    monkeypatch.setattr(revisions, "_LOOKS", (0.0, 0.0, 0.0))
    made = RevisionSource(direct.engine, SKEW)
    yield made
    await made.close()


def off_by(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process's clock be wrong."""
    wrong = SimpleNamespace(
        time=lambda: time.time() + seconds, monotonic=time.monotonic,
        time_ns=lambda: time.time_ns() + round(seconds * 1e9),
    )  # fmt: skip
    monkeypatch.setattr(revisions, "time", wrong)


async def test_a_lease_is_renewed_without_being_asked_for(source: RevisionSource) -> None:
    with pytest.raises(Fault):
        source.next()
    await source.ready()
    first, slot = source._good_until, source._slot
    async with asyncio.timeout(10):
        while source._good_until == first:
            await asyncio.sleep(0.02)
    assert source._good_until > first
    assert source._slot == slot, "it is the same slot"
    assert source.next() < source.next()


@pytest.mark.parametrize("seconds", [-60.0, 60.0])
async def test_a_clock_that_is_wrong_issues_nothing_until_it_is_right(
    source: RevisionSource, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.ready()
    off_by(seconds, monkeypatch)
    async with asyncio.timeout(10):
        while source._good_until:
            await asyncio.sleep(0.02)
    with pytest.raises(Fault) as caught:
        source.next()
    assert caught.value.kind is Kind.UNAVAILABLE
    with pytest.raises(Fault) as caught:
        await source.ready()
    assert (caught.value.reason, caught.value.retry_after) == ("CLOCK_SKEW", 5.0)
    off_by(SKEW - 1.0, monkeypatch)
    await source.ready()
    assert source.next()


async def test_one_look_that_is_told_old_times_stops_nothing(
    source: RevisionSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([60.0, 60.0, 0.0])

    async def skew() -> float:
        return next(told, 0.0)

    monkeypatch.setattr(source, "_skew", skew)
    await source.ready()
    assert source.next()
