# SPDX-License-Identifier: Apache-2.0
"""Revisions: globally unique, ever-growing numbers that order all writes (a hybrid logical clock, design §4)."""

from __future__ import annotations

import asyncio
import contextvars
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.records import Conflict, RecordStore, Stored
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

# µs since 2020 in the high 51 bits (until 2091), the leased slot in the low 12: below 2^63, unique without talk.
EPOCH_US = 1_577_836_800_000_000
SLOT_BITS = 12
SLOTS = STEP = 1 << SLOT_BITS
# Long, so that writes are accepted into the queue while the engine is away: a slot can only be taken over in the engine.
LEASE_SECONDS = 7200.0
CLOCK_SKEW = "CLOCK_SKEW"
"""Why nothing is written where the clock is far from the engine's."""
_RENEW_SECONDS = 60.0
_MARGIN_SECONDS = 10.0
# Waits in seconds before each look at the engine's clock, of which one must agree.
_LOOKS = (0.0, 0.3, 1.2)
_log = logger("pinakes.revisions")


def revision_at(milliseconds: int) -> int:
    """Return the least revision of a moment, in ms since 1970."""
    return max(0, milliseconds * 1000 - EPOCH_US) << SLOT_BITS


class RevisionClock:
    """Issues revisions for one slot. Never goes back, even if the machine's clock does."""

    def __init__(self, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """Begin without a slot."""
        self._now_us = now_us
        self._slot = 0
        self._last = 0

    def start(self, slot: int, floor_us: int) -> None:
        """Take a slot whose last holder issued nothing beyond `floor_us` (µs since 2020)."""
        self._slot = slot
        self._last = max(self._last, floor_us)

    @property
    def last_us(self) -> int:
        """µs since 2020 of the last revision."""
        return self._last

    def next(self) -> int:
        """Return a revision greater than all before it."""
        return self.take(1)

    def take(self, count: int) -> int:
        """Return the first of `count` revisions, each `STEP` greater than the one before."""
        first = max(self._now_us() - EPOCH_US, self._last + 1)
        self._last = first + count - 1
        return first << SLOT_BITS | self._slot


class RevisionSource:
    """Holds a slot by a lease in the engine and issues revisions while the lease is good."""

    def __init__(self, engine: Engine, max_skew_seconds: float) -> None:
        """Prepare; `ready` begins to lease."""
        self._engine = engine
        self._store = RecordStore(engine, "leases", listed=False)
        self._clock = RevisionClock()
        self._holder = secrets.token_hex(8)
        self._max_skew = max_skew_seconds
        self._slot: int | None = None
        self._good_until = 0.0
        self._problem = "no revision slot is leased yet"
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Give the slot back."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._slot is not None:
            with suppress(Fault, EngineRefusal, Conflict):
                await self._write(self._slot, await self._store.get(_rid(self._slot)), expires_ms=0)

    async def ready(self) -> None:
        """Lease a slot if there is none, and keep it from then on. Raises a fault of kind UNAVAILABLE when none can be had."""
        if time.monotonic() < self._good_until:
            return
        async with self._lock:
            if time.monotonic() >= self._good_until:
                await self._renew()
        if self._task is None:
            # In a context of its own: it is of no one call, nor in its deadline or trace.
            self._task = asyncio.get_running_loop().create_task(
                self._keep(), name="revision-lease", context=contextvars.Context()
            )

    def next(self) -> int:
        """Return the next revision. Raises a fault of kind UNAVAILABLE without a good lease."""
        return self.take(1)

    def take(self, count: int) -> int:
        """Return the first of `count` revisions, `STEP` apart. Raises a fault of kind UNAVAILABLE without a good lease."""
        if time.monotonic() >= self._good_until:
            _log.warning("no revision can be issued", error=self._problem)
            raise unavailable("writing")
        return self._clock.take(count)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                async with self._lock:
                    await self._renew()
            except (Fault, EngineRefusal, TimeoutError) as error:
                # The lease goes on without the engine; `ready` asks again where it doesn't.
                _log.warning("the revision slot wasn't renewed", error=error)
            except Exception:
                _log.exception("renewing the revision slot failed")

    async def _renew(self) -> None:
        """Extend the lease, or take a free slot when there is none or it was lost."""
        await self._check_clock()
        asked = time.monotonic()
        if self._slot is None or not await self._extend(self._slot):
            self._slot = None
            await self._take()
        self._good_until = asked + LEASE_SECONDS - _MARGIN_SECONDS
        self._problem = "the lease of the revision slot has run out"

    async def _extend(self, slot: int) -> bool:
        stored = await self._store.get(_rid(slot))
        if stored is None or stored.record["holder"] != self._holder:
            return False
        return await self._write(slot, stored)

    async def _take(self) -> None:
        """Take a random slot that nobody holds; the number of tries is bounded, slots are many."""
        for _ in range(64):
            slot = secrets.randbelow(SLOTS)
            stored = await self._store.get(_rid(slot))
            if stored and stored.record["expires_ms"] > _now_ms():
                continue
            floor = stored.record["last_us"] if stored else 0
            # The last holder may have issued up to the end of its lease.
            self._clock.start(slot, floor)
            if await self._write(slot, stored):
                self._slot = slot
                return
        raise unavailable("a revision slot")

    async def _write(self, slot: int, stored: Stored | None, expires_ms: int | None = None) -> bool:
        record = {
            "holder": self._holder,
            "expires_ms": _now_ms() + round(LEASE_SECONDS * 1000) if expires_ms is None else expires_ms,
            "last_us": max(self._clock.last_us, time.time_ns() // 1000 - EPOCH_US),
        }
        try:
            if stored is None:
                await self._store.create(_rid(slot), "", "active", record)
            else:
                await self._store.replace(stored, "", "active", record)
        except Conflict:
            return False
        return True

    async def _check_clock(self) -> None:
        """Refuse to issue revisions from a clock that is far from the engine's."""
        # Of two who ask a node at once one may be told the statistics of the time before, so nothing is believed at once.
        for wait in _LOOKS:
            await asyncio.sleep(wait)
            skew = await self._skew()
            # Node statistics may be a second old.
            if skew <= self._max_skew + 1.0:
                return
        self._good_until = 0.0
        self._problem = f"the clock differs from the engine's by {skew:.1f} s"
        raise Fault(Kind.UNAVAILABLE, CLOCK_SKEW, "writing isn't available now; try again", retry_after=5.0)

    async def _skew(self) -> float:
        """Return by how many seconds the clock differs from that of the node that differs most."""
        before = time.time()
        answer = await self._engine.call(
            "clock", "GET", "/_nodes/stats/os", params={"filter_path": "nodes.*.timestamp"}, retry=False
        )
        after = time.time()
        there = [node["timestamp"] / 1000 for node in answer.get("nodes", {}).values()]
        return max((max(one - after, before - one) for one in there), default=0.0)


def _rid(slot: int) -> str:
    return f"slot-{slot:04}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
