# SPDX-License-Identifier: Apache-2.0
"""Beginning to erase a tenant, and the stub that is left of its record. The work itself is the worker's job `erase-tenant`.

A tenant is erased when an administrator asks for it, and when the time in which it could be undeleted is over. Either way
its record says so first (`erase_ms`), so that nothing leads back, and then there is one operation for its uid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.faults import Fault, Kind, concurrent_change
from pinakes.core.operations.job import Stopped
from pinakes.core.operations.records import SUCCEEDED, UNFINISHED, OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.rpc import names
from pinakes.core.tenancy.directory import REPLACED, former_rid
from pinakes.core.tenancy.models import DAY_MS, DELETED, ERASED, TenantRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.platform import Platform

Json = dict[str, Any]
VERB = "erase-tenant"
Decide = Callable[[TenantRecord], TenantRecord]
PLATFORM = "platform"
"""Who asks for it when the time for undeleting is over."""

TRIES = 20
"""Operations of one tenant's erasure that may have failed and aren't forgotten."""

_FIRST_REST_MS = 60_000
_CHANGES = 5


async def begin(platform: Platform, tenant: TenantRecord, requester: str, reason: str) -> OperationRecord:
    """Stop a tenant that is to be erased and make sure that there is an operation for it, which is returned.

    What it has under way is cancelled. Asked for again, the operation that is there is returned, unless that has failed.
    The platform by itself stops none that was undeleted: raises a fault of kind PRECONDITION.
    """
    try:
        queued = await platform.queue.queued(tenant.uid)
    except Fault:
        queued = 0  # the worker looks again, and waits until it can
    days = platform.settings.undelete_days if requester == PLATFORM else None
    stopped = await _stop(platform.engine, tenant, days)
    platform.directory.tenants.remember(tenant.tenant_id, stopped)
    store = OperationStore(platform.engine)
    parameters = {"requester": requester, "reason": reason, "queued": queued}
    operation = await _operation(platform.engine, stopped, parameters)
    for other in await store.unfinished_of(stopped.uid):
        if other.operation_id != operation.operation_id:
            await cancel(store, other)
    return operation


async def cancel(store: OperationStore, other: OperationRecord) -> None:
    """Ask an operation of the tenant to stop, unless it has."""
    try:
        await store.cancel(other.tenant_uid, other.operation_id, lambda _: None)
    except Stopped:
        return


async def find(platform: Platform, tenant_uid: str) -> OperationRecord | None:
    """Return the last operation that erases a tenant, or None if there is none or it is forgotten."""
    tries = await _tries(platform.engine, tenant_uid)
    return tries[-1] if tries else None


async def _tries(engine: Engine, tenant_uid: str) -> list[OperationRecord]:
    """Return the operations that erase a tenant or failed to, the last one last. There may be gaps: a try removes those before."""
    found = await OperationStore(engine).get_many(tenant_uid, [operation_id(tenant_uid, n) for n in range(TRIES)])
    return sorted(found, key=lambda one: (not _failed(one), one.create_ms))


def _failed(operation: OperationRecord) -> bool:
    return operation.state not in {*UNFINISHED, SUCCEEDED}


async def _operation(engine: Engine, tenant: TenantRecord, parameters: Json) -> OperationRecord:
    """Return the operation that erases a tenant: the one that is there, or a new one.

    After one that failed the new one goes on from what is left, for who asked first, and with the list of what there was
    before anything was removed. The platform by itself waits before that, twice as long each time.
    """
    tries = await _tries(engine, tenant.uid)
    last = tries[-1] if tries else None
    if last is not None and (not _failed(last) or _rests(last, len(tries), parameters)):
        return last
    known = {one.operation_id for one in tries}
    free = [name for number in range(TRIES) if (name := operation_id(tenant.uid, number)) not in known]
    if not free:
        text = f"{TRIES} operations have failed to erase the tenant, and say why; the next can begin when one of them is forgotten"
        raise Fault(Kind.PRECONDITION, "ERASE_FAILED", text)
    record = OperationRecord(
        operation_id=free[0], tenant_uid=tenant.uid, tenant_id=tenant.tenant_id, verb=VERB,
        parameters=parameters, create_ms=now_ms(),
    )  # fmt: skip
    if last is not None:
        asked = {name: last.parameters[name] for name in ("requester", "reason")}
        listed = next((one.checkpoint["listed"] for one in reversed(tries) if "listed" in one.checkpoint), None)
        record = record.changed(
            parameters=parameters | asked,
            progress=last.progress,
            checkpoint={} if listed is None else {"listed": listed},
        )
    try:
        await OperationStore(engine).create(record)
    except Conflict:
        return await _operation(engine, tenant, parameters)
    return record


def _rests(last: OperationRecord, tries: int, parameters: Json) -> bool:
    """Whether it is too early to begin again after so many tries."""
    wait = min(_FIRST_REST_MS * 2 ** (tries - 1), DAY_MS)
    by_itself: bool = parameters["requester"] == PLATFORM
    return by_itself and now_ms() < last.end_ms + wait


def operation_id(tenant_uid: str, number: int) -> str:
    """Return the id of the operation that erases a tenant at one try: always the same, so there is one of each."""
    return hashlib.sha256(f"erase\0{tenant_uid}\0{number}".encode()).hexdigest()[:20]


def over(record: TenantRecord, days: float) -> bool:
    """Tell whether a tenant is deleted and its time for undeleting is over."""
    return record.state == DELETED and record.goes_ms(days) <= now_ms()


async def _stop(engine: Engine, tenant: TenantRecord, days: float | None) -> TenantRecord:
    """Mark a tenant's record as to be erased: unreachable, and without a way back. With `days` only if these are over."""

    def decide(record: TenantRecord) -> TenantRecord:
        if record.state == ERASED or (record.state == DELETED and record.erase_ms):
            return record
        if days is not None and not over(record, days):
            name = names.tenant(tenant.tenant_id)
            raise Fault(
                Kind.PRECONDITION, "TENANT_NOT_DELETED", f"{name} was undeleted", resource=("pinakes/Tenant", name)
            )
        now = now_ms()
        return record.changed(state=DELETED, delete_ms=record.delete_ms or now, erase_ms=now)

    return await change(engine, tenant.tenant_id, tenant.uid, decide)


async def bury(engine: Engine, tenant_id: str, tenant_uid: str) -> TenantRecord:
    """Leave of a tenant's record a stub: its id, its uid and its times."""

    def decide(record: TenantRecord) -> TenantRecord:
        if record.state == ERASED:
            return record
        now = now_ms()
        return TenantRecord(
            tenant_id=tenant_id, uid=tenant_uid, state=ERASED, version=record.version + 1, create_ms=record.create_ms,
            update_ms=now, delete_ms=record.delete_ms or now, erase_ms=record.erase_ms or now,
        )  # fmt: skip

    stub = await change(engine, tenant_id, tenant_uid, decide)
    await _forget_copy(engine, stub)
    return stub


async def _forget_copy(engine: Engine, stub: TenantRecord) -> None:
    """Remove a copy that was kept for another tenant, which then didn't take the id: it says what the stub no longer does."""
    store = RecordStore(engine, "tenants")
    kept = await store.get(former_rid(stub.tenant_id, stub.uid))
    if kept is not None and kept.record["version"] < stub.version:
        with suppress(Conflict):  # it is the stub by now
            await store.delete(kept)


async def change(engine: Engine, tenant_id: str, tenant_uid: str, decide: Decide) -> TenantRecord:
    """Change the record of a uid by compare-and-set, wherever it is: another tenant may have its id by now.

    Makes one if there is none: a restore may have taken it away.
    """
    store = RecordStore(engine, "tenants")
    for _ in range(_CHANGES):
        for rid in (tenant_id, former_rid(tenant_id, tenant_uid)):
            stored = await store.get(rid)
            if stored is None or stored.record["uid"] != tenant_uid:
                continue
            before = TenantRecord.from_json(stored.record)
            after = decide(before)
            # Also if nothing is to be changed any more: polls find it again, which may have missed it.
            state = after.state if rid == tenant_id else REPLACED
            try:
                await store.replace(stored, "", state, after.to_json())
            except Conflict:
                break
            return after
        else:
            unknown = TenantRecord(tenant_id=tenant_id, uid=tenant_uid, state=DELETED, version=0)
            rid = tenant_id if await store.get(tenant_id) is None else former_rid(tenant_id, tenant_uid)
            after = decide(unknown)
            try:
                await store.create(rid, "", after.state if rid == tenant_id else REPLACED, after.to_json())
            except Conflict:
                continue
            return after
    raise concurrent_change("tenant")
