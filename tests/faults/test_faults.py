# SPDX-License-Identifier: Apache-2.0
"""Nothing acknowledged is lost, nothing is there twice and nothing deleted comes back, whatever part dies at whatever moment.

The short form is one seed and a few faults; `make faults` is ten seeds and many. `PINAKES_SEED` repeats a run.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.worker.replay import replay
from tests.faults import _checks, _writers
from tests.faults._chaos import Chaos, operate
from tests.faults._ledger import Key, Ledger, Standing, seen
from tests.faults.conftest import LONG, seeds
from tests.integration._engine import Direct
from tests.integration._servers import Tenant, new_tenant
from tests.integration._workers import settings_of

TENANTS = 3
CALM_SECONDS = 3.0
PAUSE_SECONDS = 8.0 if LONG else 4.0
FAULTS = 30 if LONG else 5
LAST_CALLS_SECONDS = 60.0
WORKS: dict[str, _writers.Work] = {
    "single": _writers.single, "batch": _writers.batch, "once": _writers.once, "many": _writers.many,
    "stream": _writers.stream,
}  # fmt: skip


@dataclass(slots=True)
class Run:
    """A run and what came of it."""

    seed: int
    tenants: list[Tenant]
    ledger: Ledger
    chaos: Chaos
    tap: _checks.Tap
    began: float
    out: Callable[[str], None]
    snapshot: str = ""
    """Taken while all was well and the writers were at work."""

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.out(f"[{time.monotonic() - self.began:6.1f} s] {text}")

    def tell(self) -> None:
        """Print what has been done."""
        attempts = sum(map(len, self.ledger.attempts.values()))
        self.say(
            f"seed {self.seed}: {attempts} writes of {len(self.ledger.attempts)} documents of {len(self.tenants)} tenants"
        )
        self.say(f"acknowledged: {dict(sorted(self.ledger.acknowledged.items()))}")
        self.say(f"faults: {dict(sorted(self.chaos.done.items()))}")
        self.say(f"calls and writes that failed: {dict(sorted(self.ledger.errors.items()))}")


async def storm(platform: Platform, inside: Direct, seed: int, out: Callable[[str], None]) -> Run:
    """Let writers of all kinds go on while parts of the platform break; return when all is mended and the queue empty."""
    dice = random.Random(seed)
    tenants = [await new_tenant(platform) for _ in range(TENANTS)]
    chaos = Chaos(platform, random.Random(dice.random()), FAULTS, PAUSE_SECONDS)
    run = Run(seed, tenants, Ledger(), chaos, _checks.Tap(platform.queue_url), time.monotonic(), out)
    run.say(f"to repeat: PINAKES_SEED={seed}")
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(run.tap.open())
        writers = []
        for tenant in tenants:
            for name, work in WORKS.items():
                client = await stack.enter_async_context(AsyncClient(platform.endpoint, key=tenant.key, timeout=20))
                writer = _writers.Writer(name, tenant, client, run.ledger, random.Random(dice.random()), stop)
                writers.append(asyncio.create_task(writer.run(work), name=f"{tenant.tenant_id} {name}"))
        try:
            await asyncio.sleep(CALM_SECONDS)
            run.snapshot = await _checks.snapshot(platform, inside)
            await run.chaos.run()
            await asyncio.to_thread(operate, platform, "up")
            await asyncio.sleep(1)
        finally:
            stop.set()
            await asyncio.to_thread(operate, platform, "up")
            done, late = await asyncio.wait(writers, timeout=LAST_CALLS_SECONDS)
            for task in late:
                task.cancel()
        for task in done:
            task.result()
        assert not late, "writers whose calls never end"
    run.tell()
    await _checks.drained(platform)
    run.say("the queue is empty")
    return run


async def holds(run: Run, inside: Direct, platform: Platform, stage: str) -> dict[Key, Standing]:
    """See that all that was promised is there."""
    found = await _checks.standings(platform, inside, run.tenants, run.ledger)
    wrong = run.ledger.judge(found)
    for verdict in wrong[:20]:
        run.say(f"WRONG {verdict}")
    assert not wrong, f"{stage}, seed {run.seed}: {len(wrong)} of {len(run.ledger.attempts)} documents are wrong"
    run.say(f"{stage}: {len(found)} documents as they should be")
    return found


@pytest.mark.timeout(1200 if LONG else 300)
@pytest.mark.parametrize("seed", seeds())
async def test_what_was_acknowledged_stands_after_any_fault(
    breakable: Platform, inside: Direct, tell: Callable[[str], None], seed: int
) -> None:
    run = await storm(breakable, inside, seed, tell)
    found = await holds(run, inside, breakable, "at the end")
    await _checks.readable(breakable, inside, run.tenants, found)
    for mode in _writers.MODES:
        assert run.ledger.acknowledged[mode] > 0, f"nothing was acknowledged in mode {mode}: the run shows nothing"
    assert len(run.tap.entries) > 0
    assert not run.ledger.strange, (
        f"seed {seed}: callers were told other things than to come again: {run.ledger.strange[:5]}"
    )

    await inside.reopen()
    assert await holds(run, inside, breakable, "after the index was closed and opened") == found
    sent = await _checks.replay_bodies(inside, run.tenants, run.tap, found)
    assert await holds(run, inside, breakable, f"after {sent} old bodies came late") == found
    sent = await _checks.replay_entries(breakable, run.tap)
    # What was the same as what stood, or deleted what wasn't there, may be written now: contents stay, revisions grow.
    again = await holds(run, inside, breakable, f"after {sent} old entries were queued again")
    assert seen(again) == seen(found)
    found = again
    await _checks.lose_and_restore(inside, await _checks.snapshot(breakable, inside))
    assert await holds(run, inside, breakable, "after the pool was restored from a snapshot") == found
    await _checks.replay_bodies(inside, run.tenants, run.tap, found)
    assert await holds(run, inside, breakable, "after old bodies came late to the restored pool") == found
    await _checks.readable(breakable, inside, run.tenants, found)

    await _checks.lose_and_restore(inside, run.snapshot)
    seen_then, done_again = await replay(settings_of(breakable))
    deleted = {key for key, stands in found.items() if stands.document is None}
    restored = await _checks.standings(breakable, inside, run.tenants, run.ledger)
    back = [str(key) for key in deleted if key in restored and restored[key].document is not None]
    assert not back, f"seed {seed}: deleted after the snapshot, and there again after its restore: {back}"
    run.say(
        f"an early snapshot: {done_again} of {seen_then} deletions done again, {len(deleted)} documents stay deleted"
    )
