# SPDX-License-Identifier: Apache-2.0
"""One operation under a lease: its job run, run again while stores are away, stopped, and its end written down."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, not_found
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.operations.job import PASSING, Context, Job, Stopped, Why
from pinakes.core.operations.messages import packed_json
from pinakes.core.operations.records import (
    CANCELLED,
    CANCELLING,
    FAILED,
    SUCCEEDED,
    OperationRecord,
    fault_json,
)
from pinakes.core.rpc import names
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.directory import collection_rid
from pinakes.core.tenancy.models import SUSPENDED, CollectionRecord, now_ms

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.operations.store import OperationStore
    from pinakes.core.platform import Platform

# A job that doesn't see by itself that it must stop is cancelled after so long.
GRACE_SECONDS = 8.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# After faults in a row for so long, an operation fails with the last of them.
_PATIENCE_SECONDS = 86_400.0
# A fault so long after the last one is the first of another row: longer than a job itself waits for a store that is away.
_APART_SECONDS = 3600.0
# An engine that is there and doesn't finish in time won't finish later either.
_LATE = 10
R = TypeVar("R")
Work = Callable[[Context], Awaitable[R]]
Undo = Callable[[Context], Awaitable["Message | None"]]
_log = logger("pinakes.operations")


class Leased:
    """An operation that this worker holds. `run` returns when it is done, stopped or lost; it raises nothing."""

    def __init__(
        self, platform: Platform, store: OperationStore, job: Job, record: OperationRecord, seconds: float
    ) -> None:
        """Begin with the record as it was taken. `seconds` is how long a lease is good."""
        self._platform = platform
        self._store = store
        self._job = job
        self._seconds = seconds
        self._stop: asyncio.Future[Why] = asyncio.get_running_loop().create_future()
        self._context: Context | None = None
        # Whether what was done is being taken back; that isn't cancelled.
        self._undoing = False
        self._draining = False
        self.record = record

    @property
    def beside(self) -> bool:
        """Whether it is done beside its tenant's other operations."""
        return self._job.beside

    def stop(self, why: Why) -> None:
        """Make it stop soon; the first reason counts."""
        self._draining |= why is Why.DRAIN
        if self._undoing and why is Why.CANCEL:
            return
        if not self._stop.done():
            self._stop.set_result(why)
            if self._context is not None:
                self._context.stop(why)

    async def run(self) -> None:
        """Do the operation to its end, or as far as may be."""
        if self.record.state == CANCELLING:
            self.stop(Why.CANCEL)
        beat = asyncio.create_task(self._beat(), name=f"lease {self.record.operation_id}")
        try:
            outcome = await self._work()
        except Stopped as stopped:
            outcome = stopped.why.value
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat
        metrics.OPERATIONS.labels(self.record.verb, outcome).inc()
        _log.info(
            "operation left", operation=self.record.operation_id, verb=self.record.verb, outcome=outcome,
            tenant=self.record.tenant_id, fence=self.record.fence,
        )  # fmt: skip

    # ---- work

    async def _work(self) -> str:
        """Run the job until it has an end. Raises `Stopped` when another worker has the operation."""
        row = _Row(self.record)
        while True:
            try:
                response = await self._attempt(self._job.run)
            except Stopped as stopped:
                return await self._stopped(stopped.why)
            except Fault as fault:
                row.add(self.record)
                if not _may_pass(fault, row.failures, row.seconds):
                    return await self._fail(fault)
                metrics.OPERATIONS.labels(self.record.verb, "retried").inc()
                _log.info("operation waits", operation=self.record.operation_id, failures=row.failures, error=fault)
                await self._wait(_pause(row.failures, fault))
            except Exception:
                _log.exception("operation failed", operation=self.record.operation_id, verb=self.record.verb)
                return await self._fail(_unforeseen(self.record))
            else:
                return await self._end(SUCCEEDED, response=packed_json(response))

    async def _undo(self, undo: Undo, state: str, **changes: Any) -> str:
        """Let the job take back what it did, as long as that takes, and write down how it ended."""
        self._undoing, self._stop = True, asyncio.get_running_loop().create_future()
        failures = 0
        if self._draining:
            return await self._stopped(Why.DRAIN)
        while True:
            try:
                response = await self._attempt(undo)
            except Stopped as stopped:
                return await self._stopped(stopped.why)
            except Fault as fault:
                failures += 1
                if fault.kind not in PASSING:
                    _log.warning("operation not undone", operation=self.record.operation_id, error=fault)
                    return await self._end(state, **changes)
                await self._wait(_pause(failures, fault))
            except Exception:
                _log.exception("operation not undone", operation=self.record.operation_id, verb=self.record.verb)
                return await self._end(state, **changes)
            else:
                if response is not None:
                    return await self._end(SUCCEEDED, response=packed_json(response))
                return await self._end(state, **changes)

    async def _attempt(self, work: Work[R]) -> R:
        """Run the job from the last checkpoint. Whatever way it ends, the record has its newest checkpoint afterwards."""
        if self._stop.done():
            raise Stopped(self._stop.result())
        context = self._context = await self._open()
        if self._stop.done():
            context.stop(self._stop.result())
        try:
            return await self._until_stopped(context, work)
        finally:
            self._context = None
            self.record = self.record.changed(**_state_of(context))

    async def _until_stopped(self, context: Context, work: Work[R]) -> R:
        task = asyncio.ensure_future(work(context))
        told = asyncio.create_task(context.stopped())
        try:
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait({task}, timeout=GRACE_SECONDS)
        finally:
            told.cancel()
            task.cancel()
            await asyncio.wait({task})
        if context.stopping is not None and (task.cancelled() or task.exception() is not None):
            raise Stopped(context.stopping)
        return task.result()

    async def _open(self) -> Context:
        """Read tenant and collection as they are now, and make the scope. Raises a fault if either is gone.

        What is done to a whole tenant is done to a suspended or deleted one, too.
        """
        record, directory = self.record, self._platform.directory
        tenant = await directory.any_tenant(record.tenant_id, record.tenant_uid)
        if tenant is None or tenant.state not in self._job.states:
            if tenant is not None and tenant.state == SUSPENDED:
                raise Stopped(Why.PAUSE)
            raise not_found("pinakes/Tenant", names.tenant(record.tenant_id))
        if self._job.of_tenant:
            return Context(self._platform, record, tenant, None, None, self._save)
        stored = await directory.collections.store.get(collection_rid(tenant.uid, record.collection_id))
        collection = CollectionRecord.from_json(stored.record) if stored else None
        if collection is None or not collection.active or collection.uid != record.collection_uid:
            raise not_found("pinakes/Collection", names.collection(record.tenant_id, record.collection_id))
        if self._job.whole:
            scope = TenantScope.for_work(self._platform.engine, tenant, collection)
        else:
            # With no more rights than the caller had who asked for it.
            principal = Principal("worker", Role(record.role), (tenant.tenant_id,), record.readers, (tenant.uid,))
            scope = TenantScope(self._platform.engine, principal, tenant, collection)
            collection = scope.as_seen(collection)  # nor does what chooses documents look at more
        return Context(self._platform, record, tenant, collection, scope, self._save)

    async def _wait(self, seconds: float) -> None:
        await asyncio.wait([self._stop], timeout=seconds)

    # ---- the record

    async def _save(self, context: Context) -> None:
        """Store the job's state and extend the lease. Raises `Stopped` if it must stop, and faults of the store."""
        try:
            self.record = await self._store.renew(self.record, self._seconds, lambda: _state_of(context))
        except Stopped as stopped:
            self.stop(stopped.why)
        if self.record.state == CANCELLING:
            self.stop(Why.CANCEL)
        await context.check()

    async def _beat(self) -> None:
        """Extend the lease while the operation is held, store what the job has said since, and learn whether it is to stop."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                seen = await self._store.renew(self.record, self._seconds, self._latest)
            except Stopped as stopped:
                self.stop(stopped.why)
                return
            except Exception as error:
                # The job finds out at its next save, at the latest when the store is back.
                _log.info("lease not extended", operation=self.record.operation_id, error=error)
            else:
                if seen.state == CANCELLING:
                    self.stop(Why.CANCEL)

    def _latest(self) -> dict[str, Any]:
        return _state_of(self._context) if self._context is not None else _kept(self.record)

    # ---- ends

    async def _stopped(self, why: Why) -> str:
        if why is Why.LOST:
            return why.value
        if why is Why.CANCEL:
            if self._job.undo is not None:
                return await self._undo(self._job.undo, CANCELLED)
            await self._abandon()
            return await self._end(CANCELLED)
        # Whoever takes it begins where the stored checkpoint says, which is an older one if this fails.
        with suppress(Fault, EngineRefusal):
            await self._store.release(self.record, _kept(self.record))
        return why.value

    async def _fail(self, fault: Fault) -> str:
        if self._job.undo is not None:
            return await self._undo(self._job.undo, FAILED, error=fault_json(fault))
        await self._abandon()
        return await self._end(FAILED, error=fault_json(fault))

    async def _end(self, state: str, **changes: Any) -> str:
        """Write the end down, as long as it takes. Raises `Stopped` if the lease is lost or the worker ends before that."""
        last = {"state": state, "end_ms": now_ms(), **_kept(self.record), **changes}
        await self._insist(lambda: self._store.release(self.record, last))
        return state

    async def _insist(self, write: Callable[[], Awaitable[OperationRecord]]) -> None:
        failures = 0
        while True:
            try:
                self.record = await write()
            except Fault as fault:
                failures += 1
                if self._stop.done() and self._stop.result() is Why.DRAIN:
                    raise Stopped(Why.DRAIN) from None
                await asyncio.sleep(_pause(failures, fault))
            else:
                return

    async def _abandon(self) -> None:
        """Let the job clear away what it left half-done."""
        if self._job.abandon is None:
            return
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._job.abandon(await self._open())
        except Exception as error:
            _log.warning("operation not cleared away", operation=self.record.operation_id, error=error)


class _Row:
    """Faults in a row: `failures` without getting further, and for how many `seconds` without going on for long, either.

    What was before the first of them doesn't count: a job may well wait for days, or work for as long without a checkpoint.
    """

    def __init__(self, record: OperationRecord) -> None:
        self.failures = 0
        self._first = self._last = -math.inf
        self._checkpoint, self._done = record.checkpoint, record.progress.done

    @property
    def seconds(self) -> float:
        return self._last - self._first

    def add(self, record: OperationRecord) -> None:
        """Count a fault that happened now, at what the record says."""
        now = time.monotonic()
        further = record.checkpoint != self._checkpoint or record.progress.done > self._done
        if further:
            self.failures = 0
        if further or now - self._last > _APART_SECONDS:
            self._first = now
        self.failures, self._last = self.failures + 1, now
        self._checkpoint, self._done = record.checkpoint, max(self._done, record.progress.done)


def _state_of(context: Context) -> dict[str, Any]:
    return {"checkpoint": context.checkpoint, "progress": context.progress, "failures": context.failures}


def _kept(record: OperationRecord) -> dict[str, Any]:
    return {"checkpoint": record.checkpoint, "progress": record.progress, "failures": record.failures}


def _may_pass(fault: Fault, failures: int, seconds: float) -> bool:
    """Whether it makes sense to try again after so many failures without progress, in a row of so many seconds."""
    if fault.kind not in PASSING or seconds > _PATIENCE_SECONDS:
        return False
    return fault.kind is not Kind.DEADLINE or failures < _LATE


def _pause(failures: int, fault: Fault) -> float:
    """Return seconds to wait: doubling up to half a minute, with jitter, and no less than the fault says."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures - 1, 10))
    return max(random.uniform(longest / 2, longest), min(fault.retry_after or 0.0, _LONGEST_WAIT))


def _unforeseen(record: OperationRecord) -> Fault:
    text = f"the operation failed for a reason of the platform's; tell its operators the id {record.operation_id}"
    return Fault(Kind.INTERNAL, "INTERNAL", text)
