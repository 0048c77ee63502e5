# SPDX-License-Identifier: Apache-2.0
"""What has run out goes: expired documents, tombstones beyond the horizon; and nothing else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pinakes.client import AsyncClient, NotFound, document
from pinakes.client._documents import duration
from pinakes.core.engine import maintenance as burying
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document, revision_ms
from pinakes.core.engine.maintenance import GRACE_MS, Maintenance
from pinakes.core.engine.records import Stored
from pinakes.core.engine.revisions import SLOT_BITS
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.lifecycle import erasing
from pinakes.core.operations.store import OperationStore
from pinakes.core.platform import Platform as Parts
from pinakes.core.tenancy.directory import collection_rid, former_rid
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import ACTIVE, ERASED, CollectionRecord, TenantRecord
from pinakes.core.writing import changes
from pinakes.core.writing.apply import apply
from pinakes.core.writing.changes import Change
from pinakes.core.writing.failures import FailedWrites
from pinakes.local import Platform
from pinakes.queue.v1 import entry_pb2
from pinakes.tenant.commands import tenants
from pinakes.v1 import lifecycle_pb2, resources_pb2, tenant_pb2
from pinakes.v1.resources_pb2 import Collection
from pinakes.worker import sweeper
from pinakes.worker.retention import Retentions
from pinakes.worker.sweeper import Turn, sweep
from tests.integration._engine import Direct, direct
from tests.integration._operations import Bench, Home, bench
from tests.integration._servers import SERVING, free_port, new_tenant, open_channel, running, until_health
from tests.integration._workers import parts, settings_of

__all__ = ["bench", "direct", "parts"]


def expiring(seconds: float) -> resources_pb2.Document:
    """Return a document that expires in so many seconds."""
    made = resources_pb2.Document(title="x")
    made.expire_time.FromMilliseconds(round((time.time() + seconds) * 1000))
    return made


async def nobody() -> list[str]:
    """Return the tenants that are being moved."""
    return []


async def test_expired_documents_become_tombstones_without_content(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    scope = await direct.scope(tenant)
    times = {"over": -GRACE_MS / 1000 - 5, "just": -1.0, "later": 3600.0}
    puts = []
    for name, seconds in times.items():
        revision = parts.revisions.next()
        body = compile_document(expiring(seconds), scope.owner, Direct.schema(), name, revision, 1_700_000_000_000)
        puts.append(Put(name, body))
    await scope.bulk(puts, searchable=True)
    await sweep(parts)
    over, just, later = await scope.mget(list(times))
    assert over is not None
    assert over.source["deleted"]
    assert not {"title_en", "content", "words"} & over.source.keys()
    assert over.revision > puts[0].revision
    assert just is not None
    assert not just.source.get("deleted"), "clocks differ a little, and searches hide it already"
    assert later is not None
    assert not later.source.get("deleted")
    # The tombstone stands: the same write again doesn't bring it back.
    (again,) = await scope.bulk([puts[0]], searchable=False)
    assert again.status == 409


async def test_outlived_documents_are_hidden_at_once_and_become_tombstones_without_content(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    """The third was changed long ago too, but in a collection that keeps documents for ever."""
    tenant = await new_tenant(platform)
    minute = timedelta(minutes=1)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        for name in ("kept", "for-a-time"):
            await client.create_collection(name, retention=minute if name == "for-a-time" else None)
        scopes = {name: await direct.scope(tenant, name) for name in ("kept", "for-a-time")}
        writes = [
            ("for-a-time", "old", 60 + GRACE_MS / 1000 + 5),
            ("for-a-time", "young", 30.0),
            ("kept", "old", 900.0),
        ]
        for collection, name, age in writes:
            scope = scopes[collection]
            revision = parts.revisions.next() - (round(age * 1_000_000) << SLOT_BITS)
            made = resources_pb2.Document(title="x")
            body = compile_document(made, scope.owner, Direct.schema(), name, revision, 1_700_000_000_000)
            await scope.bulk([Put(name, body)], searchable=True)
        # Before any sweep: what has outlived its time is neither found nor read.
        found = await client.search(collection="for-a-time")
        assert [one.document.name.rpartition("/")[2] for one in found.results] == ["young"]
        assert (await client.count_documents(collection="for-a-time")).total_size == 1
        with pytest.raises(NotFound):
            await client.get_document("old", collection="for-a-time")
        assert (await client.get_document("old", collection="kept")).title == "x"
        await sweep(parts)
        old, young = await scopes["for-a-time"].mget(["old", "young"])
        assert old is not None
        assert old.source["deleted"]
        assert not {"title_en", "content", "words"} & old.source.keys()
        assert young is not None
        assert not young.source.get("deleted")
        (kept,) = await scopes["kept"].mget(["old"])
        assert kept is not None
        assert not kept.source.get("deleted")
        # A longer time doesn't bring it back; a shorter one takes what is younger with the next sweep of the same worker.
        retentions = Retentions(parts.engine)
        await retentions.read()
        await client.update_collection(
            Collection(name=tenant.collection.replace("default", "kept"), retention=duration(600))
        )
        assert [
            one.kept_ms for one in await retentions.read() if one.collection_uid == scopes["kept"].owner.collection_uid
        ] == [600_000]
        await sweep(parts, retentions)
        (kept,) = await scopes["kept"].mget(["old"])
        assert kept is not None
        assert kept.source["deleted"]


async def keep_for(home: Home, retention_ms: int) -> None:
    """Say how long the collection keeps documents; 0 is for ever."""

    def decide(record: CollectionRecord | None) -> CollectionRecord:
        assert record is not None
        return record.changed(retention_ms=retention_ms)

    rid = collection_rid(home.tenant.uid, home.collection.collection_id)
    await home.platform.directory.collections.change(rid, home.tenant.uid, "collection", decide)


@pytest.mark.parametrize("instead_ms", [0, 3_600_000])
async def test_a_retention_that_was_a_mistake_takes_no_more_documents_once_it_is_mended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, instead_ms: int
) -> None:
    """It is mended between two pages of the sweep that it began."""
    home, names = await bench.home(), [f"d{n:02}" for n in range(12)]
    await keep_for(home, 60_000)
    revision = bench.platform.revisions.next() - (100_000_000 << SLOT_BITS)
    made = resources_pb2.Document(title="x")
    bodies = [compile_document(made, home.scope.owner, home.collection.schema(), name, revision, 1) for name in names]
    await home.scope.bulk([Put(body["id"], body) for body in bodies], searchable=True)
    bury = Maintenance._bury

    async def bury_a_page(self: Maintenance, hits: list[dict[str, Any]], next_revision: Callable[[], int]) -> int:
        buried = await bury(self, hits, next_revision)
        if buried:
            await keep_for(home, instead_ms)
        return buried

    monkeypatch.setattr(burying, "PAGE", 4)
    monkeypatch.setattr(Maintenance, "_bury", bury_a_page)
    assert (await sweep(bench.platform))["outlived"] == 4
    found = [one for one in await home.scope.mget(names) if one is not None]
    assert len([one for one in found if one.source.get("deleted")]) == 4
    assert len([one for one in found if one.source.get("title_en") == "x"]) == 8


async def purged(platform: Parts, tenant: TenantRecord) -> int:
    """Return how many events on disk say that a tenant's purge began."""
    waiting, name = await platform.audit.spool.take(1000), f'"tenants/{tenant.tenant_id}"'.encode()
    return sum(b'"tenant.purged"' in one.data and name in one.data for one in waiting)


async def test_no_tenant_is_purged_that_the_audit_log_does_not_have_on_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, operations = bench.platform, OperationStore(bench.platform.engine)
    tenant = (await bench.home()).tenant
    monkeypatch.setattr(platform, "settings", platform.settings.model_copy(update={"undelete_days": 0.0}))
    await tenants.delete(tenant_pb2.DeleteTenantRequest(name=f"tenants/{tenant.tenant_id}"), platform, Mark.new())
    refused: list[object] = []

    async def nothing(events: object) -> None:
        refused.append(events)
        raise unavailable("the audit log's spool")

    with monkeypatch.context() as patch:
        patch.setattr(platform.audit.spool, "put", nothing)
        patch.setattr(sweeper, "DURABLE_SECONDS", 0.1)
        assert await sweeper.purge_tenants(platform) == 0
        assert refused
        assert not await operations.unfinished_of(tenant.uid)
    found = await platform.directory.tenants.fresh(tenant.tenant_id)
    assert found is not None
    assert not found.erase_ms

    class Killed(BaseException):
        """The worker ends here."""

    async def killed(*_: object) -> None:
        assert await purged(platform, tenant)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sweeper.erasing, "begin", killed)
        with pytest.raises(Killed):
            await sweeper.purge_tenants(platform)
    assert await sweeper.purge_tenants(platform) == 1
    (operation,) = await operations.unfinished_of(tenant.uid)
    before = await purged(platform, tenant)
    assert await sweeper.purge_tenants(platform) == 1
    assert [one.operation_id for one in await operations.unfinished_of(tenant.uid)] == [operation.operation_id]
    assert await purged(platform, tenant) == before, "it is told when it begins only"


async def with_a_copy(bench: Bench) -> tuple[TenantRecord, Stored]:
    """Return a deleted tenant whose id another should have, which failed half-way, and the copy that is left of that."""
    platform, tenant = bench.platform, (await bench.home()).tenant
    store = platform.directory.tenants.store
    await tenants.delete(tenant_pb2.DeleteTenantRequest(name=f"tenants/{tenant.tenant_id}"), platform, Mark.new())

    async def away(*_: object) -> None:
        raise unavailable("the search engine")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "replace", away)
        with pytest.raises(Fault):
            await tenants.create(tenant_pb2.CreateTenantRequest(tenant_id=tenant.tenant_id), platform, Mark.new())
    copy = await store.get(former_rid(tenant.tenant_id, tenant.uid))
    assert copy is not None
    return tenant, copy


async def test_a_tenant_that_came_back_is_not_purged_because_another_should_have_had_its_id(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, (tenant, copy) = bench.platform, await with_a_copy(bench)
    directory, name = platform.directory, f"tenants/{tenant.tenant_id}"
    await tenants.undelete(lifecycle_pb2.UndeleteTenantRequest(name=name), platform, Mark.new())
    with monkeypatch.context() as patch:
        for module in (sweeper, erasing):
            patch.setattr(module, "now_ms", lambda: copy.record["purge_ms"] + 1)
        await sweeper.purge_tenants(platform)
        assert not await purged(platform, tenant)
        # Nor if it comes back while its purge is begun.
        with pytest.raises(Fault) as caught:
            await erasing.begin(platform, TenantRecord.from_json(copy.record), erasing.PLATFORM, "its time is over")
        assert caught.value.kind is Kind.PRECONDITION
    found = await directory.any_tenant(tenant.tenant_id, tenant.uid)
    assert found is not None
    assert (found.state, found.erase_ms) == (ACTIVE, 0)
    assert not await OperationStore(platform.engine).unfinished_of(tenant.uid)
    # When another has the id after all, what is kept is the tenant as it was last.
    await tenants.delete(tenant_pb2.DeleteTenantRequest(name=name), platform, Mark.new())
    last = await directory.any_tenant(tenant.tenant_id, tenant.uid)
    await tenants.create(tenant_pb2.CreateTenantRequest(tenant_id=tenant.tenant_id), platform, Mark.new())
    assert await directory.any_tenant(tenant.tenant_id, tenant.uid) == last


async def test_no_copy_of_a_record_outlives_an_erasure(bench: Bench) -> None:
    platform, (tenant, copy) = bench.platform, await with_a_copy(bench)
    await erasing.bury(platform.engine, tenant.tenant_id, tenant.uid)
    assert await platform.directory.tenants.store.get(copy.rid) is None
    # The stub is kept when another takes the id.
    await tenants.create(tenant_pb2.CreateTenantRequest(tenant_id=tenant.tenant_id), platform, Mark.new())
    for _ in range(2):
        stub = await erasing.bury(platform.engine, tenant.tenant_id, tenant.uid)
        assert stub == await platform.directory.any_tenant(tenant.tenant_id, tenant.uid)
        assert stub.state == ERASED


async def queued() -> bool:
    """Say that older writes are queued."""
    return True


async def test_deleting_what_has_outlived_its_time_keeps_no_content(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.create_collection("short", retention=60)
        scope = await direct.scope(tenant, "short")
        revision = parts.revisions.next() - (70_000_000 << SLOT_BITS)
        body = compile_document(resources_pb2.Document(title="x"), scope.owner, Direct.schema(), "a", revision, 1)
        await scope.bulk([Put("a", body)], searchable=True)
        # As with older writes in the queue, against which a deletion must stand.
        await apply(scope, [changes.deletion("a", parts.revisions.next())], queued, searchable=False)
        (found,) = await scope.mget(["a"])
        assert found is not None
        assert found.source["deleted"]
        assert not {"title_en", "content", "words"} & found.source.keys()
        with pytest.raises(NotFound):
            await client.undelete_document("a", collection="short")


async def test_a_document_that_is_written_again_while_it_is_buried_stays(parts: Parts, platform: Platform) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.put_document(document("a", title="old"), mode="searchable")
        maintenance = Maintenance(parts.engine, nobody)
        found = await parts.engine.call(
            "test", "POST", f"/{parts.engine.prefix}-pool-*/_search",
            body={"query": {"bool": {"filter": [{"term": {"id": "a"}}, {"term": {"tenant": (await tenant_uid(parts, tenant.tenant_id))}}]}}, "seq_no_primary_term": True},
        )  # fmt: skip
        await client.put_document(document("a", title="new"))
        assert await maintenance._bury(found["hits"]["hits"], parts.revisions.next) == 0  # the moment between two steps
        assert (await client.get_document("a")).title == "new"


async def tenant_uid(parts: Parts, tenant_id: str) -> str:
    """Return a tenant's uid."""
    record = await parts.directory.tenant(tenant_id)
    assert record is not None
    return record.uid


async def test_tombstones_beyond_the_horizon_are_forgotten_and_younger_ones_are_not(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    scope = await direct.scope(tenant)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.put_document(document("a", title="x"))
        await client.delete_document("a", mode="searchable")
        assert await scope.get("a") is not None
        await Maintenance(parts.engine, nobody).forget_tombstones(days=1.0)
        assert await scope.get("a") is not None
        await Maintenance(parts.engine, nobody).forget_tombstones(days=0.0)
        assert await scope.get("a") is None


async def test_a_failed_write_is_given_up_by_when_it_was_accepted_however_often_it_fails(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    """A retry must never come when the tombstone of a later deletion has been forgotten."""
    tenant = await new_tenant(platform)
    scope = await direct.scope(tenant)
    failures = FailedWrites(parts.engine, parts.settings.tombstone_days)
    fault = Fault(Kind.INTERNAL, "NOT_INDEXABLE", "x")
    now, day = parts.revisions.next(), 86_400_000_000 << SLOT_BITS
    entry = entry_pb2.Entry(tenant_uid=scope.owner.tenant_uid, collection_uid=scope.owner.collection_uid)
    kept = [(entry, Change(name, now - age * day, b"{}", "h"), fault) for name, age in (("old", 8), ("young", 6))]
    await failures.keep(kept)
    assert [record["document_id"] for record in await failures.page(scope.owner, None, 10)] == ["old", "young"]
    await sweep(parts)
    (left,) = await failures.page(scope.owner, None, 10)
    assert left["document_id"] == "young"
    assert failures.expires_ms(left) < revision_ms(now) + 1.1 * 86_400_000


async def test_of_many_workers_one_sweeps_and_another_when_it_is_silent(platform: Platform) -> None:
    quick = await Parts.open(settings_of(platform, index_prefix="sweeping", sweep_seconds=0.3))
    try:
        await quick.prepared.wait()
        first, second = Turn(quick, "sweeper", 0.3), Turn(quick, "sweeper", 0.3)
        assert sorted(await asyncio.gather(first.taken(), second.taken())) == [False, True]
        holder, other = (first, second) if await first.taken() else (second, first)
        assert await holder.taken()
        assert not await other.taken()
        await asyncio.sleep(1.0)
        assert await other.taken()
        assert not await holder.taken()
    finally:
        await quick.close()


async def test_a_worker_that_never_found_its_engine_ends_when_it_is_asked_to(
    platform: Platform, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with running(platform, "worker", tmp_path, PINAKES_OPENSEARCH_URLS=nobody) as worker:
        async with open_channel(worker.address) as channel:
            await until_health(channel, SERVING, "liveness")
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 30.0) == 0
