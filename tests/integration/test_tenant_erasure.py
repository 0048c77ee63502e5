# SPDX-License-Identifier: Apache-2.0
"""Erasing a tenant on real stores: by a worker that is killed half-way, from every store, for good, and with a receipt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf import json_format

from pinakes.client import verify_receipt, write_receipt
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.faults import Fault, Kind
from pinakes.core.lifecycle.receipts import ReceiptKey, ReceiptStore
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import ERASED, TenantRecord
from pinakes.local import Platform as Local
from pinakes.tenant.commands import lifecycle, tenants
from pinakes.v1 import lifecycle_pb2, tenant_pb2
from pinakes.worker.replay import read_receipts, replay
from tests.integration._erasure import LONGEST, Deployment, chained, deployment

DOCUMENTS = 6_000


@dataclass(slots=True)
class World:
    """What was there before, and what came of it."""

    made: Deployment
    snapshot: str
    erased: TenantRecord
    purged: TenantRecord
    other: TenantRecord
    before: str
    operation: OperationRecord
    killed_at: int
    default_uid: str
    second_uid: str

    @property
    def receipt(self) -> lifecycle_pb2.ErasureReceipt:
        """The receipt in the operation's answer."""
        answer = lifecycle_pb2.EraseTenantResponse()
        operation_message(self.operation).response.Unpack(answer)
        return answer.receipt


def erase(tenant: TenantRecord, confirm: str = "") -> lifecycle_pb2.EraseTenantRequest:
    """Return a request to erase a tenant."""
    name = f"tenants/{tenant.tenant_id}"
    return lifecycle_pb2.EraseTenantRequest(name=name, confirm=confirm or tenant.tenant_id, reason="request 4711")


@pytest.fixture(scope="module")
async def world(engine: Local, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Erase one tenant by a worker that is killed half-way and one that goes on; purge another, whose time is over."""
    folder = tmp_path_factory.mktemp("erasure")
    async with deployment(engine) as made:
        erased, purged, other = [await made.tenant() for _ in range(3)]
        await asyncio.gather(made.fill(erased, DOCUMENTS), made.fill(purged, 20), made.fill(other, 200))
        records = [await made.platform.directory.collection(erased, name) for name in ("default", "second")]
        uids = [record.uid for record in records if record is not None]
        snapshot = await _snapshot(made, engine)
        platform, before = made.platform, await made.checksum(other.uid)
        await made.fill_queue(erased)
        await tenants.delete(tenant_pb2.DeleteTenantRequest(name=f"tenants/{purged.tenant_id}"), platform, Mark.new())
        started = await lifecycle.erase(erase(erased), made.as_caller(erased), platform)
        again = await lifecycle.erase(erase(erased), made.as_caller(erased), platform)
        assert started.name == again.name, "asked for twice it is one operation"
        with made.worker(folder) as first:
            end = time.monotonic() + LONGEST
            while (left := await made.count(erased.uid)) >= DOCUMENTS:
                assert time.monotonic() < end, first.text()[-3000:]
                await asyncio.sleep(0.05)
            first.kill()
            killed_at = await made.count(erased.uid)
            assert killed_at <= left
        with made.worker(folder):
            operation = await made.erasure(erased)
            await made.erasure(purged)
        yield World(made, snapshot, erased, purged, other, before, operation, killed_at, *uids)


async def _snapshot(made: Deployment, engine: Local) -> str:
    """Take a snapshot of what can be lost and return its path."""
    place = {"type": "fs", "settings": {"location": str(engine.places.engine / "repo")}}
    await made.call("PUT", "/_snapshot/erasure", place)
    path = f"/_snapshot/erasure/s{time.time_ns()}"
    await made.call("PUT", path, {"indices": ",".join(_lost(made)), "include_global_state": False})
    async with asyncio.timeout(30):
        while (await made.call("GET", path))["snapshots"][0]["state"] != "SUCCESS":
            await asyncio.sleep(0.1)
    return path


def _lost(made: Deployment) -> list[str]:
    """Return the indices that are lost and restored: documents, and what says whose they are."""
    prefix = made.platform.engine.prefix
    return [f"{prefix}-{name}-v1" for name in ("pool-000", "sys-tenants", "sys-keys", "sys-collections")]


async def test_an_erasure_that_was_killed_half_way_is_gone_on_with(world: World) -> None:
    assert 0 < world.killed_at < DOCUMENTS, "it was killed while it removed documents"
    assert world.operation.fence > 1, "another worker went on"


async def test_nothing_of_an_erased_tenant_is_left_in_any_store_but_what_the_receipt_says(world: World) -> None:
    for tenant in (world.erased, world.purged):
        left = {index.partition("-v1")[0]: ids for index, ids in (await world.made.everywhere(tenant.uid)).items()}
        assert left == {
            "sys-tenants": [tenant.tenant_id],
            "sys-deletions": [f"erased/{tenant.uid}"],
            "sys-receipts": [tenant.uid],
            "sys-operations": left["sys-operations"],
        }
        assert len(left["sys-operations"]) == 1
    stored = await world.made.platform.directory.tenants.store.get(world.erased.tenant_id)
    assert stored is not None
    assert stored.record["state"] == ERASED
    assert "Somebody" not in repr(stored.record)


async def test_a_purge_is_in_the_audit_log_once(world: World) -> None:
    prefix, found = world.made.platform.engine.prefix, []
    end = time.monotonic() + LONGEST
    while not found:
        assert time.monotonic() < end, "nobody took it down"
        await world.made.call("POST", f"/{prefix}-sys-*/_refresh")
        answer = await world.made.call("POST", f"/{prefix}-sys-spool*,{prefix}-sys-audit*/_search", {"size": 1000})
        texts = [orjson.dumps(hit["_source"]).decode() for hit in answer["hits"]["hits"]]
        found = [text for text in texts if "tenant.purged" in text]
        await asyncio.sleep(0.1)
    assert len(found) == 1
    assert f"tenants/{world.purged.tenant_id}" in found[0]


async def test_an_erasure_leaves_other_tenants_as_they_were(world: World) -> None:
    assert await world.made.checksum(world.other.uid) == world.before
    assert world.before.partition(" ")[0] > "200"


async def test_a_receipt_tells_what_was_removed_and_can_be_checked_without_the_platform(world: World) -> None:
    key = ReceiptKey(world.made.platform.settings)
    statement = verify_receipt(world.receipt, key.public_key)
    assert (statement.uid, statement.requester, statement.reason) == (world.erased.uid, "key:admin", "request 4711")
    removed = {one.kind: one for one in statement.removed}
    assert {one.remaining for one in statement.removed} == {0}
    counts = {kind: one.count for kind, one in removed.items()}
    assert counts | {"cache_entries": 0, "queue_entries": 0} == {
        "documents": DOCUMENTS, "tombstones": 50, "collections": 2, "api_keys": 1, "failed_writes": 1, "outcomes": counts["outcomes"],
        "request_ids": 1, "insights": 1, "usage": counts["usage"], "deletions": 50, "queued_writes": 5, "cache_entries": 0,
        "queue_entries": 0,
    }  # fmt: skip
    ids = [f"{uid}/d{n:05}" for uid in (world.default_uid, world.second_uid) for n in range(DOCUMENTS // 2)]
    assert removed["documents"].checksum == chained(ids), "whoever knows the ids can count them"
    times = (statement.request_time, statement.stop_time, statement.finish_time)
    assert [one.ToNanoseconds() for one in times] == sorted(one.ToNanoseconds() for one in times)
    assert "snapshots" in {one.kind for one in statement.kept}
    assert await ReceiptStore(world.made.platform.engine).get(world.erased.uid) == world.receipt


async def test_a_receipt_that_was_changed_is_refused(world: World) -> None:
    key = ReceiptKey(world.made.platform.settings)
    good = world.receipt
    changed = lifecycle_pb2.ErasureReceipt()
    changed.CopyFrom(good)
    changed.statement = good.statement.replace('"remaining": "0"', '"remaining": "1"', 1)
    assert changed.statement != good.statement
    with pytest.raises(ValueError, match="signature is wrong"):
        verify_receipt(changed, key.public_key)
    other = ReceiptKey(world.made.platform.settings.model_copy(update={"receipt_key": _secret()}))
    with pytest.raises(ValueError, match="signed with the key"):
        verify_receipt(good, other.public_key)
    forged = other.receipt(json_format.Parse(good.statement, lifecycle_pb2.ErasureStatement()))
    forged.key_id = key.key_id
    with pytest.raises(ValueError, match="signature is wrong"):
        verify_receipt(forged, key.public_key)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{}", "signed with the key .none."),
        ("[", "isn't a receipt"),
        (None, "No such file"),
        ("forged", "or was changed"),
    ],
)
def test_what_is_no_receipt_of_this_deployment_erases_nothing(
    world: World, tmp_path: Path, text: str | None, wrong: str
) -> None:
    settings, file = world.made.platform.settings, tmp_path / "receipt.json"
    if text == "forged":
        forged = lifecycle_pb2.ErasureReceipt()
        forged.CopyFrom(world.receipt)
        forged.statement = forged.statement.replace(world.erased.uid, world.other.uid)
        text = write_receipt(forged)
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=wrong) as caught:
        read_receipts([file], settings)
    assert str(caught.value).startswith(f"{file}: ")


def _secret() -> Any:
    from pydantic import SecretStr

    return SecretStr("A" * 43)


async def test_there_is_no_way_back_and_a_tenant_of_the_id_is_another(world: World) -> None:
    platform, tenant = world.made.platform, world.erased
    request = lifecycle_pb2.UndeleteTenantRequest(name=f"tenants/{tenant.tenant_id}")
    with pytest.raises(Fault) as caught:
        await tenants.undelete(request, platform, Mark.new())
    assert caught.value.reason == "TENANT_ERASED"
    with pytest.raises(Fault) as caught:
        await lifecycle.erase(erase(world.other, "another"), world.made.as_caller(world.other), platform)
    assert caught.value.reason == "ERASE_NOT_CONFIRMED"
    anew = await world.made.tenant(tenant.tenant_id)
    assert anew.uid != tenant.uid
    asked = lifecycle_pb2.GetErasureReceiptRequest(name=f"tenants/{tenant.tenant_id}", uid=tenant.uid)
    found = await lifecycle.receipt(asked, world.made.as_caller(anew), platform)
    assert found.receipt == world.receipt
    again = erase(anew)
    again.uid = tenant.uid
    done = await lifecycle.erase(again, world.made.as_caller(anew), platform)
    assert done.name == operation_message(world.operation).name, "by uid it is the erasure that was asked for"
    current = await platform.directory.tenants.fresh(anew.tenant_id)
    assert current is not None
    assert (current.uid, current.active) == (anew.uid, True), "and not that of another tenant of the id"
    again.uid = "0" * 32
    with pytest.raises(Fault) as caught:
        await lifecycle.erase(again, world.made.as_caller(anew), platform)
    assert caught.value.kind is Kind.NOT_FOUND


async def test_the_restore_of_an_old_snapshot_brings_nothing_of_an_erased_tenant_back(
    world: World, tmp_path: Path
) -> None:
    made, lost = world.made, _lost(world.made)
    await made.call("DELETE", "/" + ",".join(lost))
    await made.call("POST", f"{world.snapshot}/_restore", {"indices": ",".join(lost), "include_global_state": False})
    prefix = made.platform.engine.prefix
    async with asyncio.timeout(30):
        while set(lost) - set(await made.call("GET", f"/{prefix}-*/_alias")) or not await made.platform.engine.ready():
            await asyncio.sleep(0.1)
    assert await made.count(world.erased.uid) == DOCUMENTS + 50, "the snapshot holds them"
    assert world.erased.uid in {uid for _, uid in await DeletionJournal(made.platform.engine).erasures()}
    kept = tmp_path / "receipt.json"
    kept.write_text(write_receipt(world.receipt), "utf-8")
    # As if the journal and the receipts were lost as well, and those of the snapshot knew of one erasure only.
    for kind, rid in (("deletions", f"{ERASED}/{world.erased.uid}"), ("receipts", world.erased.uid)):
        query = {"query": {"term": {"rid": rid}}}
        await made.call("POST", f"/{prefix}-sys-{kind}-v1/_delete_by_query", query, refresh="true")
    await replay(made.platform.settings)
    assert await made.count(world.erased.uid) == DOCUMENTS + 50, "nothing says that it is erased, but its receipt"
    await replay(made.platform.settings, read_receipts([kept], made.platform.settings))
    for tenant in (world.erased, world.purged):
        left = {index.partition("-v1")[0] for index in await made.everywhere(tenant.uid)}
        assert left == {"sys-tenants", "sys-deletions", "sys-receipts"}
        stored = await made.platform.directory.any_tenant(tenant.tenant_id, tenant.uid)
        assert stored is not None
        assert stored.state == ERASED
    assert await made.count(world.other.uid) == 250, "and others have theirs"
    assert await OperationStore(made.platform.engine).unfinished_of(world.erased.uid) == []
