# SPDX-License-Identifier: Apache-2.0
"""Records that every process follows: much that changes at once, and what is made anew under the id of what was deleted."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from typing import Any

from pinakes.core.engine.records import RecordStore
from pinakes.core.faults import Fault, Kind
from pinakes.core.platform import Platform as Parts
from pinakes.core.tenancy.directory import Directory, collection_rid
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import DELETED, CollectionRecord, TenantRecord, now_ms
from tests.integration._workers import parts

__all__ = ["parts"]


async def test_thousands_of_changes_at_once_are_told_one_by_one(parts: Parts) -> None:
    store, later = RecordStore(parts.engine, "requests"), now_ms() + 86_400_000
    rids = [f"feed-{number:04}" for number in range(2100)]
    await store.put_many(
        [(rid, "feed", "active", {"of": rid}) for rid in rids],
        changed=[later + number % 3 for number in range(len(rids))],
    )
    try:
        found = await store.changed_since(later)
        assert found == {rid: {"of": rid} for rid in rids}
        assert await store.changed_since(later + 3) == {}
    finally:
        await store.delete_many(rids)


async def test_what_was_deleted_and_made_anew_elsewhere_is_there_at_once(parts: Parts) -> None:
    """Of two processes one deletes and makes tenant and collection; the other, which knows them as deleted, sees them."""
    here, there = (Directory(parts.engine, 60.0) for _ in range(2))
    name, calls = f"t-{uuid.uuid4().hex[:10]}", 0
    taken = Fault(Kind.CONFLICT, "TAKEN", "it is taken")

    async def make() -> TenantRecord:
        tenant = TenantRecord(tenant_id=name, uid=uuid.uuid4().hex)
        return await there.tenants.create(name, name, tenant, taken, Mark.new())

    first = await make()
    assert await here.tenant(name) == first
    await there.tenants.change(name, name, "tenant", lambda found: replace(found or first, state=DELETED, version=2))
    await here.tenants.poll()
    assert await here.tenant(name) is None
    second = await make()
    await asyncio.sleep(1.1)  # a deleted one is read again once a second
    assert await here.known_tenant(name) == second != first
    rid = collection_rid(second.uid, "c")
    record = CollectionRecord(tenant_uid=second.uid, collection_id="c", uid="u1")
    await there.collections.create(rid, second.uid, record, taken, Mark.new())
    assert await here.collection(second, "c") is not None
    await there.collections.change(
        rid, second.uid, "c", lambda found: replace(found or record, state=DELETED, version=2)
    )
    await here.collections.poll()
    get = here.collections.store.get

    async def counted(rid: str) -> Any:
        nonlocal calls
        calls += 1
        return await get(rid)

    here.collections.store.get = counted  # type: ignore[method-assign]
    await asyncio.sleep(1.1)
    began = time.monotonic()
    assert set(await asyncio.gather(*(here.collection(second, "c") for _ in range(20)))) == {None}
    assert 1 <= calls <= 1 + (time.monotonic() - began)
    await there.collections.create(rid, second.uid, replace(record, uid="u2"), taken, Mark.new())
    await asyncio.sleep(1.1)
    found = await here.collection(second, "c")
    assert found is not None
    assert found.uid == "u2"
