# SPDX-License-Identifier: Apache-2.0
"""Sweeps up what has run out: expired documents become tombstones, old tombstones and outcomes go for good.

Any worker may do it at any time: each step is idempotent, and a lease in the engine keeps two from doing the same at once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.maintenance import Maintenance
from pinakes.core.faults import Fault
from pinakes.core.telemetry.logs import logger
from pinakes.core.writing.failures import FailedWrites

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

_log = logger("pinakes.sweeper")


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Sweep every `sweep_seconds` until `stop` is set."""
    await platform.prepared.wait()
    settings = platform.settings
    while not stop.is_set():
        try:
            await sweep(platform)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("sweeping waits", error=str(error))
        except Exception:
            _log.exception("sweeping failed")
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.sweep_seconds):
                await stop.wait()


async def sweep(platform: Platform) -> dict[str, int]:
    """Sweep once, and return how much of each kind was swept."""
    settings = platform.settings
    await platform.revisions.ready()
    maintenance = Maintenance(platform.engine)
    done = {
        "expired": await maintenance.bury_expired(platform.revisions.next),
        "tombstones": await maintenance.forget_tombstones(settings.tombstone_days),
        "outcomes": await platform.outcomes.expire(),
        "requests": await platform.requests.expire(settings.outcome_hours),
        "journal": await DeletionJournal(platform.engine).forget(settings.journal_days),
        "failures": await FailedWrites(platform.engine, settings.tombstone_days).expire(),
    }
    if any(done.values()):
        _log.info("swept", **done)
    return done
