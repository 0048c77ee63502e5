# SPDX-License-Identifier: Apache-2.0
"""Reads the facts of a placement plan: real sizes from the engine, every tenant's record, what the controller remembers."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pinakes.core.engine.setup import pool_alias
from pinakes.core.engine.sizes import ShardSize, Share, Sizes
from pinakes.core.faults import unavailable
from pinakes.core.placement.memory import Look, NoiseNote
from pinakes.core.placement.model import OWN, Facts, ShardFacts, TenantFacts
from pinakes.core.tenancy.models import WHOLE, TenantRecord, now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pinakes.core.engine.client import Engine
    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.placement import Place, Placement

PAGE = 1000
_QUIET = NoiseNote(share=0.0, looks=0)
_Held = dict[tuple[int, str], tuple[int, Share]]


async def read_facts(engine: Engine, directory: Directory, look: Look) -> Facts:
    """Return everything as it is. Raises faults of kind UNAVAILABLE or DEADLINE when the engine doesn't answer.

    Tombstones count in bytes, and in the documents of an index that a tenant has for itself. What isn't all there isn't
    known to be small: without a part of a pool there are no facts, and a tenant without one of its own index stays.
    """
    read_ms, sizes = now_ms(), Sizes(engine)
    by_alias = await _whole(sizes)
    pools: dict[int, tuple[ShardFacts, ...]] = {}
    held: _Held = {}
    for alias, shards in by_alias.items():
        number = _pool_number(engine.prefix, alias)
        if number is None:
            continue
        if not shards:
            raise unavailable("the search engine")
        facts: list[ShardFacts] = []
        for shard in sorted(shards, key=lambda one: one.number):
            shares = await sizes.shares(shard)
            held |= {(number, share.tenant_uid): (shard.number, share) for share in shares}
            facts.append(ShardFacts(documents=sum(share.documents for share in shares), bytes=shard.bytes))
        pools[number] = tuple(facts)
    tenants = [_tenant(engine.prefix, record, held, by_alias, look) async for record in _records(directory)]
    draining = frozenset(note.number for note in look.pools if note.draining)
    return Facts(read_ms, pools, tuple(tenants), draining)


async def _whole(sizes: Sizes) -> dict[str, list[ShardSize]]:
    """Return the shards of each document index by its alias; none where one of them is away."""
    declared = await sizes.declared()
    found: defaultdict[str, list[ShardSize]] = defaultdict(list)
    for shard in await sizes.shards():
        found[shard.alias].append(shard)
    return {alias: found[alias] if len(found[alias]) >= count else [] for alias, count in declared.items()}


async def _records(directory: Directory) -> AsyncIterator[TenantRecord]:
    """Yield the record of every tenant that isn't deleted, suspended ones too."""
    after: str | None = None
    while True:
        page = await directory.tenants.store.page(None, tuple(WHOLE), after, PAGE)
        for record in page:
            yield TenantRecord.from_json(record)
        if len(page) < PAGE:
            return
        after = page[-1]["tenant_id"]


def _tenant(
    prefix: str, record: TenantRecord, held: _Held, by_alias: dict[str, list[ShardSize]], look: Look
) -> TenantFacts:
    here, there = _ends(record.placement)
    place = _number(here)
    noise, shards = look.noise.get(record.uid, _QUIET), by_alias.get(here.alias(prefix), [])
    if place == OWN:
        shard, documents, size = 0, sum(one.documents for one in shards), sum(one.bytes for one in shards)
    else:
        shard, share = held.get((place, record.uid), (0, Share(record.uid, 0, 0)))
        documents, size = share.documents, share.bytes
    return TenantFacts(
        tenant_id=record.tenant_id, uid=record.uid, place=place, target=None if there is None else _number(there), shard=shard, documents=documents,
        bytes=size, moved_ms=record.placement.since_ms, returns=record.uid in look.own, fixed=not (record.active and shards), noise=noise.share,
        noisy_looks=noise.looks,
    )  # fmt: skip


def _ends(placement: Placement) -> tuple[Place, Place | None]:
    """Return where a tenant is, and where it is being moved to; one that is rolled back goes to where it came from."""
    if placement.settled or placement.source is None or placement.target is None:
        return placement.active, None
    ends = placement.source, placement.target
    return ends[::-1] if placement.back else ends


def _number(place: Place) -> int:
    return place.pool if place.pooled else OWN


def _pool_number(prefix: str, alias: str) -> int | None:
    """Return the number of a pool by its alias, None if it isn't one's."""
    number = alias.rpartition("-")[2]
    return int(number) if number.isdigit() and pool_alias(prefix, int(number)) == alias else None
