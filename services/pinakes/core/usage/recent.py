# SPDX-License-Identifier: Apache-2.0
"""What was added lately: that a count may have missed."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

TOGETHER_SECONDS = 0.1
"""What is added within so long is kept as one, whose time is that of its last part."""

PARTS = 1000
"""Parts that are kept apart; of more, where nobody can count for long, the oldest are taken for as new as the next."""


@dataclass(slots=True)
class Part:
    """What was added within a moment."""

    begun: float
    ended: float
    documents: int
    size: int


@dataclass(slots=True)
class Recent:
    """Documents and bytes by when (monotonic) they were added; both are negative where more was taken away."""

    _parts: deque[Part] = field(default_factory=deque)

    def add(self, documents: int, size: int) -> Part:
        """Add what came just now. Returns what it became a part of: there it can be taken out again."""
        now = time.monotonic()
        last = self._parts[-1] if self._parts else None
        # By its beginning: who adds all the time would otherwise have one part, which never grows old.
        if last is not None and now - last.begun < TOGETHER_SECONDS:
            last.ended = now
            last.documents += documents
            last.size += size
        else:
            last = Part(now, now, documents, size)
            self._parts.append(last)
            if len(self._parts) > PARTS:
                oldest = self._parts.popleft()
                self._parts[0].documents += oldest.documents
                self._parts[0].size += oldest.size
        return last

    def since(self, when: float) -> tuple[int, int]:
        """Return the documents and bytes that were added since then, or a tenth of a second before."""
        later = [part for part in self._parts if part.ended >= when]
        return sum(part.documents for part in later), sum(part.size for part in later)

    def forget(self, before: float) -> None:
        """Forget what was added before."""
        while self._parts and self._parts[0].ended < before:
            self._parts.popleft()
