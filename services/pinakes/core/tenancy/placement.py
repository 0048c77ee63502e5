# SPDX-License-Identifier: Apache-2.0
"""Where a tenant's documents are, and how far a move of them has got (design §4, "Moving a tenant").

A placement is a field of the tenant's record. Each change of it is compare-and-set and raises its epoch; every process
writes only by a placement that it confirmed within the lease.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

Json = dict[str, Any]
POOLED, DEDICATED = "pooled", "dedicated"


class Step(StrEnum):
    """How far a move has got. Each begins when it is in the tenant's record."""

    SETTLED = "settled"
    """Nothing moves: reads and writes go to the active place."""
    PREPARING = "preparing"
    """The target is made, or cleared of what an earlier move left there."""
    COPYING = "copying"
    """Writes go to both places; what was there before is copied."""
    SWITCHING = "switching"
    """Writes go to both places, and none that depends on what is there is taken, until all processes know that."""
    WINDOW = "window"
    """Reads go to the target, writes to both places: the move can still be rolled back without copying all of it again."""
    FINISHING = "finishing"
    """Only the active place is written; the other one is emptied or removed."""


DUAL = frozenset({Step.COPYING, Step.SWITCHING, Step.WINDOW})


@dataclass(frozen=True, slots=True)
class Place:
    """An index that holds documents: a pool by its number, or a tenant's own by its name and shards.

    Pools are routed by tenant, so that a search asks one shard. A tenant's own index is routed by `_id`: by tenant, one
    shard would hold all of it.
    """

    kind: str = POOLED
    pool: int = 0
    name: str = ""
    shards: int = 0

    @property
    def pooled(self) -> bool:
        """Whether it is shared with other tenants."""
        return self.kind == POOLED

    def alias(self, prefix: str) -> str:
        """Return the alias that reads and writes go to, so that the index can be replaced behind it."""
        return f"{prefix}-pool-{self.pool:03}" if self.pooled else f"{prefix}-own-{self.name}"

    def routing(self, tenant_uid: str) -> str:
        """Return the routing of the tenant's documents here; empty for routing by `_id`."""
        return tenant_uid if self.pooled else ""

    def same(self, other: Place) -> bool:
        """Tell whether it is the same index."""
        return (self.kind, self.pool, self.name) == (other.kind, other.pool, other.name)

    @classmethod
    def from_json(cls, kept: Json) -> Self:
        """Read a stored place; fields of a newer version are passed over."""
        return cls(**_known(cls, kept))


POOL = Place()
"""The first pool, in which tenants begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a tenant's documents are.

    `active` answers reads and is what conditional writes are compared with. `source` and `target` are those of the move
    `operation`, the last one if the tenant is settled. `back` says that it is rolled back. `window_ms` is when its
    rollback window ends. `times` are the steps of the move and when each began, in ms since 1970.
    """

    active: Place = POOL
    epoch: int = 1
    step: str = Step.SETTLED
    source: Place | None = None
    target: Place | None = None
    operation: str = ""
    back: bool = False
    window_ms: int = 0
    times: tuple[tuple[str, int], ...] = ()

    @property
    def settled(self) -> bool:
        """Whether nothing moves."""
        return self.step == Step.SETTLED

    @property
    def other(self) -> Place | None:
        """The place that isn't active of a move that has begun; None if nothing moves."""
        if self.settled or self.source is None or self.target is None:
            return None
        return self.source if self.active.same(self.target) else self.target

    @property
    def partner(self) -> Place | None:
        """Where writes go beside the active place, None if only there."""
        return self.other if self.step in DUAL else None

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place that may hold documents of the tenant, the active one first."""
        return (self.active,) if self.other is None else (self.active, self.other)

    @property
    def switching(self) -> bool:
        """Whether writes that depend on what is there have to wait."""
        return self.step == Step.SWITCHING

    @property
    def since_ms(self) -> int:
        """When the present step began; 0 if it never moved."""
        return self.times[-1][1] if self.times else 0

    def begun(self, target: Place, operation: str, now: int) -> Placement:
        """Return the placement of a move that begins."""
        return dataclasses.replace(
            self, source=self.active, target=target, operation=operation, back=False, window_ms=0, times=(),
            step=Step.SETTLED,
        ).at(Step.PREPARING, now)  # fmt: skip

    def at(self, step: Step, now: int, **changes: Any) -> Placement:
        """Return the placement at another step of its move."""
        return dataclasses.replace(
            self, step=step, epoch=self.epoch + 1, times=(*self.times, (step.value, now)), **changes
        )

    @classmethod
    def from_json(cls, kept: Json) -> Placement:
        """Read a stored placement; fields of a newer version are passed over."""
        known = _known(cls, kept)
        for name in ("active", "source", "target"):
            if known.get(name) is not None:
                known[name] = Place.from_json(known[name])
        known["times"] = tuple((step, when) for step, when in known.get("times", ()))
        return cls(**known)


UNMOVED = Placement()
"""The placement of a tenant that has never moved."""


def _known(kind: type, kept: Json) -> Json:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: value for name, value in kept.items() if name in names}
