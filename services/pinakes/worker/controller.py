# SPDX-License-Identifier: Apache-2.0
"""The placement controller: looks at sizes now and then, says what should move, and in `auto` mode has it moved.

Any worker may do it; of many, one does it at a time, because a record in the engine says whose turn it is. Nothing is lost
if two think that it is theirs: a move begins by compare-and-set of the tenant's record.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.setup import create_place
from pinakes.core.faults import Fault, Kind
from pinakes.core.placement.beginning import HOUR_MS, begin_move
from pinakes.core.placement.memory import Look, Memory, NoiseNote, PoolNote
from pinakes.core.placement.model import OWN, Plan, Planned, TenantFacts, Thresholds, place_words
from pinakes.core.placement.noise import Totals, Work, noise
from pinakes.core.placement.plan import make_plan
from pinakes.core.placement.reading import read_facts
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.placement import Place
from pinakes.worker.sweeper import Turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pinakes.core.platform import Platform

_log = logger("pinakes.placement")


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Look every `placement_seconds` until `stop` is set; never where placement is off."""
    seconds = platform.settings.placement_seconds
    if platform.settings.placement == "off":
        return
    mine, controller = Turn(platform, "placement", seconds), Controller(platform)
    await platform.prepared_or(stop)
    while not stop.is_set():
        try:
            if await mine.taken():
                await controller.look()
            else:
                controller.rest()
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("placement waits", error=error)
        except Exception:
            _log.exception("planning placement failed")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()


class Controller:
    """Looks, plans, and acts if it may."""

    def __init__(self, platform: Platform) -> None:
        """Begin without having seen anything."""
        self._platform = platform
        self._limits = Thresholds.of(platform.settings)
        self._memory = Memory(platform.engine)
        self._totals: Totals | None = None

    async def look(self) -> Plan:
        """Look once, and return the plan. Raises faults of the engine's."""
        before = await self._memory.read()
        facts = await read_facts(self._platform.engine, self._platform.directory, before)
        notes = await self._noise(facts.tenants, before)
        facts = replace(facts, tenants=tuple(_with_noise(tenant, notes) for tenant in facts.tenants))
        plan = make_plan(facts, self._limits)
        _tell(plan)
        own = {
            one.uid: before.own[one.uid]
            for one in facts.tenants
            # A move that waits for a worker, or for others to end, isn't in the tenant's record yet.
            if one.uid in before.own and (OWN in _places(one) or facts.read_ms - before.own[one.uid] < HOUR_MS)
        }
        opened: tuple[int, ...] = ()
        if self._platform.settings.placement == "auto":
            opened = await self._open(plan)
            own |= {move.uid: facts.read_ms for move in await self._begin(plan) if move.target == OWN}
        pools = [
            PoolNote(number=one.number, fill=round(one.fill, 6), open=one.open, draining=one.draining)
            for one in plan.pools
        ]
        pools += [PoolNote(number=number, fill=0.0, open=True) for number in opened]
        await self._memory.write(Look(read_ms=facts.read_ms, pools=tuple(pools), noise=notes, own=own))
        return plan

    def rest(self) -> None:
        """Forget what was told of pools, because another looks at them now."""
        metrics.POOL_FILL.clear()
        metrics.PLACEMENT_MOVES.clear()
        self._totals = None

    async def _open(self, plan: Plan) -> tuple[int, ...]:
        for number, why in plan.opens.items():
            await create_place(self._platform.engine, Place(pool=number))
            _log.info("pool opened", pool=number, why=why)
        return tuple(plan.opens)

    async def _begin(self, plan: Plan) -> list[Planned]:
        """Begin what can begin now, and return that. One that is refused waits for the next look."""
        begun: list[Planned] = []
        for move in plan.now:
            try:
                await begin_move(self._platform, move, plan.read_ms)
            except Fault as fault:
                if fault.kind is Kind.UNAVAILABLE:
                    raise
                metrics.PLACEMENT_STARTED.labels("refused").inc()
                _log.info("move refused", tenant=move.tenant_id, error=fault)
                continue
            metrics.PLACEMENT_STARTED.labels(move.why.value).inc()
            _log.info("move begun", tenant=move.tenant_id, to=place_words(move.target), why=move.reason)
            begun.append(move)
        return begun

    async def _noise(self, tenants: Iterable[TenantFacts], before: Look) -> dict[str, NoiseNote]:
        """Return who makes much of a pool's work since the last look; as it was where there is nothing to compare with."""
        # Two days, so that midnight takes away what is long past, and not what was done just now.
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        read, found = time.monotonic(), await self._platform.usage.store.work(yesterday)
        totals = Totals(read, {uid: Work(*done) for uid, done in found.items()})
        last, self._totals = self._totals, totals
        return before.noise if last is None else noise(last, totals, tenants, before.noise, self._limits)


def _with_noise(tenant: TenantFacts, notes: Mapping[str, NoiseNote]) -> TenantFacts:
    note = notes.get(tenant.uid)
    share, looks = (note.share, note.looks) if note is not None else (0.0, 0)
    return replace(tenant, noise=share, noisy_looks=looks)


def _places(tenant: TenantFacts) -> tuple[int, int | None]:
    return tenant.place, tenant.target


def _tell(plan: Plan) -> None:
    """Put the plan into metrics, and into the log if there is something in it."""
    metrics.POOL_FILL.clear()
    for pool in plan.pools:
        metrics.POOL_FILL.labels(str(pool.number)).set(pool.fill)
    now, waiting, running = len(plan.now), len(plan.moves) - len(plan.now), len(plan.running)
    for state, count in (("now", now), ("waiting", waiting), ("running", running)):
        metrics.PLACEMENT_MOVES.labels(state).set(count)
    if plan.moves or plan.opens:
        _log.info("placement planned", moves=len(plan.moves), now=now, running=running, opens=sorted(plan.opens))
