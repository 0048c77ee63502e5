# SPDX-License-Identifier: Apache-2.0
"""Search settings of a collection: kept, refused, in force at the very next search; and curation on the real engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pinakes.client import AsyncClient, InvalidArgument, NotFound, document
from pinakes.core.cache.responses import ResponseCache, version_key
from pinakes.core.query.curation import PIN_SCORE
from pinakes.local import Platform
from pinakes.v1.ranking_pb2 import Curation, Matching, Ranking, SearchSettings, Synonym
from pinakes.v1.resources_pb2 import ApiKey, Collection
from pinakes.v1.search_pb2 import ExplainDocumentResponse, SearchResponse
from tests.integration._redis import RedisServer, redis_server, redis_url
from tests.integration._servers import Tenant, new_tenant, open_channel, running, until_health

__all__ = ["redis_server", "redis_url"]
TITLES = {
    "a": "Opening hours of the library", "b": "Opening hours of the museum", "c": "Opening of the museum",
    "d": "Fines and fees", "e": "How to join",
}  # fmt: skip


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant with a handful of documents."""
    made = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=made.key) as client:
        documents = [
            document(key, title=title, tags=["old"] if key in "ad" else [], readers=["staff"] if key == "e" else [])
            for key, title in TITLES.items()
        ]
        await client.batch_write(documents, mode="searchable")
    return made


@pytest.fixture
async def client(platform: Platform, tenant: Tenant) -> AsyncIterator[AsyncClient]:
    """Give a client of that tenant."""
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as opened:
        yield opened


async def change(client: AsyncClient, settings: SearchSettings, *paths: str) -> Collection:
    """Set search settings, or the parts that are named."""
    wanted = Collection(name="tenants/-/collections/default", search=settings)
    return await client.update_collection(wanted, paths or ["search"])


def ids(answer: SearchResponse) -> list[str]:
    """Return the ids of the results in order."""
    return [result.document.name.rpartition("/")[2] for result in answer.results]


def pinned(query: str, *pins: str, hides: Sequence[str] = (), prefix: bool = False) -> SearchSettings:
    """Return settings with one curation, by which all words are wanted."""
    match = Curation.MATCH_PREFIX if prefix else Curation.MATCH_UNSPECIFIED
    curation = Curation(query=query, match=match, pins=pins, hides=hides)
    return SearchSettings(matching=Matching.MATCHING_ALL, curations=[curation])


async def test_settings_are_kept_and_told_and_changed_part_by_part(client: AsyncClient) -> None:
    synonyms = [Synonym(words=["ny", "new york"]), Synonym(words=["tablet"], means=["ipad"])]
    full = SearchSettings(matching=Matching.MATCHING_ALL, synonyms=synonyms, ranking=Ranking(title=5))
    assert (await change(client, full)).search == full
    assert (await client.get_collection()).search == full
    assert [found.search async for found in client.list_collections()] == [full]
    changed = await change(client, SearchSettings(stop_words=["of"]), "search.stop_words", "search.matching")
    assert changed.search == SearchSettings(stop_words=["of"], synonyms=synonyms, ranking=Ranking(title=5))
    await client.update_collection(Collection(name=changed.name, display_name="x"), ["display_name"])
    assert (await client.get_collection()).search == changed.search
    assert not (await change(client, SearchSettings())).HasField("search")


async def test_a_collection_is_created_with_settings(client: AsyncClient) -> None:
    settings = pinned("x", "a")
    settings.ranking.text_attributes["abstract"] = 2
    made = await client.create_collection("books", attributes=["abstract:text"], search=settings)
    assert made.search == settings
    with pytest.raises(InvalidArgument) as caught:
        await client.create_collection("films", search=settings)
    assert caught.value.violations[0].field == "collection.search.ranking.text_attributes"
    assert caught.value.reason == "SEARCH_SETTINGS_INVALID"


async def test_wrong_settings_are_refused_and_nothing_is_changed(client: AsyncClient) -> None:
    wrong = pinned("x", "a", hides=["a"])
    with pytest.raises(InvalidArgument) as caught:
        await change(client, wrong)
    assert [violation.field for violation in caught.value.violations] == ["collection.search.curations[0].pins[0]"]
    with pytest.raises(InvalidArgument, match=r"search\.nonsense"):
        await change(client, wrong, "search.nonsense")
    assert not (await client.get_collection()).HasField("search")


async def test_an_attribute_that_settings_use_can_t_be_removed_without_them(client: AsyncClient) -> None:
    settings = SearchSettings()
    settings.ranking.boosts.add(number="attributes.stars", weight=2)
    made = await client.create_collection("books", attributes=["stars:number"], search=settings)
    with pytest.raises(InvalidArgument, match=r"stars is used by search\.ranking\.boosts\[0\]\.number") as caught:
        await client.update_collection(Collection(name=made.name), ["attributes"])
    assert caught.value.reason == "ATTRIBUTE_IN_USE"
    changed = await client.update_collection(Collection(name=made.name), ["attributes", "search.ranking"])
    assert not changed.attributes


async def test_a_change_is_in_force_at_the_very_next_search(client: AsyncClient) -> None:
    """Index and search are processes of their own, and the search's look-up has just been made warm."""
    for pin in "edcbaedcba":
        await client.search("opening")
        await client.count_documents("opening")
        await change(client, pinned("opening", pin))
        found = await client.search("opening")
        assert ids(found)[0] == pin
        (one,) = await client.batch_search([{"query": "opening", "page_size": 1}])
        assert ids(one) == [pin]
        assert (await client.count_documents("opening")).total_size == found.total_size
    await change(client, pinned("opening", hides=["a", "b"]))
    assert (await client.count_documents("opening")).total_size == 1


async def test_a_deleted_collection_is_gone_for_the_very_next_search(client: AsyncClient) -> None:
    for number in range(3):
        await client.create_collection(f"brief-{number}")
        assert not (await client.search("x", collection=f"brief-{number}")).results
        await client.delete_collection(f"brief-{number}")
        with pytest.raises(NotFound):
            await client.search("x", collection=f"brief-{number}")


async def test_without_a_cache_a_change_is_in_force_within_seconds(
    platform: Platform, client: AsyncClient, tenant: Tenant, tmp_path: Path
) -> None:
    with running(platform, "search", tmp_path, PINAKES_CACHE_URL="") as server:
        channel = open_channel(server.address)
        await until_health(channel)
        await channel.close()
        async with AsyncClient(server.address, key=tenant.key) as uncached:
            assert ids(await uncached.search("opening"))[0] != "d"
            await change(client, pinned("opening", "d"))
            end = time.monotonic() + 5
            while ids(await uncached.search("opening"))[0] != "d":
                assert time.monotonic() < end
                await asyncio.sleep(0.1)


async def test_pins_stay_first_in_groups_and_are_explained(client: AsyncClient) -> None:
    made = await client.create_collection("grouped", attributes=["kind:string"], search=pinned("green", "b2"))
    documents = [
        document(f"{kind}{n}", title="Green thing" if n == 1 else "Other thing", attributes={"kind": kind})
        for kind in "abc"
        for n in (1, 2)
    ]
    await client.batch_write(documents, collection=made.name, mode="searchable")
    found = await client.search("green", collection=made.name, collapse="kind", highlight=True, facets=["kind"])
    assert ids(found)[0] == "b2"
    assert sorted(name[0] for name in ids(found)) == ["a", "b", "c"]
    assert {bucket.value: bucket.count for bucket in found.facets[0].buckets} == {"a": 1, "b": 2, "c": 1}
    first = await client.explain_document("b2", "green", collection=made.name)
    assert (first.verdict, first.position) == (ExplainDocumentResponse.VERDICT_FOUND, 1)
    await client.update_collection(
        Collection(name=made.name, search=pinned("green", hides=["a1"])), ["search.curations"]
    )
    hidden = await client.explain_document("a1", "green", collection=made.name)
    assert hidden.verdict == ExplainDocumentResponse.VERDICT_HIDDEN


async def test_of_two_versions_the_newer_stays_told(redis_url: str) -> None:
    cache = ResponseCache.open(redis_url, 1.0, timeout=1.0)
    key = version_key("t", "c")
    assert await cache.told_version(key) == 0
    for number, told in ((5, 5), (4, 5), (11, 11), (9, 11)):
        await cache.tell_version(key, number)
        assert await cache.told_version(key) == told
        assert (await cache.get(b"key", b"generation", key)).version == told
    await cache.close()


async def test_a_pause_of_redis_hides_no_change(redis_server: RedisServer) -> None:
    cache, key = ResponseCache.open(redis_server.url, 1.0, timeout=0.2), version_key("t", "paused")
    with redis_server.paused():
        telling = asyncio.create_task(cache.tell_version(key, 7))
        await asyncio.sleep(0.3)
    await telling
    with redis_server.paused():
        asking = asyncio.create_task(cache.told_version(key))
        await asyncio.sleep(0.3)
    assert await asking == 7
    await cache.close()


async def test_without_redis_nothing_is_told_and_nothing_fails(redis_server: RedisServer) -> None:
    off = ResponseCache.open("", 1.0)
    await off.tell_version(b"key", 1)
    assert await off.told_version(b"key") == 0
    gone = ResponseCache.open(redis_server.url.replace(str(redis_server.port), "1"), 1.0)
    started = time.monotonic()
    await gone.tell_version(b"key", 1)
    assert await gone.told_version(b"key") == 0
    assert time.monotonic() - started < 1
    await gone.close()


# ---- curation


async def test_pins_come_first_in_their_order_whether_they_match_or_not(client: AsyncClient) -> None:
    plain = await client.search("opening hours", matching="all")
    assert set(ids(plain)) == {"a", "b"}
    await change(client, pinned("Opening Hours", "d", "absent", "b"))
    found = await client.search("opening  hours")
    assert ids(found) == ["d", "b", "a"]
    assert [result.pinned for result in found.results] == [True, True, False]
    assert [result.score for result in found.results[:2]] == [0, 0]
    rest = {result.document.name: result.score for result in plain.results}
    assert found.results[2].score == rest[found.results[2].document.name], "the others' scores are as they were"
    assert 0 < found.results[2].score < PIN_SCORE
    assert found.total_size == 3 == (await client.count_documents("opening hours")).total_size
    assert ids(await client.search("opening hours", without_curation=True)) == ids(plain)
    assert ids(await client.search("opening hours museum")) == ["b"]


async def test_pages_go_on_after_pins_though_settings_change_between_them(client: AsyncClient) -> None:
    await change(client, pinned("opening", "e", "d", "c"))
    seen: list[str] = []
    token = ""
    for number in range(9):
        answer = await client.search("opening", page_size=1, page_token=token)
        seen += ids(answer)
        token = answer.next_page_token
        if number == 1:
            await change(client, pinned("opening", "a"))
        if not token:
            break
    assert seen[:3] == ["e", "d", "c"]
    assert sorted(seen) == list("abcde")


async def test_a_pin_passes_filter_and_order_like_any_other(client: AsyncClient) -> None:
    await change(client, pinned("opening", "d", "b"))
    assert ids(await client.search("opening", filter="tags:old")) == ["d", "a"]
    by_id = await client.search("opening", order_by="id")
    assert ids(by_id) == ["a", "b", "c"]
    assert not any(result.pinned for result in by_id.results)
    assert ids(await client.search("opening", order_by="relevance desc, id"))[:2] == ["d", "b"]


async def test_a_pin_shows_no_document_that_its_reader_may_not_see(
    platform: Platform, client: AsyncClient, tenant: Tenant
) -> None:
    await change(client, pinned("opening", "e", "d"))
    assert ids(await client.search("opening"))[:2] == ["e", "d"]
    for readers, first in ((["public"], "d"), (["staff"], "e")):
        key = await client.create_key("user", readers=readers)
        async with AsyncClient(platform.endpoint, key=key.secret) as reader:
            assert key.api_key.role == ApiKey.ROLE_TENANT_USER
            assert ids(await reader.search("opening"))[0] == first


async def test_hides_hold_in_every_order_and_for_prefixes(client: AsyncClient) -> None:
    await change(client, pinned("opening", "d", hides=["a", "absent"], prefix=True))
    assert ids(await client.search("opening"))[0] == "d"
    assert set(ids(await client.search("opening"))) == {"b", "c", "d"}
    assert ids(await client.search("opening museum hours")) == ["d", "b"]
    assert ids(await client.search("opening", order_by="id desc")) == ["c", "b"]
    assert set(ids(await client.search("hours opening"))) == {"a", "b"}
    assert (await client.count_documents("opening")).total_size == 3


async def test_a_curation_ends_by_itself(client: AsyncClient) -> None:
    settings = pinned("opening", "d")
    settings.curations[0].end_time.FromMilliseconds(round((time.time() + 3) * 1000))
    settings.curations[0].start_time.FromMilliseconds(round((time.time() - 5) * 1000))
    await change(client, settings)
    assert ids(await client.search("opening"))[0] == "d"
    end = time.monotonic() + 10
    while ids(await client.search("opening"))[0] == "d":
        assert time.monotonic() < end


async def test_pins_are_of_their_own_collection(client: AsyncClient) -> None:
    await change(client, pinned("opening", "d"))
    await client.create_collection("other")
    await client.put_document(document("d", title="Opening"), collection="other", mode="searchable")
    found = await client.search("opening", collection="other")
    assert [result.pinned for result in found.results] == [False]
