# SPDX-License-Identifier: Apache-2.0
"""What tests of limits share: a clock that they turn, tenants with limits, and callers."""

from __future__ import annotations

from typing import Any

from pinakes.core.faults import Fault
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.limits.budget import Budget
from pinakes.core.limits.figures import InForce, KeyLimits, TenantLimits
from pinakes.core.limits.limiter import Limiter
from pinakes.core.tenancy.models import TenantRecord

OTHER = "/pinakes.v1.TenantService/GetTenant"
SEARCH = "/pinakes.v1.SearchService/Search"
WRITE = "/pinakes.v1.IndexService/BatchWriteDocuments"
DEFAULTS = InForce(requests_per_second=100.0, burst=0.0)


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def alone(clock: Clock, **changes: Any) -> Limiter:
    """Make a limiter of this process alone."""
    return Limiter(None, DEFAULTS, clock=clock, **changes)


def tenant(uid: str = "t", rate: float = 0.0, **limits: Any) -> TenantRecord:
    """Make a tenant with limits."""
    return TenantRecord(tenant_id=f"id-{uid}", uid=uid, rate_limit=rate, limits=TenantLimits(**limits))


def caller(key: str = "k", limits: KeyLimits | None = None, rate: float = 0.0) -> Principal:
    """Make the caller with a key."""
    return Principal(
        f"key:{key}", Role.SERVICE, ("id-t",), None, ("t",),
        credential=f"key:{key}", token="narrowed" if rate else "", rate=rate, limits=limits,
    )  # fmt: skip


async def allowed(budget: Budget, tries: int) -> int:
    """Count how many of some requests pass."""
    passed = 0
    for _ in range(tries):
        try:
            await budget.take(enter=False)
        except Fault:
            continue
        passed += 1
    return passed
