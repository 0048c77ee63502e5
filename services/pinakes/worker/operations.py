# SPDX-License-Identifier: Apache-2.0
"""The runner of long-running operations: finds those that nobody does, takes their leases, and gives them back at the end.

Any number of workers may run it. A worker that dies says nothing: its leases run out and others go on at the checkpoints.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import Fault
from pinakes.core.operations.job import Job, Why
from pinakes.core.operations.records import CANCELLING, OperationRecord
from pinakes.core.operations.store import OperationStore, free
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import DELETED, SUSPENDED
from pinakes.worker.jobs import JOBS
from pinakes.worker.leased import Leased

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

LOOK_SECONDS = 1.0
SWEEP_SECONDS = 600.0
_log = logger("pinakes.operations")


async def run(platform: Platform, stop: asyncio.Event, jobs: Mapping[str, Job] = JOBS) -> None:
    """Do operations until `stop` is set; then save their checkpoints, give the leases back, and return."""
    await Runner(platform, jobs).run(stop)


class Runner:
    """Does up to `operations_at_once` operations, at most one of a tenant, the tenant served longest ago first.

    Beside them it does up to `moves_at_once` moves.
    """

    def __init__(self, platform: Platform, jobs: Mapping[str, Job]) -> None:
        """Begin with nothing under way."""
        settings = platform.settings
        self._platform = platform
        self._jobs = jobs
        self._store = OperationStore(platform.engine)
        self._most = settings.operations_at_once
        self._most_beside = settings.moves_at_once
        self._seconds = settings.operation_lease_seconds
        self._holder = secrets.token_hex(8)
        self._running: dict[str, tuple[Leased, asyncio.Task[None]]] = {}
        self._served: dict[str, float] = {}
        self._swept = 0.0
        self._ended = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Look for work until `stop` is set, then drain."""
        if not (self._most or self._most_beside):
            await stop.wait()
            return
        await self._platform.prepared_or(stop)
        while not stop.is_set():
            self._ended.clear()
            try:
                await self._look()
            except (Fault, EngineRefusal, TimeoutError) as error:
                _log.info("operations can't be looked for", error=error)
            except Exception:
                _log.exception("looking for operations failed")
            # An operation that has ended makes room for the next.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await _first(stop, self._ended)
        await self._drain()

    async def _look(self) -> None:
        """Tell running operations what was asked of them, and take free ones."""
        found = [record for record in await self._store.unfinished() if not await self._paused(record)]
        for record in found:
            if record.state == CANCELLING and record.rid in self._running:
                self._running[record.rid][0].stop(Why.CANCEL)
        tenants = {record.tenant_uid for record in found}
        self._served = {tenant: when for tenant, when in self._served.items() if tenant in tenants}
        for record in self._candidates(found):
            beside = self._jobs[record.verb].beside
            if self._count(beside=beside) >= (self._most_beside if beside else self._most):
                continue
            taken = await self._store.take(record, self._holder, self._seconds)
            if taken is not None:
                self._begin(taken)
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            await self._store.sweep(self._platform.settings.operation_days)

    async def _paused(self, record: OperationRecord) -> bool:
        """Whether an operation has to wait because its tenant is suspended.

        One that is under way here is stopped, also if the tenant was deleted: then who takes it next finds that, and it fails.
        """
        job = self._jobs.get(record.verb)
        if job is None or record.state == CANCELLING:
            return False
        tenant = await self._platform.directory.whole_tenant(record.tenant_id, record.tenant_uid)
        state = DELETED if tenant is None else tenant.state
        # A tenant that an erasure is under way of may be known as active still: its own record was read to begin.
        if state in job.states or state not in {SUSPENDED, DELETED}:
            return False
        if record.rid in self._running:
            self._running[record.rid][0].stop(Why.PAUSE)
        return state == SUSPENDED

    def _candidates(self, found: Iterable[OperationRecord]) -> Iterator[OperationRecord]:
        """Yield what may be taken, one of each tenant, those that waited longest for their turn first."""
        oldest_first = sorted(found, key=lambda one: (one.create_ms, one.operation_id))
        busy = {leased.record.tenant_uid for leased, _ in self._running.values() if not leased.beside}
        turns: set[tuple[str, str, str]] = set()
        chosen: dict[str, OperationRecord] = {}
        beside: list[OperationRecord] = []
        for record in oldest_first:
            job = self._jobs.get(record.verb)
            if job is None:
                continue  # a newer worker's
            if job.exclusive:
                turn = (record.tenant_uid, record.collection_uid, record.verb)
                if turn in turns:
                    continue
                turns.add(turn)
            if job.beside:
                if free(record) and record.rid not in self._running:
                    beside.append(record)
            elif free(record) and record.tenant_uid not in busy and record.tenant_uid not in chosen:
                chosen[record.tenant_uid] = record
        yield from sorted(chosen.values(), key=lambda one: (self._served.get(one.tenant_uid, 0.0), one.create_ms))
        yield from beside

    def _count(self, *, beside: bool) -> int:
        return sum(leased.beside is beside for leased, _ in self._running.values())

    def _begin(self, record: OperationRecord) -> None:
        _log.info(
            "operation taken", operation=record.operation_id, verb=record.verb, tenant=record.tenant_id,
            fence=record.fence,
        )  # fmt: skip
        leased = Leased(self._platform, self._store, self._jobs[record.verb], record, self._seconds)
        task = asyncio.create_task(leased.run(), name=f"operation {record.operation_id}")
        self._served[record.tenant_uid] = time.monotonic()
        self._running[record.rid] = (leased, task)
        task.add_done_callback(lambda ended: self._end(record.rid, ended))

    def _end(self, rid: str, task: asyncio.Task[None]) -> None:
        del self._running[rid]
        self._ended.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease runs out, and somebody takes it again.
            _log.error("operation dropped", error=error)

    async def _drain(self) -> None:
        """Stop what is under way; leases that can't be given back run out by themselves."""
        tasks = [task for _, task in self._running.values()]
        for leased, _ in self._running.values():
            leased.stop(Why.DRAIN)
        if tasks:
            await asyncio.wait(tasks)


async def _first(*events: asyncio.Event) -> None:
    """Wait for any of some events."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
