# SPDX-License-Identifier: Apache-2.0
"""Refreshing seldom while a tenant's own index is loaded, on the real engine, and as ever as soon as somebody waits for it."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest

from pinakes.core.cache.responses import ResponseCache
from pinakes.core.engine.setup import create_place
from pinakes.core.operations.records import RUNNING, SUCCEEDED
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.tenancy.placement import DEDICATED, Place, Placement
from pinakes.core.writing.apply import apply
from pinakes.core.writing.changes import of_body
from pinakes.local import Platform as Local
from pinakes.v1 import index_pb2
from tests.integration._movement import Mover, counts, documents, mover, row
from tests.integration._objects import objects
from tests.integration._operations import Home, bench, document, last

__all__ = ["bench", "mover", "objects"]
ROWS, RATE = 3000, 600.0
Outcome = index_pb2.WriteResult


@pytest.fixture
async def watched(mover: Mover, engine: Local) -> AsyncIterator[Mover]:
    """Give the mover's platform a cache, by which processes learn who waits for the refresh."""
    platform, before = mover.bench.platform, mover.bench.platform.cache
    cache = ResponseCache.open(f"{engine.cache_url.rpartition('/')[0]}/6", 1.0)
    platform.cache, platform.engine.searchable = cache, cache.tell_searchable
    yield mover
    platform.cache, platform.engine.searchable = before, before.tell_searchable
    await cache.close()


async def own(mover: Mover) -> tuple[Home, str]:
    """Make a tenant with an index of its own that takes so many documents a second; return it and the index."""
    home, _, _ = await mover.home()
    platform = mover.bench.platform
    place = Place(kind=DEDICATED, name=f"{home.tenant.tenant_id}-1", shards=1)
    await create_place(platform.engine, place)

    def placed(old: TenantRecord | None) -> TenantRecord:
        assert old is not None
        limits = dataclasses.replace(old.limits, documents_per_second=RATE)
        return old.changed(placement=Placement(active=place), limits=limits)

    home.tenant = await platform.directory.tenants.change(home.tenant.tenant_id, "", "tenant", placed)
    return home, place.alias(platform.engine.prefix)


async def interval(mover: Mover, index: str) -> str:
    found = await mover.bench.platform.engine.call(
        "look", "GET", f"/{index}/_settings", params={"flat_settings": "true"}
    )
    (one,) = found.values()
    return str(one["settings"]["index.refresh_interval"])


async def until(mover: Mover, index: str, wanted: str) -> None:
    async with asyncio.timeout(10):
        while await interval(mover, index) != wanted:
            await asyncio.sleep(0.05)


async def begin(mover: Mover, home: Home) -> str:
    """Ask for an import that takes some seconds."""
    uri = f"s3://pinakes/{home.tenant.tenant_id}/rows"
    mover.objects.put(uri, [row(f"d{n}") for n in range(ROWS)])
    return last(await mover.ask(home, uri))


async def test_an_own_index_is_refreshed_seldom_until_somebody_waits_for_it(watched: Mover) -> None:
    home, index = await own(watched)
    operation = await begin(watched, home)
    async with watched.bench.worker():
        await until(watched, index, "30s")
        began = time.monotonic()
        await home.put(document("now"), waiting=True)
        assert time.monotonic() - began < 8, "a write that waits for the refresh waits for a short one"
        found = await home.scope.search({"filter": {"term": {"id": "now"}}}, 5)
        assert [hit.source["id"] for hit in found.hits] == ["now"]
        assert await interval(watched, index) == "1s"
        assert (await watched.bench.get(home, operation)).state == RUNNING, "the import was too quick to show anything"
        record = await watched.bench.done(home, operation)
    assert counts(record) == (ROWS, 0, 0)
    assert await interval(watched, index) == "1s"


async def test_what_was_imported_is_found_when_the_import_is_done(watched: Mover) -> None:
    home, index = await own(watched)
    operation = await begin(watched, home)
    async with watched.bench.worker():
        await until(watched, index, "30s")
        while (there := await home.scope.get("d0")) is None:
            await asyncio.sleep(0.05)
        # Content that is there already is written again where searches may not see it yet.
        change = of_body(there.source | {"revision": home.platform.revisions.next()})
        (applied,) = await apply(home.scope, [change], _nothing_queued, searchable=True)
        assert applied.outcome == Outcome.OUTCOME_UPDATED
        record = await watched.bench.done(home, operation)
    assert record.state == SUCCEEDED
    assert await interval(watched, index) == "1s"
    page = await home.scope.search({"size": 0, "track_total_hits": True}, 5)
    assert page.total == ROWS


async def test_a_worker_that_dies_or_an_import_that_is_cancelled_leaves_no_long_interval(watched: Mover) -> None:
    home, index = await own(watched)
    operation = await begin(watched, home)
    async with watched.bench.worker() as stop:
        await until(watched, index, "30s")
        stop.set()
    await watched.bench.platform.engine.call(  # as a worker that was killed leaves it
        "test", "PUT", f"/{index}/_settings", body={"index": {"refresh_interval": "30s"}}
    )
    await watched.bench.cancel(home, operation)
    async with watched.bench.worker():
        await watched.bench.done(home, operation)
    assert await interval(watched, index) == "1s"


async def test_a_pool_is_refreshed_as_ever(watched: Mover) -> None:
    home, _, _ = await watched.home()
    operation = await begin(watched, home)
    pool = f"{watched.bench.platform.engine.prefix}-pool-000"
    async with watched.bench.worker():
        seen = set()
        while not (await watched.bench.get(home, operation)).finished:
            seen.add(await interval(watched, pool))
    assert seen == {"1s"}
    assert len(await documents(home)) == ROWS


async def _nothing_queued() -> bool:
    return False
