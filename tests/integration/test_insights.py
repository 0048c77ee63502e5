# SPDX-License-Identifier: Apache-2.0
"""Search insight on the real engine: what is counted, for whom, for how long, and that it is nobody else's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from pinakes.client import AsyncClient, InvalidArgument, PermissionDenied, PinakesError, document
from pinakes.core.engine.client import Engine
from pinakes.core.engine.insights import InsightStore, Row
from pinakes.core.engine.setup import prepare
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import CollectionRecord, now_ms
from pinakes.local import Platform
from pinakes.search.insight import InsightRecorder
from pinakes.search.search_ids import SearchIds, asked
from pinakes.v1.insights_pb2 import GetSearchInsightsResponse
from pinakes.v1.ranking_pb2 import SearchSettings
from pinakes.v1.resources_pb2 import Collection
from tests.integration._engine import Direct, direct
from tests.integration._servers import ServerProcess, Tenant, free_port, new_tenant, open_channel, running, until_health

__all__ = ["direct"]
DAY_MS = 86_400_000
WAIT_SECONDS = 20.0


@dataclass(slots=True)
class Server:
    """A search server of a test's own, and a client of a tenant at it."""

    process: ServerProcess
    client: AsyncClient


@asynccontextmanager
async def search_server(platform: Platform, tenant: Tenant, folder: Path, **changes: str) -> AsyncIterator[Server]:
    """Run a search server that writes what it has seen soon."""
    settings = {"PINAKES_INSIGHT_FLUSH_SECONDS": "0.2"} | changes
    with running(platform, "search", folder, **settings) as process:
        channel = open_channel(process.address)
        await until_health(channel)
        await channel.close()
        async with AsyncClient(process.address, key=tenant.key, timeout=20) as client:
            yield Server(process, client)


def settings_of(url: str = "http://127.0.0.1:9200") -> Settings:
    """Return settings with the engine at `url`."""
    return Settings(opensearch_urls=[url], secret_key=SecretStr("k" * 32), engine_timeout_seconds=1)


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant with two documents."""
    made = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=made.key) as client:
        await client.batch_write([document(key, title=f"Green {key}") for key in "ab"], mode="searchable")
    return made


async def until(
    read: Callable[[], Awaitable[GetSearchInsightsResponse]], right: Callable[[GetSearchInsightsResponse], bool]
) -> GetSearchInsightsResponse:
    """Read until it is right; the index is refreshed every few seconds."""
    end = time.monotonic() + WAIT_SECONDS
    while not right(answer := await read()):
        assert time.monotonic() < end, answer
        await asyncio.sleep(0.2)
    return answer


async def test_searches_are_counted_by_query_with_what_was_opened(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    async with search_server(platform, tenant, tmp_path) as server:
        client = server.client
        for query in ("green", "Green ", "  GREEN", "green a", "blue", "purple", "purple", "blue"):
            found = await client.search(query, page_size=1)
            assert found.search_id
        again = await client.search("blue", page_size=1)
        assert again.cached
        assert again.search_id
        first = await client.search("green", page_size=1)
        await client.search("green", page_size=1, page_token=first.next_page_token)
        await client.search("", filter="id = a")
        await client.batch_search([{"query": "green"}, {"query": 'tags:"', "order_by": "nonsense"}])
        assert await client.record_event(first.search_id, "a", position=1)
        assert await client.record_event(first.search_id, "b", position=2)
        assert await client.record_event(first.search_id, "b")
        assert await client.record_event(first.search_id, "b", event="conversion", position=2)
        answer = await until(client.get_search_insights, lambda a: a.searches == 11 and a.clicks == 3)
        assert (answer.without_results, answer.conversions) == (5, 1)
        assert [(q.query, q.searches) for q in answer.top_queries] == [
            ("green", 5), ("blue", 3), ("purple", 2), ("green a", 1)
        ]  # fmt: skip
        green = answer.top_queries[0]
        assert (green.clicks, green.conversions, green.mean_click_position, green.without_results) == (3, 1, 1.5, 0)
        assert [(q.query, q.without_results) for q in answer.queries_without_results] == [("blue", 3), ("purple", 2)]
        assert {q.query for q in answer.slow_queries} == {"green", "blue", "purple", "green a"}
        took = [q.p95_took.ToMicroseconds() for q in answer.slow_queries]
        assert took == sorted(took, reverse=True)
        assert took[-1] > 0
        assert answer.retention.ToTimedelta().days == 30
        assert len((await client.get_search_insights(limit=1)).top_queries) == 1
        assert (await client.get_search_insights(start_time="2100-01-01T00:00:00Z")).searches == 0
        assert (await client.get_search_insights(end_time="2020-01-01T00:00:00Z")).searches == 0
        with pytest.raises(InvalidArgument, match="end_time"):
            await client.get_search_insights(start_time="2026-01-02T00:00:00Z", end_time="2026-01-01T00:00:00Z")


async def test_a_search_s_id_is_good_in_its_own_collection_for_a_day(
    platform: Platform, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, direct: Direct
) -> None:
    other = await new_tenant(platform)
    async with (
        AsyncClient(platform.endpoint, key=tenant.key) as client,
        AsyncClient(platform.endpoint, key=other.key) as stranger,
    ):
        search_id = (await client.search("green")).search_id
        await client.create_collection("second")
        for wrong in (
            stranger.record_event(search_id, "a"),
            client.record_event(search_id, "a", collection="second"),
            client.record_event(search_id[:-4] + "AAAA", "a"),
            client.record_event("nonsense", "a"),
        ):
            with pytest.raises(InvalidArgument) as caught:
                await wrong
            assert caught.value.reason == "SEARCH_ID_INVALID"
        with pytest.raises(PermissionDenied):
            await stranger.record_event(search_id, "a", tenant=tenant.tenant_id)
        record, collection = await direct.records(tenant)
        now = time.time()
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda: now - DAY_MS / 1000 - 5)
            old = SearchIds(platform.state.secret_key.encode()).make(record.uid, collection.uid, asked("green").digest)
        with pytest.raises(PinakesError) as expired:
            await client.record_event(old, "a")
        assert (expired.value.code, expired.value.reason) == ("FAILED_PRECONDITION", "SEARCH_ID_EXPIRED")


async def test_insights_are_for_those_who_write(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as admin:
        secret = (await admin.create_key("user")).secret
        async with AsyncClient(platform.endpoint, key=secret) as reader:
            assert await reader.record_event((await reader.search("green")).search_id, "a")
            with pytest.raises(PermissionDenied):
                await reader.get_search_insights()


async def test_nothing_is_kept_where_the_collection_or_the_deployment_says_so(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    def settings(insights: SearchSettings.Insights) -> Collection:
        return Collection(name="tenants/-/collections/default", search=SearchSettings(insights=insights))

    async with AsyncClient(platform.endpoint, key=tenant.key) as writer:
        for policy, said, kept in (
            ("on", SearchSettings.INSIGHTS_OFF, False),
            ("asked", SearchSettings.INSIGHTS_UNSPECIFIED, False),
            ("asked", SearchSettings.INSIGHTS_KEPT, True),
            ("off", SearchSettings.INSIGHTS_KEPT, False),
        ):
            await writer.update_collection(settings(said), ["search.insights"])
            async with search_server(platform, tenant, tmp_path, PINAKES_INSIGHTS=policy) as server:
                found = await server.client.search("green")
                assert found.search_id
                assert await server.client.record_event(found.search_id, "a") == kept
                if kept:
                    await until(server.client.get_search_insights, lambda answer: answer.searches > 0)
        answer = await writer.get_search_insights()
        assert (answer.searches, answer.clicks) == (1, 1)


async def test_what_was_seen_is_written_when_a_server_ends(platform: Platform, tenant: Tenant, tmp_path: Path) -> None:
    async with search_server(platform, tenant, tmp_path, PINAKES_INSIGHT_FLUSH_SECONDS="20") as server:
        await server.client.search("farewell")
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait) == 0
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        answer = await until(client.get_search_insights, lambda answer: answer.searches == 1)
        assert answer.top_queries[0].query == "farewell"


async def test_insights_of_tenants_and_collections_are_apart(direct: Direct) -> None:
    await prepare(direct.engine, settings_of())
    store = InsightStore(direct.engine)
    now, mark = now_ms(), f"{time.time_ns():x}"
    owners = [(f"t1{mark}", "c1"), (f"t1{mark}", "c2"), (f"t2{mark}", "c1")]
    rows = [
        Row(f"{mark}-{n}", *owner, asked("same").digest.hex(), now, "same", searches=n + 1, took=[1.0 + n])
        for n, owner in enumerate(owners)
    ]
    # What was opened of a query that wasn't counted is in no list, and takes no place there.
    rows.append(Row(f"{mark}-opened", *owners[0], asked("other").digest.hex(), now, clicks=3))
    await store.keep(rows)
    await store.keep(rows)  # a second try replaces what the first one wrote
    await direct.engine.call("refresh", "POST", f"/{direct.engine.prefix}-sys-insights-*/_refresh")
    for number, owner in enumerate(owners):
        found = await store.read(*owner, now - 1000, now + 1000, 1)
        assert (found.total.searches, found.total.clicks) == (number + 1, 0 if number else 3)
        assert [(told.query, told.took_ms) for told in found.slow] == [("same", 1.0 + number)]


async def test_days_are_forgotten_when_their_time_is_over(direct: Direct) -> None:
    await prepare(direct.engine, settings_of())
    store, mark = InsightStore(direct.engine), f"{time.time_ns():x}"
    ages = (0, 1, 29, 32, 400)
    await store.keep(
        [
            Row(
                f"{mark}-{age}",
                f"t{mark}",
                "c",
                "d",
                now_ms() - age * DAY_MS,
                f"{age} days ago",
                searches=1,
                took=[1.0],
            )
            for age in ages
        ]
    )
    assert await store.expire(30.0) >= 2
    await direct.engine.call("refresh", "POST", f"/{direct.engine.prefix}-sys-insights-*/_refresh")
    assert (await store.read(f"t{mark}", "c", 0, now_ms() + 1000, 10)).total.searches == 3


async def test_what_an_engine_that_was_away_did_not_take_is_written_later_and_once(direct: Direct) -> None:
    await prepare(direct.engine, settings_of())
    away = Engine(settings_of(f"http://127.0.0.1:{free_port()}"))
    recorder = InsightRecorder(settings_of(), InsightStore(away))
    mark = f"t{time.time_ns():x}"
    collection = CollectionRecord(tenant_uid=mark, collection_id="c", uid="c")
    for _ in range(3):
        recorder.searched(collection, asked("held"), 0.01, found=True)
    await recorder._write()
    await away.close()
    recorder.searched(collection, asked("held"), 0.02, found=False)
    recorder.searched(collection, asked("new"), 0.02, found=True)
    recorder._store = InsightStore(direct.engine)
    await recorder.close()
    await direct.engine.call("refresh", "POST", f"/{direct.engine.prefix}-sys-insights-*/_refresh")
    found = await InsightStore(direct.engine).read(mark, "c", now_ms() - 60_000, now_ms() + 1000, 10)
    assert [(told.query, told.searches, told.without_results) for told in found.top] == [("held", 4, 1), ("new", 1, 0)]
