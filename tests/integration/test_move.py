# SPDX-License-Identifier: Apache-2.0
"""A tenant is moved while it is written to in every mode and searched: nothing is lost, nothing comes back, nothing is old."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from pinakes.client import AsyncClient, NotFound, PinakesError, deletion, document
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.moves import TenantMove
from pinakes.core.engine.scope import TenantScope
from pinakes.core.operations.records import RUNNING, SUCCEEDED
from pinakes.core.operations.store import OperationStore
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.tenancy.placement import Step
from pinakes.v1 import placement_pb2
from tests.integration._moves import STATIC, Town, Traffic, settle, town

__all__ = ["town"]
KINDS = placement_pb2.Place
STEPS = [Step.PREPARING, Step.COPYING, Step.SWITCHING, Step.WINDOW, Step.FINISHING]


@dataclass(slots=True)
class House:
    """A tenant with documents that don't change, and some that were deleted."""

    town: Town
    tenant_id: str
    client: AsyncClient

    async def record(self) -> TenantRecord:
        """Read the tenant's record."""
        return await self.town.tenant(self.tenant_id)

    async def move(self, **where: object) -> str:
        """Ask for a move, and return the operation's id."""
        async with self.town.admin as admin:
            return (await admin.move_tenant(self.tenant_id, **where)).operation_id  # type: ignore[arg-type]

    async def moved(self, operation_id: str) -> placement_pb2.MoveTenantResponse:
        """Wait until a move is done, and return its result."""
        async with self.town.admin as admin:
            done = await admin.wait_operation(operation_id, tenant=self.tenant_id, timeout=240, poll=0.5)
        answer = done.result()
        assert isinstance(answer, placement_pb2.MoveTenantResponse)
        return answer

    async def reached(self, steps: Sequence[Step]) -> str:
        """Wait until the tenant's move is at one of these steps, in the middle of it if it is copying, and return which."""
        at = await self.town.until(self.tenant_id, lambda now: now.step in steps)
        if at.step == Step.COPYING:
            assert at.target is not None
            record, target = await self.record(), at.target.alias(self.town.settings.index_prefix)
            async with asyncio.timeout(30):
                while not (copied := (await self.town.unchanged(target, record))[0]):
                    await asyncio.sleep(0.05)
            assert copied < STATIC
        return at.step

    async def own_indices(self) -> list[str]:
        """Return the indices that are the tenant's own."""
        path = f"/{self.town.settings.index_prefix}-own-{(await self.record()).uid}-*/_alias"
        return list(await self.town.worker.engine.call("look", "GET", path))


@asynccontextmanager
async def house(town: Town) -> AsyncIterator[House]:
    """Make a tenant."""
    tenant_id = f"t-{uuid.uuid4().hex[:10]}"
    async with town.admin as admin:
        await admin.create_tenant(tenant_id)
        key = (await admin.create_key("service", tenant=tenant_id)).secret
    async with town.client(key) as client:
        documents = [
            document(
                f"s{n:03}",
                title=f"marble statue {n % 7}",
                body="of a " + "very " * (n % 5) + "old kind",
                tags=["static"],
            )
            for n in range(STATIC)
        ]
        await client.batch_write(documents)
        await client.batch_write([document(f"d{n}", title="dead", tags=["dead"]) for n in range(20)])
        await client.batch_write([deletion(f"d{n}") for n in range(20)], mode="searchable")
        yield House(town, tenant_id, client)


async def test_a_tenant_moves_under_writes_in_every_mode_and_searches_to_every_kind_of_place(town: Town) -> None:
    async with house(town) as home, town.mover():
        record = await home.record()
        traffic = Traffic(home.client)
        task = asyncio.create_task(traffic.run())
        prefix = town.settings.index_prefix
        counts: list[int] = []
        for where in ({"shards": 2}, {"pool": 0}, {"pool": 1}):
            left = (await home.record()).placement.active
            answer = await home.moved(await home.move(**where))
            placement = (await home.record()).placement
            assert placement.step == Step.SETTLED
            assert answer.placement.place.kind == (KINDS.KIND_POOLED if "pool" in where else KINDS.KIND_DEDICATED)
            assert answer.compared_count >= STATIC + 20, "tombstones are moved, too"
            assert len(answer.checksum) == 32
            counts.append(traffic.acknowledged)
            indices = await home.own_indices()
            if left.pooled:
                assert await town.count(left.alias(prefix), record) == 0, "nothing is left behind"
            else:
                assert not indices
            if not placement.active.pooled:
                assert len(indices) == 1
        traffic.stopping = True
        await task
        await settle(town, home.client, traffic)
        assert counts == sorted(set(counts)), "it was written to all the time"
        assert traffic.searches > 20
        assert set(traffic.refused) <= {"TENANT_MOVING", "UNAVAILABLE", "CONCURRENT_CHANGE", "DEADLINE_EXCEEDED"}, (
            traffic.refused
        )
        # Late writes of before the deletion are still told that they are late, wherever the tenant is.
        found = await town.worker.directory.fresh_collection(await home.record(), "default")
        assert found is not None
        scope = TenantScope.for_work(town.worker.engine, await home.record(), found)
        dead = await scope.get("d3")
        assert dead is not None
        assert dead.source["deleted"]
        (late,) = await scope.bulk(
            [Put("d3", dead.source | {"revision": dead.revision - 1, "deleted": False})], searchable=False
        )
        assert late.status == 409


async def test_a_worker_that_is_killed_at_any_step_leaves_a_move_that_another_finishes(town: Town) -> None:
    async with house(town) as home:
        record, prefix = await home.record(), town.settings.index_prefix
        pool = record.placement.active.alias(prefix)
        before = await town.unchanged(pool, record)
        assert before[0] == STATIC + 20
        traffic = Traffic(home.client)
        task = asyncio.create_task(traffic.run())
        operation = await home.move(shards=1)
        killed: list[str] = []
        holders: set[str] = set()
        while killed[-1:] != [Step.FINISHING]:
            with town.process(per_second=40) as worker:
                step = await home.reached(STEPS[STEPS.index(Step(killed[-1])) + 1 :] if killed else STEPS)
                assert worker.poll() is None
                worker.kill()
                worker.wait()
            killed.append(step)
            left = await town.operation(record, operation)
            holders.add(left.holder)
            assert (left.state, left.fence, len(holders)) == (RUNNING, len(killed), len(killed)), "each took it anew"
        with town.process(per_second=40):
            answer = await home.moved(operation)
        traffic.stopping = True
        await task
        assert killed in (STEPS, STEPS[1:]), "the first step may be over before it is seen"
        done = await town.operation(record, operation)
        assert (done.state, done.fence) == (SUCCEEDED, len(killed) + 1)
        await settle(town, home.client, traffic)
        placement = (await home.record()).placement
        assert [step for step, _ in placement.times] == [*STEPS, "settled"]
        assert not placement.active.pooled
        assert answer.compared_count >= before[0]
        assert await town.unchanged(placement.active.alias(prefix), record) == before
        assert await town.count(pool, record) == 0
        assert len(await home.own_indices()) == 1
        assert not await town.copies()


@pytest.mark.parametrize(("step", "where"), [(Step.COPYING, {"pool": 1}), (Step.WINDOW, {"shards": 1})])
async def test_a_move_that_is_cancelled_after_its_worker_was_killed_is_rolled_back(
    town: Town, step: Step, where: dict[str, int]
) -> None:
    """Killed once more while it is rolled back."""
    async with house(town) as home:
        record, prefix = await home.record(), town.settings.index_prefix
        active = record.placement.active
        before = await town.unchanged(active.alias(prefix), record)
        traffic = Traffic(home.client)
        task = asyncio.create_task(traffic.run())
        operation = await home.move(**where, rollback_window=120.0)
        # A copy that nobody ends goes on for longer than the rest takes; it is known though the worker says nothing more.
        first = town.process(per_second=2, lease=6.0) if step is Step.COPYING else town.process(per_second=0)
        with first as worker:
            assert await home.reached([step]) == step
            worker.kill()
            worker.wait()
        target = (await home.record()).placement.target
        async with town.admin as admin:
            await admin.cancel_operation(operation, tenant=home.tenant_id)
            assert (await town.operation(record, operation)).fence == 1
            with town.process(per_second=0) as worker:
                await town.until(home.tenant_id, lambda now: now.back and now.step == Step.FINISHING)
                worker.kill()
                worker.wait()
            assert (await town.operation(record, operation)).fence == 2
            with town.process(per_second=0):
                done = await admin.wait_operation(operation, tenant=home.tenant_id, timeout=60, poll=0.5)
        assert (done.state, (await town.operation(record, operation)).fence) == ("cancelled", 3)
        traffic.stopping = True
        await task
        await settle(town, home.client, traffic)
        placement = (await home.record()).placement
        assert (placement.settled, placement.back, placement.active) == (True, True, active)
        assert await town.unchanged(active.alias(prefix), record) == before
        assert not await town.copies(), "no copy goes on that nobody knows of"
        assert target is not None
        assert not target.pooled or await town.count(target.alias(prefix), record) == 0
        assert not await home.own_indices()


@pytest.mark.parametrize("step", [Step.COPYING, Step.WINDOW])
async def test_a_move_that_is_cancelled_is_rolled_back_and_nothing_is_lost(town: Town, step: Step) -> None:
    async with house(town) as home, town.mover():
        before = (await home.record()).placement.active
        traffic = Traffic(home.client)
        task = asyncio.create_task(traffic.run())
        operation = await home.move(shards=1, rollback_window=60.0)
        await town.until(home.tenant_id, lambda now: now.step == step)
        async with home.town.admin as admin:
            with pytest.raises(PinakesError, match="MOVE_RUNNING"):
                await admin.move_tenant(home.tenant_id, pool=3)
            again = await admin.move_tenant(home.tenant_id, shards=1, rollback_window=60.0)
            assert again.operation_id == operation
            with pytest.raises(NotFound):
                await home.client.cancel_operation(operation)
            await admin.cancel_operation(operation, tenant=home.tenant_id)
            done = await admin.wait_operation(operation, tenant=home.tenant_id, timeout=60, poll=0.5)
        assert done.state == "cancelled"
        traffic.stopping = True
        await task
        await settle(town, home.client, traffic)
        record = await home.record()
        placement = record.placement
        assert placement.back
        assert placement.settled
        assert placement.active == before
        assert not await home.own_indices()


async def test_a_tenant_that_is_erased_while_it_moves_leaves_nothing_in_either_place(town: Town) -> None:
    async with house(town) as home, town.mover():
        record, prefix = await home.record(), town.settings.index_prefix
        traffic = Traffic(home.client)
        task = asyncio.create_task(traffic.run())
        move = await home.move(shards=1, rollback_window=60.0)
        await town.until(home.tenant_id, lambda now: now.step == Step.COPYING)
        async with town.admin as admin:
            started = await admin.erase_tenant(home.tenant_id, confirm=home.tenant_id, uid=record.uid)
            # Its records wait for the longest call that may still be under way.
            done = await admin.wait_operation(started.operation_id, tenant=home.tenant_id, timeout=150, poll=0.5)
        traffic.stopping = True
        await task
        assert done.state == "succeeded", done
        assert await town.count(f"{prefix}-pool-*", record) == 0
        assert not await town.worker.engine.call("look", "GET", f"/{prefix}-own-{record.uid}-*/_alias")
        assert await OperationStore(town.worker.engine).get(record.uid, move) is None, "the move is forgotten, too"


async def test_both_places_are_compared_by_id_and_revision_and_brought_to_the_newer_of_each(town: Town) -> None:
    async with house(town) as home:
        record = await home.record()
        pool = record.placement.active
        work = TenantMove(town.worker.engine, record.uid)
        target = record.placement.begun(pool, "x", 1).active
        other = type(pool)("dedicated", name=f"{record.uid}-9", shards=1)
        await work.prepare(other)
        found = await work.compare(target, other)
        assert found.mended == STATIC + 20
        found = await work.compare(target, other)
        assert (found.equal, found.count) == (True, STATIC + 20)
        checksum = found.checksum
        await home.client.put_document(document("s001", title="newer"))
        assert (await work.compare(target, other)).mended == 1
        found = await work.compare(other, target)
        assert found.equal
        assert found.checksum != checksum
        await work.remove_index(other)
        await work.remove_index(other)


async def test_deletions_are_replayed_to_where_their_tenant_is_by_then(town: Town) -> None:
    async with house(town) as home, town.mover():
        await home.moved(await home.move(shards=1, rollback_window=0.0))
        record = await home.record()
        own = record.placement.active.alias(town.settings.index_prefix)
        # As after a restore of a snapshot that was taken before the deletions.
        query = {"query": {"bool": {"filter": [{"term": {"tenant": record.uid}}, {"term": {"deleted": True}}]}}}
        await town.worker.engine.call(
            "lose", "POST", f"/{own}/_delete_by_query", params={"refresh": "true"}, body=query
        )
        assert await town.count(own, record) == STATIC
        await asyncio.sleep(1.5)  # until the engine has forgotten that these were there; after a restore it never knew
        await DeletionJournal(town.worker.engine).replay()
        assert await town.count(own, record) == STATIC + 20
        assert await town.count(f"{town.settings.index_prefix}-pool-000", record) == 0


async def test_a_move_is_checked_before_it_begins(town: Town) -> None:
    async with house(town) as home, town.admin as admin:
        with pytest.raises(PinakesError, match="ALREADY_PLACED"):
            await admin.move_tenant(home.tenant_id, pool=0)
        with pytest.raises(PinakesError, match="PERMISSION_DENIED"):
            await home.client.move_tenant(home.tenant_id, pool=1)
        would = (await admin.move_tenant(home.tenant_id, pool=7, validate_only=True)).result()
        assert isinstance(would, placement_pb2.MoveTenantResponse)
        assert would.placement.target.pool == 7
        assert (await home.record()).placement.settled
        assert (await admin.get_tenant(home.tenant_id)).placement.place.kind == KINDS.KIND_POOLED
        assert not (await home.client.get_tenant()).HasField("placement"), "the platform's own matter"
