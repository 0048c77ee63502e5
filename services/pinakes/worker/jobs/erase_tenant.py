# SPDX-License-Identifier: Apache-2.0
"""The verb `erase-tenant`: removes all that is a tenant's from every store, counts them once more, and signs a receipt.

The tenant is stopped before this begins (`core/lifecycle/erasing.py`). Steps, each recorded and done again without harm:
note in the journal of deletions that it is erased; wait until no process can write for it; list what there is; remove;
count; keep the receipt; leave a stub of the record. The receipt tells what was listed, so a run that is killed while it
removes doesn't make it smaller, nor does one that fails and is begun anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.erasure import DOCUMENTS, TOMBSTONES, WITH_IDS, Chain, Remains
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.moves import TenantMove
from pinakes.core.faults import Fault, Kind, concurrent_change
from pinakes.core.lifecycle import erasing
from pinakes.core.lifecycle.receipts import ReceiptKey, ReceiptStore
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.records import CANCELLED, MOVE
from pinakes.core.operations.store import OperationStore, free
from pinakes.core.rpc import names
from pinakes.core.tenancy import lease
from pinakes.core.tenancy.models import DAY_MS, DELETED, ERASED, now_ms
from pinakes.v1 import lifecycle_pb2
from pinakes.worker.jobs.move import TASKS

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.operations.records import OperationRecord
    from pinakes.core.settings import Settings

Json = dict[str, Any]
# Every process knows a changed record after so long (design §7).
KNOWN_SECONDS = 5.0
QUEUED, CACHED, QUEUE_KEYS = "queued_writes", "cache_entries", "queue_entries"
SNAPSHOTS = "snapshots"
KEPT = {
    SNAPSHOTS: "snapshots taken before may hold what was removed; after a restore the journal of deletions removes it again, "
    "for which it is kept longer than any snapshot; if the journal is lost as well, this receipt does",
    "tenant_record": "id, uid and times, so that the uid is never used again, with this operation and this receipt",
    "audit_events": "what administrators and keys did, without contents; the audit log keeps it for its own time",
    "objects": "files and objects that imports and exports read and wrote; they aren't the platform's",
}
"""What an erasure leaves, and why."""

_LOOK_SECONDS = 0.5
_ROUNDS = 5


async def run(context: Context) -> Message:
    """Erase the tenant. Parameters: `requester`, `reason` and `queued`, what was in the queue when it was asked for."""
    store = ReceiptStore(context.platform.engine)
    receipt = await store.get(context.tenant.uid)
    if receipt is None:
        await _noted(context)
        await _stopped(context)
        await _listed(context)
        await _removed(context)
        statement = _statement(context)
        receipt = await store.keep(context.tenant.uid, ReceiptKey(context.platform.settings).receipt(statement))
    await erasing.bury(context.platform.engine, context.tenant.tenant_id, context.tenant.uid)
    return lifecycle_pb2.EraseTenantResponse(receipt=receipt)


# ---- stopping


async def _noted(context: Context) -> None:
    """Note in the journal that the tenant is erased: so what a restore brings back goes again, and rows that processes hold."""
    if "noted_ms" in context.checkpoint:
        return
    await DeletionJournal(context.platform.engine).erased(context.tenant.tenant_id, context.tenant.uid)
    await context.advance({**context.checkpoint, "noted_ms": now_ms()})


async def _stopped(context: Context) -> None:
    """Wait until nothing is done for the tenant any more: by servers, by other operations, by workers of the queue."""
    if "stopped_ms" in context.checkpoint:
        return
    known_ms = context.checkpoint["noted_ms"] + round(fence_seconds(context.platform.settings) * 1000)
    known = max(context.checkpoint.get(QUEUED, 0), context.parameters["queued"])
    queued = max(known, await context.platform.queue.queued(context.tenant.uid))
    await context.advance({**context.checkpoint, QUEUED: queued})
    await context.sleep(max(0.0, (known_ms - now_ms()) / 1000))
    while await _others(context):
        await context.sleep(_LOOK_SECONDS)
    # What was accepted and not applied is given up by the workers, who know by now that the tenant is gone.
    while await context.platform.queue.queued(context.tenant.uid):
        await context.sleep(_LOOK_SECONDS)
    await context.advance({**context.checkpoint, "stopped_ms": now_ms()})


def fence_seconds(settings: Settings) -> float:
    """Return how long after it was noted that a tenant is erased something may still be written for it.

    Who doesn't know its record yet begins no later than that is known, and who writes rows of insights or usage has looked
    into the journal by a call of the engine; the write itself is another. Documents are written by a placement lease.
    """
    rows = max(KNOWN_SECONDS, settings.engine_timeout_seconds) + settings.engine_timeout_seconds
    return max(rows, lease.fence_seconds(settings))


async def _others(context: Context) -> bool:
    """Whether other operations of the tenant are under way. They are asked to stop; one that nobody does is ended here."""
    store = OperationStore(context.platform.engine)
    found = [
        one
        for one in await store.unfinished_of(context.tenant.uid)
        if one.operation_id != context.operation.operation_id
    ]
    for one in found:
        await erasing.cancel(store, one)
        if free(one) and await _tasks_ended(context, one):
            await store.change(one.tenant_uid, one.operation_id, _ended)
    return bool(found)


async def _tasks_ended(context: Context, other: OperationRecord) -> bool:
    """Stop what the engine does by itself for a move that nobody holds any more; tell whether it has ended.

    A copy that went on would write documents again that are removed.
    """
    if other.verb != MOVE:
        return True
    work = TenantMove(context.platform.engine, context.tenant.uid)
    tasks = [task for name in TASKS if (task := other.checkpoint.get(name))]
    return all([await work.stop(task) for task in tasks])


def _ended(now: OperationRecord | None) -> OperationRecord:
    if now is None:
        raise concurrent_change("operation")
    if not free(now):
        return now
    # A greater fence: should its worker still live, it can't write to the record.
    return now.changed(state=CANCELLED, end_ms=now_ms(), fence=now.fence + 1)


# ---- listing


async def _listed(context: Context) -> None:
    """Write down what there is, by kind: how much, and a checksum over the ids. An earlier try's list is complete already."""
    if "listed" in context.checkpoint:
        return
    remains = _remains(context)
    total = sum((await remains.count()).values())
    await context.advance(total=total)
    checkpoint = context.checkpoint
    chains = {kind: Chain(**kept) for kind, kept in checkpoint.get("chains", {}).items()}
    after = checkpoint.get("after")
    async for page in remains.document_ids(tuple(after) if after else None):
        for kind, buried in ((DOCUMENTS, False), (TOMBSTONES, True)):
            ids = [f"{collection}/{document}" for collection, document, dead in page if dead is buried]
            chains[kind] = chains.get(kind, Chain()).over(ids)
        kept = {kind: asdict(chain) for kind, chain in chains.items()}
        await context.advance({**checkpoint, "chains": kept, "after": list(page[-1][:2])})
    found = {kind: asdict(chain) for kind, chain in chains.items() if chain.count}
    for kind, count in (await remains.count()).items():
        if kind in WITH_IDS:
            found[kind] = asdict(await remains.record_ids(kind))
        elif kind not in {DOCUMENTS, TOMBSTONES}:
            found[kind] = {"count": count, "digest": ""}
    if queued := checkpoint.get(QUEUED):
        found[QUEUED] = {"count": queued, "digest": ""}
    # Before anything is removed: listed anew after that, it would be less.
    times = {name: checkpoint[name] for name in ("noted_ms", "stopped_ms")}
    await context.advance({**times, "listed": found}, at_once=True)


# ---- removing


async def _removed(context: Context) -> None:
    """Remove everything, until nothing is found any more."""
    remains, platform, uid = _remains(context), context.platform, context.tenant.uid
    record = await platform.directory.any_tenant(context.tenant.tenant_id, uid)
    for place in record.placement.places if record is not None else ():
        if not place.pooled:
            await remains.drop(place.alias(platform.engine.prefix))
    for _ in range(_ROUNDS):
        for step in (remains.remove_documents, remains.remove_records, remains.remove_journal):
            await _emptied(context, step)
        counts = {CACHED: await platform.cache.forget(uid), QUEUE_KEYS: await platform.queue.forget(uid)}
        await context.advance(_counted(context.checkpoint, counts))
        left = await remains.count()
        again = {CACHED: await platform.cache.forget(uid), QUEUE_KEYS: await platform.queue.forget(uid)}
        if not left and not any(again.values()):
            await context.advance({**context.checkpoint, "counted_ms": now_ms()}, done=context.progress.total)
            return
    text = "something is still written for the tenant"
    raise Fault(Kind.CONFLICT, "TENANT_NOT_STOPPED", text, retry_after=KNOWN_SECONDS)


async def _emptied(context: Context, step: Callable[[], Awaitable[int]]) -> None:
    while removed := await step():
        done = context.progress.done + removed
        # A checkpoint that differs is progress; there is nothing to go on from.
        checkpoint = {**context.checkpoint, "removed": context.checkpoint.get("removed", 0) + removed}
        await context.advance(checkpoint, done=done, total=max(done, context.progress.total))


def _counted(checkpoint: Json, counts: dict[str, int]) -> Json:
    """Return the checkpoint with what was removed beside what was listed."""
    found = dict(checkpoint["listed"])
    for kind, count in counts.items():
        total = found.get(kind, {"count": 0})["count"] + count
        if total:
            found[kind] = {"count": total, "digest": ""}
    return {**checkpoint, "listed": found}


def _remains(context: Context) -> Remains:
    return Remains(context.platform.engine, context.tenant.uid, context.operation.rid)


# ---- telling


def _statement(context: Context) -> lifecycle_pb2.ErasureStatement:
    tenant, operation = context.tenant, context.operation
    statement = lifecycle_pb2.ErasureStatement(
        format=1, tenant=names.tenant(tenant.tenant_id), uid=tenant.uid,
        operation=names.operation(tenant.tenant_id, operation.operation_id),
        requester=context.parameters["requester"], reason=context.parameters["reason"],
        removed=[
            lifecycle_pb2.ErasedKind(kind=kind, count=kept["count"], checksum=kept["digest"], remaining=0)
            for kind, kept in sorted(context.checkpoint["listed"].items())
        ],
    )  # fmt: skip
    statement.request_time.FromMilliseconds(tenant.erase_ms)
    statement.stop_time.FromMilliseconds(context.checkpoint["stopped_ms"])
    statement.finish_time.FromMilliseconds(context.checkpoint["counted_ms"])
    journal_ms = round(context.platform.settings.journal_days * DAY_MS)
    for kind, reason in KEPT.items():
        kept = statement.kept.add(kind=kind, reason=reason)
        if kind == SNAPSHOTS:
            kept.until.FromMilliseconds(now_ms() + journal_ms)
    return statement


JOB = Job(erasing.VERB, run, of_tenant=True, states=frozenset({DELETED, ERASED}))
