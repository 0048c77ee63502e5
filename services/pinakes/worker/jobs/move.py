# SPDX-License-Identifier: Apache-2.0
"""Move: a tenant's documents brought to another index while it goes on reading and writing (design §4).

How far it is stands in the tenant's record, each step written by compare-and-set before anything is done by it; so a
worker that dies leaves nothing unknown, and another goes on at the step. Whatever a step does may be done again. Between a
step's record and its work lies the fence: after it, nobody writes by the placement of the step before.

Cancelling rolls the move back: at once before reads have changed over, by another change-over after that, and not any more
when the rollback window is over.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.moves import Compared, TenantMove
from pinakes.core.engine.revisions import CLOCK_SKEW, revision_at
from pinakes.core.faults import Fault, Kind, concurrent_change, not_found, unavailable
from pinakes.core.operations.job import Context, Job, Stopped, Why
from pinakes.core.operations.moving import already_there, target_of
from pinakes.core.operations.records import MOVE
from pinakes.core.rpc import names
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.lease import fence_seconds
from pinakes.core.tenancy.models import ACTIVE, DELETED, SUSPENDED, CollectionRecord, TenantRecord, now_ms
from pinakes.core.tenancy.placement import Place, Placement, Step
from pinakes.v1 import placement_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

Json = dict[str, Any]
LOOK_SECONDS = 0.5
# Longer than a call may take from its revision to its write, so that a look at newer revisions sees what it left half done.
UNDER_WAY_MS = 120_000
# Rounds of comparing before it is given up for now, to be begun again by the runner.
ROUNDS = 20
TASKS = ("task", "removal")
"""Names under which a move's checkpoint has the tasks of the engine that it waits for."""

_PAGE = 200
_log = logger("pinakes.move")


async def run(context: Context) -> Message:
    """Move the tenant. Parameters: `kind` and `pool` or `shards` of the target, and `window_seconds`."""
    return await Mover(context).forward()


async def undo(context: Context) -> Message | None:
    """Bring the tenant back to where it was, and return None; or, if that is too late, finish and return the answer."""
    return await Mover(context).back()


class Mover:
    """One run of a move."""

    def __init__(self, context: Context) -> None:
        """Move the context's tenant."""
        self._context = context
        self._platform = context.platform
        self._id = context.operation.operation_id
        self._work = TenantMove(context.platform.engine, context.tenant.uid)
        # Of the steps that this run has written down: when that was done.
        self._entered: dict[int, float] = {}

    # ---- the way there and back

    async def forward(self) -> Message:
        """Go on at the step that the record says, to the end."""
        while True:
            tenant = await self._tenant()
            placement = tenant.placement
            if placement.operation != self._id:
                await self._begin(tenant)
            elif placement.settled:
                if placement.back:
                    raise Fault(Kind.PRECONDITION, "MOVE_ROLLED_BACK", "the move couldn't be done, and was rolled back")
                return self._answer(placement)
            else:
                await self._step(placement)

    async def back(self) -> Message | None:
        """Undo what was done, to the end."""
        while True:
            placement = (await self._tenant()).placement
            if placement.operation != self._id:
                return None
            if placement.settled:
                return None if placement.back else self._answer(placement)
            if placement.step in {Step.PREPARING, Step.COPYING} or (
                placement.step == Step.SWITCHING and not placement.back
            ):
                await self._stop_task()
                await self._enter(placement, Step.FINISHING, back=True)
            elif placement.step == Step.WINDOW and not placement.back:
                await self._enter(placement, Step.SWITCHING, back=True)
            else:
                await self._step(placement)

    async def _step(self, placement: Placement) -> None:
        steps: dict[str, Callable[[Placement], Awaitable[None]]] = {
            Step.PREPARING: self._prepare, Step.COPYING: self._copy, Step.SWITCHING: self._switch,
            Step.WINDOW: self._keep_both, Step.FINISHING: self._finish,
        }  # fmt: skip
        await steps[placement.step](placement)

    async def _begin(self, tenant: TenantRecord) -> None:
        """Write down where it goes."""
        placement = tenant.placement
        if not placement.settled:
            raise Fault(Kind.PRECONDITION, "MOVE_RUNNING", "another move of the tenant goes on")
        target = target_of(self._context.parameters, tenant)
        if target.same(placement.active):
            raise already_there()
        await self._write(placement, placement.begun(target, self._id, now_ms()))

    # ---- steps

    async def _prepare(self, placement: Placement) -> None:
        """Make the target, or clear it of what an earlier move left."""
        target = _other(placement)
        await self._work.prepare(target)
        await self._clear(placement, target)
        await self._enter(placement, Step.COPYING)

    async def _copy(self, placement: Placement) -> None:
        """Copy everything, and compare until nothing differs."""
        source, target = placement.active, _other(placement)
        if not self._context.checkpoint.get("copied"):
            if not self._context.checkpoint.get("task"):
                await self._fence(placement)
                await self._work.refresh(source)
            await self._done(
                "task", lambda: self._work.begin_copy(source, target, self._platform.settings.move_documents_per_second)
            )
            await self._save(copied=True)
        await self._compare(placement)
        await self._enter(placement, Step.SWITCHING)

    async def _switch(self, placement: Placement) -> None:
        """See that both are the same while nothing is written that depends on what is there; then let reads change over."""
        await self._fence(placement)
        await self._compare(placement, self._context.checkpoint.get("since", 0))
        window = 0 if placement.back else round(self._context.parameters["window_seconds"] * 1000)
        await self._enter(placement, Step.WINDOW, active=_other(placement), window_ms=now_ms() + window)

    async def _keep_both(self, placement: Placement) -> None:
        """Keep the former place up to date until the window is over."""
        await self._fence(placement)
        await self._forget_answers()
        while (left := placement.window_ms - now_ms()) > 0:
            await self._context.sleep(min(left / 1000, 30.0))
        await self._enter(placement, Step.FINISHING)

    async def _finish(self, placement: Placement) -> None:
        """Remove the documents from the place that was left, where nobody writes any more."""
        await self._fence(placement)
        await self._clear(placement, _other(placement))
        await self._enter(placement, Step.SETTLED)
        _log.info(
            "tenant moved", tenant=self._context.tenant.tenant_id, rolled_back=placement.back,
            operation=self._id, epoch=placement.epoch + 1,
        )  # fmt: skip

    # ---- what steps are made of

    async def _clear(self, placement: Placement, place: Place) -> None:
        """See that there is nothing of the tenant in a place."""
        if not place.pooled:
            if placement.step == Step.FINISHING:
                await self._same(placement)
                await self._work.remove_index(place)
            return
        while await self._work.count(place):
            await self._same(placement)
            await self._done("removal", lambda: self._work.begin_removal(place))

    async def _done(self, what: str, begin: Callable[[], Awaitable[str]]) -> None:
        """Begin a task of the engine, or go on waiting for it, until it is done; begin it again if it got lost.

        Raises a fault of kind UNAVAILABLE if it failed: the runner has it begun again. What can't be asked for just now
        isn't forgotten: it may go on, and who ends the move must know it.
        """
        context = self._context
        while True:
            if not (task := context.checkpoint.get(what)):
                task = await begin()
                await self._begun(what, task)
            found = await self._work.look(task)
            if what == "task":
                await context.advance(done=found.done, total=found.total)
            if not found.finished:
                await context.sleep(LOOK_SECONDS)
                continue
            await self._save(**{what: ""})
            if found.failed:
                raise unavailable("the search engine")
            if not found.lost:
                return

    async def _compare(self, placement: Placement, since: int = 0) -> None:
        """Compare both places, and mend, until nothing differs; keep what that came to."""
        for _ in range(ROUNDS):
            begun = revision_at(now_ms() - UNDER_WAY_MS)
            found = await self._work.compare(placement.active, _other(placement), since)
            if found.many:
                await self._save(copied=False, task="")
                raise unavailable("the search engine")
            if found.mended:
                _log.info(
                    "documents differed", tenant=self._context.tenant.tenant_id, mended=found.mended, stuck=found.stuck
                )
            if found.equal:
                await self._save(since=begun, **({} if since else _kept(found)))
                return
            await self._context.sleep(LOOK_SECONDS)
        raise unavailable("the search engine")

    async def _fence(self, placement: Placement) -> None:
        """Wait until no process writes by the placement before this one."""
        seconds = fence_seconds(self._platform.settings)
        # Of a step that an earlier run has written it isn't known when.
        entered = self._entered.setdefault(placement.epoch, time.monotonic())
        while (left := entered + seconds - time.monotonic()) > 0:
            await self._context.sleep(min(left, 1.0))
            await self._context.advance()

    async def _forget_answers(self) -> None:
        """See that no answer of before is given again, in any collection."""
        after: str | None = None
        store = self._platform.directory.collections.store
        while True:
            page = await store.page(self._context.tenant.uid, ("active",), after, _PAGE)
            found = [CollectionRecord.from_json(record) for record in page]
            for one in found:
                await self._platform.cache.advance(generation_key(one.tenant_uid, one.uid))
            if len(found) < _PAGE:
                return
            after = f"{self._context.tenant.uid}/{found[-1].collection_id}"

    async def _stop_task(self) -> None:
        for what in TASKS:
            if task := self._context.checkpoint.get(what):
                await self._work.cancel(task)

    async def _begun(self, what: str, task: str) -> None:
        """Write a task down at once: who ends the move in this worker's place must know it."""
        try:
            await self._context.advance({**self._context.checkpoint, what: task}, at_once=True)
        except Stopped as stopped:
            if stopped.why is Why.LOST:
                await self._work.cancel(task)
            raise

    async def _save(self, **changes: Any) -> None:
        await self._context.advance({**self._context.checkpoint, **changes})

    # ---- the record

    async def _tenant(self) -> TenantRecord:
        """Return the tenant's record as it was last written."""
        tenant = self._context.tenant
        record = await self._platform.directory.tenants.fresh(tenant.tenant_id)
        if record is None or record.uid != tenant.uid:
            raise not_found("pinakes/Tenant", names.tenant(tenant.tenant_id))
        return record

    async def _same(self, placement: Placement) -> None:
        """Before something that can't be undone: see that the record still says so, and that the lease is held."""
        await self._context.check()
        if (await self._tenant()).placement != placement:
            raise concurrent_change("tenant")

    async def _enter(self, placement: Placement, step: Step, **changes: Any) -> None:
        await self._write(placement, placement.at(step, now_ms(), **changes))

    async def _write(self, before: Placement, after: Placement) -> None:
        """Write a placement down, if it is still the one before.

        Others find it by when it changed: by a clock that is far from the engine's they would go on by the one before.
        """
        await self._ready()
        await self._context.check()
        tenant = self._context.tenant

        def decide(now: TenantRecord | None) -> TenantRecord:
            if now is None or now.uid != tenant.uid:
                raise not_found("pinakes/Tenant", names.tenant(tenant.tenant_id))
            if now.placement != before:
                raise concurrent_change("tenant")
            return now.changed(placement=after)

        await self._platform.directory.tenants.change(tenant.tenant_id, "", "tenant", decide)
        self._entered[after.epoch] = time.monotonic()
        _log.info("move", tenant=tenant.tenant_id, step=str(after.step), operation=self._id, epoch=after.epoch)

    async def _ready(self) -> None:
        """See that this worker's clock is right; if not, another one may go on with the move."""
        try:
            await self._platform.revisions.ready()
        except Fault as fault:
            if fault.reason == CLOCK_SKEW:
                raise Stopped(Why.PAUSE) from None
            raise

    def _answer(self, placement: Placement) -> placement_pb2.MoveTenantResponse:
        kept = self._context.checkpoint
        return placement_pb2.MoveTenantResponse(
            placement=messages.placement(self._context.tenant.tenant_id, placement),
            compared_count=kept.get("count", 0), checksum=kept.get("checksum", ""),
        )  # fmt: skip


def _other(placement: Placement) -> Place:
    if placement.other is None:
        message = "the placement is settled"
        raise RuntimeError(message)
    return placement.other


def _kept(found: Compared) -> Json:
    return {"count": found.count, "checksum": found.checksum}


# A tenant that is suspended or deleted meanwhile is moved to the end all the same, or both places would be kept for it.
_STATES = frozenset({ACTIVE, SUSPENDED, DELETED})
JOB = Job(MOVE, run, undo=undo, beside=True, exclusive=True, of_tenant=True, states=_STATES)
