# SPDX-License-Identifier: Apache-2.0
"""Refreshing less often while a tenant's own index is loaded: each refresh makes segments that are merged later.

Only where nobody else notices: in an index that no other tenant is in, while no write in mode SEARCHABLE waits for the refresh.
Such a write says so before it waits, and the interval is short again within half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal, engine_fault
from pinakes.core.engine.mapping import REFRESH_INTERVAL
from pinakes.core.faults import Fault
from pinakes.core.telemetry.logs import logger
from pinakes.worker.jobs.patience import patiently

if TYPE_CHECKING:
    from pinakes.core.operations.job import Context
    from pinakes.core.tenancy.placement import Place

LOOK_SECONDS = 0.5
_PATIENCE = 60.0
_log = logger("pinakes.loading")


@asynccontextmanager
async def slow_refresh(context: Context) -> AsyncIterator[None]:
    """Refresh seldom meanwhile, where that may be; afterwards as ever, with all that was written to be found."""
    seconds = context.platform.settings.loading_refresh_seconds
    if not seconds:
        yield
        return
    if context.checkpoint:
        await restore_refresh(context)  # a worker that died may have left it long
    task = asyncio.create_task(_watch(context, f"{seconds}s"), name="slow-refresh")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await restore_refresh(context)


async def restore_refresh(context: Context) -> None:
    """Make the refresh interval of the tenant's own index what it is otherwise, and refresh."""
    if (place := await _own(context)) is None:
        return
    if await patiently(context, partial(_interval, context, place), _PATIENCE) != REFRESH_INTERVAL:
        await patiently(context, partial(_set, context, place, REFRESH_INTERVAL), _PATIENCE)
    await patiently(context, context.scope.refresh, _PATIENCE)


async def _watch(context: Context, slow: str) -> None:
    """Make the interval long, and short again as soon as somebody waits for it."""
    place: Place | None = None
    while True:
        try:
            wanted = await _own(context)
            if wanted is not None and await context.platform.cache.searchable_lately(context.tenant.uid):
                wanted = None
            if place is not None and (wanted is None or not wanted.same(place)):
                await _set(context, place, REFRESH_INTERVAL)
                place = None
            if wanted is not None and place is None:
                await _set(context, wanted, slow)
                place = wanted
        except Fault as fault:
            _log.info("the refresh interval stays", operation=context.operation.operation_id, error=fault)
        await asyncio.sleep(LOOK_SECONDS)


async def _own(context: Context) -> Place | None:
    """Return the tenant's own index, if all of its documents are there."""
    tenant = await context.platform.directory.whole_tenant(context.tenant.tenant_id, context.tenant.uid)
    placement = (tenant or context.tenant).placement
    return placement.active if placement.settled and not placement.active.pooled else None


async def _interval(context: Context, place: Place) -> str:
    engine = context.platform.engine
    path = f"/{place.alias(engine.prefix)}/_settings/index.refresh_interval"
    try:
        found = await engine.call("loading", "GET", path, params={"flat_settings": "true"})
    except EngineRefusal as refusal:
        raise engine_fault(refusal) from None
    return next((one["settings"].get("index.refresh_interval", "") for one in found.values()), REFRESH_INTERVAL)


async def _set(context: Context, place: Place, interval: str) -> None:
    engine = context.platform.engine
    body = {"index": {"refresh_interval": interval}}
    try:
        await engine.call("loading", "PUT", f"/{place.alias(engine.prefix)}/_settings", body=body)
    except EngineRefusal as refusal:
        raise engine_fault(refusal) from None
    _log.info(
        "refresh interval", operation=context.operation.operation_id, tenant=context.tenant.tenant_id, to=interval
    )
