# SPDX-License-Identifier: Apache-2.0
"""Sweeps up what has run out: expired and outlived documents become tombstones, old tombstones and outcomes go for good.

Documents that an earlier version wrote are written again as this one would.

Any worker may do it at any time, because each step is idempotent; of many, one does it at a time, so that the engine is asked
once: a record in the engine says whose turn it is.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.audit.event import Kind
from pinakes.core.audit.log import DURABLE_SECONDS
from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.insights import InsightStore
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.maintenance import Maintenance
from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.engine.upgrade import rewrite_documents
from pinakes.core.engine.usage import UsageStore
from pinakes.core.faults import Fault
from pinakes.core.lifecycle import erasing
from pinakes.core.operations.records import FINISHED, MOVE
from pinakes.core.operations.store import OperationStore
from pinakes.core.rpc import names
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.directory import REPLACED, former_rid
from pinakes.core.tenancy.models import ACTIVE, DELETED, TenantRecord, now_ms
from pinakes.worker.retention import Retentions

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

_TURN = "sweeper"
# A failed write that is retried on its last day may wait in the queue for a while.
MARGIN_DAYS = 1.0
PAGE = 200
PURGED_AT_ONCE = 20
_log = logger("pinakes.sweeper")


class Turn:
    """Whose turn it is to do something that one worker does. One that says nothing for three times has lost it."""

    def __init__(self, platform: Platform, what: str, seconds: float) -> None:
        """Begin without it. `seconds` is the time between two times."""
        self._store = RecordStore(platform.engine, "leases")
        self._holder = secrets.token_hex(8)
        self._what = what
        self._ms = round(seconds * 3000)

    async def taken(self) -> bool:
        """Take or keep the turn; False if it is another's."""
        stored = await self._store.get(self._what)
        if stored is not None and stored.record["holder"] != self._holder and stored.record["until"] > now_ms():
            return False
        record = {"holder": self._holder, "until": now_ms() + self._ms}
        try:
            if stored is None:
                await self._store.create(self._what, "", ACTIVE, record)
            else:
                await self._store.replace(stored, "", ACTIVE, record)
        except Conflict:
            return False
        return True


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Sweep every `sweep_seconds` until `stop` is set."""
    settings, mine = platform.settings, Turn(platform, _TURN, platform.settings.sweep_seconds)
    retentions = Retentions(platform.engine)
    await platform.prepared_or(stop)
    while not stop.is_set():
        try:
            if await mine.taken():
                await sweep(platform, retentions)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("sweeping waits", error=error)
        except Exception:
            _log.exception("sweeping failed")
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.sweep_seconds):
                await stop.wait()


async def sweep(platform: Platform, retentions: Retentions | None = None) -> dict[str, int]:
    """Sweep once, and return how much of each kind was swept. `retentions` are those that the last sweep had."""
    settings, operations = platform.settings, OperationStore(platform.engine)
    maintenance = Maintenance(platform.engine, lambda: operations.tenants_of(MOVE))
    retentions = retentions or Retentions(platform.engine)
    await platform.revisions.ready()
    buried = {
        "expired": await maintenance.bury_expired(platform.revisions.next),
        "outlived": await maintenance.bury_outlived(await retentions.read(), retentions.now, platform.revisions.next),
    }
    if await _waits(platform):
        return buried
    done = {
        **buried,
        "tombstones": await maintenance.forget_tombstones(settings.tombstone_days + MARGIN_DAYS),
        "outcomes": await platform.outcomes.expire(),
        "requests": await platform.requests.expire(),
        "journal": await DeletionJournal(platform.engine).forget(settings.journal_days),
        "failures": await platform.failures.expire(),
        "insights": await InsightStore(platform.engine).expire(settings.insight_days),
        "usage": await UsageStore(platform.engine).expire(settings.usage_days),
        "tenants": await purge_tenants(platform),
        "rewritten": await rewrite_documents(platform.engine),
    }
    if any(done.values()):
        _log.info("swept", **done)
    return done


async def purge_tenants(platform: Platform) -> int:
    """Begin to erase tenants that were deleted and whose time for undeleting is over; return how many are being erased."""
    begun = 0
    for state in (DELETED, REPLACED):
        after: str | None = None
        while True:
            page = await platform.directory.tenants.store.page(None, (state,), after, PAGE)
            for record in map(TenantRecord.from_json, page):
                after = record.tenant_id if state == DELETED else former_rid(record.tenant_id, record.uid)
                if begun < PURGED_AT_ONCE and erasing.over(record, platform.settings.undelete_days):
                    begun += await _purge(platform, record)
            if len(page) < PAGE:
                break
    return begun


async def _purge(platform: Platform, listed: TenantRecord) -> bool:
    """Begin to erase a tenant, or find that it is being erased; return whether it is.

    What is listed may be a copy that was kept for another tenant, which then didn't take the id. The audit log has it on
    disk before, so that no tenant goes unseen; told twice if this worker dies between.
    """
    reason = "the time for undeleting is over"
    try:
        record = await platform.directory.any_tenant(listed.tenant_id, listed.uid)
        if record is None or not erasing.over(record, platform.settings.undelete_days):
            return False
        if await erasing.find(platform, record.uid) is None:
            told = platform.audit.record(
                Kind.CHANGE, "tenant.purged", subject="worker", resource=names.tenant(record.tenant_id), reason=reason
            )  # fmt: skip
            if not await platform.audit.durable(told, DURABLE_SECONDS):
                _log.warning("a tenant isn't purged while the audit log takes nothing", tenant=record.tenant_id)
                return False
        operation = await erasing.begin(platform, record, erasing.PLATFORM, reason)
    except Fault as fault:
        _log.warning("a tenant can't be purged", tenant=listed.tenant_id, error=fault)
        return False
    return operation.state not in FINISHED


async def _waits(platform: Platform) -> bool:
    """Tell whether old writes are still queued, because engine or workers were away for long, or may be.

    Until they are applied nothing may go that protects from them.
    """
    try:
        return await platform.queue.waiting_since(now_ms() - round(MARGIN_DAYS * 86_400_000))
    except Fault:
        return True
