# SPDX-License-Identifier: Apache-2.0
"""Which pool a new tenant comes to: the emptiest that is open, by the controller's last look."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from pinakes.core.placement.memory import Look, Memory

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine

KEEP_SECONDS = 5.0


class Newcomers:
    """Chooses pools. One per process, which counts those it has placed itself since the look."""

    def __init__(self, engine: Engine, pool_tenants: int) -> None:
        """Use this engine. `pool_tenants` is how many tenants fill a pool."""
        self._memory = Memory(engine)
        self._tenants = pool_tenants
        self._look = Look()
        self._until = 0.0
        self._placed: Counter[int] = Counter()

    async def pool(self) -> int:
        """Return the pool for a new tenant. Raises a fault of kind UNAVAILABLE if the engine doesn't answer.

        Where no pool is open it is the emptiest all the same: a new tenant is small, and the controller makes room.
        """
        if time.monotonic() >= self._until:
            look = await self._memory.read()
            if look.read_ms != self._look.read_ms:
                self._placed.clear()
            self._look, self._until = look, time.monotonic() + KEEP_SECONDS
        chosen = choose(self._look, self._placed, self._tenants)
        self._placed[chosen] += 1
        return chosen


def choose(look: Look, placed: Counter[int], pool_tenants: int) -> int:
    """Return the pool that is filled least when those that were `placed` since the look count, too; 0 without a look."""
    pools = [note for note in look.pools if note.open] or look.pools
    filled = {note.number: note.fill + placed[note.number] / pool_tenants for note in pools}
    return min(filled, key=lambda number: (filled[number], number), default=0)
