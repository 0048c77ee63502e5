# SPDX-License-Identifier: Apache-2.0
"""Times as callers write them, RFC 3339, and as the engine keeps them, ms since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999


def parse_time_ms(text: str) -> int:
    """Return an RFC 3339 time in ms since 1970; what is finer is cut off. Raises `ValueError` that says what was expected."""
    if _RFC3339.fullmatch(text):
        try:
            # `fromisoformat` takes up to µs and wants an upper-case T and Z.
            trimmed = re.sub(r"(\.\d{6})\d+", r"\1", text.upper().replace(" ", "T"))
            # In UTC too it must be in the years 1 to 9999: others can't be told.
            when = datetime.fromisoformat(trimmed).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        else:
            return (when - _EPOCH) // _MILLISECOND
    message = 'expected an RFC 3339 time such as "2026-01-31T12:00:00Z"'
    raise ValueError(message)


def format_time_ms(milliseconds: int) -> str:
    """Return ms since 1970 as RFC 3339 in UTC, with a fraction only where there is one.

    What is before the year 1 or after 9999, which can't be written so, is told as the nearest time that can.
    """
    milliseconds = min(max(milliseconds, _FIRST), _LAST)
    when = _EPOCH + timedelta(milliseconds=milliseconds)
    return when.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds").replace("+00:00", "Z")
