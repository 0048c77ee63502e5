# SPDX-License-Identifier: Apache-2.0
"""Calls of a dependency under the caller's deadline, with a breaker and a few retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_random_exponential

from pinakes.core.faults import Fault, unavailable
from pinakes.core.resilience import deadline
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
FAIR_SECONDS = 1.0
DEFAULT_RETRY_AFTER = 1.0


class Verdict(Enum):
    """What an exception says about the dependency."""

    RETRY = "retry"
    """It failed and may succeed at the next try."""
    FAILURE = "failure"
    """It failed, and trying again would be wrong or useless."""
    REFUSED = "refused"
    """It works; the request was the caller's fault."""


class RetryBudget:
    """Keeps retries under `ratio` of the calls plus `spare`, so that they can't double the load of an outage."""

    __slots__ = ("_left", "_ratio", "_spare")

    def __init__(self, ratio: float = 0.1, spare: float = 10.0) -> None:
        """Begin with `spare` retries."""
        self._ratio, self._spare, self._left = ratio, spare, spare

    def earn(self) -> None:
        """Count a call."""
        if self._left < self._spare:
            self._left += self._ratio

    def spend(self) -> bool:
        """Take one retry, or tell that there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class _Failed(Exception):  # never leaves this module
    """An attempt that the dependency failed."""

    def __init__(self, cause: BaseException, *, again: bool) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.again = again
        told = getattr(cause, "retry_after", None)
        self.retry_after = float(told) if isinstance(told, int | float) else None


class Guard:
    """Runs operations against one dependency. One guard per dependency and process."""

    def __init__(
        self,
        name: str,
        classify: Callable[[BaseException], Verdict],
        timeout: float,
        *,
        breaker: Breaker | None = None,
        budget: RetryBudget | None = None,
    ) -> None:
        """Guard `name`, words that callers may read, with `timeout` seconds for one attempt."""
        self.name = name
        self.breaker = breaker or Breaker(name)
        self._classify = classify
        self._timeout = timeout
        self._budget = budget or RetryBudget()
        self._jitter = wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
        self._retries = metrics.RETRIES.labels(name)

    async def run(self, operation: Callable[[float], Awaitable[T]], *, retry: bool = True) -> T:
        """Run `operation`, which is told the seconds it has, and return its result.

        Raises a fault of kind UNAVAILABLE with `retry_after` when the dependency fails or its breaker is open, and of
        kind DEADLINE when the caller's time is over. Exceptions of verdict REFUSED and faults pass as they are.
        `retry=False` is for operations that mustn't run twice.
        """
        self._budget.earn()
        try:
            return await self._attempt(operation)
        except _Failed as failed:
            first = failed
        if not (retry and first.again):
            raise self._fault(first) from first.cause
        try:
            return await self._again(operation, first)
        except _Failed as failed:
            raise self._fault(failed) from failed.cause

    async def _attempt(self, operation: Callable[[float], Awaitable[T]]) -> T:
        """Run the operation once."""
        seconds = deadline.remaining(self._timeout)
        breaker = self.breaker
        permit = breaker.before()
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                result = await operation(seconds)
        except Fault:
            # A fault is already what the caller is to hear; it says nothing about the dependency.
            breaker.ignored(permit)
            raise
        except Exception as error:  # every exception gets a verdict
            if scope.expired():
                raise self._expired(permit, seconds, error) from error
            verdict = self._classify(error)
            if verdict is Verdict.REFUSED:
                breaker.success(permit)
                raise
            breaker.failure(permit)
            raise _Failed(error, again=verdict is Verdict.RETRY) from error
        except BaseException:
            # Cancelled: the caller has gone, which says nothing about the dependency.
            breaker.ignored(permit)
            raise
        breaker.success(permit)
        return result

    def _expired(self, permit: int, seconds: float, error: BaseException) -> Exception:
        """Judge an attempt that ran out of time."""
        if seconds < self._timeout:
            # Only a caller who gave a fair time may blame the dependency, or hasty callers would shut it for all.
            if seconds >= FAIR_SECONDS:
                self.breaker.failure(permit)
            else:
                self.breaker.ignored(permit)
            return deadline.exceeded()
        self.breaker.failure(permit)
        return _Failed(error, again=True)

    async def _again(self, operation: Callable[[float], Awaitable[T]], first: _Failed) -> T:
        """Retry after the first attempt's failure; tenacity counts that attempt as its first."""
        failures = [first]

        async def attempt() -> T:
            if failures:
                raise failures.pop()
            self._retries.inc()
            return await self._attempt(operation)

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, _Failed) and error.again),
            stop=self._must_stop,
            wait=self._wait,
            sleep=asyncio.sleep,
            reraise=True,
        )
        return await retrying(attempt)

    def _wait(self, state: RetryCallState) -> float:
        """Full jitter from 100 ms doubling to 5 s, or as long as the dependency asked for."""
        error = state.outcome.exception() if state.outcome else None
        told = error.retry_after if isinstance(error, _Failed) else None
        return max(self._jitter(state), min(told or 0.0, LONGEST_WAIT))

    def _must_stop(self, state: RetryCallState) -> bool:
        """Stop after the last attempt, when the wait would pass the deadline, or when the budget is spent."""
        if state.attempt_number >= ATTEMPTS:
            return True
        left = deadline.left()
        if left is not None and state.upcoming_sleep >= left:
            return True
        return not self._budget.spend()

    def _fault(self, failed: _Failed) -> Fault:
        """Say that the dependency isn't available."""
        return unavailable(self.name, self.breaker.retry_after or failed.retry_after or DEFAULT_RETRY_AFTER)
