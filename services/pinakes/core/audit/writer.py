# SPDX-License-Identifier: Apache-2.0
"""The one writer of the chain: takes events out of the spool, links them, and drops them when they are in the engine.

It may die at any moment, and another may write meanwhile without its knowing. So what is written next is agreed on first: a
record that is replaced by compare-and-set holds the whole batch. Only agreed batches are ever written, each behind all of the
one before, so entries that come late or are written by two are the same ones. What a batch lacks is written by whoever goes
on; what was written and not dropped is known by its ids.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pinakes.core.audit.chain import FIRST, Head, Seal, head_of
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.spool import Spool, Taken
from pinakes.core.engine.audit import AuditStore, Overtaken
from pinakes.core.faults import unavailable
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.engine.records import Stored

Json = dict[str, Any]
PAGE = 500
# The head goes to the logs so often, because they may be kept where nobody who can write to the stores can.
_TOLD_SECONDS = 3600.0
_log = logger("pinakes.audit")


class ChainWriter:
    """Writes the chain for as long as nobody else does."""

    def __init__(self, store: AuditStore, spool: Spool, seal: Seal) -> None:
        """Begin without knowing where the chain ends."""
        self._store, self._spool, self._seal = store, spool, seal
        self._head: Head | None = None
        self._batch: Stored | None = None
        self._told = 0.0

    def forget(self) -> None:
        """Forget where the chain ends: another may have written."""
        self._head = self._batch = None

    async def move(self) -> int:
        """Put events that wait into the chain, and return how many were taken. Raises faults of the stores."""
        taken = await self._spool.take(PAGE)
        if not taken:
            return 0
        extra: list[Json] = []
        if self._head is None:
            self._head, found = await self._end()
            extra += found
        events, forged = self._read(taken)
        extra += forged
        await self._store.refresh()
        known = await self._store.known([event["event"] for event in events])
        await self._append([*extra, *(event for event in events if event["event"] not in known)])
        await self._spool.drop(taken)
        metrics.AUDIT_EVENTS.labels("chained").inc(len(taken))
        return len(taken)

    async def prune(self, days: float) -> int:
        """Drop the months that are over for longer than `days`, and return how many.

        The last entry of what goes is kept as the anchor that the rest hangs on.
        """
        months = await self._store.over(days)
        for month in months:
            if (last := await self._store.last(month)) is not None:
                await self._spool.keep_place("anchor", head_of(last))
            await self._store.drop(month)
        if months:
            if self._head is None:
                self._head, found = await self._end()
                await self._append(found)
            await self._append([_own("audit.pruned", months=", ".join(months))])
        return len(months)

    def _read(self, taken: Sequence[Taken]) -> tuple[list[Json], list[Json]]:
        """Return the events, each once, and an event for each that somebody else put there."""
        events: dict[str, Json] = {}
        forged: list[Json] = []
        for one in taken:
            body = self._seal.unpack(one.data)
            if body is None:
                metrics.AUDIT_EVENTS.labels("forged").inc()
                _log.error("an audit event was put in by another", size=len(one.data))
                forged.append(_own("audit.forged", digest=hashlib.sha256(one.data).hexdigest()))
            else:
                event_id = f"{body['origin']}-{body['number']:012}"
                events.setdefault(event_id, body | {"event": event_id})
        return list(events.values()), forged

    async def _append(self, events: Sequence[Json]) -> None:
        if self._head is None or not events:
            return
        entries: list[Json] = []
        head = self._head
        for event in events:
            entries.append(self._seal.link(head, event))
            head = head_of(entries[-1])
        month = f"{datetime.now(UTC):%Y.%m}"
        try:
            data = self._seal.pack({"name": "batch", "month": month, "entries": entries})
            self._batch = await self._store.agree(self._batch, data)
            await self._store.append(month, entries)
        except Overtaken:
            self.forget()
            raise unavailable("the audit log's chain") from None
        except BaseException:
            # Perhaps it is there, perhaps not: to be looked up.
            self.forget()
            raise
        self._head = head
        await self._spool.keep_place("head", head)
        if time.monotonic() - self._told > _TOLD_SECONDS:
            self._told = time.monotonic()
            _log.info("audit head", sequence=head.sequence, hash=head.hash)

    async def _end(self) -> tuple[Head, list[Json]]:
        """Return where the chain goes on, and an event if its end was cut off: what was there is known by its place."""
        self._batch = await self._store.batch()
        heads, anchors = await self._spool.places("head"), await self._spool.places("anchor")
        furthest = max([*heads, *anchors], key=lambda head: head.sequence, default=Head())
        await self._complete(furthest)
        await self._store.refresh()
        last = await self._store.last()
        written = head_of(last) if last is not None else Head()
        if furthest.sequence <= written.sequence:
            return written, []
        if written.hash == FIRST and furthest in anchors:
            return furthest, []
        _log.error("the end of the audit log is missing", kept=furthest.sequence, found=written.sequence)
        return furthest, [_own("audit.cut", after=str(written.sequence), until=str(furthest.sequence))]

    async def _complete(self, known: Head) -> None:
        """Write what the last batch may lack, because its writer died. One that is known to have been written is left."""
        body = self._seal.unpack(base64.b64decode(self._batch.record["data"])) if self._batch is not None else None
        if body is None or body["name"] != "batch" or head_of(body["entries"][-1]).sequence <= known.sequence:
            return
        try:
            await self._store.append(body["month"], body["entries"])
        except Overtaken:
            # By who doesn't agree first, as earlier versions did. A verification tells what came of it.
            _log.error("the audit log was written by another", sequence=body["entries"][0]["sequence"])


def _own(action: str, **details: str) -> Json:
    """Return an event that the writer itself has to tell."""
    body = Event(kind=Kind.SYSTEM, action=action, subject="worker", details=details).to_json()
    return body | {"origin": "", "number": 0, "event": ""}
