# SPDX-License-Identifier: Apache-2.0
"""What the controller remembers from one look to the next, in one record of the engine.

Creating a tenant reads it to choose a pool, and a plan reads it to know who has been noisy and who may come back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.client import EngineRefusal, engine_fault
from pinakes.core.engine.records import Conflict, RecordStore, Stored
from pinakes.core.tenancy.models import ACTIVE

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine

Json = dict[str, Any]
KIND = "placement"
_RID = "look"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNote:
    """A pool as it was at the last look: what part of it is filled, whether it takes new tenants, or is brought down."""

    number: int
    fill: float
    open: bool
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseNote:
    """A tenant that makes much of its pool's work: its part of it, and how many looks in a row that was too much."""

    share: float
    looks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The last look. `noise` and `own` are by tenant uid: `own` are those that the controller gave an index of their own, and when."""

    read_ms: int = 0
    pools: tuple[PoolNote, ...] = ()
    noise: dict[str, NoiseNote] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Return the record as it is stored."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Json) -> Look:
        """Read a stored record. Fields of a newer version are passed over: the next look writes all of it anew."""
        return cls(
            read_ms=record.get("read_ms", 0),
            pools=tuple(PoolNote(**_known(PoolNote, note)) for note in record.get("pools", ())),
            noise={uid: NoiseNote(**_known(NoiseNote, note)) for uid, note in record.get("noise", {}).items()},
            own=dict(record.get("own", {})),
        )


class Memory:
    """The record of the last look."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._store = RecordStore(engine, KIND, listed=False)
        self._stored: Stored | None = None

    async def read(self) -> Look:
        """Return the last look; an empty one if there was none. Raises a fault if it can't be known."""
        try:
            self._stored = await self._store.get(_RID)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None
        return Look() if self._stored is None else Look.from_json(self._stored.record)

    async def write(self, look: Look) -> bool:
        """Replace the look that was read. False if another has done so since: then that one stands."""
        try:
            if self._stored is None:
                self._stored = await self._store.create(_RID, "", ACTIVE, look.to_json())
            else:
                self._stored = await self._store.replace(self._stored, "", ACTIVE, look.to_json())
        except Conflict:
            return False
        return True


def _known(kind: type, record: Json) -> Json:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: value for name, value in record.items() if name in names}
