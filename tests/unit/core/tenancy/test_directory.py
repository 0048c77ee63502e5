# SPDX-License-Identifier: Apache-2.0
"""What a process keeps of records is bounded, by number and by size, and how long it goes by it while it can't ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.settings import Settings
from pinakes.core.tenancy import directory
from pinakes.core.tenancy.directory import CachedRecords, Directory, overlap_ms
from pinakes.core.tenancy.models import CollectionRecord, KeyRecord, TenantRecord
from tests.unit.core.limits._world import Clock

TENANT = TenantRecord(tenant_id="acme", uid="u", create_ms=1)
KEY = KeyRecord(
    key_id="k", tenant_id="acme", tenant_uid="u", role="service", digest="d", public_key="p", create_ms=2
)  # fmt: skip
Look = Callable[..., Awaitable[object]]


def record(number: int, search: int = 0) -> CollectionRecord:
    return CollectionRecord(tenant_uid=f"u{number}", collection_id="default", uid=f"c{number}", search="x" * search)


async def kept(records: CachedRecords[CollectionRecord], count: int) -> list[int]:
    """Return the numbers of the records that are there without asking the store."""
    return [number for number in range(count) if records.confirmed(str(number))[0] is not None]


async def test_only_so_many_records_are_kept_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_ENTRIES", 100)
    records = CachedRecords(cast("Any", None), CollectionRecord.from_json, 60.0, 0)
    for number in range(100):
        records.remember(str(number), record(number))
    assert await records.get("0") is not None
    records.remember("100", record(100))
    assert await kept(records, 101) == [0, *range(2, 101)]


async def test_only_so_many_bytes_of_records_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_BYTES", 1_000_000)
    records = CachedRecords(cast("Any", None), CollectionRecord.from_json, 60.0, 0)
    for number in range(50):
        records.remember(str(number), record(number, search=300_000))
    assert await kept(records, 50) == [47, 48, 49]
    # A record that is replaced by a smaller one makes room.
    records.remember("49", record(49).changed())
    records.remember("50", record(50, search=300_000))
    assert await kept(records, 51) == [47, 48, 49, 50]


def engine(**changes: object) -> Engine:
    """Return an engine that isn't there."""
    settings: dict[str, object] = {"secret_key": "s" * 32, "opensearch_urls": ["http://127.0.0.1:9"]}
    return Engine(Settings.model_validate(settings | changes))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the directory's clock."""
    made = Clock()
    monkeypatch.setattr(directory, "time", SimpleNamespace(monotonic=made))
    return made


@pytest.fixture
async def alone(clock: Clock) -> AsyncIterator[Directory]:
    """Give a directory that knows a tenant, a key and a collection, and has just lost the engine."""
    away = engine()
    made = Directory(away, 3600.0)
    made.tenants.remember("acme", TENANT)
    made.keys.remember("k", KEY)
    made.collections.remember("u/default", record(0))
    yield made
    await away.close()


def looks(of: Directory) -> list[Look]:
    """Return the ways in which what lets a caller in is looked up, for data or for administration."""
    return [
        lambda **how: of.key("k", **how),
        lambda **how: of.tenant("acme", **how),
        lambda **how: of.known_tenant("acme", **how),
        lambda **how: of.tenant_of(KEY, **how),
    ]


async def refused(look: Look, **how: bool) -> bool:
    """Whether a look-up isn't answered."""
    try:
        assert await look(**how) in (KEY, TENANT)
    except Fault as fault:
        assert fault.kind is Kind.UNAVAILABLE
        return True
    return False


async def test_without_the_engine_administration_ends_after_a_minute_and_data_after_the_hold(
    alone: Directory, clock: Clock
) -> None:
    for seconds, administration_ends, data_ends in (
        (60.0, False, False), (60.01, True, False), (3600.0, True, False), (3600.01, True, True),
    ):  # fmt: skip
        clock.now = 1000.0 + seconds
        for records, rid in ((alone.keys, "k"), (alone.tenants, "acme")):
            assert (records.known(rid, administration=True) is None) is administration_ends
            assert (records.known(rid) is None) is data_ends
        for look in looks(alone):
            assert await refused(look, administration=True) is administration_ends
            assert await refused(look) is data_ends
    with pytest.raises(Fault):
        await alone.collection(TENANT, "default")


async def test_only_a_poll_that_was_answered_begins_the_hold_anew(alone: Directory, clock: Clock) -> None:
    clock.now += 50.0
    with pytest.raises(Fault):
        await alone.keys.poll()
    clock.now += 11.0
    assert alone.keys.known("k", administration=True) is None
    assert alone.keys.known("another") is None

    async def nothing(_since: int) -> dict[str, Any]:
        clock.now += 5.0  # what was changed while it was under way it may not have told
        return {}

    alone.keys.store.changed_since = nothing  # type: ignore[method-assign,assignment]
    await alone.keys.poll()
    clock.now += 55.0
    assert alone.keys.known("k", administration=True) is not None
    clock.now += 0.01
    assert alone.keys.known("k", administration=True) is None
    assert alone.keys.known("k") is not None


def test_a_hold_that_is_shorter_than_a_minute_is_administrations_too(clock: Clock) -> None:
    records = CachedRecords(cast("Any", None), KeyRecord.from_json, 30.0, 0)
    records.remember("k", KEY)
    clock.now += 30.0
    assert records.known("k", administration=True) is records.known("k") is KEY
    clock.now += 0.01
    assert records.known("k", administration=True) is records.known("k") is None


@pytest.mark.parametrize(
    ("timeout", "skew", "seconds"), [(10.0, 5.0, 24.0), (2.0, 0.5, 7.0), (30.0, 10.0, 54.0), (600.0, 5.0, 60.0)]
)
def test_polls_look_back_for_as_long_as_the_settings_let_a_write_be_late(
    timeout: float, skew: float, seconds: float
) -> None:
    made = engine(engine_timeout_seconds=timeout, max_clock_skew_seconds=skew)
    assert overlap_ms(made) == seconds * 1000


async def hanging(_since: int) -> dict[str, Any]:
    """Answer nothing."""
    await asyncio.sleep(3600)
    return {}


async def failing(_since: int) -> dict[str, Any]:
    """Answer as an index does of which a shard isn't there."""
    raise unavailable("the search engine")


@pytest.mark.parametrize("keys", [hanging, failing])
async def test_keys_that_cannot_be_polled_make_no_change_of_tenants_and_collections_wait(
    monkeypatch: pytest.MonkeyPatch, keys: Callable[[int], Awaitable[dict[str, Any]]]
) -> None:
    monkeypatch.setattr(directory, "REVIEW_SECONDS", 0.01)
    away = engine()
    here = Directory(away, 3600.0, 0.01)
    tenant, collection, reviewed = TENANT.changed(display_name="new"), record(0).changed(), set()

    def store(kind: str, polled: Callable[[int], Awaitable[dict[str, Any]]]) -> Any:
        async def versions(rids: list[str]) -> dict[str, int]:
            reviewed.add(kind)
            return {}

        return SimpleNamespace(kind=kind, changed_since=polled, versions=versions)

    async def tenants(_since: int) -> dict[str, Any]:
        return {"acme": tenant.to_json()}

    async def collections(_since: int) -> dict[str, Any]:
        return {"u/default": collection.to_json()}

    here.tenants.remember("acme", TENANT)
    here.collections.remember("u/default", record(0))
    here.keys.store, here.tenants.store = store("keys", keys), store("tenants", tenants)
    here.collections.store = store("collections", collections)
    here.start()
    try:
        async with asyncio.timeout(5):
            while (here.tenants.known("acme"), here.collections.known("u/default")) != (tenant, collection):
                await asyncio.sleep(0.01)
            while not {"tenants", "collections"} <= reviewed:
                await asyncio.sleep(0.01)
    finally:
        await here.close()
        await away.close()
