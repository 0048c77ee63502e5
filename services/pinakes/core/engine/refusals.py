# SPDX-License-Identifier: Apache-2.0
"""What the engine said of a refusal, for logs: kinds of errors and names of slots, and nothing of documents or queries.

The engine's reasons quote what it was given, values and queries; no pattern tells these from its own words.
"""

from __future__ import annotations

import re
from typing import Any

_SLOT = re.compile(r"\b(?:kw|num|time|text|geo)_\d\d\b")
_KIND = re.compile(r"[a-z][a-z0-9_]{2,80}")
_DEEPEST = 8


def told(error: Any) -> str:
    """Return the kinds of an error and of its causes, outermost first, and the slots that their reasons name.

    `error` is the object that the engine answers with as `error`; whatever else it is, nothing of it is told.
    """
    kinds: list[str] = []
    slots: dict[str, None] = {}
    for _ in range(_DEEPEST):
        if not isinstance(error, dict):
            break
        kind = error.get("type")
        if isinstance(kind, str) and _KIND.fullmatch(kind) and kind not in kinds:
            kinds.append(kind)
        slots |= dict.fromkeys(_SLOT.findall(str(error.get("reason", ""))))
        error = error.get("caused_by") or next(iter(error.get("root_cause") or ()), None)
    text = " < ".join(kinds) or "unknown"
    return f"{text} ({', '.join(slots)})" if slots else text
