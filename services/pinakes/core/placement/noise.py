# SPDX-License-Identifier: Apache-2.0
"""Who makes too much of a pool's work: searches and writes since the last look, each tenant's part of its pool's."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pinakes.core.placement.memory import NoiseNote
from pinakes.core.placement.model import OWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pinakes.core.placement.model import TenantFacts, Thresholds


@dataclass(frozen=True, slots=True)
class Work:
    """What a tenant has done, as totals that only grow within a day."""

    searches: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The work of all tenants, by uid, and when that was read (seconds of a monotonic clock)."""

    read: float
    by_tenant: Mapping[str, Work]


_NOTHING = Work()


def noise(
    before: Totals, after: Totals, tenants: Iterable[TenantFacts], last: Mapping[str, NoiseNote], limits: Thresholds
) -> dict[str, NoiseNote]:
    """Return the tenants that make much of the work of their pools, by uid.

    A tenant with an index of its own is measured as if it were in a pool with the mean work. Where there is less than
    `noise_work` a second, nobody is disturbed.
    """
    present = [tenant for tenant in tenants if tenant.target is None]
    residents = Counter(tenant.place for tenant in present)
    seconds = max(after.read - before.read, 1e-3)
    notes: dict[str, NoiseNote] = {}
    for kind in ("searches", "writes"):
        rates = {
            # A new day begins at nothing.
            uid: max(getattr(done, kind) - getattr(before.by_tenant.get(uid, _NOTHING), kind), 0) / seconds
            for uid, done in after.by_tenant.items()
        }
        work: defaultdict[int, float] = defaultdict(float)
        for tenant in present:
            work[tenant.place] += rates.get(tenant.uid, 0.0)
        pools = [place for place in residents if place != OWN]
        mean = sum(work[place] for place in pools) / len(pools) if pools else 0.0
        for tenant in present:
            rate = rates.get(tenant.uid, 0.0)
            whole = mean + rate if tenant.place == OWN else work[tenant.place]
            disturbs = tenant.place == OWN or residents[tenant.place] > 1
            share = rate / whole if disturbs and whole >= limits.noise_work else 0.0
            if share >= limits.noise_share * limits.return_share and share > _share(notes, tenant.uid):
                looks = last[tenant.uid].looks + 1 if tenant.uid in last else 1
                notes[tenant.uid] = NoiseNote(share=round(share, 4), looks=looks if share >= limits.noise_share else 0)
    return notes


def _share(notes: Mapping[str, NoiseNote], uid: str) -> float:
    return notes[uid].share if uid in notes else 0.0
