# SPDX-License-Identifier: Apache-2.0
"""The caller's deadline, known to everything that works for the call."""

from __future__ import annotations

import time
from contextvars import ContextVar, Token

from pinakes.core.faults import Fault, Kind

_deadline: ContextVar[float | None] = ContextVar("pinakes_deadline", default=None)


def set_deadline(seconds: float) -> Token[float | None]:
    """Give the current task `seconds` to finish; tasks it starts inherit that. The token undoes it."""
    return _deadline.set(time.monotonic() + seconds)


def reset_deadline(token: Token[float | None]) -> None:
    """Take back what `set_deadline` set."""
    _deadline.reset(token)


def left() -> float | None:
    """Return the seconds until the deadline, negative after it, or None when there is none."""
    end = _deadline.get()
    return None if end is None else end - time.monotonic()


def exceeded() -> Fault:
    """Make the fault of work that took longer than its caller waits."""
    return Fault(Kind.DEADLINE, "DEADLINE_EXCEEDED", "the call took longer than its deadline")


def remaining(cap: float) -> float:
    """Return the seconds that are left for a step, at most `cap`.

    Raises a fault of kind DEADLINE when none is left.
    """
    end = _deadline.get()
    if end is None:
        return cap
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise exceeded()
    return min(cap, seconds)
