# SPDX-License-Identifier: Apache-2.0
"""Moves as operations: their parameters, for whoever asks for one and for the job that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind
from pinakes.core.operations.records import MOVE, OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.rpc import names
from pinakes.core.tenancy.placement import DEDICATED, POOLED, Place

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import TenantRecord

Json = dict[str, Any]


def parameters_of(window_seconds: float, *, pool: int | None = None, shards: int = 1) -> Json:
    """Return the parameters of a move to a pool, or to an index of the tenant's own with so many shards.

    The place that was left is kept up to date for `window_seconds`, in which the move can be rolled back.
    """
    if pool is not None:
        return {"kind": POOLED, "pool": pool, "shards": 0, "window_seconds": window_seconds}
    return {"kind": DEDICATED, "pool": 0, "shards": shards, "window_seconds": window_seconds}


def target_of(parameters: Json, tenant: TenantRecord) -> Place:
    """Return the place that a move by these parameters goes to, if it begins now."""
    if parameters["kind"] == POOLED:
        return Place(POOLED, pool=parameters["pool"])
    # A name that was never used: what comes late from an earlier move can't reach it.
    return Place(DEDICATED, name=f"{tenant.uid}-{tenant.placement.epoch}", shards=parameters["shards"])


@dataclass(frozen=True, slots=True)
class Ready:
    """A move that can be begun: the tenant as it is now, and the place that it would go to."""

    tenant: TenantRecord
    target: Place


async def ready(platform: Platform, tenant: TenantRecord, wanted: Json) -> Ready | OperationRecord:
    """Return what a move by these parameters would begin with, or the same move if it goes on already.

    Raises a fault of kind PRECONDITION if another move of the tenant goes on, or the documents are there.
    """
    fresh = await platform.directory.tenants.fresh(tenant.tenant_id) or tenant
    name = names.tenant(tenant.tenant_id)
    for running in await OperationStore(platform.engine).unfinished_of(tenant.uid):
        if running.verb != MOVE:
            continue
        if running.parameters == wanted:
            return running
        text = f"{name} is being moved; wait for it, or cancel it"
        told = {"operation": names.operation(tenant.tenant_id, running.operation_id)}
        raise Fault(Kind.PRECONDITION, "MOVE_RUNNING", text, metadata=told, resource=("pinakes/Tenant", name))
    target = target_of(wanted, fresh)
    if target.same(fresh.placement.active):
        raise already_there()
    return Ready(fresh, target)


def already_there() -> Fault:
    """Return the fault of a move to where the tenant is."""
    return Fault(Kind.PRECONDITION, "ALREADY_PLACED", "the tenant's documents are there already")
