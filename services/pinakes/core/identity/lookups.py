# SPDX-License-Identifier: Apache-2.0
"""Keys by their ids, which anybody can make up: so many a second are looked up that this process doesn't know."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.limits.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.models import KeyRecord

PER_SECOND, AT_ONCE = 50.0, 250
"""Look-ups that may find nothing. Keys that are there don't count, so honest callers hardly have any; fifty reads a second are
far less than the engine notices, and a process that begins, to which every key is new, has so many under way at once."""

EXHAUSTED = "KEY_LOOKUPS_EXHAUSTED"
_ABSENT_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
_ENTRIES = 10_000


class KeyLookups:
    """Finds the records of keys. Known ones cost nothing here, whatever others ask for."""

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.monotonic) -> None:
        """Look keys up in the directory; `clock` is in seconds and doesn't go back."""
        self._directory = directory
        self._clock = clock
        self._misses = Bucket(PER_SECOND, AT_ONCE, clock())
        # Until when an id isn't asked for again: who goes on with a key that is gone uses up nobody's look-ups.
        self._absent: OrderedDict[str, float] = OrderedDict()

    async def find(self, key_id: str, *, administration: bool) -> KeyRecord | None:
        """Return a key, revoked ones too, or None.

        Raises a fault of kind UNAVAILABLE if that can't be known: the engine doesn't answer, or too many were asked for that
        aren't there. To call the key unknown would be wrong for one that is new, whose holder would give up on it.
        """
        if self._directory.keys.known(key_id) is not None:
            return await self._directory.key(key_id, administration=administration)
        now = self._clock()
        if self._absent.get(key_id, 0.0) > now:
            return None
        taken, _ = self._misses.take(now, 1.0, whole=True)
        if not taken:
            raise replace(unavailable("looking up a key that isn't known here yet", _AGAIN_SECONDS), reason=EXHAUSTED)
        try:
            record = await self._directory.key(key_id, administration=administration)
        except Fault as fault:
            # The engine's own failure isn't the caller's. That its time was over is: else who hurries would ask without bound.
            if fault.kind is Kind.UNAVAILABLE:
                self._give_back()
            raise
        if record is not None:
            self._give_back()
            return record
        self._absent[key_id] = now + _ABSENT_SECONDS
        self._absent.move_to_end(key_id)
        if len(self._absent) > _ENTRIES:
            self._absent.popitem(last=False)
        return None

    def _give_back(self) -> None:
        self._misses.take(self._clock(), 0.0, debt=-1.0)
