# SPDX-License-Identifier: Apache-2.0
"""Guarded calls: timeouts, retries, their budget, and what counts for the breaker."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from pinakes.core.faults import Fault, Kind, invalid
from pinakes.core.resilience import deadline
from pinakes.core.resilience.guard import Guard, RetryBudget, Verdict

_numbers = itertools.count()


class BrokenError(Exception):
    """The dependency failed."""


class UnsafeError(Exception):
    """It failed and mustn't be tried again."""


class RefusedError(Exception):
    """The request was wrong."""


class BusyError(BrokenError):
    """It said when to come back."""

    retry_after = 0.2


def classify(error: BaseException) -> Verdict:
    if isinstance(error, RefusedError):
        return Verdict.REFUSED
    return Verdict.RETRY if isinstance(error, BrokenError) else Verdict.FAILURE


def guard(timeout: float = 1.0, budget: RetryBudget | None = None) -> Guard:
    return Guard(f"guard under test {next(_numbers)}", classify, timeout, budget=budget)


def script(*steps: object) -> tuple[Callable[[float], Awaitable[object]], list[float]]:
    """Make an operation that raises or returns one step at each call, and the list of times it was given."""
    given: list[float] = []
    left = list(steps)

    async def operation(seconds: float) -> object:
        given.append(seconds)
        step = left.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step

    return operation, given


async def forever(_seconds: float) -> None:
    await asyncio.sleep(60)


async def test_a_result_passes_through_and_the_operation_knows_its_time() -> None:
    operation, given = script("done")
    assert await guard(3.0).run(operation) == "done"
    assert given == [3.0]


async def test_the_caller_s_deadline_shortens_the_attempt() -> None:
    deadline.set_deadline(0.5)
    operation, given = script("done")
    await guard(3.0).run(operation)
    assert given[0] <= 0.5


async def test_two_failures_are_made_good_by_the_third_attempt() -> None:
    operation, given = script(BrokenError(), BrokenError(), "done")
    assert await guard().run(operation) == "done"
    assert len(given) == 3


async def test_three_failures_are_unavailable_with_a_time_to_retry_and_show_no_detail() -> None:
    operation, given = script(*(BrokenError("host 10.0.0.7") for _ in range(4)))
    with pytest.raises(Fault) as caught:
        await guard().run(operation)
    assert len(given) == 3
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.retry_after
    assert "10.0.0.7" not in str(caught.value)
    assert isinstance(caught.value.__cause__, BrokenError)


async def test_what_must_not_run_twice_runs_once() -> None:
    for error, retry in ((BrokenError(), False), (UnsafeError(), True)):
        operation, given = script(error, "done")
        with pytest.raises(Fault):
            await guard().run(operation, retry=retry)
        assert len(given) == 1


async def test_a_refusal_passes_unchanged_is_not_retried_and_does_not_count() -> None:
    subject = guard()
    for _ in range(20):
        operation, given = script(RefusedError("bad"))
        with pytest.raises(RefusedError, match="bad"):
            await subject.run(operation)
        assert len(given) == 1
    assert subject.breaker.state == "closed"


async def test_a_fault_passes_unchanged() -> None:
    fault = invalid("query", "is empty")
    operation, _ = script(fault)
    with pytest.raises(Fault) as caught:
        await guard().run(operation)
    assert caught.value is fault


async def test_each_attempt_has_its_own_timeout() -> None:
    calls = 0

    async def operation(_seconds: float) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(60)
        return "done"

    assert await guard(0.05).run(operation) == "done"
    assert calls == 2


async def test_the_deadline_ends_everything_as_a_deadline_fault() -> None:
    deadline.set_deadline(0.1)
    began = time.monotonic()
    with pytest.raises(Fault) as caught:
        await guard(5.0).run(forever)
    assert caught.value.kind is Kind.DEADLINE
    assert time.monotonic() - began < 1


async def test_hasty_callers_do_not_open_the_breaker() -> None:
    subject = guard(5.0)
    for _ in range(12):
        token = deadline.set_deadline(0.005)
        with pytest.raises(Fault):
            await subject.run(forever)
        deadline.reset_deadline(token)
    assert subject.breaker.state == "closed"


async def test_no_retry_waits_past_the_deadline() -> None:
    deadline.set_deadline(0.1)
    operation, given = script(BusyError(), "done")
    began = time.monotonic()
    with pytest.raises(Fault) as caught:
        await guard().run(operation)
    assert len(given) == 1
    assert caught.value.retry_after == pytest.approx(0.2)
    assert time.monotonic() - began < 0.1


async def test_a_time_to_retry_that_the_dependency_told_is_kept() -> None:
    operation, _ = script(BusyError(), "done")
    began = time.monotonic()
    await guard().run(operation)
    assert time.monotonic() - began >= 0.2


async def test_the_budget_ends_retries() -> None:
    subject = guard(budget=RetryBudget(ratio=0.1, spare=1.0))
    operation, given = script(BrokenError(), "done")
    await subject.run(operation)
    assert len(given) == 2
    operation, given = script(BrokenError(), "done")
    with pytest.raises(Fault):
        await subject.run(operation)
    assert len(given) == 1


async def test_ten_calls_earn_one_retry() -> None:
    budget = RetryBudget(ratio=0.1, spare=1.0)
    assert budget.spend()
    assert not budget.spend()
    for _ in range(11):
        budget.earn()
    assert budget.spend()


async def test_an_open_breaker_answers_at_once_without_calling() -> None:
    subject = guard()
    for _ in range(10):
        operation, _ = script(UnsafeError())
        with pytest.raises(Fault):
            await subject.run(operation)
    operation, given = script("done")
    with pytest.raises(Fault) as caught:
        await subject.run(operation)
    assert given == []
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.retry_after == pytest.approx(30, abs=1)


async def test_cancellation_passes_and_does_not_count() -> None:
    subject = guard(5.0)
    for _ in range(12):
        task = asyncio.create_task(subject.run(forever))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert subject.breaker.state == "closed"
    operation, _ = script("done")
    assert await subject.run(operation) == "done"


async def test_cancellation_during_the_wait_before_a_retry_passes() -> None:
    operation, given = script(BusyError(), "done")
    task = asyncio.create_task(guard().run(operation))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(given) == 1
