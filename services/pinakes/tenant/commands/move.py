# SPDX-License-Identifier: Apache-2.0
"""What MoveTenant means: an operation that moves a tenant's documents. The job is the worker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.longrunning import operations_pb2
from google.protobuf import any_pb2

from pinakes.core.faults import invalid
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.moving import parameters_of, ready
from pinakes.core.operations.records import MOVE, OperationRecord
from pinakes.core.operations.start import Asked
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.models import now_ms
from pinakes.v1 import placement_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import TenantRecord
    from pinakes.core.tenancy.placement import Place

_LONGEST_WINDOW_SECONDS = 604_800


async def move(
    request: placement_pb2.MoveTenantRequest, tenant: TenantRecord, platform: Platform
) -> operations_pb2.Operation:
    """Start to move a tenant, or return the move that goes on if it is the same one."""
    asked = Asked(platform, MOVE, tenant, None, request, administrative=True)
    if (earlier := await asked.repeated()) is not None:
        return earlier
    wanted = _wanted(request, platform)
    found = await ready(platform, tenant, wanted)
    if isinstance(found, OperationRecord):
        return operation_message(found)
    if request.validate_only:
        return _as_it_would_begin(found.tenant, found.target)
    return await asked.start(wanted)


def _wanted(request: placement_pb2.MoveTenantRequest, platform: Platform) -> dict[str, object]:
    settings = platform.settings
    window = settings.rollback_window_seconds
    if request.HasField("rollback_window"):
        window = request.rollback_window.ToNanoseconds() / 1e9
        if not 0 <= window <= _LONGEST_WINDOW_SECONDS:
            raise invalid("rollback_window", "must be from 0 s to 604800 s")
    if request.WhichOneof("destination") == "pool":
        return parameters_of(window, pool=request.pool)
    return parameters_of(window, shards=request.dedicated.shards or settings.pool_shards)


def _as_it_would_begin(tenant: TenantRecord, target: Place) -> operations_pb2.Operation:
    """Return an operation that isn't stored, with the placement that the move would begin with."""
    placement = tenant.placement.begun(target, "", now_ms())
    answer = placement_pb2.MoveTenantResponse(placement=messages.placement(tenant.tenant_id, placement))
    packed = any_pb2.Any()
    packed.Pack(answer)
    return operations_pb2.Operation(done=True, response=packed)
