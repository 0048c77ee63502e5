# SPDX-License-Identifier: Apache-2.0
"""Takes down what is searched for: counted in memory, written every few seconds, and never in a search's way."""

from __future__ import annotations

import asyncio
import contextvars
import random
import re
import secrets
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.insights import InsightStore, Row
from pinakes.core.faults import Fault
from pinakes.core.privacy.classes import ATTRIBUTE
from pinakes.core.query.options import search_settings
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.core.telemetry.masking import mask
from pinakes.core.tenancy.models import now_ms
from pinakes.v1 import ranking_pb2

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.search_ids import Asked

ROWS = 20_000
"""Queries that are held at most between two writes, of all tenants."""

SAMPLES = 64
"""Times that are kept of one query between two writes; of more, some at random."""

_NAMED = re.compile(r"[\w.]+:")
# Number and wire type of `SearchResponse.results`.
_RESULT = b"\x0a"
_CLOSING_SECONDS = 3.0
_OFF, _KEPT = ranking_pb2.SearchSettings.INSIGHTS_OFF, ranking_pb2.SearchSettings.INSIGHTS_KEPT
_TAKEN = metrics.INSIGHTS.labels("taken")
_DROPPED = metrics.INSIGHTS.labels("dropped")
_log = logger("pinakes.insight")


class InsightRecorder:
    """What this process has seen since the last write. One per process.

    A query costs a row once between two writes, however often it is asked; of one tenant only so many are held. So the
    frequent ones are counted in full, and a flood of different ones isn't.
    """

    def __init__(self, settings: Settings, store: InsightStore) -> None:
        """Begin empty."""
        self._policy = settings.insights
        self._seconds = settings.insight_flush_seconds
        self._per_tenant = max(1, round(settings.insight_queries_per_second * settings.insight_flush_seconds))
        self._store = store
        self._rows: dict[tuple[str, bytes], Row] = {}
        self._of_tenant: dict[str, int] = {}
        self._process = secrets.token_hex(8)
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def keeps(self, collection: CollectionRecord) -> bool:
        """Tell whether anything is kept of searches in a collection."""
        if self._policy == "off":
            return False
        said = search_settings(collection).insights
        return said == _KEPT if self._policy == "asked" else said != _OFF

    def searched(self, collection: CollectionRecord, asked: Asked, seconds: float, *, found: bool) -> None:
        """Count a search with a query that was answered within `seconds`."""
        if not self.keeps(collection):
            return
        row = self._row(collection, asked.digest)
        if row is None:
            return
        # Where people are looked for, addresses are typed.
        row.query = mask(asked.text.encode()).decode() if collection.classes else asked.text
        row.searches += 1
        row.without_results += not found
        if len(row.took) < SAMPLES:
            row.took.append(round(seconds * 1000, 2))
        elif (place := random.randrange(row.searches)) < SAMPLES:
            row.took[place] = round(seconds * 1000, 2)

    def opened(self, collection: CollectionRecord, digest: bytes, position: int, *, conversion: bool) -> bool:
        """Count what happened to a result of a search, and tell whether that is kept. `position` is 0 if it isn't known."""
        if not self.keeps(collection):
            return False
        row = self._row(collection, digest)
        if row is None:
            return False
        if conversion:
            row.conversions += 1
        else:
            row.clicks += 1
            row.placed += position > 0
            row.position += position
        return True

    async def close(self) -> None:
        """Write what is left, within a few seconds."""
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                if self._writing is not None:
                    await self._writing
                await self._write()
        except TimeoutError:
            _log.warning("insights lost at the end", queries=len(self._rows))

    def _row(self, collection: CollectionRecord, digest: bytes) -> Row | None:
        key = (collection.uid, digest)
        row = self._rows.get(key)
        if row is None:
            held = self._of_tenant.get(collection.tenant_uid, 0)
            if held >= self._per_tenant or len(self._rows) >= ROWS:
                _DROPPED.inc()
                return None
            self._of_tenant[collection.tenant_uid] = held + 1
            self._number += 1
            rid = f"{self._process}-{self._number:x}"
            row = Row(rid, collection.tenant_uid, collection.uid, digest.hex(), now_ms())
            self._rows[key] = row
            if self._timer is None:
                self._begin()
        _TAKEN.inc()
        return row

    def _begin(self) -> None:
        """Write in a while. In a context of its own: what is written is of no one call, nor in its deadline or trace."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._write_soon, context=contextvars.Context())

    def _write_soon(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write(), name="insights")

    async def _write(self) -> None:
        rows, self._rows, self._of_tenant = self._rows, {}, {}
        if not rows:
            return
        try:
            await self._store.keep(list(rows.values()))
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("insights wait", error=error)
            self._put_back(rows)
        except Exception:
            _log.exception("insights failed")

    def _put_back(self, rows: dict[tuple[str, bytes], Row]) -> None:
        """Hold rows for the next write, under their old ids: what was taken of them after all is replaced then."""
        newer, self._rows, self._of_tenant = self._rows, rows, {}
        for key, row in newer.items():
            if (old := rows.get(key)) is not None:
                _add(old, row)
            elif len(rows) < ROWS:
                rows[key] = row
            else:
                _DROPPED.inc()
        for row in rows.values():
            self._of_tenant[row.tenant_uid] = self._of_tenant.get(row.tenant_uid, 0) + 1
        if self._timer is None:
            self._begin()


def names_personal_data(query: str, collection: CollectionRecord) -> bool:
    """Tell whether a query looks in a field with personal data by its name: what follows is a value of it, or like one."""
    classes = collection.classes
    if not classes or ":" not in query:
        return False
    names = {name for path in classes for name in (path, path.removeprefix(ATTRIBUTE))}
    return any(found.lower().rstrip(":") in {name.lower() for name in names} for found in _NAMED.findall(query))


def finds(answer: bytes) -> bool:
    """Tell whether a serialised answer has results, without reading it: they are its first field."""
    return answer.startswith(_RESULT)


def _add(row: Row, more: Row) -> None:
    """Add what was seen later."""
    row.query = row.query or more.query
    for name in ("searches", "without_results", "clicks", "conversions", "placed", "position"):
        setattr(row, name, getattr(row, name) + getattr(more, name))
    row.took = [*row.took, *more.took][:SAMPLES]
