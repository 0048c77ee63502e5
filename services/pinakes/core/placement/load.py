# SPDX-License-Identifier: Apache-2.0
"""How full pools are, now and after what is planned: the arithmetic of a placement plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinakes.core.placement.model import OWN, PoolFill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pinakes.core.placement.model import Facts, TenantFacts, Thresholds


@dataclass(slots=True)
class Load:
    """What a pool holds, or will hold when all that is planned has been done. `shards` are their sizes in bytes."""

    number: int
    documents: int
    tenants: int
    shards: list[int]

    def parts(self, limits: Thresholds) -> dict[str, float]:
        """Return what part of each thing that a pool may hold it holds."""
        return {
            "documents": self.documents / (limits.pool_documents * len(self.shards)),
            "bytes": max(self.shards) / limits.shard_bytes,
            "tenants": self.tenants / limits.pool_tenants,
        }

    def fill(self, limits: Thresholds) -> float:
        """Return the largest part."""
        return max(self.parts(limits).values())

    def add(self, tenant: TenantFacts) -> None:
        """Take a tenant in. Which shard it comes to isn't known, so it counts for the largest."""
        self.documents += tenant.documents
        self.tenants += 1
        largest = self.shards.index(max(self.shards))
        self.shards[largest] += tenant.bytes

    def remove(self, tenant: TenantFacts) -> None:
        """Let a tenant go."""
        self.documents = max(0, self.documents - tenant.documents)
        self.tenants -= 1
        self.shards[tenant.shard] = max(0, self.shards[tenant.shard] - tenant.bytes)

    def takes(self, tenant: TenantFacts, limits: Thresholds) -> bool:
        """Tell whether it stays below its fill mark with one tenant more."""
        after = Load(self.number, self.documents, self.tenants, list(self.shards))
        after.add(tenant)
        return after.fill(limits) <= limits.fill

    def told(self, limits: Thresholds, *, draining: bool) -> PoolFill:
        """Return it as it is told; `draining` says that it was full."""
        parts = self.parts(limits)
        measure = max(parts, key=parts.__getitem__)
        return PoolFill(
            number=self.number, documents=self.documents, bytes=sum(self.shards), tenants=self.tenants,
            shards=len(self.shards), largest_shard_bytes=max(self.shards), fill=parts[measure], measure=measure,
            open=parts[measure] < limits.fill,
            draining=parts[measure] >= 1.0 or (draining and parts[measure] > limits.fill),
        )  # fmt: skip


def loads(facts: Facts) -> dict[int, Load]:
    """Return what each pool holds, tenants that are being moved where they go."""
    found = {
        number: Load(number, sum(one.documents for one in shards), 0, [one.bytes for one in shards])
        for number, shards in facts.pools.items()
    }
    for tenant in facts.tenants:
        if tenant.place in found:
            found[tenant.place].tenants += 1
    for tenant in facts.tenants:
        if tenant.target is not None:
            shift(found, tenant, tenant.target)
    return found


def shift(held: dict[int, Load], tenant: TenantFacts, target: int) -> None:
    """Count a tenant at another place."""
    if tenant.place != OWN and tenant.place in held:
        held[tenant.place].remove(tenant)
    if target != OWN and target in held:
        held[target].add(tenant)


def emptiest(held: Iterable[Load], limits: Thresholds) -> Load | None:
    """Return the pool that is filled least, the first of several, or None if there is none."""
    return min(held, key=lambda one: (one.fill(limits), one.number), default=None)
