# SPDX-License-Identifier: Apache-2.0
"""Applies a batch of queue entries: again while the engine is busy or away; what can't be indexed becomes a failed write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.queue.entry import FORMAT, changes_of
from pinakes.core.telemetry import metrics, tracing
from pinakes.core.telemetry.logs import logger
from pinakes.core.writing.apply import Applied, apply, count
from pinakes.core.writing.changes import Change, recompiled
from pinakes.v1 import index_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.queue.consumer import Consumer, Delivered
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.queue.v1 import entry_pb2
    from pinakes.worker.batches import AdaptiveSize

T = TypeVar("T")
Outcome = index_pb2.WriteResult
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
_PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.CONFLICT})
_log = logger("pinakes.worker")


@dataclass(slots=True)
class _Work:
    """One write of one entry, until it has an outcome. `version` is the collection's that it was compiled by."""

    change: Change
    version: int
    result: Applied | None = None


class Applier:
    """Applies batches of one partition, one after the other."""

    def __init__(self, platform: Platform, consumer: Consumer, size: AdaptiveSize) -> None:
        """Apply on these parts."""
        self._platform = platform
        self._consumer = consumer
        self._size = size

    async def run(self, batch: Sequence[Delivered]) -> list[Delivered]:
        """Apply all writes of a batch, keep the outcomes that are asked for, and return the entries that are finished.

        Doesn't return before each write has an outcome, however long the engine is away. Raises what Redis raises.
        """
        known = [item for item in batch if item.entry is not None and item.entry.format <= FORMAT]
        work = {item.entry_id: _work(_entry(item)) for item in known}
        parents = [_entry(item).traceparent for item in known if _entry(item).traceparent]
        with tracing.linked_span("worker apply", parents, entries=len(known)):
            groups = _by_collection(known).values()
            await asyncio.gather(*(self._collection(g, [w for item in g for w in work[item.entry_id]]) for g in groups))
            await self._park(known, work)
            await self._keep_outcomes(known, work)
        self._count(known, work)
        unreadable = [item for item in batch if item.entry is None]
        for item in unreadable:
            metrics.FAILED_WRITES.labels("UNREADABLE").inc()
            await self._again(partial(self._platform.failures.keep_unreadable, item.tenant_uid, item.data))
        # Entries of a newer format stay pending: a worker that knows it takes them over.
        return [*known, *unreadable]

    async def _collection(self, items: list[Delivered], work: list[_Work]) -> None:
        """Apply the writes to one collection."""
        entry = _entry(items[0])
        found = await self._again(lambda: self._scope(entry))
        if found is None:
            for item in work:
                item.result = Applied(Outcome.OUTCOME_NOT_FOUND)
            return
        scope, collection = found
        for item in work:
            if item.version != collection.version:
                item.change = recompiled(item.change, scope.owner, collection.schema())
        latest: dict[str, _Work] = {}
        for item in sorted(work, key=lambda w: w.change.revision):
            if (older := latest.get(item.change.document_id)) is not None:
                older.result = Applied(Outcome.OUTCOME_SUPERSEDED, older.change.revision)
                if item.change.deletion:
                    item.change = item.change._replace(over=older.change.data or older.change.over)
            latest[item.change.document_id] = item
        try:
            await self._again(lambda: self._apply(scope, list(latest.values())))
        except Fault as fault:
            if fault.kind is not Kind.NOT_FOUND:
                raise
            for item in latest.values():  # its tenant is gone since it was looked up
                item.result = item.result or Applied(Outcome.OUTCOME_NOT_FOUND)

    async def _apply(self, scope: TenantScope, work: list[_Work]) -> None:
        """Apply the writes, of different documents, that have no outcome yet. Raises a fault while one is refused for now."""
        while left := [item for item in work if item.result is None]:
            part = left[: self._size.now]
            try:
                applied = await apply(scope, [w.change for w in part], lambda: self._older(scope))
            except Fault as fault:
                if fault.kind in _PASSING:
                    self._slow_down()
                raise
            for item, result in zip(part, applied, strict=True):
                item.result = None if result.busy else result
            if any(result.busy for result in applied):
                self._slow_down()
                raise unavailable("the search engine", 0.0)
            self._size.ok()
            metrics.WORKER_BATCH.set(self._size.now)

    def _slow_down(self) -> None:
        self._size.busy()
        metrics.WORKER_BATCH.set(self._size.now)

    async def _older(self, scope: TenantScope) -> bool:
        """Only a failed write can be older and still come: of a partition's entries, all older ones have been applied."""
        return await self._consumer.has_failed(scope.owner.tenant_uid)

    async def _scope(self, entry: entry_pb2.Entry) -> tuple[TenantScope, CollectionRecord] | None:
        """Return the scope and the collection that an entry names, or None if its tenant or collection has been deleted."""
        directory = self._platform.directory
        # A suspended tenant's, too: they were accepted before, and its neighbours in the partition don't wait for them.
        tenant = await directory.whole_tenant(entry.tenant_id, entry.tenant_uid)
        if tenant is None:
            return None
        collection = await directory.collection(tenant, entry.collection_id)
        if collection is None or collection.uid != entry.collection_uid:
            collection = await directory.fresh_collection(tenant, entry.collection_id)
            if collection is None or collection.uid != entry.collection_uid:
                return None
        return TenantScope.for_work(self._platform.engine, tenant, collection), collection

    async def _park(self, items: list[Delivered], work: dict[bytes, list[_Work]]) -> None:
        """Keep the writes that can't be applied, for their tenant to retry or discard."""
        failed = [
            (_entry(item), w.change, w.result.fault)
            for item in items
            for w in work[item.entry_id]
            if w.result is not None and w.result.fault is not None
        ]
        if not failed:
            return
        for tenant_uid in {entry.tenant_uid for entry, _, _ in failed}:
            # First, so that nothing newer is taken for unchanged while the older write can still be retried.
            await self._consumer.mark_failed(tenant_uid, self._platform.settings.tombstone_days * 86_400)
        await self._again(lambda: self._platform.failures.keep(failed))
        for _, _, fault in failed:
            metrics.FAILED_WRITES.labels(fault.reason).inc()

    async def _keep_outcomes(self, items: list[Delivered], work: dict[bytes, list[_Work]]) -> None:
        asked = [
            (_entry(item), [w.result or Applied(Outcome.OUTCOME_FAILED) for w in work[item.entry_id]])
            for item in items
            if _entry(item).operation
        ]
        if asked:
            await self._again(lambda: self._platform.outcomes.keep(asked))

    async def _again(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step until the engine takes it: with full jitter, from 100 ms doubling to 5 s."""
        retrying = AsyncRetrying(
            retry=retry_if_exception(_passes),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            before_sleep=_told_why,
            reraise=True,
        )

        async def attempt() -> T:  # tenacity awaits coroutine functions only
            return await step()

        return await retrying(attempt)

    def _count(self, items: list[Delivered], work: dict[bytes, list[_Work]]) -> None:
        now = time.time()
        for item in items:
            metrics.QUEUE_LAG.observe(max(0.0, now - _entry(item).accepted_ms / 1000))
        count(w.result for item in items for w in work[item.entry_id])


def _passes(error: BaseException) -> bool:
    """Tell whether the engine is only busy or away. A refusal isn't the entry's fault either: setup may be under way."""
    return isinstance(error, EngineRefusal) or (isinstance(error, Fault) and error.kind in _PASSING)


def _told_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("waiting for the engine", attempt=state.attempt_number, error=error)


def _entry(item: Delivered) -> entry_pb2.Entry:
    """Return the entry of one that can be read."""
    if item.entry is None:
        message = "the entry can't be read"
        raise ValueError(message)
    return item.entry


def _work(entry: entry_pb2.Entry) -> list[_Work]:
    return [_Work(change, entry.collection_version) for change in changes_of(entry)]


def _by_collection(items: list[Delivered]) -> dict[tuple[str, str], list[Delivered]]:
    groups: dict[tuple[str, str], list[Delivered]] = {}
    for item in items:
        entry = _entry(item)
        groups.setdefault((entry.tenant_uid, entry.collection_uid), []).append(item)
    return groups
