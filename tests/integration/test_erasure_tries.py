# SPDX-License-Identifier: Apache-2.0
"""What an erasure meets: its own failure half-way, a copy that nobody waits for any more, rows that processes hold, and late writes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from google.protobuf import json_format

from pinakes.core.engine import erasure
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.insights import InsightStore
from pinakes.core.engine.moves import TenantMove
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind
from pinakes.core.lifecycle import erasing
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import FAILED, MOVE, RUNNING, SUCCEEDED, OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.lease import PlacementLease
from pinakes.core.tenancy.models import TenantRecord, now_ms
from pinakes.core.tenancy.placement import POOL, Place
from pinakes.core.usage.ledger import Usage
from pinakes.local import Platform as Local
from pinakes.search.insight import InsightRecorder
from pinakes.search.search_ids import asked
from pinakes.v1 import lifecycle_pb2, resources_pb2
from pinakes.worker.jobs import erase_tenant
from pinakes.worker.leased import Leased
from tests.integration._erasure import Deployment, deployment

LEASE_SECONDS = 5.0
OTHER_POOL = Place(pool=1)


@pytest.fixture(scope="module")
async def made(engine: Local) -> AsyncIterator[Deployment]:
    """Open a deployment of the file's own, whose worker is this process: nobody else need be waited for."""
    patch = pytest.MonkeyPatch()
    patch.setattr(erase_tenant, "fence_seconds", lambda _: 0.2)
    async with deployment(engine) as found:
        yield found
    patch.undo()


async def begun(made: Deployment, tenant: TenantRecord, requester: str = "key:admin") -> OperationRecord:
    """Ask for the erasure of a tenant."""
    current = await made.platform.directory.any_tenant(tenant.tenant_id, tenant.uid)
    assert current is not None
    return await erasing.begin(made.platform, current, requester, f"a wish of {requester}")


async def done(made: Deployment, operation: OperationRecord) -> OperationRecord:
    """Do an operation as a worker does, to its end."""
    store = OperationStore(made.platform.engine)
    taken = await store.take(operation, "this process", LEASE_SECONDS)
    assert taken is not None
    leased = Leased(made.platform, store, erase_tenant.JOB, taken, LEASE_SECONDS)
    await leased.run()
    return leased.record


def removed(operation: OperationRecord) -> dict[str, tuple[int, str]]:
    """Return what the receipt in an operation's answer says was removed."""
    answer, statement = lifecycle_pb2.EraseTenantResponse(), lifecycle_pb2.ErasureStatement()
    operation_message(operation).response.Unpack(answer)
    json_format.Parse(answer.receipt.statement, statement)
    assert statement.requester == "key:admin"
    return {one.kind: (one.count, one.checksum) for one in statement.removed}


async def test_a_receipt_after_a_try_that_failed_half_way_tells_all_that_was_there(
    made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, smooth = [await made.tenant() for _ in range(2)]
    for tenant in (failing, smooth):
        await made.fill(tenant, 300)
    whole = removed(await done(made, await begun(made, smooth)))
    remove, calls = erasure.Remains.remove_documents, 0

    async def once(self: erasure.Remains) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Fault(Kind.INTERNAL, "INTERNAL", "the search engine refused a request of the platform (400)")
        return await remove(self)

    first = await begun(made, failing)
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "AT_ONCE", 100)
        patch.setattr(erasure.Remains, "remove_documents", once)
        assert (await done(made, first)).state == FAILED
    assert 0 < await made.count(failing.uid) < 350
    assert await begun(made, failing, erasing.PLATFORM) == await OperationStore(made.platform.engine).get(
        failing.uid, first.operation_id
    ), "by itself the platform waits before it begins again"
    second = await begun(made, failing, "key:other")
    assert second.operation_id != first.operation_id
    assert await begun(made, failing, "key:other") == second
    ended = await done(made, second)
    assert ended.state == SUCCEEDED
    found = removed(ended)
    assert {kind: count for kind, (count, _) in found.items()} == {kind: count for kind, (count, _) in whole.items()}
    assert found["documents"][0] == 300


async def test_an_erasure_that_failed_often_says_so(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "TRIES", 3)
    tenant, store = await made.tenant(), OperationStore(made.platform.engine)
    for _ in range(3):
        operation = await begun(made, tenant)
        await store.change(tenant.uid, operation.operation_id, lambda now: now.changed(state=FAILED, end_ms=now_ms()))  # type: ignore[union-attr]
    with pytest.raises(Fault) as caught:
        await begun(made, tenant)
    assert (caught.value.kind, caught.value.reason) == (Kind.PRECONDITION, "ERASE_FAILED")


async def test_a_copy_whose_mover_died_writes_nothing_back(made: Deployment) -> None:
    platform, tenant = made.platform, await made.tenant()
    await made.fill(tenant, 1000)
    work, store = TenantMove(platform.engine, tenant.uid), OperationStore(platform.engine)
    await work.prepare(POOL)
    await work.prepare(OTHER_POOL)
    await work.refresh(POOL)
    task = await work.begin_copy(POOL, OTHER_POOL, 100)
    move = OperationRecord(
        operation_id=uuid.uuid4().hex[:20], tenant_uid=tenant.uid, tenant_id=tenant.tenant_id, verb=MOVE,
        state=RUNNING, holder="dead", fence=1, checkpoint={"task": task}, create_ms=now_ms(),
    )  # fmt: skip
    await store.create(move)
    operation = await begun(made, tenant)
    ended = await done(made, operation)
    assert ended.state == SUCCEEDED
    await asyncio.sleep(5.0)  # in which the copy would write two more pages
    assert await made.count(tenant.uid) == 0
    assert (await work.look(task)).finished
    assert await store.get(tenant.uid, move.operation_id) is None


async def test_rows_that_a_process_held_meanwhile_are_not_written(made: Deployment) -> None:
    platform, tenant, other = made.platform, await made.tenant(), await made.tenant()
    recorder = InsightRecorder(
        platform.settings.model_copy(update={"insight_flush_seconds": 20.0}), InsightStore(platform.engine)
    )
    usage = Usage(platform.engine, 60.0)
    for one in (tenant, other):
        recorder.searched(await made.collection(one, "default"), asked("what was asked"), 0.01, found=True)
        usage.add(one.uid, searches=1)
    assert (await done(made, await begun(made, tenant))).state == SUCCEEDED
    await recorder.close()
    await usage.close()
    kinds = {index.split("-")[1] for index in await made.everywhere(tenant.uid)}
    assert kinds == {"tenants", "deletions", "receipts", "operations"}
    assert {"insights", "usage"} <= {index.split("-")[1] for index in await made.everywhere(other.uid)}


async def test_a_server_that_was_cut_off_writes_nothing_after_an_erasure_though_it_still_knows_the_tenant(
    made: Deployment,
) -> None:
    platform, tenant = made.platform, await made.tenant()
    engine = Engine(platform.settings)
    there = Directory(engine, 3600.0)  # it isn't told of changes
    engine.placements = PlacementLease(there.tenants, 0.25)
    try:
        known = await there.tenant(tenant.tenant_id)
        assert known is not None
        collection = await made.collection(tenant, "default")
        scope = TenantScope.for_work(engine, known, collection)
        revision, document = platform.revisions.next(), resources_pb2.Document(title="x")
        put = Put("late", compile_document(document, scope.owner, collection.schema(), "late", revision, 1))
        assert (await done(made, await begun(made, tenant))).state == SUCCEEDED
        await asyncio.sleep(0.25)
        assert await there.tenant(tenant.tenant_id) == known
        for write in (scope.bulk([put], searchable=True), scope.write_if(put, None, searchable=True)):
            with pytest.raises(Fault) as caught:
                await write
            assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "TENANT_NOT_FOUND")
    finally:
        await engine.close()
    assert await made.count(tenant.uid) == 0
