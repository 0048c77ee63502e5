# SPDX-License-Identifier: Apache-2.0
"""The caller's deadline."""

from __future__ import annotations

import asyncio

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.resilience import deadline


async def test_without_a_deadline_a_step_has_its_cap() -> None:
    assert deadline.left() is None
    assert deadline.remaining(7.0) == 7.0


async def test_a_step_has_what_is_left_when_that_is_less_than_its_cap() -> None:
    token = deadline.set_deadline(2.0)
    try:
        assert 1.5 < deadline.remaining(10.0) <= 2.0
        assert deadline.remaining(0.5) == 0.5
    finally:
        deadline.reset_deadline(token)
    assert deadline.left() is None


async def test_a_passed_deadline_is_a_fault() -> None:
    token = deadline.set_deadline(0.0)
    try:
        with pytest.raises(Fault) as caught:
            deadline.remaining(1.0)
    finally:
        deadline.reset_deadline(token)
    assert caught.value.kind is Kind.DEADLINE
    assert caught.value.reason == "DEADLINE_EXCEEDED"


async def test_tasks_inherit_the_deadline_and_siblings_do_not_share_it() -> None:
    async def child(seconds: float | None) -> float:
        if seconds is not None:
            deadline.set_deadline(seconds)
        await asyncio.sleep(0)
        return deadline.remaining(100.0)

    deadline.set_deadline(50.0)
    inherited, own = await asyncio.gather(child(None), child(5.0))
    assert 40 < inherited <= 50
    assert own <= 5
    assert deadline.remaining(100.0) > 40
