# SPDX-License-Identifier: Apache-2.0
"""Beginning to erase a tenant, and the stub that is left of its record. The work itself is the worker's job `erase-tenant`.

A tenant is erased when an administrator asks for it, and when the time in which it could be undeleted is over. Either way
its record says so first (`erase_ms`), so that nothing leads back, and then there is one operation for its uid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.faults import Fault, concurrent_change
from pinakes.core.operations.job import Stopped
from pinakes.core.operations.records import SUCCEEDED, UNFINISHED, OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.tenancy.directory import REPLACED, former_rid
from pinakes.core.tenancy.models import DELETED, ERASED, TenantRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.platform import Platform

Json = dict[str, Any]
VERB = "erase-tenant"
Decide = Callable[[TenantRecord], TenantRecord]
PLATFORM = "platform"
"""Who asks for it when the time for undeleting is over."""

_TRIES = 5


async def begin(platform: Platform, tenant: TenantRecord, requester: str, reason: str) -> OperationRecord:
    """Stop a tenant that is to be erased and make sure that there is an operation for it, which is returned.

    What it has under way is cancelled. Asked for again, the operation that is there is returned, unless that has failed.
    """
    try:
        queued = await platform.queue.queued(tenant.uid)
    except Fault:
        queued = 0  # the worker looks again, and waits until it can
    stopped = await _stop(platform.engine, tenant)
    platform.directory.tenants.remember(tenant.tenant_id, stopped)
    store = OperationStore(platform.engine)
    parameters = {"requester": requester, "reason": reason, "queued": queued}
    operation = await _operation(store, stopped, parameters)
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
    store, found = OperationStore(platform.engine), None
    for number in range(_TRIES):
        record = await store.get(tenant_uid, operation_id(tenant_uid, number), hidden=True)
        found = record or found
    return found


async def _operation(store: OperationStore, tenant: TenantRecord, parameters: Json) -> OperationRecord:
    """Return the operation that erases a tenant: the one that is there, or a new one."""
    for number in range(_TRIES):
        name = operation_id(tenant.uid, number)
        known = await store.get(tenant.uid, name, hidden=True)
        if known is not None:
            if known.state in {*UNFINISHED, SUCCEEDED}:
                return known
            continue  # it has failed, and the next one goes on from what is left
        record = OperationRecord(
            operation_id=name, tenant_uid=tenant.uid, tenant_id=tenant.tenant_id, verb=VERB,
            parameters=parameters, create_ms=now_ms(),
        )  # fmt: skip
        try:
            await store.create(record)
        except Conflict:
            return await _operation(store, tenant, parameters)
        return record
    raise concurrent_change("tenant")


def operation_id(tenant_uid: str, number: int) -> str:
    """Return the id of the operation that erases a tenant at one try: always the same, so there is one of each."""
    return hashlib.sha256(f"erase\0{tenant_uid}\0{number}".encode()).hexdigest()[:20]


async def _stop(engine: Engine, tenant: TenantRecord) -> TenantRecord:
    """Mark a tenant's record as to be erased: unreachable, and without a way back."""

    def decide(record: TenantRecord) -> TenantRecord:
        if record.state == ERASED or (record.state == DELETED and record.erase_ms):
            return record
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

    return await change(engine, tenant_id, tenant_uid, decide)


async def change(engine: Engine, tenant_id: str, tenant_uid: str, decide: Decide) -> TenantRecord:
    """Change the record of a uid by compare-and-set, wherever it is: another tenant may have its id by now.

    Makes one if there is none: a restore may have taken it away.
    """
    store = RecordStore(engine, "tenants")
    for _ in range(_TRIES):
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
