# SPDX-License-Identifier: Apache-2.0
"""What a placement plan is made from, and what it says. Plain values: nothing here asks a store or a clock.

A place is a pool's number, or `OWN` for an index that a tenant has for itself. Sizes are bytes on disk of primary shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

OWN = -1


class Why(StrEnum):
    """Why a tenant should move."""

    DOCUMENTS = "documents"
    BYTES = "bytes"
    SHARD = "shard"
    NOISE = "noise"
    FULL = "full"
    SMALL = "small"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """From where on what happens; the settings `PINAKES_PLACEMENT_*` say more of each."""

    dedicated_documents: int
    dedicated_bytes: int
    shard_bytes: int
    pool_shards: int
    pool_documents: int
    pool_tenants: int
    fill: float
    return_share: float
    noise_share: float
    noise_looks: int
    noise_work: float
    cooldown_ms: int
    moves: int

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        """Take them from the settings."""
        return cls(
            dedicated_documents=settings.placement_dedicated_documents,
            dedicated_bytes=settings.placement_dedicated_bytes,
            shard_bytes=settings.placement_shard_bytes,
            pool_shards=settings.pool_shards,
            pool_documents=settings.placement_pool_documents,
            pool_tenants=settings.placement_pool_tenants,
            fill=settings.placement_fill,
            return_share=settings.placement_return,
            noise_share=settings.placement_noise,
            noise_looks=settings.placement_noise_looks,
            noise_work=settings.placement_noise_work,
            cooldown_ms=round(settings.placement_cooldown_seconds * 1000),
            moves=settings.placement_moves,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFacts:
    """A tenant as it is.

    `shard` is the one of its pool that holds it. While it is moved, `place` is where from and `target` where to; else
    `target` is None. `moved_ms` is when a move of it last got on, 0 if it never was moved; `fixed` says that it can't be moved now. `returns` says that the controller gave it an index of its own, so
    that it may take that back. `noise` is its part of the work of its pool, or, with an index of its own, of a pool that
    it would join; `noisy_looks` how often in a row that was too much.
    """

    tenant_id: str
    uid: str
    place: int
    documents: int = 0
    bytes: int = 0
    shard: int = 0
    target: int | None = None
    moved_ms: int = 0
    returns: bool = False
    fixed: bool = False
    noise: float = 0.0
    noisy_looks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFacts:
    """A primary shard of a pool: documents in it, and what they take on disk."""

    documents: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a plan is made from: pools by number with their shards, tenants, and when that was read.

    `draining` are pools that were full at the last look or before, and weren't brought down to their mark yet.
    """

    read_ms: int
    pools: dict[int, tuple[ShardFacts, ...]]
    tenants: tuple[TenantFacts, ...]
    draining: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFill:
    """How full a pool is: the largest of its parts of what it may hold, and of what that is the part.

    `open` says that it takes new tenants, `draining` that it is, or was, full and is brought down to its mark. Tenants that are being moved count where they go.
    """

    number: int
    documents: int
    bytes: int
    tenants: int
    shards: int
    largest_shard_bytes: int
    fill: float
    measure: str
    open: bool
    draining: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A move that should happen: of which tenant, from where to where, and why, in words.

    `waits` says what it waits for; empty if it could begin now.
    """

    tenant_id: str
    uid: str
    source: int
    target: int
    why: Why
    reason: str
    documents: int
    bytes: int
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What should happen. `opens` are pools that would be made, and the words why; `running` are moves under way."""

    read_ms: int
    pools: tuple[PoolFill, ...]
    moves: tuple[Planned, ...] = ()
    opens: dict[int, str] = field(default_factory=dict)
    running: tuple[TenantFacts, ...] = ()

    @property
    def now(self) -> tuple[Planned, ...]:
        """The moves that could begin now."""
        return tuple(move for move in self.moves if not move.waits)


def place_words(place: int) -> str:
    """Return a place as people read it."""
    return "an index of its own" if place == OWN else f"pool {place}"
