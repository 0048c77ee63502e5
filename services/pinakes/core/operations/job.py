# SPDX-License-Identifier: Apache-2.0
"""What a verb of long-running operations is made of: a `Job`, which the worker's runner runs with a `Context`.

A job is one coroutine that does all of the work and returns the verb's response message:

    async def run(context: Context) -> Message:
        after = context.checkpoint.get("after")             # {} at the very first start
        done = context.progress.done
        async for page in …:                                # begin where the checkpoint says
            …write the page…
            done += len(page)
            await context.advance({"after": page.last}, done=done)
        return SomeResponse(count=done)

    JOB = Job("verb", run)                                  # and into JOBS in pinakes/worker/jobs

Rules for a job:
- It may be stopped at any await and run again from its last checkpoint, by this worker or another, even while an older run
  of it still has an engine call under way. So work behind a checkpoint is done again, and must do no harm then.
- It calls `advance` after each piece of work (pages of at most a few seconds): that is where it learns that it must stop.
  `Stopped` must pass through it.
- A store that is away raises a `Fault` of a kind in `PASSING`: let it pass. The runner waits and runs the job again from the
  last checkpoint; the operation stays running. A fault of any other kind fails the operation and is what callers read.
- It has no deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Kind
from pinakes.core.operations.records import FAILURES, OperationRecord, Progress, Row
from pinakes.core.tenancy.models import ACTIVE

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord, TenantRecord

Json = dict[str, Any]
SAVE_SECONDS = 1.0
# Faults that pass by themselves: of stores that are away, of queues that are full, of others' changes.
PASSING = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED, Kind.CONFLICT})


class Why(StrEnum):
    """Why a job must stop."""

    CANCEL = "cancel"
    """Somebody asked for it: what was done stands, and nothing more is done."""
    DRAIN = "drain"
    """This worker ends: another goes on at the checkpoint."""
    PAUSE = "pause"
    """The tenant is suspended or deleted: it goes on at the checkpoint when that is over, or fails if it isn't to be."""
    LOST = "lost"
    """The lease is lost: another worker is at it already."""


class Stopped(Exception):
    """The job must stop now. Raised by `advance`, `check` and `sleep`; never caught by a job but to clean up."""

    def __init__(self, why: Why) -> None:
        """Say why."""
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Job:
    """A verb: its name as in `OperationMetadata.verb`, and what does it.

    `abandon` is called once when an operation ends without success, cancelled or failed, to clear away what is left
    half-done elsewhere (an unfinished upload); its failure is logged and changes nothing. `exclusive` verbs are done for
    one operation of a collection (or tenant) at a time, the oldest first. `beside` verbs are done beside the tenant's other
    operations, and don't count among those a worker does at once: they mostly wait. `undo` is for verbs that don't leave
    what they did by the time they are cancelled or fail: it takes it back, as long as that takes, stopped and run again
    like the job itself; if it is too late for that, it finishes the work and returns the answer.
    `whole` verbs work on all documents, also on those that the caller may not read; they must tell nothing of them.
    `of_tenant` verbs work on a tenant as a whole and have no collection. In a tenant's other `states` an operation waits
    (suspended) or fails.
    """

    verb: str
    run: Callable[[Context], Awaitable[Message]]
    abandon: Callable[[Context], Awaitable[None]] | None = None
    undo: Callable[[Context], Awaitable[Message | None]] | None = None
    beside: bool = False
    exclusive: bool = False
    whole: bool = False
    of_tenant: bool = False
    states: frozenset[str] = frozenset({ACTIVE})


class Context:
    """What a job works with.

    `operation` is the record as it was when the run began (`parameters`, ids, `fence`), `tenant` and `collection` are the
    records read then, `scope` is the collection as the caller who asked for the operation may see it, or all of it for
    `whole` verbs. Verbs `of_tenant` have neither collection nor scope.
    """

    def __init__(
        self,
        platform: Platform,
        operation: OperationRecord,
        tenant: TenantRecord,
        collection: CollectionRecord | None,
        scope: TenantScope | None,
        save: Callable[[Context], Awaitable[None]],
    ) -> None:
        """Begin at the record's checkpoint. `save` stores checkpoint, progress and failures, and raises `Stopped`."""
        self.platform = platform
        self.operation = operation
        self.tenant = tenant
        self._collection = collection
        self._scope = scope
        self._save = save
        self._checkpoint = operation.checkpoint
        self._progress = operation.progress
        self._failures = operation.failures
        self._pending: list[Row] = []
        self._pending_count = 0
        self._saved_at = time.monotonic()
        self._stop: asyncio.Future[Why] = asyncio.get_running_loop().create_future()

    # ---- for the job

    @property
    def collection(self) -> CollectionRecord:
        """The collection as it was when the run began."""
        if self._collection is None:
            message = "the verb works on a tenant, and has no collection"
            raise RuntimeError(message)
        return self._collection

    @property
    def scope(self) -> TenantScope:
        """The collection's documents."""
        if self._scope is None:
            message = "the verb works on a tenant, and has no scope"
            raise RuntimeError(message)
        return self._scope

    @property
    def parameters(self) -> Json:
        """The verb's parameters, as the server put them into the record."""
        return self.operation.parameters

    @property
    def fence(self) -> int:
        """Number of this run's lease: greater than that of every run before it."""
        return self.operation.fence

    @property
    def checkpoint(self) -> Json:
        """What `advance` was last given; `{}` at the very first start."""
        return self._checkpoint

    @property
    def progress(self) -> Progress:
        """Counts at the checkpoint."""
        return self._progress

    @property
    def failures(self) -> tuple[Row, ...]:
        """The first hundred failed rows up to the checkpoint."""
        return self._failures

    async def advance(
        self,
        checkpoint: Json | None = None,
        *,
        total: int | None = None,
        done: int | None = None,
        total_bytes: int | None = None,
        done_bytes: int | None = None,
        at_once: bool = False,
    ) -> None:
        """Say that everything up to `checkpoint` is done for good, with the counts of that moment.

        The counts are whole numbers since the beginning, not since the last call; None leaves one as it is. `failed` is
        counted by `fail_row`. Stored at most once a second, or `at_once` where what comes next couldn't be told without it.
        Raises `Stopped` when the job must stop.
        """
        if checkpoint is not None:
            self._checkpoint = checkpoint
        given = {"total": total, "done": done, "total_bytes": total_bytes, "done_bytes": done_bytes}
        counts: dict[str, int] = {name: value for name, value in given.items() if value is not None}
        self._progress = replace(self._progress, failed=self._progress.failed + self._pending_count, **counts)
        self._failures = (*self._failures, *self._pending)[:FAILURES]
        self._pending, self._pending_count = [], 0
        await self.check()
        if at_once or time.monotonic() - self._saved_at >= SAVE_SECONDS:
            await self._save(self)
            self._saved_at = time.monotonic()

    def fail_row(self, line: int, reason: str, message: str) -> None:
        """Count a row as failed and keep it if it is among the first hundred. Takes effect with the next `advance`."""
        self._pending_count += 1
        if len(self._failures) + len(self._pending) < FAILURES:
            self._pending.append(Row(line, reason, message[:500]))

    async def check(self) -> None:
        """Raise `Stopped` if the job must stop."""
        if self._stop.done():
            raise Stopped(self._stop.result())

    async def sleep(self, seconds: float) -> None:
        """Wait, and raise `Stopped` as soon as the job must stop."""
        await asyncio.wait([self._stop], timeout=seconds)
        await self.check()

    # ---- for the runner

    def stop(self, why: Why) -> None:
        """Make the job stop at its next `advance`, `check` or `sleep`."""
        if not self._stop.done():
            self._stop.set_result(why)

    @property
    def stopping(self) -> Why | None:
        """Why the job must stop, if it must."""
        return self._stop.result() if self._stop.done() else None

    async def stopped(self) -> Why:
        """Wait until the job must stop."""
        return await asyncio.shield(self._stop)
