# SPDX-License-Identifier: Apache-2.0
"""Placement on real indices: sizes as they are, a plan of them, and where new tenants go."""

from __future__ import annotations

import asyncio

from pinakes.core.engine.sizes import Sizes
from pinakes.core.placement.memory import Look, Memory, PoolNote
from pinakes.core.placement.reading import read_facts
from pinakes.core.tenancy.marks import Mark
from pinakes.tenant.commands import tenants
from pinakes.tenant.queries.placement import read_plan
from pinakes.v1 import placement_plan_pb2, tenant_pb2
from tests.integration._placement import Deployment, deployment

__all__ = ["deployment"]


async def test_sizes_are_those_of_the_documents_and_shards_there_are(deployment: Deployment) -> None:
    parts = deployment.parts
    await deployment.tenant("many", documents=30, characters=10, deleted=5)
    await deployment.tenant("large", documents=10, characters=20_000)
    await deployment.tenant("empty")
    gone = await deployment.tenant("gone", documents=7)
    await tenants.delete(tenant_pb2.DeleteTenantRequest(name="tenants/gone"), parts, Mark.new())
    await deployment.refresh()

    facts = await read_facts(parts.engine, parts.directory, Look())
    found = {tenant.tenant_id: tenant for tenant in facts.tenants}
    assert found.keys() == {"many", "large", "empty"}
    assert {name: one.documents for name, one in found.items()} == {"many": 30, "large": 10, "empty": 0}
    assert found["large"].bytes > 3 * found["many"].bytes > 0, "by content, not by number"
    assert found["empty"].bytes == 0

    (shard,) = await Sizes(parts.engine).shards()
    (pool,) = facts.pools[0]
    assert pool.documents == 47
    assert pool.bytes == shard.bytes
    held = sum(share.bytes for share in await Sizes(parts.engine).shares(shard))
    assert abs(held - shard.bytes) <= 4, "the tenants' parts are all of it, those of deleted tenants among them"
    assert gone.uid in {share.tenant_uid for share in await Sizes(parts.engine).shares(shard)}


async def test_a_plan_is_read_with_reasons_and_changes_nothing(deployment: Deployment) -> None:
    await deployment.tenant("big", documents=45)
    for number in range(10):
        await deployment.tenant(f"small-{number}", documents=1)
    await deployment.refresh()
    plan = await read_plan(deployment.parts)
    assert plan.mode == placement_plan_pb2.PlacementPlan.MODE_PLAN
    (pool,) = plan.pools
    assert (pool.tenants, pool.documents, pool.fill, pool.measure, pool.open) == (11, 55, 1.1, "tenants", False)
    first, *others = plan.moves
    assert (first.tenant, first.reason) == (
        "tenants/big", "has 45 documents; from 40 on a tenant gets an index of its own",
    )  # fmt: skip
    assert {one.why for one in others} == {placement_plan_pb2.PlannedMove.WHY_FULL}
    assert [one.waits for one in plan.moves] == ["", "", "", "3 at once is the most", "3 at once is the most"]
    assert [(one.pool, one.reason) for one in plan.new_pools] == [(1, "pool 0 is full: 10 of 10 tenants")]
    assert plan.summary.startswith(
        "The mode is plan: nothing is moved. Automatic placement would open pool 1, and begin 3 of 5 moves: big to an"
    )
    again = await read_plan(deployment.parts)
    again.read_time.CopyFrom(plan.read_time)
    assert again == plan


async def test_new_tenants_come_to_the_emptiest_open_pool_of_the_last_look(deployment: Deployment) -> None:
    parts = deployment.parts
    assert (await deployment.tenant("first")).placement.active.pool == 0
    notes = [(0.5, True), (0.1, True), (0.0, False)]
    pools = tuple(PoolNote(number=number, fill=fill, open=opened) for number, (fill, opened) in enumerate(notes))
    assert await _remember(deployment, Look(read_ms=1, pools=pools))
    fresh = type(parts.newcomers)(parts.engine, 10)
    assert [await fresh.pool() for _ in range(6)] == [1, 1, 1, 1, 0, 1]


async def _remember(deployment: Deployment, look: Look) -> bool:
    memory = Memory(deployment.parts.engine)
    await memory.read()
    return await memory.write(look)


async def test_of_two_controllers_that_look_at_once_one_is_remembered(deployment: Deployment) -> None:
    first, second = Memory(deployment.parts.engine), Memory(deployment.parts.engine)
    await asyncio.gather(first.read(), second.read())
    assert await first.write(Look(read_ms=1))
    assert not await second.write(Look(read_ms=2))
    assert (await second.read()).read_ms == 1
