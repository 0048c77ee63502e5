# SPDX-License-Identifier: Apache-2.0
"""Where every process looks up tenants, collections and keys: cached, and never older than a few seconds (design §7).

Each process asks the engine every 2 s what changed, so a revocation or deletion reaches it within 5 s without Redis. What
changed is told by the clock of who changed it, and may be seen late: a poll looks back for as long as both may be off by the
settings, and once a minute every record that is kept is compared with its last version, so that nothing is missed for good.

Polling has a way of its own to the engine, which other calls that fail or hang don't stop. When the engine can't be asked, no change
commits either, unless this process alone is cut off; so known records go on serving for a while.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.faults import Fault, concurrent_change
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import DELETED, ERASED, CollectionRecord, KeyRecord, Record, TenantRecord, now_ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

R = TypeVar("R", bound=Record)
POLL_SECONDS = 2.0
REVIEW_SECONDS = 60.0
# Further back a poll doesn't look, whatever the settings: what is found again each time has a price.
_MOST_OVERLAP_SECONDS = 60.0
ADMINISTRATION_HOLD_SECONDS = 60.0
_ABSENT_SECONDS = 1.0
_ENTRIES = 50_000
# Search settings make a record up to 350 kB large: so many bytes of each kind are kept at most, as far as can be told.
_BYTES = 64 << 20
_TRIES = 5
_REVIEWED = 1000
REPLACED = "replaced"
_log = logger("pinakes.directory")


class CachedRecords(Generic[R]):
    """The records of one kind, read through a bounded cache that a poll keeps true."""

    def __init__(
        self, store: RecordStore, read: Callable[[dict[str, object]], R], hold_seconds: float, overlap_ms: int
    ) -> None:
        """Begin empty. A poll asks for what changed since `overlap_ms` before the last one."""
        self.store = store
        self._read = read
        self._hold = hold_seconds
        self._overlap_ms = overlap_ms
        self._entries: OrderedDict[str, R] = OrderedDict()
        # By id: when what was read was asked for, and when it was put in.
        self._read_at: dict[str, tuple[float, float]] = {}
        self._held = 0
        self._absent: OrderedDict[str, float] = OrderedDict()
        self._asked_ms = now_ms()
        self._confirmed = time.monotonic()

    async def get(self, rid: str, *, administration: bool = False) -> R | None:
        """Return a record, deleted ones too, or None. Raises a fault of kind UNAVAILABLE if it can't be known.

        `administration` asks for a record that was confirmed within the last minute.
        """
        if (found := self.known(rid, administration=administration)) is not None:
            return found
        if self._absent.get(rid, 0.0) > time.monotonic():
            return None
        return await self.fresh(rid)

    def known(self, rid: str, *, administration: bool = False) -> R | None:
        """Return a record that this process knows and may still go by, or None. Asks nobody."""
        found = self._entries.get(rid)
        if found is None:
            return None
        hold = min(self._hold, ADMINISTRATION_HOLD_SECONDS) if administration else self._hold
        if time.monotonic() - self._confirmed > hold:
            return None
        self._entries.move_to_end(rid)
        return found

    async def present(self, rid: str, *, administration: bool = False) -> R | None:
        """Return a record as `get` does. One that is known as deleted is read again, once a second at most.

        Another process may just have given its id to a new one.
        """
        found = self.known(rid, administration=administration)  # nearly always, and then nobody needs to be waited for
        if found is None:
            found = await self.get(rid, administration=administration)
        if found is None or found.state not in {DELETED, ERASED}:
            return found
        now = time.monotonic()
        if self._absent.get(rid, 0.0) > now:
            return found
        self._look_again(rid, now)  # before it is read, so that many callers at once read it once
        found = await self.fresh(rid)
        if found is not None and found.state in {DELETED, ERASED}:
            self._look_again(rid, now)
        return found

    async def fresh(self, rid: str) -> R | None:
        """Return a record as it was last written, past the cache. Raises a fault of kind UNAVAILABLE if it can't be known."""
        asked = time.monotonic()
        stored = await self.store.get(rid)
        if stored is None:
            self._remember_absent(rid)
            return None
        record = self._read(stored.record)
        self.remember(rid, record, asked)
        return record

    def confirmed(self, rid: str) -> tuple[R | None, float]:
        """Return what is known of a record, and the moment (monotonic) at which it was certainly its last version."""
        record = self._entries.get(rid)
        asked, put_in = self._read_at.get(rid, (0.0, 0.0))
        # A poll tells of changes since the one before; what was put in while it was under way it may have missed.
        return record, self._confirmed if record is not None and 0.0 < put_in <= self._confirmed else asked

    async def create(self, rid: str, parent: str, record: R, exists: Fault, mark: Mark) -> R:
        """Store a new record with the mark of its request, or raise `exists`. What an earlier attempt has made is returned.

        Over a deleted record a new one begins, with another uid. The deleted one is kept as `rid@uid` in the state
        `replaced`, so that what it owned can be purged later.
        """
        uid = record.to_json()["uid"]
        for _ in range(_TRIES):
            old = await self.store.get(rid)
            try:
                if old is None:
                    made = mark.put(record)
                    await self.store.create(rid, parent, made.state, made.to_json())
                else:
                    before = self._read(old.record)
                    if mark.made(before, uid):
                        self.remember(rid, before)
                        return before
                    if before.state not in {DELETED, ERASED}:
                        raise exists
                    await self._keep_former(former_rid(rid, old.record["uid"]), parent, old.record)
                    # With the marks until now, by which who made the deleted one sees that it did.
                    made = mark.put(dataclasses.replace(record, version=before.version + 1, marks=before.marks))
                    await self.store.replace(old, parent, made.state, made.to_json())
            except Conflict:
                continue
            self.remember(rid, made)
            return made
        raise exists

    async def _keep_former(self, rid: str, parent: str, record: dict[str, Any]) -> None:
        """Keep a deleted record beside the one that takes its id. Raises `Conflict` if others keep it at the same time."""
        kept = await self.store.get(rid)
        if kept is None:
            await self.store.create(rid, parent, REPLACED, record)
        elif kept.record["version"] < record["version"]:
            # Of an attempt that didn't come to its end: the deleted one may have been brought back and moved since then.
            await self.store.replace(kept, parent, REPLACED, record)

    async def made(self, rid: str, uid: str, mark: Mark) -> R | None:
        """Return the record that an earlier attempt of the request with this mark has made, with this uid, or None."""
        record = await self.fresh(rid) if mark.again else None
        return record if record is not None and mark.made(record, uid) else None

    async def change(
        self,
        rid: str,
        parent: str,
        what: str,
        decide: Callable[[R | None], R],
        *,
        mark: Mark | None = None,
        write: bool = True,
    ) -> R:
        """Replace a record by what `decide` makes of it, by compare-and-set, and return it.

        `decide` gets the record as it is now, raises a fault where there is nothing to change, and returns the very
        record it got if that is changed already. It isn't asked about a record that an earlier attempt of the request with this
        `mark` has changed. Both are written again as they are: the earlier write may be too old for polls to find.
        `what` is the word for it in the fault that others' changes end in. Without `write` nothing is stored.
        """
        for _ in range(_TRIES):
            old = await self.store.get(rid)
            before = self._read(old.record) if old else None
            after = before if before is not None and mark is not None and mark.on(before) else decide(before)
            if old is None or not write:
                return after
            if mark is not None and after is not before:
                after = mark.put(after)
            try:
                await self.store.replace(old, parent, after.state, after.to_json())
            except Conflict:
                continue
            self.remember(rid, after)
            return after
        raise concurrent_change(what)

    def remember(self, rid: str, record: R, asked: float | None = None) -> None:
        """Keep a record that was just read or written, unless a newer one is known.

        `asked` is the moment (monotonic) at which it was certainly the last version, if that is known.
        """
        self._absent.pop(rid, None)
        known, read_at = self._entries.get(rid), self._read_at.get(rid)
        if known is None or known.version <= record.version:
            self._drop(rid)
            self._entries[rid] = record
            self._held += record.memory
            if asked is not None or read_at is None:
                read_at = (asked or 0.0, time.monotonic())
            self._read_at[rid] = read_at
        while len(self._entries) > _ENTRIES or self._held > _BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, rid: str) -> None:
        """Forget a record."""
        record = self._entries.pop(rid, None)
        if record is not None:
            self._held -= record.memory
        self._read_at.pop(rid, None)

    def _remember_absent(self, rid: str) -> None:
        """Keep for a second that there is no such record, so that made-up names don't reach the engine each time."""
        self._drop(rid)
        self._look_again(rid, time.monotonic())

    def _look_again(self, rid: str, now: float) -> None:
        """Keep until when a record isn't read again that isn't there, or is known as deleted."""
        self._absent[rid] = now + _ABSENT_SECONDS
        if len(self._absent) > _ENTRIES:
            self._absent.popitem(last=False)

    async def poll(self) -> None:
        """Take over what changed since the last poll, less an overlap for clocks that differ and what wasn't searchable yet."""
        asked_ms, asked = now_ms(), time.monotonic()
        changes = await self.store.changed_since(self._asked_ms - self._overlap_ms)
        if changes is None:
            self._entries.clear()
            self._read_at.clear()
            self._held = 0
        else:
            for rid, record in changes.items():
                if rid in self._entries:
                    self.remember(rid, self._read(record))
        self._asked_ms, self._confirmed = asked_ms, asked

    async def review(self) -> None:
        """Compare all records that are kept with their last versions, and read again those that polls have missed."""
        rids = list(self._entries)
        for start in range(0, len(rids), _REVIEWED):
            for rid, version in (await self.store.versions(rids[start : start + _REVIEWED])).items():
                known = self._entries.get(rid)
                if known is not None and not 0 < version <= known.version:
                    await self.fresh(rid)


class Directory:
    """Looks up tenants by id, collections by tenant and id, keys by id."""

    def __init__(self, engine: Engine, hold_seconds: float, poll_seconds: float = POLL_SECONDS) -> None:
        """Prepare; `start` begins to poll."""
        self._poll_seconds = poll_seconds

        def cached(kind: str, read: Callable[[dict[str, object]], R]) -> CachedRecords[R]:
            return CachedRecords(RecordStore(engine, kind, apart=True), read, hold_seconds, overlap_ms(engine))

        self.tenants = cached("tenants", TenantRecord.from_json)
        self.keys = cached("keys", KeyRecord.from_json)
        self.collections = cached("collections", CollectionRecord.from_json)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to poll in the background, and to review what polls may miss."""
        # Each kind for itself: one whose index can't be asked, or takes long, doesn't make revocations of another wait.
        self._tasks = [
            asyncio.create_task(_every(seconds, ask, records), name=f"directory-{ask.__name__}-{records.store.kind}")
            for records in (self.keys, self.tenants, self.collections)
            for seconds, ask in ((self._poll_seconds, CachedRecords.poll), (REVIEW_SECONDS, CachedRecords.review))
        ]

    async def close(self) -> None:
        """Stop polling."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def tenant(self, tenant_id: str, *, administration: bool = False) -> TenantRecord | None:
        """Return an active tenant, or None."""
        found = await self.tenants.present(tenant_id, administration=administration)
        return found if found is not None and found.active else None

    async def known_tenant(self, tenant_id: str, *, administration: bool = False) -> TenantRecord | None:
        """Return the tenant that has an id, in whatever state, or None."""
        return await self.tenants.present(tenant_id, administration=administration)

    async def tenant_of(self, key: KeyRecord, *, administration: bool = False) -> TenantRecord | None:
        """Return the tenant that a key is of, suspended ones too, or None if that is gone.

        A tenant may have been deleted and created anew by another process just now: a key that is newer than the tenant
        known here is a reason to look again.
        """
        known = await self.tenants.get(key.tenant_id, administration=administration)
        if known is not None and known.uid != key.tenant_uid and known.create_ms <= key.create_ms:
            known = await self.tenants.fresh(key.tenant_id)
        return known if known is not None and known.whole and known.uid == key.tenant_uid else None

    async def whole_tenant(self, tenant_id: str, tenant_uid: str) -> TenantRecord | None:
        """Return the tenant of this uid if it is active or suspended, or None; that by its record as it was last written."""
        for found in (self.tenants.get, self.tenants.fresh):
            # What is given up for a tenant that is gone is gone for good, so the cache alone doesn't say so.
            record = await found(tenant_id)
            if record is not None and record.whole and record.uid == tenant_uid:
                return record
        return None

    async def any_tenant(self, tenant_id: str, tenant_uid: str) -> TenantRecord | None:
        """Return the tenant of this uid in whatever state, as it was last written; also if another has its id by now."""
        for rid in (tenant_id, former_rid(tenant_id, tenant_uid)):
            stored = await self.tenants.store.get(rid)
            if stored is not None and stored.record["uid"] == tenant_uid:
                return TenantRecord.from_json(stored.record)
        return None

    async def fresh_tenant(self, tenant_id: str) -> TenantRecord | None:
        """Return an active tenant by its record as it was last written, or None."""
        found = await self.tenants.fresh(tenant_id)
        return found if found is not None and found.active else None

    async def fresh_collection(self, tenant: TenantRecord, collection_id: str) -> CollectionRecord | None:
        """Return an active collection by its record as it was last written, or None."""
        found = await self.collections.fresh(collection_rid(tenant.uid, collection_id))
        return found if found is not None and found.active else None

    async def collection(self, tenant: TenantRecord, collection_id: str) -> CollectionRecord | None:
        """Return an active collection of a tenant, or None."""
        found = await self.collections.present(collection_rid(tenant.uid, collection_id))
        return found if found is not None and found.active else None

    async def key(self, key_id: str, *, administration: bool = False) -> KeyRecord | None:
        """Return a key, revoked ones too, or None."""
        return await self.keys.get(key_id, administration=administration)


async def _every(
    seconds: float, ask: Callable[[CachedRecords[Any]], Awaitable[None]], records: CachedRecords[Any]
) -> None:
    while True:
        try:
            await ask(records)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.warning("records can't be polled", kind=records.store.kind, error=error)
        except Exception:
            _log.exception("polling records failed", kind=records.store.kind)
        await asyncio.sleep(seconds)


def overlap_ms(engine: Engine) -> int:
    """Return how far before the last time who asks for what changed has to ask, in ms.

    So late what was written may be seen, by clocks that differ and a call that takes its time, and two polls for the rest.
    """
    return round(min(engine.late_seconds + 2 * POLL_SECONDS, _MOST_OVERLAP_SECONDS) * 1000)


def former_rid(rid: str, uid: str) -> str:
    """Return the id of the record of what had an id before another took it."""
    return f"{rid}@{uid}"


def collection_rid(tenant_uid: str, collection_id: str) -> str:
    """Return the id of a collection's record."""
    return f"{tenant_uid}/{collection_id}"
