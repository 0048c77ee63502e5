# SPDX-License-Identifier: Apache-2.0
"""The records of operations: every change is compare-and-set, leases among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.faults import concurrent_change
from pinakes.core.operations.job import Stopped, Why
from pinakes.core.operations.records import (
    CANCELLED,
    CANCELLING,
    FINISHED,
    HIDDEN,
    PENDING,
    RUNNING,
    UNFINISHED,
    OperationRecord,
    operation_rid,
)
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine

Changes = Mapping[str, Any]
KIND = "operations"
DAY_MS = 86_400_000
_TRIES = 8
_PAGE = 500
_MOST = 5000


class OperationStore:
    """Reads and writes operations."""

    def __init__(self, engine: Engine) -> None:
        """Use the system index of operations."""
        self._store = RecordStore(engine, KIND)

    async def create(self, record: OperationRecord) -> None:
        """Store a new operation. Raises `Conflict` if its id is taken, by the same request id."""
        await self._store.create(record.rid, record.tenant_uid, record.filed, record.to_json())

    async def get(self, tenant_uid: str, operation_id: str, *, hidden: bool = False) -> OperationRecord | None:
        """Return a tenant's operation as it was last written, or None; deleted ones only if `hidden`."""
        stored = await self._store.get(operation_rid(tenant_uid, operation_id))
        if stored is None:
            return None
        record = OperationRecord.from_json(stored.record)
        return record if hidden or not record.hidden else None

    async def get_many(self, tenant_uid: str, operation_ids: list[str]) -> list[OperationRecord]:
        """Return those of a tenant's operations that are there, as they were last written; deleted ones, too."""
        found = await self._store.get_many([operation_rid(tenant_uid, one) for one in operation_ids])
        return [OperationRecord.from_json(record) for record in found if record is not None]

    async def page(self, tenant_uid: str, after: str | None, size: int) -> list[OperationRecord]:
        """Return up to `size` operations of a tenant in the order of their ids, those after the id `after`."""
        start = operation_rid(tenant_uid, after) if after is not None else None
        found = await self._store.page(tenant_uid, (*UNFINISHED, *FINISHED), start, size)
        return [OperationRecord.from_json(record) for record in found]

    async def unfinished(self) -> list[OperationRecord]:
        """Return the unfinished operations of all tenants, at most five thousand of them."""
        found: list[OperationRecord] = []
        after: str | None = None
        while len(found) < _MOST:
            page = await self._store.page(None, UNFINISHED, after, _PAGE)
            found += [OperationRecord.from_json(record) for record in page]
            if len(page) < _PAGE:
                break
            after = found[-1].rid
        return found

    async def tenants_of(self, verb: str) -> list[str]:
        """Return the uids of the tenants that have an unfinished operation of a verb."""
        return sorted({record.tenant_uid for record in await self.unfinished() if record.verb == verb})

    async def unfinished_of(self, tenant_uid: str) -> list[OperationRecord]:
        """Return the unfinished operations of a tenant, at most as many as a page has, each as it was last written."""
        found = await self._store.page(tenant_uid, UNFINISHED, None, _PAGE)
        records = [OperationRecord.from_json(record) for record in found]
        now = [await self.get(tenant_uid, record.operation_id) for record in records]
        return [record for record in now if record is not None and not record.finished]

    async def count_unfinished(self, tenant_uid: str) -> int:
        """Count a tenant's unfinished operations."""
        return await self._store.count(tenant_uid, *UNFINISHED)

    async def change(
        self, tenant_uid: str, operation_id: str, decide: Callable[[OperationRecord | None], OperationRecord]
    ) -> OperationRecord:
        """Replace an operation by what `decide` makes of it, by compare-and-set, and return it.

        `decide` gets the operation as it is now, raises where it can't be changed, and returns the very record it got to
        leave it.
        """
        for _ in range(_TRIES):
            stored = await self._store.get(operation_rid(tenant_uid, operation_id))
            before = OperationRecord.from_json(stored.record) if stored else None
            after = decide(before)
            if stored is None or after is before:
                return after
            try:
                await self._store.replace(stored, after.tenant_uid, after.filed, after.to_json())
            except Conflict:
                continue
            return after
        raise concurrent_change("operation")

    # ---- leases

    async def take(self, record: OperationRecord, holder: str, seconds: float) -> OperationRecord | None:
        """Take an operation that nobody holds, or whose lease ran out. None if another was faster."""

        def decide(now: OperationRecord | None) -> OperationRecord:
            if now is None or not free(now) or now.fence != record.fence:
                raise Stopped(Why.LOST)
            taken = now.changed(holder=holder, lease_ms=_until(seconds), fence=now.fence + 1)
            if taken.state == PENDING:
                return taken.changed(state=RUNNING, start_ms=now_ms())
            return taken

        try:
            return await self.change(record.tenant_uid, record.operation_id, decide)
        except Stopped:
            return None

    async def renew(self, held: OperationRecord, seconds: float, latest: Callable[[], Changes]) -> OperationRecord:
        """Extend the lease of an operation and write the latest changes, which are asked for at the very moment.

        Raises `Stopped` (LOST) if it is another worker's by now.
        """
        return await self._held(held, lambda: {"lease_ms": _until(seconds), **latest()})

    async def release(self, held: OperationRecord, changes: Changes) -> OperationRecord:
        """Write changes to an operation and give its lease back. Raises `Stopped` (LOST) if it is another's by now."""
        return await self._held(held, lambda: {"lease_ms": 0, "holder": "", **changes})

    async def _held(self, held: OperationRecord, changes: Callable[[], Changes]) -> OperationRecord:
        def decide(now: OperationRecord | None) -> OperationRecord:
            if now is None or (now.holder, now.fence) != (held.holder, held.fence) or now.finished:
                raise Stopped(Why.LOST)
            return now.changed(**changes())

        return await self.change(held.tenant_uid, held.operation_id, decide)

    # ---- for callers

    async def cancel(
        self, tenant_uid: str, operation_id: str, refuse: Callable[[OperationRecord | None], None]
    ) -> OperationRecord:
        """Ask an operation to stop; one that no worker has begun stops at once. `refuse` raises where that makes no sense."""

        def decide(now: OperationRecord | None) -> OperationRecord:
            refuse(now)
            if now is None:
                raise Stopped(Why.LOST)
            if now.state == PENDING:
                return now.changed(state=CANCELLED, end_ms=now_ms())
            return now.changed(state=CANCELLING) if now.state == RUNNING else now

        return await self.change(tenant_uid, operation_id, decide)

    async def sweep(self, days: float) -> int:
        """Remove what was finished so many days ago. Returns how many operations that were."""
        return await self._store.delete_older(now_ms() - round(days * DAY_MS), (*FINISHED, HIDDEN))


def free(record: OperationRecord) -> bool:
    """Whether a worker may take an operation."""
    return not record.finished and record.lease_ms <= now_ms()


def _until(seconds: float) -> int:
    return now_ms() + round(seconds * 1000)
