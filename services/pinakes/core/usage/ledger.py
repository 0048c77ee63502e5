# SPDX-License-Identifier: Apache-2.0
"""Counts what tenants use, in memory: searches, writes and cost of the day, and what they have at the moment.

Nothing waits for it: totals of the day are written in the background. A process that is killed loses what it counted since
the last write; one that ends in good order loses nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.usage import Counts, Row, UsageStore
from pinakes.core.faults import Fault, unavailable
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.usage.recent import Recent

KNOWN_SECONDS = 5.0
"""Age up to which counts of documents are taken as they are, less what this process has written since."""

# Counting takes its time in large tenants: no process counts for more than this part of the time.
_COUNTING_SHARE = 0.02
# A write may miss a count that begins so long after it: it wasn't refreshed yet.
REFRESH_SECONDS = 1.5
_TENANTS = 10_000
# Who hasn't asked for a count for so long after it was fresh isn't expected to.
_ASKED_SECONDS = 60.0
_CLOSING_SECONDS = 10.0
_PAGE = 1000
_log = logger("pinakes.usage")


@dataclass(slots=True)
class _Known:
    """What a tenant had when it was counted, and what was written since."""

    counts: Counts | None = None
    fresh_until: float = 0.0
    since: Recent = field(default_factory=Recent)
    counting: asyncio.Task[None] | None = None


class Usage:
    """What this process knows of the use of all tenants. One per process."""

    def __init__(self, engine: Engine, flush_seconds: float, clock: Callable[[], float] = time.time) -> None:
        """Begin empty."""
        self.store = UsageStore(engine)
        self._seconds = flush_seconds
        self._clock = clock
        self._process = secrets.token_hex(8)
        self._rows: dict[tuple[str, int], Row] = {}
        self._changed: set[tuple[str, int]] = set()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def add(self, tenant_uid: str, *, searches: int = 0, writes: int = 0, cost: float = 0.0) -> None:
        """Count what a tenant did just now. Costs about a microsecond, and never waits."""
        key = (tenant_uid, int(self._clock() // 86_400))
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Row(tenant_uid, _date(key[1]))
        row.searches += searches
        row.writes += writes
        row.cost += cost
        self._changed.add(key)
        if self._timer is None:
            self._begin()

    def wrote(self, tenant_uid: str, writes: int, documents: int, size: int) -> None:
        """Count documents written or deleted: how many, and by how many documents and bytes the tenant has grown."""
        self.add(tenant_uid, writes=writes)
        known = self._known.get(tenant_uid)
        if known is None or not (documents or size):
            return
        if known.counting is None and time.monotonic() > known.fresh_until + _ASKED_SECONDS:
            del self._known[tenant_uid]  # nobody asks any more; who does again has it counted anew
        else:
            known.since.add(documents, size)

    async def known(self, tenant: TenantRecord) -> Counts:
        """Return what a tenant has: counted in the engine some seconds ago, plus what this process has written since.

        Only the first call for a tenant waits; later ones are answered at once, while it is counted anew. What other
        processes write shows within `KNOWN_SECONDS` and a second, of large tenants within 50 times the time that counting
        takes. Raises a fault of kind UNAVAILABLE or DEADLINE if it was never counted and can't be.
        """
        known = self._known.get(tenant.uid)
        if known is None:
            known = self._known[tenant.uid] = _Known()
            if len(self._known) > _TENANTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(tenant.uid)
        if time.monotonic() >= known.fresh_until and known.counting is None:
            # In a context of its own: it is of no one call, nor in its deadline or trace.
            loop = asyncio.get_running_loop()
            known.counting = loop.create_task(self._count(tenant, known), context=contextvars.Context())
        if known.counts is None and known.counting is not None:
            await asyncio.shield(known.counting)
        if known.counts is None:
            raise unavailable("the search engine")
        documents, size = known.since.since(-math.inf)
        return Counts(max(known.counts.documents + documents, 0), max(known.counts.bytes + size, 0))

    async def flush(self) -> None:
        """Write what was counted and isn't written yet, while nobody else does. Raises a fault of the engine's; then it is kept."""
        keys = list(self._changed)
        for begin in range(0, len(keys), _PAGE):
            part = keys[begin : begin + _PAGE]
            self._changed.difference_update(part)
            try:
                await self.store.keep(self._process, [self._rows[key] for key in part])
            except BaseException:
                self._changed.update(part)
                raise
        # The clock may go back over midnight: a row that began anew would take the place of the day that was written.
        yesterday = int(self._clock() // 86_400) - 1
        for key in [key for key in self._rows if key[1] < yesterday and key not in self._changed]:
            del self._rows[key]

    async def close(self) -> None:
        """Write what is left, within a few seconds."""
        if self._timer is not None:
            self._timer.cancel()
        for known in self._known.values():
            if known.counting is not None:
                known.counting.cancel()
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                if self._writing is not None:
                    await self._writing
                await self.flush()
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.warning("usage lost at the end", tenants=len(self._changed), error=error)

    async def _count(self, tenant: TenantRecord, known: _Known) -> None:
        begun = time.monotonic()
        try:
            (counts,) = await self.store.count([tenant])
            if counts is not None:
                known.counts = counts
                # What was written shortly before may be in it already: rather too much than too little.
                known.since.forget(begun - REFRESH_SECONDS)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("usage isn't counted", error=error)
        finally:
            ended = time.monotonic()
            known.fresh_until = ended + max(KNOWN_SECONDS, (ended - begun) / _COUNTING_SHARE)
            known.counting = None

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._write_soon, context=contextvars.Context())

    def _write_soon(self) -> None:
        # The timer stays until it is written: two writes at once could keep the older totals, and forget rows of each other's.
        self._writing = asyncio.get_running_loop().create_task(self._write(), name="usage")

    async def _write(self) -> None:
        try:
            await self.flush()
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("usage waits", error=error)
        except Exception:
            _log.exception("usage isn't written")
        self._timer = None
        if self._changed:
            self._begin()


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()
