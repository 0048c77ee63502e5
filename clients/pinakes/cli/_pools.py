# SPDX-License-Identifier: Apache-2.0
"""`pinakes placement`: how full the pools are, which tenants should be moved, and why (administrators' keys)."""

from __future__ import annotations

import sys

from pinakes.cli._session import Session, calling, plain, print_json, print_table
from pinakes.client import _names
from pinakes.v1.placement_pb2 import Place
from pinakes.v1.placement_plan_pb2 import PlacementPlan, PlannedMove, PoolState

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@calling
def placement(session: Session) -> None:
    """Tell how full the pools are and which tenants should be moved; nothing is moved by it."""
    with session.client() as client:
        plan = client.get_placement_plan()
    if session.as_json:
        print_json(plain(plan))
        return
    print_table(
        ("POOL", "FILLED", "BY", "TENANTS", "DOCUMENTS", "SIZE", "SHARDS", "LARGEST", "NEW TENANTS"), _pools(plan)
    )
    if plan.running_moves:
        rows = [(_names.last(one.tenant), _place(one.source), _place(one.target)) for one in plan.running_moves]
        print_table(("MOVING", "FROM", "TO"), rows)
    if plan.moves:
        print_table(("TENANT", "FROM", "TO", "WHEN", "WHY"), [_move(one) for one in plan.moves])
    for pool in plan.new_pools:
        sys.stderr.write(f"pool {pool.pool} should be opened: {pool.reason}\n")
    if plan.move_count > len(plan.moves):
        sys.stderr.write(f"and {plan.move_count - len(plan.moves):,} more moves\n")
    sys.stderr.write(f"{plan.summary}\n")


def _pools(plan: PlacementPlan) -> list[tuple[str, ...]]:
    return [_pool(pool) for pool in plan.pools]


def _pool(pool: PoolState) -> tuple[str, ...]:
    return (
        str(pool.pool), f"{pool.fill:.1%}", pool.measure, f"{pool.tenants:,}", f"{pool.documents:,}", _size(pool.bytes),
        str(pool.shards), _size(pool.largest_shard_bytes), "yes" if pool.open else "no",
    )  # fmt: skip


def _move(move: PlannedMove) -> tuple[str, ...]:
    return (_names.last(move.tenant), _place(move.source), _place(move.target), move.waits or "now", move.reason)


def _place(place: Place) -> str:
    return "its own" if place.kind == Place.KIND_DEDICATED else f"pool {place.pool}"


def _size(count: int) -> str:
    number, unit = float(count), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:,.1f} {_UNITS[unit]}" if unit else f"{count} B"
