# SPDX-License-Identifier: Apache-2.0
"""Begins a move that was planned, as an administrator would by MoveTenant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core import faults
from pinakes.core.audit.event import Kind
from pinakes.core.audit.log import DURABLE_SECONDS
from pinakes.core.operations.moving import parameters_of, ready
from pinakes.core.operations.records import MOVE, OperationRecord
from pinakes.core.operations.start import Asked
from pinakes.core.placement.model import OWN
from pinakes.core.rpc import names
from pinakes.v1 import placement_pb2

if TYPE_CHECKING:
    from pinakes.core.placement.model import Planned
    from pinakes.core.platform import Platform

HOUR_MS = 3_600_000


async def begin_move(platform: Platform, move: Planned, read_ms: int) -> None:
    """Store the operation that moves the tenant; a worker does it. `read_ms` is when the plan's sizes were read.

    It is in the audit log before it begins; while that takes nothing, a fault of kind UNAVAILABLE is raised.
    Raises a fault of kind PRECONDITION if the tenant isn't as the plan saw it any more. Of two controllers with the same
    plan one begins it; what fails isn't begun again within the hour.
    """
    tenant = await platform.directory.fresh_tenant(move.tenant_id)
    if tenant is None or tenant.uid != move.uid or not tenant.placement.settled:
        raise faults.Fault(
            faults.Kind.PRECONDITION, "PLAN_OUTDATED", "the tenant isn't as it was when the plan was made"
        )
    settings = platform.settings
    window = settings.rollback_window_seconds
    request = placement_pb2.MoveTenantRequest(
        name=names.tenant(tenant.tenant_id),
        request_id=f"placement-{tenant.placement.epoch}-{move.target}-{read_ms // HOUR_MS}",
    )
    if move.target == OWN:
        wanted = parameters_of(window, shards=settings.pool_shards)
        request.dedicated.shards = settings.pool_shards
    else:
        wanted = parameters_of(window, pool=move.target)
        request.pool = move.target
    asked = Asked(platform, MOVE, tenant, None, request, administrative=True)
    if await asked.repeated() is not None:
        raise faults.Fault(faults.Kind.PRECONDITION, "MOVE_TRIED", "this move was begun within the hour already")
    if isinstance(await ready(platform, tenant, wanted), OperationRecord):
        return
    # Without the tenant: its reason may tell of others in its pool, so only administrators of the platform see it.
    number = platform.audit.record(
        Kind.CHANGE, "placement.move", subject="placement controller", resource=names.tenant(tenant.tenant_id),
        reason=move.reason, details={"operation": asked.name},
    )  # fmt: skip
    if not await platform.audit.durable(number, DURABLE_SECONDS):
        raise faults.unavailable("the audit log")
    await asked.start(wanted)
