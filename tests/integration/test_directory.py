# SPDX-License-Identifier: Apache-2.0
"""Records that every process follows: much that changes at once, and what is made anew under the id of what was deleted."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from pinakes.core.engine.client import Engine
from pinakes.core.engine.records import RecordStore
from pinakes.core.faults import Fault, Kind
from pinakes.core.lifecycle import erasing
from pinakes.core.platform import Platform as Parts
from pinakes.core.tenancy import directory as directories
from pinakes.core.tenancy.directory import Directory, collection_rid
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import DELETED, SUSPENDED, CollectionRecord, KeyRecord, TenantRecord, now_ms
from pinakes.local import Platform
from tests.integration._workers import parts, settings_of

__all__ = ["parts"]
WITHIN = 5.0


@asynccontextmanager
async def following(platform: Platform, **changes: object) -> AsyncIterator[tuple[Engine, Directory]]:
    """Give the directory of a process of its own, which polls, and the engine it stands on."""
    engine = Engine(settings_of(platform, **changes))
    directory = Directory(engine, 3600.0)
    directory.start()
    try:
        yield engine, directory
    finally:
        await directory.close()
        await engine.close()


async def new_key(directory: Directory) -> KeyRecord:
    """Store a key and return it."""
    key_id = secrets.token_hex(8)
    key = KeyRecord(key_id=key_id, tenant_id="t", tenant_uid="u", role="service", digest="d", public_key="p")
    await directory.keys.store.create(key_id, "u", key.state, key.to_json())
    return key


def as_revoked(key: KeyRecord | None) -> KeyRecord:
    """Return a key as revoking it makes it."""
    assert key is not None
    return key.changed(state=DELETED) if key.active else key


async def until_revoked(directory: Directory, key: KeyRecord, seconds: float = WITHIN) -> None:
    """Wait until a directory takes a key for revoked; fail if it doesn't within so many seconds."""
    end = time.monotonic() + seconds
    while (found := await directory.key(key.key_id)) is not None and found.active:
        assert time.monotonic() < end, f"still good after {seconds} s"
        await asyncio.sleep(0.1)


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


async def test_a_revocation_reaches_a_process_whose_other_calls_of_the_engine_fail(
    platform: Platform, parts: Parts
) -> None:
    """The engine answers 503 for documents: that process asks it nothing more about these for half a minute."""
    index = f"nowhere-{uuid.uuid4().hex}"
    away = {"settings": {"index.routing.allocation.require._name": "nobody"}}
    async with following(platform) as (engine, here):
        await engine.call("make", "PUT", f"/{index}", body=away, params={"wait_for_active_shards": "0"})
        try:
            key = await new_key(parts.directory)
            assert await here.key(key.key_id) == key
            for _ in range(10):
                with pytest.raises(Fault):
                    await engine.call("search", "POST", f"/{index}/_search", retry=False)
            with pytest.raises(Fault):
                await engine.call("clock", "GET", "/_nodes/stats/os")
            await parts.directory.keys.change(key.key_id, "u", "key", as_revoked)
            await until_revoked(here, key)
        finally:
            await parts.engine.drop_index(index)


async def test_a_revocation_reaches_a_process_all_whose_connections_wait_for_the_engine(
    platform: Platform, parts: Parts
) -> None:
    async with following(platform, engine_connections=2) as (engine, here):
        key = await new_key(parts.directory)
        assert await here.key(key.key_id) == key
        slow = {"wait_for_nodes": "99", "timeout": "30s"}
        waiting = [asyncio.create_task(engine.call("slow", "GET", "/_cluster/health", params=slow)) for _ in range(4)]
        await asyncio.sleep(0.5)
        await parts.directory.keys.change(key.key_id, "u", "key", as_revoked)
        await until_revoked(here, key)
        assert not any(one.done() for one in waiting), "they held their connections all the time"
        for one in waiting:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one


async def write_late(key: KeyRecord, parts: Parts, seconds: float) -> None:
    """Revoke a key as whoever's clock is so many seconds slow, or whose write took so long to be seen."""
    revoked = as_revoked(key)
    told = (key.key_id, "u", revoked.state, revoked.to_json())
    await parts.directory.keys.store.put_many([told], changed=[now_ms() - round(seconds * 1000)])


async def test_a_revocation_that_is_as_late_as_the_settings_allow_is_in_force_in_time(
    platform: Platform, parts: Parts
) -> None:
    async with following(platform) as (_, here):
        key = await new_key(parts.directory)
        assert await here.key(key.key_id) == key
        await asyncio.sleep(directories.POLL_SECONDS)
        await write_late(key, parts, 19.0)
        await until_revoked(here, key)


async def test_a_revocation_that_no_poll_can_find_is_in_force_after_the_next_review(
    platform: Platform, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert directories.REVIEW_SECONDS == 60.0
    monkeypatch.setattr(directories, "REVIEW_SECONDS", 1.0)
    async with following(platform) as (_, here):
        key = await new_key(parts.directory)
        assert await here.key(key.key_id) == key
        await write_late(key, parts, 30.0)
        await until_revoked(here, key, 1.0 + WITHIN)


async def test_a_review_reads_what_is_not_as_it_was_and_nothing_else(
    platform: Platform, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "_REVIEWED", 2)
    here, read = Directory(parts.engine, 3600.0), []
    keys = [await new_key(parts.directory) for _ in range(7)]
    for key in keys:
        assert await here.key(key.key_id) == key
    get = here.keys.store.get

    async def noted(rid: str) -> Any:
        read.append(rid)
        return await get(rid)

    here.keys.store.get = noted  # type: ignore[method-assign]
    await here.keys.review()
    assert not read
    for key in (keys[0], keys[3]):
        await write_late(key, parts, 3600.0)
    await parts.directory.keys.store.delete_many([keys[6].key_id])
    await here.keys.review()
    assert sorted(read) == sorted(keys[number].key_id for number in (0, 3, 6))
    found = [here.keys.known(key.key_id) for key in keys]
    assert [one.state if one else None for one in found] == [DELETED, *["active"] * 2, DELETED, *["active"] * 2, None]


async def test_revoking_again_makes_known_what_polls_have_missed(platform: Platform, parts: Parts) -> None:
    """The answer to the first attempt was lost, and the key is revoked; no poll looks as far back as that says it was."""
    async with following(platform) as (_, here):
        key = await new_key(parts.directory)
        assert await here.key(key.key_id) == key
        await write_late(key, parts, 3600.0)
        found = await parts.directory.keys.change(key.key_id, "u", "key", as_revoked)
        assert (found.state, found.version) == (DELETED, key.version + 1)
        await until_revoked(here, key)


async def test_another_attempt_at_a_change_makes_known_what_polls_have_missed(platform: Platform, parts: Parts) -> None:
    tenants, mark, name = parts.directory.tenants, Mark.new(), f"t-{uuid.uuid4().hex[:10]}"
    first = TenantRecord(tenant_id=name, uid=uuid.uuid4().hex)
    other = TenantRecord(tenant_id=f"{name}-other", uid=uuid.uuid4().hex)
    taken = Fault(Kind.CONFLICT, "TAKEN", "it is taken")
    for one in (first, other):
        await tenants.create(one.tenant_id, "", one, taken, Mark.new())
    async with following(platform) as (_, here):
        assert await here.tenant(name) is not None
        assert await here.tenant(other.tenant_id) is not None
        # Suspended by a request that has broken off, and stopped for good by one that is asked again.
        suspended = mark.put(first.changed(state=SUSPENDED))
        stopped = other.changed(state=DELETED, erase_ms=1)
        late = [(one.tenant_id, "", one.state, one.to_json()) for one in (suspended, stopped)]
        await tenants.store.put_many(late, changed=[now_ms() - 3_600_000] * 2)

        def asked(_: TenantRecord | None) -> TenantRecord:
            raise AssertionError("it is changed already")

        again = replace(mark, again=True)
        assert await tenants.change(name, "", "tenant", asked, mark=again) == suspended
        assert await erasing.change(parts.engine, other.tenant_id, other.uid, lambda found: found) == stopped
        end = time.monotonic() + WITHIN
        while await here.tenant(name) is not None or await here.tenant(other.tenant_id) is not None:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
