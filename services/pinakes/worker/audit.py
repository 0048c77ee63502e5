# SPDX-License-Identifier: Apache-2.0
"""Keeps the audit log's chain: one worker at a time puts into it what waits, and drops what is old enough."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.audit.writer import PAGE, ChainWriter
from pinakes.core.engine.audit import AuditStore
from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import Fault
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.worker.sweeper import Turn

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

# A silent worker's turn is taken over after three times as long.
TURN_SECONDS = 2.0
WAIT_SECONDS = 0.5
_PRUNE_SECONDS = 3600.0
_log = logger("pinakes.audit")


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Keep the chain until `stop` is set."""
    mine = Turn(platform, "audit", TURN_SECONDS)
    writer = ChainWriter(AuditStore(platform.engine), platform.audit.spool, platform.seal)
    await platform.prepared_or(stop)
    held, renew, prune = False, 0.0, 0.0
    while not stop.is_set():
        moved, wait = 0, WAIT_SECONDS
        try:
            now = time.monotonic()
            if now >= renew:
                before, held = held, await mine.taken()
                renew = now + TURN_SECONDS
                if not before:
                    writer.forget()
            if held:
                moved = await writer.move()
                if now >= prune:
                    await writer.prune(platform.settings.audit_days)
                    metrics.AUDIT_WAITING.set(await platform.audit.spool.waiting())
                    prune = now + _PRUNE_SECONDS
        except (Fault, EngineRefusal, TimeoutError) as error:
            held, wait = False, TURN_SECONDS
            _log.info("the audit log's chain waits", error=error)
        except Exception:
            held, wait = False, TURN_SECONDS
            _log.exception("the audit log's chain isn't written")
        if moved < PAGE:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stop.wait()
