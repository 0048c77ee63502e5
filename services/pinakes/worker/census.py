# SPDX-License-Identifier: Apache-2.0
"""The census: counts every tenant's documents and bytes in the engine itself, now and then, and keeps them as the day's.

What processes believe of their own writes is never added up, so an error can't grow.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import Fault
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import WHOLE, TenantRecord
from pinakes.worker.sweeper import Turn

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

# Searches of one call: a call must end within the engine's time even if some of the tenants are large.
PAGE = 50
_log = logger("pinakes.census")


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Count every `usage_count_seconds` until `stop` is set."""
    seconds = platform.settings.usage_count_seconds
    mine = Turn(platform, "census", seconds)
    await platform.prepared_or(stop)
    while not stop.is_set():
        try:
            if await mine.taken():
                await count_all(platform)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.info("the census waits", error=error)
        except Exception:
            _log.exception("the census failed")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stop.wait()


async def count_all(platform: Platform) -> int:
    """Count what every tenant has, suspended ones too, and return how many tenants were counted."""
    store, states, counted, after = platform.usage.store, tuple(sorted(WHOLE)), 0, None
    while True:
        page = await platform.directory.tenants.store.page(None, states, after, PAGE)
        tenants = [TenantRecord.from_json(record) for record in page]
        day = datetime.now(UTC).date()
        found = await store.count(tenants)
        kept = [(tenant.uid, counts) for tenant, counts in zip(tenants, found, strict=True) if counts is not None]
        await store.keep_counts(kept, day)
        counted += len(kept)
        if len(page) < PAGE:
            return counted
        after = tenants[-1].tenant_id
