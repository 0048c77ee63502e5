# SPDX-License-Identifier: Apache-2.0
"""Which collections keep documents for a time only: all records are read once, then what has changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.engine.maintenance import Kept
from pinakes.core.engine.records import RecordStore
from pinakes.core.tenancy.directory import collection_rid, overlap_ms
from pinakes.core.tenancy.models import ACTIVE, CollectionRecord, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pinakes.core.engine.client import Engine

_PAGE = 1000


class Retentions:
    """The retentions of all collections. One sweeper's own."""

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing known."""
        self._store = RecordStore(engine, "collections")
        self._kept: dict[str, Kept] = {}
        self._asked_ms = 0
        self._overlap_ms = overlap_ms(engine)

    async def read(self) -> list[Kept]:
        """Return the collections that keep documents for a time only, as they are now."""
        asked = now_ms()
        changes = await self._store.changed_since(self._asked_ms - self._overlap_ms) if self._asked_ms else None
        if changes is None:
            await self._read_all()
        for record in (changes or {}).values():
            self._take(record)
        self._asked_ms = asked
        return list(self._kept.values())

    async def now(self, some: Sequence[Kept]) -> list[Kept]:
        """Return these as they were last written, without those that keep documents for ever by now, or are gone."""
        found = await self._store.get_many([one.rid for one in some])
        return [
            now
            for one, stored in zip(some, found, strict=True)
            if stored is not None and (now := _kept(stored)) is not None and now.collection_uid == one.collection_uid
        ]

    async def _read_all(self) -> None:
        self._kept.clear()
        after: str | None = None
        while True:
            page = await self._store.page(None, (ACTIVE,), after, _PAGE)
            for record in page:
                self._take(record)
            if len(page) < _PAGE:
                return
            after = collection_rid(page[-1]["tenant_uid"], page[-1]["collection_id"])

    def _take(self, stored: dict[str, Any]) -> None:
        """Keep what a record says."""
        if (kept := _kept(stored)) is not None:
            self._kept[kept.collection_uid] = kept
        else:
            self._kept.pop(stored["uid"], None)


def _kept(stored: dict[str, Any]) -> Kept | None:
    """Return what a record says, None if it keeps documents for ever. A deleted one does: its documents go with it."""
    record = CollectionRecord.from_json(stored)
    if not record.active or not record.retention_ms:
        return None
    rid = collection_rid(record.tenant_uid, record.collection_id)
    return Kept(rid, record.tenant_uid, record.uid, record.retention_ms)
