# SPDX-License-Identifier: Apache-2.0
"""Automatic placement on a real platform: what is planned is done under writes, and then there is nothing left to plan."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from pinakes.client import document
from pinakes.core.audit.spool import Spool
from pinakes.core.faults import Fault, unavailable
from pinakes.core.operations.job import PASSING
from pinakes.core.operations.store import OperationStore
from pinakes.core.placement import beginning
from pinakes.core.placement.memory import Memory
from pinakes.core.placement.model import OWN, Why
from pinakes.core.placement.plan import Plan
from pinakes.core.tenancy.models import TenantRecord
from pinakes.worker.controller import Controller
from tests.integration._moves import Town, Traffic, settle, town

__all__ = ["town"]
SMALL = {
    "placement": "auto", "placement_dedicated_documents": 40, "placement_pool_tenants": 8, "placement_fill": 0.5,
    "placement_moves": 3, "placement_cooldown_seconds": 0.0,
}  # fmt: skip
SECONDS = 240.0


def controller(town: Town, **changes: object) -> Controller:
    """Return a controller with small thresholds, as another worker would have it."""
    settings = town.worker.settings.model_copy(update=SMALL | changes)
    return Controller(dataclasses.replace(town.worker, settings=settings))


async def all_tenants(town: Town) -> dict[str, TenantRecord]:
    """Return every tenant's record by its id."""
    page = await town.worker.directory.tenants.store.page(None, ("active",), None, 1000)
    return {record["tenant_id"]: TenantRecord.from_json(record) for record in page}


async def until_at_rest(town: Town, looking: Controller) -> list[Plan]:
    """Look again and again until something was planned, and nothing moves and nothing is planned; return the plans from then.

    A look may plan nothing: who made too much work when another looked last isn't quiet before it is looked at again. So
    a move that was begun and isn't in its tenant's record yet counts as well.
    """
    plans: list[Plan] = []
    async with asyncio.timeout(SECONDS):
        while not plans or plans[-1].moves or plans[-1].running or await at_work(town):
            for kind in ("pool", "own"):
                await town.worker.engine.call("refresh", "POST", f"/{town.settings.index_prefix}-{kind}-*/_refresh")
            try:
                plan = await looking.look()
                if plans or plan.moves:
                    plans.append(plan)
            except Fault as fault:  # an index that is being made answers nothing yet; a worker looks again, too
                assert fault.kind in PASSING, fault
            await asyncio.sleep(0.3)
    return plans


async def at_work(town: Town) -> bool:
    """Tell whether an operation of any tenant isn't done."""
    store = OperationStore(town.worker.engine)
    return any([await store.unfinished_of(record.uid) for record in (await all_tenants(town)).values()])


def emptiest(plan: Plan) -> int:
    """Return the number of the pool that is filled least."""
    return min(plan.pools, key=lambda pool: (pool.fill, pool.number)).number


async def test_a_large_tenant_gets_an_index_of_its_own_and_a_full_pool_is_split_under_writes(town: Town) -> None:
    small = [f"s-{secrets.token_hex(4)}" for _ in range(8)]
    large = f"l-{secrets.token_hex(4)}"
    async with town.admin as admin:
        for tenant in (large, *small):
            await admin.create_tenant(tenant)
        key = (await admin.create_key("service", tenant=large)).secret
        async with town.client(key) as client, town.mover():
            static = [document(f"d{n}", title=f"marble statue {n % 7}", tags=["static"]) for n in range(150)]
            await client.batch_write(static, mode="searchable")
            traffic = Traffic(client)
            writing = asyncio.create_task(traffic.run())
            looking = controller(town)
            plans = await until_at_rest(town, looking)
            traffic.stopping = True
            await writing
            await settle(town, client, traffic)
            assert traffic.acknowledged > 20
            assert traffic.searches > 5

        first = plans[0]
        assert (first.moves[0].tenant_id, first.moves[0].target, first.moves[0].why) == (large, OWN, Why.DOCUMENTS)
        assert {move.why for move in first.moves[1:]} == {Why.FULL}
        assert first.opens == {
            1: "pool 0 is full: 8 of 8 tenants",
            2: "every pool is filled to 50%, and new tenants need room",
        }
        assert max(len(plan.running) for plan in plans) <= 3
        places = {name: record.placement.active for name, record in (await all_tenants(town)).items()}
        assert not places[large].pooled
        residents = Counter(places[name].pool for name in small)
        assert residents[0] == 4, "half of what fills it"
        assert residents[1] + residents[2] == 4
        newcomer = f"n-{secrets.token_hex(4)}"
        town.server.newcomers._until = 0.0  # the look of some seconds ago is known yet
        await admin.create_tenant(newcomer)
        assert (await town.placement(newcomer)).active.pool == emptiest(plans[-1])

    # Where a tenant needs more to have an index of its own, the one that the controller gave it is taken back.
    async with town.mover():
        plans = await until_at_rest(town, controller(town, placement_dedicated_documents=10_000))
    (back,) = plans[0].moves
    assert (back.tenant_id, back.target, back.why) == (large, emptiest(plans[0]), Why.SMALL)
    assert (await town.placement(large)).active.pool == back.target


async def test_a_move_that_waits_for_a_worker_is_asked_for_once_by_two_controllers(town: Town) -> None:
    tenant = f"l-{secrets.token_hex(4)}"
    async with town.admin as admin:
        await admin.create_tenant(tenant)
        async with town.client((await admin.create_key("service", tenant=tenant)).secret) as client:
            await client.batch_write([document(f"d{n}", title="x") for n in range(50)], mode="searchable")
    for _ in range(2):  # no worker has begun it yet when another looks
        plan = await controller(town).look()
        assert tenant in {move.tenant_id for move in plan.moves}
    uid = (await town.tenant(tenant)).uid
    assert len(await _moves_of(town, uid)) == 1, "it is asked for once"
    # Nobody has begun it when they look, and yet it is known afterwards that a controller gave the index.
    assert uid in (await Memory(town.worker.engine).read()).own


async def test_no_move_is_begun_that_the_audit_log_does_not_know_of(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = f"l-{secrets.token_hex(4)}"
    async with town.admin as admin:
        await admin.create_tenant(tenant)
        async with town.client((await admin.create_key("service", tenant=tenant)).secret) as client:
            await client.batch_write([document(f"d{n}", title="x") for n in range(50)], mode="searchable")

    async def away(*_: object) -> None:
        raise unavailable("the audit log's spool")

    monkeypatch.setattr(Spool, "put", away)
    monkeypatch.setattr(beginning, "DURABLE_SECONDS", 0.2)
    with pytest.raises(Fault, match="the audit log isn't available"):
        await controller(town).look()
    assert await _moves_of(town, (await town.tenant(tenant)).uid) == []


async def _moves_of(town: Town, tenant_uid: str) -> list[str]:
    found = await OperationStore(town.worker.engine).page(tenant_uid, None, 100)
    return [record.operation_id for record in found]


async def test_work_is_read_as_processes_wrote_it_down(town: Town) -> None:
    usage = town.worker.usage
    usage.add("someone", searches=3, writes=4)
    await usage.flush()
    await town.worker.engine.call("refresh", "POST", f"/{town.settings.index_prefix}-sys-usage-*/_refresh")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert (await usage.store.work(yesterday))["someone"] == (3, 4)
    assert "someone" not in await usage.store.work(yesterday + timedelta(days=2))
