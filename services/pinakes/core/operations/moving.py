# SPDX-License-Identifier: Apache-2.0
"""Moves as operations: their parameters, for whoever asks for one and for the job that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind
from pinakes.core.tenancy.placement import DEDICATED, POOLED, Place

if TYPE_CHECKING:
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


def already_there() -> Fault:
    """Return the fault of a move to where the tenant is."""
    return Fault(Kind.PRECONDITION, "ALREADY_PLACED", "the tenant's documents are there already")
