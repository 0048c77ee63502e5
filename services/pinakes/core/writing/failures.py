# SPDX-License-Identifier: Apache-2.0
"""Failed writes: accepted ones that couldn't be applied, kept in the engine for their tenant to retry or discard.

Not in Redis: at its memory limit it would refuse the very write that puts one there.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.documents import revision_ms
from pinakes.core.engine.records import RecordStore
from pinakes.core.tenancy.models import now_ms
from pinakes.core.writing.changes import Change

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.engine.documents import Owner
    from pinakes.core.faults import Fault
    from pinakes.queue.v1 import entry_pb2

Json = dict[str, Any]
FAILED, UNREADABLE = "failed", "unreadable"


class FailedWrites:
    """The failed writes of all collections. Ids grow with the revisions, so lists are oldest first."""

    def __init__(self, engine: Engine, days: float) -> None:
        """Keep them for `days` after they were accepted, however often they are retried.

        No longer than deletions are remembered, or a retry could bring a document back.
        """
        self._store = RecordStore(engine, "failures")
        self._ms = round(days * 86_400_000)

    async def keep(self, failed: Sequence[tuple[entry_pb2.Entry, Change, Fault]]) -> None:
        """Keep writes with the faults they failed by. Raises a fault of kind UNAVAILABLE."""
        rows = [_row(entry, change, fault) for entry, change, fault in failed]
        await self._store.put_many(rows, changed=[revision_ms(change.revision) for _, change, _ in failed])

    async def keep_unreadable(self, tenant_uid: str, data: bytes) -> None:
        """Keep an entry that can't be read, for the platform's operators. Raises a fault of kind UNAVAILABLE."""
        record = {"data": base64.b64encode(data).decode(), "failed_ms": now_ms()}
        digest = hashlib.sha256(data).hexdigest()[:32]
        await self._store.put_many([(f"{UNREADABLE}/{digest}", tenant_uid, UNREADABLE, record)])

    async def page(self, owner: Owner, after: str | None, size: int) -> list[Json]:
        """Return up to `size` failed writes of a collection, those after an id."""
        rid = None if after is None else _rid(owner, after)
        return await self._store.page(_parent(owner), (FAILED,), rid, size)

    async def get_many(self, owner: Owner, ids: Sequence[str]) -> list[Json]:
        """Return those of the failed writes that are there."""
        found = await self._store.get_many([_rid(owner, i) for i in ids])
        return [record for record in found if record is not None]

    async def delete(self, owner: Owner, ids: Sequence[str]) -> None:
        """Delete failed writes."""
        await self._store.delete_many([_rid(owner, i) for i in ids])

    def expires_ms(self, record: Json) -> int:
        """Return when a failed write is given up."""
        return revision_ms(record["revision"]) + self._ms

    async def expire(self) -> int:
        """Give up old failed writes, and return how many there were."""
        return await self._store.delete_older(now_ms() - self._ms)


def change_of(record: Json) -> Change:
    """Return the write that failed, to be retried at its own revision."""
    data = zlib.decompress(base64.b64decode(record["data"]))
    return Change(record["document_id"], record["revision"], data, record["hash"], record["retries"] + 1)


def _row(entry: entry_pb2.Entry, change: Change, fault: Fault) -> tuple[str, str, str, Json]:
    failed_id = f"{change.revision:016x}"
    record = {
        "id": failed_id,
        "document_id": change.document_id,
        "revision": change.revision,
        "hash": change.content_hash,
        "data": base64.b64encode(zlib.compress(change.data, 1)).decode(),
        "retries": change.retries,
        "reason": fault.reason,
        "message": fault.message,
        "failed_ms": now_ms(),
    }
    parent = f"{entry.tenant_uid}/{entry.collection_uid}"
    return f"{parent}/{failed_id}", parent, FAILED, record


def _parent(owner: Owner) -> str:
    return f"{owner.tenant_uid}/{owner.collection_uid}"


def _rid(owner: Owner, failed_id: str) -> str:
    return f"{_parent(owner)}/{failed_id}"
