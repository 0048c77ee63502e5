# SPDX-License-Identifier: Apache-2.0
"""A token bucket of one process."""

from __future__ import annotations


class Bucket:
    """Fills with `rate` tokens a second and holds one second of them, at least one."""

    __slots__ = ("_at", "_burst", "_tokens", "rate")

    def __init__(self, rate: float, now: float) -> None:
        """Begin full at `now`, in seconds of a monotonic clock."""
        self.rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one token and return 0, or return the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate
