# SPDX-License-Identifier: Apache-2.0
"""A circuit breaker per dependency: a sliding window decides, pybreaker holds the state.

pybreaker alone counts consecutive failures and knows no asyncio. Nothing here awaits, so one event loop needs no lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pybreaker

from pinakes.core.faults import Fault, unavailable
from pinakes.core.telemetry import metrics

SLICES = 12
_GAUGE = {pybreaker.STATE_CLOSED: 0, pybreaker.STATE_HALF_OPEN: 1, pybreaker.STATE_OPEN: 2}


class Window:
    """Calls and failures of the last `seconds`, counted in slices."""

    __slots__ = ("_calls", "_failures", "_slice", "_width")

    def __init__(self, seconds: float) -> None:
        """Count over `seconds`."""
        self._width = seconds / SLICES
        self._slice = -1
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._calls = [0] * SLICES
        self._failures = [0] * SLICES

    def add(self, now: float, *, failed: bool) -> None:
        """Count one call that ended at `now`, in seconds of a monotonic clock."""
        place = self._advance(now)
        self._calls[place] += 1
        if failed:
            self._failures[place] += 1

    def totals(self, now: float) -> tuple[int, int]:
        """Return the calls and the failures in the window that ends at `now`."""
        self._advance(now)
        return sum(self._calls), sum(self._failures)

    def _advance(self, now: float) -> int:
        """Empty the slices that time has left behind and return the place of the current one."""
        current = int(now / self._width)
        if current > self._slice:
            for passed in range(max(self._slice + 1, current - SLICES + 1), current + 1):
                self._calls[passed % SLICES] = self._failures[passed % SLICES] = 0
            self._slice = current
        return current % SLICES


class _Mirror(pybreaker.CircuitBreakerListener):
    """Tells the breaker and the metrics of every change of state, so that reading the state takes no lock."""

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,  # noqa: ARG002  # named by pybreaker
        old_state: pybreaker.CircuitBreakerState | None,  # noqa: ARG002  # as above
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Take over the new state."""
        self._breaker.entered(new_state.name)


class Breaker:
    """Stops calls to a dependency that fails: `before()` each call, then `success()`, `failure()` or `ignored()`."""

    def __init__(  # each is a documented knob with a default
        self,
        name: str,
        *,
        ratio: float = 0.5,
        calls: int = 10,
        window_seconds: float = 60.0,
        open_seconds: float = 30.0,
        probes: int = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open for `open_seconds` when at least `calls` in `window_seconds` failed to `ratio` or more.

        After that `probes` calls may try; the first failure opens again, `probes` successes close.
        """
        self.name = name
        self._ratio, self._calls, self._probes = ratio, calls, probes
        self._open_seconds = open_seconds
        self._clock = clock
        self._window = Window(window_seconds)
        self._state = pybreaker.STATE_CLOSED
        self._since = clock()
        self._period = 0
        self._out = self._passed = 0
        self._gauge = metrics.BREAKER_STATE.labels(name)
        self._gauge.set(0)
        self._holder = pybreaker.CircuitBreaker(
            fail_max=calls, reset_timeout=open_seconds, listeners=[_Mirror(self)], name=name
        )

    @property
    def state(self) -> str:
        """`closed`, `half-open` or `open`."""
        return self._state

    @property
    def retry_after(self) -> float:
        """Seconds until the breaker lets a call try; 0 when it does now."""
        if self._state != pybreaker.STATE_OPEN:
            return 0.0
        return max(0.0, self._since + self._open_seconds - self._clock())

    def before(self) -> int:
        """Ask to call the dependency; the answer is the permit to hand back with the outcome.

        Raises a fault of kind UNAVAILABLE with `retry_after` while the breaker is open or its probes are out.
        """
        if self._state == pybreaker.STATE_CLOSED:
            return self._period
        now = self._clock()
        if self._state == pybreaker.STATE_OPEN:
            if now - self._since < self._open_seconds:
                raise self._refusal()
            self._holder.half_open()
        elif self._out + self._passed >= self._probes and now - self._since >= self._open_seconds:
            # Probes whose outcome nobody told must not keep the breaker half open for ever.
            self._since, self._out = now, 0
        if self._out + self._passed >= self._probes:
            raise self._refusal()
        self._out += 1
        return self._period

    def success(self, permit: int | None = None) -> None:
        """Count a call that the dependency answered, be it with a refusal of the request."""
        if self._state == pybreaker.STATE_CLOSED:
            self._window.add(self._clock(), failed=False)
        elif self._is_probe(permit):
            self._out -= 1
            self._passed += 1
            if self._passed >= self._probes:
                self._holder.close()

    def failure(self, permit: int | None = None) -> None:
        """Count a call that the dependency failed."""
        if self._state == pybreaker.STATE_CLOSED:
            if permit is not None and permit != self._period:
                return  # it began before the last time the breaker closed
            now = self._clock()
            self._window.add(now, failed=True)
            calls, failures = self._window.totals(now)
            if calls >= self._calls and failures >= self._ratio * calls:
                self._holder.open()
        elif self._is_probe(permit):
            self._holder.open()

    def ignored(self, permit: int | None = None) -> None:
        """Give a permit back whose call tells nothing, such as one that was cancelled."""
        if self._is_probe(permit):
            self._out -= 1

    def entered(self, state: str) -> None:
        """Begin a new period; pybreaker's listener calls this."""
        self._state = state
        self._since = self._clock()
        self._period += 1
        self._out = self._passed = 0
        self._window.clear()
        self._gauge.set(_GAUGE[state])

    def _is_probe(self, permit: int | None) -> bool:
        """Tell whether an outcome is of a probe of this half-open period."""
        return self._state == pybreaker.STATE_HALF_OPEN and self._out > 0 and permit in (None, self._period)

    def _refusal(self) -> Fault:
        """Make the fault of a call that isn't let through."""
        return unavailable(self.name, max(self.retry_after, 0.1))
