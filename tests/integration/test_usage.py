# SPDX-License-Identifier: Apache-2.0
"""What GetUsage says is what was done, through Envoy and in several processes, and what there is after deletions too."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pinakes.client import AsyncClient, InvalidArgument, PermissionDenied, deletion, document
from pinakes.core.engine.usage import Counts, Row, UsageStore
from pinakes.core.platform import Platform as Parts
from pinakes.core.usage import ledger
from pinakes.local import Platform
from pinakes.v1.usage_pb2 import GetUsageResponse
from pinakes.worker.census import count_all
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, new_tenant, open_channel, running, until_health
from tests.integration._workers import parts

__all__ = ["direct", "parts"]
SECONDS = 25.0


def text(number: int) -> str:
    """Return a title of ten bytes."""
    return f"title-{number:04}"


async def usage_of(client: AsyncClient, searches: int, writes: int) -> GetUsageResponse:
    """Return a tenant's usage when it says so many searches and writes, or what it says in the end."""
    end = time.monotonic() + SECONDS
    while True:
        found = await client.get_usage()
        if (found.searches, found.writes) == (searches, writes) or time.monotonic() > end:
            return found
        await asyncio.sleep(0.3)


async def test_usage_is_what_was_done_through_envoy_and_in_several_processes(
    platform: Platform, tmp_path: Path
) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.batch_write([document(f"d{n}", title=text(n)) for n in range(20)], mode="searchable")
        await client.put_document(document("d0", title=text(0)))  # the same again: nothing is written
        await client.put_document(document("d1", title=text(1), body="more!"))
        await client.batch_write([deletion("d2"), deletion("absent")])
        await client.put_document(document("later", title=text(99)), mode="accepted")
        for _ in range(3):
            await client.search("title")
        await client.count_documents()
        await client.suggest("ti")
        # Two servers of two processes each, which write what they counted only when they end.
        drained = {"PINAKES_PROCESSES": "2", "PINAKES_USAGE_FLUSH_SECONDS": "60"}
        with (
            running(platform, "index", tmp_path, **drained) as index,
            running(platform, "search", tmp_path, **drained) as search,
        ):
            for server in (index, search):
                async with open_channel(server.address) as channel:
                    await until_health(channel, seconds=90.0)
            for number in range(6):  # a connection each: the processes share them
                async with AsyncClient(index.address, key=tenant.key) as direct_client:
                    await direct_client.put_document(document(f"e{number}", title=text(number)), mode="searchable")
                async with AsyncClient(search.address, key=tenant.key) as direct_client:
                    await direct_client.count_documents()
            for server in (index, search):
                server.terminate()
            for server in (index, search):
                assert await asyncio.to_thread(server.wait) == 0
        searches, writes = 3 + 1 + 1 + 6, 20 + 1 + 1 + 1 + 6
        found = await usage_of(client, searches, writes)
        assert (found.searches, found.writes) == (searches, writes)
        assert (found.documents, found.bytes) == (26, 26 * 10 + 5)
        assert len(found.days) == 30
        today = found.days[-1]
        assert (today.day, today.searches, today.writes) == (str(datetime.now(UTC).date()), searches, writes)
        assert (today.documents, today.bytes) == (found.documents, found.bytes)
        assert sum(day.searches for day in found.days[:-1]) == 0
        await client.batch_write([deletion(f"e{n}") for n in range(6)], mode="searchable")
        found = await client.get_usage()
        assert (found.documents, found.bytes) == (20, 20 * 10 + 5)


async def test_what_a_tenant_has_is_known_at_once_with_what_this_process_wrote(
    platform: Platform, parts: Parts, direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.batch_write([document(f"d{n}", title=text(n)) for n in range(3)], mode="searchable")
    record, _ = await direct.records(tenant)
    assert await parts.usage.known(record) == Counts(3, 30)
    parts.usage.wrote(record.uid, 2, 2, 20)
    assert await parts.usage.known(record) == Counts(5, 50)
    parts.usage.wrote(record.uid, 9, -9, -900)
    assert await parts.usage.known(record) == Counts(0, 0), "never less than nothing"
    monkeypatch.setattr(ledger, "KNOWN_SECONDS", 0.0)
    end = time.monotonic() + SECONDS
    while await parts.usage.known(record) != Counts(3, 30):  # what was only believed is forgotten
        assert time.monotonic() < end
        await asyncio.sleep(0.2)


async def test_the_census_counts_every_tenant_and_days_without_one_have_the_last_count(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.batch_write([document(f"d{n}", title=text(n)) for n in range(4)], mode="searchable")
        assert await count_all(parts) >= 1
        record, _ = await direct.records(tenant)
        store, today = parts.usage.store, datetime.now(UTC).date()
        before = today - timedelta(days=2)
        await store.keep_counts([(record.uid, Counts(7, 70))], before)
        await store.keep("a", [Row(record.uid, before, searches=3, writes=2, cost=1.5)])
        await store.keep("b", [Row(record.uid, before, searches=4, writes=1, cost=0.25)])
        await store.keep("a", [Row(record.uid, before, searches=5, writes=2, cost=1.5)])
        end = time.monotonic() + SECONDS
        while (found := await client.get_usage(start_day=before - timedelta(days=1), end_day=today)).searches < 9:
            assert time.monotonic() < end, found
            await asyncio.sleep(0.2)
        told = [(day.documents, day.bytes, day.searches, day.writes, day.cost) for day in found.days]
        assert told == [(0, 0, 0, 0, 0), (7, 70, 9, 3, 1.75), (7, 70, 0, 0, 0), (4, 40, 0, told[3][3], 0)]
        assert [day.counts for day in await store.read(record.uid, today, today)] == [Counts(4, 40)]
        later = await client.get_usage(start_day=today - timedelta(days=1), end_day=today - timedelta(days=1))
        assert [(day.documents, day.bytes, day.searches) for day in later.days] == [(7, 70, 0)], (
            "counted before the window"
        )
        assert await store.erase(record.uid) >= 4
        assert not await store.read(record.uid, before, before)


async def test_a_suspended_tenant_is_counted_as_others_are(platform: Platform, parts: Parts, direct: Direct) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.batch_write([document(f"d{n}", title=text(n)) for n in range(4)], mode="searchable")
    record, _ = await direct.records(tenant)
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        await admin.suspend_tenant(tenant.tenant_id, "unpaid")
    end, today = time.monotonic() + SECONDS, datetime.now(UTC).date()
    while True:  # the list of tenants shows the change within a moment
        await count_all(parts)
        found = [day.counts for day in await parts.usage.store.read(record.uid, today, today)]
        if found == [Counts(4, 40)]:
            break
        assert time.monotonic() < end, found
        await asyncio.sleep(0.5)


async def test_months_go_when_their_last_day_is_old_enough(parts: Parts) -> None:
    store = UsageStore(parts.engine)
    long_ago = date(2020, 2, 29)
    await store.keep("p", [Row("nobody", long_ago, searches=1)])
    age = (datetime.now(UTC).date() - long_ago).days
    assert await store.expire(age + 1) == 0
    assert await store.expire(age - 1) == 1


async def test_usage_is_for_those_who_administer_and_wrong_days_are_refused(platform: Platform, parts: Parts) -> None:
    tenant: Tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        service = (await client.create_key("service")).secret
        wrong = (("2026-02-30", ""), ("2026-03-02", "2026-03-01"), ("2024-01-01", "2026-01-01"), ("yesterday", ""))
        for start, end in wrong:
            with pytest.raises(InvalidArgument):
                await client.get_usage(start_day=start, end_day=end)
        assert len((await client.get_usage(start_day="2026-01-31", end_day="2026-02-01")).days) == 2
    async with AsyncClient(platform.endpoint, key=service) as client:
        with pytest.raises(PermissionDenied):
            await client.get_usage()
