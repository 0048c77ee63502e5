# SPDX-License-Identifier: Apache-2.0
"""A placement plan as the message that administrators see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.placement.model import OWN, Plan, Planned, PoolFill, TenantFacts, Why, place_words
from pinakes.core.rpc import names
from pinakes.v1 import placement_pb2, placement_plan_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 100
_NAMED = 3
MODES = {
    "off": placement_plan_pb2.PlacementPlan.MODE_OFF,
    "plan": placement_plan_pb2.PlacementPlan.MODE_PLAN,
    "auto": placement_plan_pb2.PlacementPlan.MODE_AUTO,
}
_WHYS = {
    Why.DOCUMENTS: placement_plan_pb2.PlannedMove.WHY_DOCUMENTS,
    Why.BYTES: placement_plan_pb2.PlannedMove.WHY_BYTES,
    Why.SHARD: placement_plan_pb2.PlannedMove.WHY_SHARD,
    Why.NOISE: placement_plan_pb2.PlannedMove.WHY_NOISE,
    Why.FULL: placement_plan_pb2.PlannedMove.WHY_FULL,
    Why.SMALL: placement_plan_pb2.PlannedMove.WHY_SMALL,
}


def plan_message(plan: Plan, mode: str) -> placement_plan_pb2.PlacementPlan:
    """Return the plan's message. `mode` is the setting `placement`."""
    message = placement_plan_pb2.PlacementPlan(
        mode=MODES[mode], summary=summary(plan, mode), pools=[_pool(pool) for pool in plan.pools],
        moves=[_move(move) for move in plan.moves[:MOST]], move_count=len(plan.moves),
        running_moves=[_running(tenant) for tenant in plan.running[:MOST]], running_count=len(plan.running),
        new_pools=[
            placement_plan_pb2.PlannedPool(pool=number, reason=why) for number, why in sorted(plan.opens.items())
        ],
    )  # fmt: skip
    message.read_time.FromMilliseconds(plan.read_ms)
    return message


def summary(plan: Plan, mode: str) -> str:
    """Say in a sentence what automatic placement does now, or would do."""
    begin = (
        "Automatic placement" if mode == "auto" else f"The mode is {mode}: nothing is moved. Automatic placement would"
    )
    auto = mode == "auto"
    parts: list[str] = []
    if plan.opens:
        word = "opens" if auto else "open"
        parts.append(f"{word} {_listed([place_words(number) for number in sorted(plan.opens)])}")
    if plan.now:
        word = "begins" if auto else "begin"
        what = _listed([f"{move.tenant_id} to {place_words(move.target)}" for move in plan.now])
        parts.append(f"{word} {len(plan.now)} of {_moves(len(plan.moves))}: {what}")
    elif plan.moves:
        parts.append(f"{'leaves' if auto else 'leave'} {_moves(len(plan.moves))} waiting")
    if not parts:
        parts.append(f"{'does' if auto else 'do'} nothing: every tenant is where it belongs")
    running = f" {_moves(len(plan.running)).capitalize()} under way." if plan.running else ""
    return f"{begin} {', and '.join(parts)}.{running}"


def _moves(count: int) -> str:
    return "1 move" if count == 1 else f"{count:,} moves"


def _listed(words: Sequence[str]) -> str:
    """Return the first few of some words, and how many more there are."""
    rest = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _place(place: int) -> placement_pb2.Place:
    if place == OWN:
        return placement_pb2.Place(kind=placement_pb2.Place.KIND_DEDICATED)
    return placement_pb2.Place(kind=placement_pb2.Place.KIND_POOLED, pool=place)


def _pool(pool: PoolFill) -> placement_plan_pb2.PoolState:
    return placement_plan_pb2.PoolState(
        pool=pool.number, tenants=pool.tenants, documents=pool.documents, bytes=pool.bytes, shards=pool.shards,
        largest_shard_bytes=pool.largest_shard_bytes, fill=round(pool.fill, 6), measure=pool.measure, open=pool.open,
    )  # fmt: skip


def _move(move: Planned) -> placement_plan_pb2.PlannedMove:
    return placement_plan_pb2.PlannedMove(
        tenant=names.tenant(move.tenant_id), source=_place(move.source), target=_place(move.target), why=_WHYS[move.why],
        reason=move.reason, documents=move.documents, bytes=move.bytes, waits=move.waits,
    )  # fmt: skip


def _running(tenant: TenantFacts) -> placement_plan_pb2.RunningMove:
    target = tenant.place if tenant.target is None else tenant.target
    return placement_plan_pb2.RunningMove(
        tenant=names.tenant(tenant.tenant_id), source=_place(tenant.place), target=_place(target)
    )
