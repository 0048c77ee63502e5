# SPDX-License-Identifier: Apache-2.0
"""A token bucket: the arithmetic that Redis does for all processes (`ledger.py`), here for one."""

from __future__ import annotations

FULL = 1e-9
"""What rounding may take from a whole token."""
LEAST = 0.001
"""What is granted at least, where tokens are measured; less stays in the bucket."""
LONGEST_SECONDS = 86_400.0
"""Longest time that callers are told to wait: a rate may be so small that the true one is no number any more."""


class Bucket:
    """Fills with `rate` tokens a second up to `burst`. What is charged may leave it in debt, which fills up first."""

    __slots__ = ("_at", "burst", "rate", "tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """Begin full at `now`, in seconds of a clock that doesn't go back."""
        self.rate, self.burst = rate, burst
        self.tokens = burst
        self._at = now

    def take(self, now: float, wanted: float, debt: float = 0.0, *, whole: bool = False) -> tuple[float, float]:
        """Charge a debt, then take up to `wanted` tokens, or whole ones only.

        Returns the tokens taken and, if none was, the seconds until there is one (or, without `whole`, the least part).
        """
        least = 1.0 if whole else LEAST
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self._at) * self.rate) - debt
        self._at = now
        granted = max(0.0, min(wanted, self.tokens))
        if granted + FULL < least:
            granted = 0.0
        elif whole:
            granted = float(int(granted + FULL))
        if granted > 0 or wanted <= 0:
            self.tokens -= granted
            return granted, 0.0
        return 0.0, min((least - self.tokens) / self.rate, LONGEST_SECONDS)
