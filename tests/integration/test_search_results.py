# SPDX-License-Identifier: Apache-2.0
"""What comes with results: facets, collapse, order and reasons, on the real engine."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault, Kind
from pinakes.search import vocabulary
from pinakes.search.queries import batch
from pinakes.search.queries.plan import make_plan
from pinakes.v1 import facets_pb2, ranking_pb2, search_pb2
from tests.integration._search import Place, Searched, ids, place

__all__ = ["place"]

DAY = 86_400_000
JANUARY = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


def shop() -> list[dict[str, Any]]:
    """Return documents with attributes of every kind, some missing."""
    colours = ["red", "red", "red", "blue", "blue", "green"]
    kinds = ["book", "book", "film", "book", "film", "map"]
    return [
        {
            "id": f"d{n}", "title": f"Item {n}", "tags": [colours[n], "all"], "ms": JANUARY + n * 20 * DAY,
            "attributes": {
                "kind": kinds[n], "price": n * 2.5, "open": n % 2 == 0, "made": f"202{n}-03-04T05:06:07Z",
                "size": n, "label": f"Label {n // 2}", "deep": {"code": "1" if n else 1},
            },
        }
        for n in range(6)
    ] + [{"id": "bare", "title": "Item without"}]  # fmt: skip


@pytest.fixture
async def items(place: Place) -> Searched:
    """Give the documents of the shop in a collection."""
    opened = await place.collection()
    await opened.write(*shop())
    return opened


def counts(facet: facets_pb2.FacetResult) -> list[tuple[str, int]]:
    """Return values with their counts."""
    return [(bucket.value, bucket.count) for bucket in facet.buckets]


async def facet(searched: Searched, field: str, query: str = "", filter_: str = "", **options: Any) -> Any:
    """Return one facet of a search."""
    answer = await searched.search(query, filter=filter_, facets=[{"field": field} | options])
    (found,) = answer.facets
    assert found.field == field
    return found


async def test_values_of_every_kind_are_counted_most_first_then_by_value(items: Searched) -> None:
    assert counts(await facet(items, "tags")) == [("all", 6), ("red", 3), ("blue", 2), ("green", 1)]
    assert counts(await facet(items, "attributes.kind")) == [("book", 3), ("film", 2), ("map", 1)]
    assert counts(await facet(items, "attributes.open")) == [("false", 3), ("true", 3)]
    assert counts(await facet(items, "attributes.price", order="ORDER_VALUE", limit=3)) == [
        ("0", 1),
        ("2.5", 1),
        ("5", 1),
    ]
    assert counts(await facet(items, "attributes.made", limit=1)) == [("2020-03-04T05:06:07Z", 1)]
    assert counts(await facet(items, "language")) == [("en", 7)]
    # Not declared: counted as text, the number 1 and the text "1" together.
    assert counts(await facet(items, "attributes.label")) == [("Label 0", 2), ("Label 1", 2), ("Label 2", 2)]
    assert counts(await facet(items, "attributes.deep.code")) == [("1", 6)]
    assert counts(await facet(items, "attributes.nothing")) == []


async def test_a_facet_says_what_it_leaves_out(items: Searched) -> None:
    found = await facet(items, "tags", limit=2)
    assert (counts(found), found.other_count, found.more) == ([("all", 6), ("red", 3)], 3, True)
    whole = await facet(items, "tags")
    assert (whole.other_count, whole.more) == (0, False)


async def test_values_are_looked_for_inside_a_facet(items: Searched) -> None:
    assert counts(await facet(items, "tags", contains="RE")) == [("red", 3), ("green", 1)]
    assert counts(await facet(items, "tags", prefix="re")) == [("red", 3)]
    assert counts(await facet(items, "tags", prefix="Re")) == []
    assert counts(await facet(items, "tags", prefix="gree", contains="een")) == [("green", 1)]
    assert counts(await facet(items, "attributes.label", contains="EL 1")) == [("Label 1", 2)]
    assert counts(await facet(items, "attributes.label", prefix="Label 2")) == [("Label 2", 2)]


async def test_any_text_may_be_looked_for_inside_a_facet(place: Place) -> None:
    opened = await place.collection()
    odd = ["a.*b", "a|b", 'x"@&<1-2>~#^$', "[x]\\{y}", "line\nbreak", "ÄÖü", "日本", "𝒳y", "plain"]
    await opened.write({"id": "a", "tags": odd, "attributes": {"kind": odd, "free.*": odd}})
    for field in ("tags", "attributes.kind", "attributes.free.*"):
        for text in odd:
            assert counts(await facet(opened, field, contains=text)) == [(text, 1)], (field, text)
            assert counts(await facet(opened, field, prefix=text)) == [(text, 1)], (field, text)
        assert counts(await facet(opened, field, contains=".*")) == [("a.*b", 1)]


async def test_ranges_come_as_they_were_asked_for(items: Searched) -> None:
    ranges = [{"from": "5", "label": "dear"}, {"to": "5"}, {"from": "2.5", "to": "7.5"}, {"from": "1e6"}]
    found = await facet(items, "attributes.price", ranges=ranges)
    assert [(b.value, b.count, getattr(b, "from"), b.to) for b in found.buckets] == [
        ("dear", 4, "5", ""), ("..5", 2, "", "5"), ("2.5..7.5", 2, "2.5", "7.5"), ("1e6..", 0, "1e6", ""),
    ]  # fmt: skip
    times = [{"to": "2022-01-01T00:00:00Z", "label": "old"}, {"from": "2022-01-01T00:00:00Z", "label": "new"}]
    assert counts(await facet(items, "attributes.made", ranges=times)) == [("old", 2), ("new", 4)]


async def test_steps_of_numbers_and_of_the_calendar_are_counted_from_the_lowest_on(items: Searched) -> None:
    found = await facet(items, "attributes.price", interval=5)
    steps = [(b.value, b.count, getattr(b, "from"), b.to) for b in found.buckets]
    assert steps == [("0", 2, "0", "5"), ("5", 2, "5", "10"), ("10", 2, "10", "15")]
    assert (found.more, found.other_count) == (False, 0)
    months = await facet(
        items,
        "create_time",
        filter_='create_time >= "2026-01-01T00:00:00Z" AND id != "bare"',
        calendar="CALENDAR_MONTH",
    )
    assert [(b.value, b.count, b.to) for b in months.buckets][:2] == [
        ("2026-01-01T00:00:00Z", 2, "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", 1, "2026-03-01T00:00:00Z"),
    ]
    years = await facet(items, "attributes.made", calendar="CALENDAR_YEAR", limit=2)
    assert counts(years) == [("2020-01-01T00:00:00Z", 1), ("2021-01-01T00:00:00Z", 1)]
    assert (years.more, years.other_count) == (True, 4)


async def test_however_small_the_steps_only_so_many_are_made(items: Searched) -> None:
    found = await facet(items, "attributes.price", interval=1e-9, limit=3)
    assert (len(found.buckets), found.more, found.other_count) == (3, True, 3)


async def test_a_choice_in_a_facet_does_not_hide_its_other_values(items: Searched) -> None:
    filter_ = 'attributes.kind = "book" AND (tags:red OR tags:blue) AND attributes.price < 100'
    fields = ["attributes.kind", "tags", "attributes.price"]
    answer = await items.search(filter=filter_, facets=[{"field": field} for field in fields])
    kinds, tags, prices = answer.facets
    # Books: d0, d1 (red), d3 (blue); red or blue: d0 to d4.
    assert sorted(ids(answer.results)) == ["d0", "d1", "d3"]
    assert answer.total_size == 3
    assert counts(kinds) == [("book", 3), ("film", 2)]
    assert counts(tags) == [("all", 3), ("red", 2), ("blue", 1)]
    assert sum(count for _, count in counts(prices)) == 3


async def test_only_conditions_at_the_top_of_the_filter_are_left_out(items: Searched) -> None:
    # Mixed with another field the condition counts for the facet too.
    mixed = await facet(items, "attributes.kind", filter_='kind = "map" OR price = 0')
    assert counts(mixed) == [("book", 1), ("map", 1)]
    negated = await facet(items, "attributes.kind", filter_='NOT kind = "map" AND price > 2')
    assert counts(negated) == [("book", 2), ("film", 2), ("map", 1)]


async def test_facets_are_counted_over_what_is_found_on_the_first_page_alone(items: Searched) -> None:
    asked = [{"field": "attributes.kind"}]
    first = await items.search("item", pageSize=2, facets=asked, filter='attributes.kind = "book"')
    assert counts(first.facets[0]) == [("book", 3), ("film", 2), ("map", 1)]
    assert first.total_size == 3
    second = await items.search(
        "item", pageSize=2, facets=asked, filter='attributes.kind = "book"', pageToken=first.next_page_token
    )
    assert not second.facets
    assert len({*ids(first.results), *ids(second.results)}) == 3


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the searches that the engine is asked for, each a call. Words are looked up once, however long that takes."""
    sent: list[str] = []
    send = Engine.call

    async def noted(engine: Engine, operation: str, *rest: Any, **more: Any) -> Any:
        if operation == "search":
            sent.append(operation)
        return await send(engine, operation, *rest, **more)

    monkeypatch.setattr(Engine, "call", noted)
    monkeypatch.setattr(vocabulary, "WAIT_SECONDS", 10.0)
    monkeypatch.setattr(vocabulary, "LEAST_SECONDS", 60.0)
    return sent


async def test_twenty_facets_are_one_search(items: Searched, calls: list[str]) -> None:
    fields = ["tags", "language", "create_time", "update_time", "attributes.kind", "attributes.open", "attributes.made"]
    asked = [{"field": field} for field in (*fields, *(f"attributes.other{n}" for n in range(13)))]
    answer = await items.search("item", facets=asked, filter="tags:red AND language:en")
    assert [facet.field for facet in answer.facets] == [one["field"] for one in asked]
    for few in (asked[:5], asked):
        calls.clear()
        answer = await items.search("item", facets=few, filter="tags:red AND language:en")
        assert (len(answer.facets), calls) == (len(few), ["search"])
    with pytest.raises(Fault) as caught:
        await items.search("item", facets=[*asked, {"field": "attributes.more"}])
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "FACET_TOO_MANY")


async def test_a_batch_is_one_search_however_many_it_has(items: Searched, calls: list[str]) -> None:
    requests = [
        items.request("item"),
        items.request("item", facets=[{"field": "tags"}], filter="tags:red"),
        items.request("ite*", orderBy="attributes.price desc", highlight={}),
        items.request(collapse="attributes.kind"),
        items.request("itme", pageSize=1),
    ]
    batched = search_pb2.BatchSearchRequest(parent=requests[0].parent, requests=requests)
    await batch.run(batched, items.scope, items.collection, items.parts)
    assert len(calls) > 1, "the words are looked up"
    calls.clear()
    answer = await batch.run(batched, items.scope, items.collection, items.parts)
    assert calls == ["search"]
    assert [len(outcome.response.results) for outcome in answer.outcomes] == [7, 3, 7, 4, 1]


# ---- collapse


@pytest.mark.parametrize(("field", "groups"), [("attributes.kind", 4), ("attributes.open", 3), ("attributes.price", 7)])
async def test_of_documents_with_the_same_value_only_the_best_is_found(
    items: Searched, field: str, groups: int
) -> None:
    for size in (1, 2, 10):
        pages = await items.pages(size, "item", collapse=field)
        found = [name for page in pages for name in ids(page)]
        assert len(found) == len(set(found)) == groups
        assert all(len(page) == size for page in pages[:-1])
    whole = await items.search("item", collapse=field)
    assert whole.total_size == 7


async def test_collapse_keeps_the_first_by_the_order(items: Searched) -> None:
    answer = await items.search(collapse="attributes.kind", orderBy="attributes.price desc")
    assert ids(answer.results) == ["d5", "d4", "d3", "bare"]


async def test_collapse_by_lists_is_refused_with_the_reason(place: Place) -> None:
    opened = await place.collection()
    await opened.write({"id": "a", "title": "x", "attributes": {"kind": ["one", "two"]}})
    with pytest.raises(Fault) as caught:
        await opened.search("x", collapse="attributes.kind")
    assert (caught.value.kind, caught.value.reason) == (Kind.PRECONDITION, "COLLAPSE_MANY_VALUES")
    assert [one.field for one in caught.value.violations] == ["collapse"]


async def test_collapse_of_one_search_spoils_no_other_of_a_batch(place: Place) -> None:
    opened = await place.collection()
    await opened.write({"id": "a", "title": "x", "attributes": {"kind": ["one", "two"]}})
    requests = [
        opened.request("x", collapse="attributes.kind"),
        opened.request("x", facets=[{"field": "attributes.kind"}]),
    ]
    batched = search_pb2.BatchSearchRequest(parent=requests[0].parent, requests=requests)
    bad, good = (await batch.run(batched, opened.scope, opened.collection, opened.parts)).outcomes
    assert bad.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert counts(good.response.facets[0]) == [("one", 1), ("two", 1)]


# ---- order


async def test_what_is_nearest_comes_first_and_what_is_nowhere_last(place: Place) -> None:
    opened = await place.collection()
    cities = {"rome": (41.9, 12.5), "milan": (45.5, 9.2), "oslo": (59.9, 10.75)}
    places = {name: {"place": {"lat": lat, "lon": lon}} for name, (lat, lon) in cities.items()} | {
        "none": {},
        "nil": {},
    }
    await opened.write(*({"id": name, "title": "city", "attributes": there} for name, there in places.items()))
    for query in ("", "city"):
        for size in (1, 2, 5):
            pages = await opened.pages(size, query, orderBy="distance(attributes.place, 48.1, 11.6)")
            assert [name for page in pages for name in ids(page)] == ["milan", "rome", "oslo", "nil", "none"]


# ---- readers and cost


async def test_nothing_of_what_a_caller_may_not_read_is_counted(place: Place) -> None:
    opened = await place.collection()
    await opened.write(
        {"id": "open", "title": "item", "tags": ["seen"]},
        {"id": "own", "title": "item", "tags": ["seen", "own"], "readers": ["ann"]},
        {"id": "secret", "title": "item", "tags": ["seen", "secret"], "readers": ["bob"]},
    )
    narrow = opened.as_reader("ann")
    for options in ({}, {"prefix": "se"}, {"contains": "e"}):
        found = dict(counts(await facet(narrow, "tags", **options)))
        assert "secret" not in found
        assert found["seen"] == 2
    with pytest.raises(Fault) as caught:
        await narrow.explain("secret", "item")
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "cheap"),
    [
        ({}, True),
        ({"facets": [{"field": "tags"}, {"field": "language"}]}, True),
        ({"facets": [{"field": "tags"}, {"field": "language"}, {"field": "update_time"}]}, False),
        ({"highlight": {"fields": ["title"]}}, True),
        ({"highlight": {}}, False),
        ({"collapse": "attributes.kind"}, False),
        ({"query": "ite*"}, False),
    ],
)
async def test_what_may_take_long_shares_no_round_trip(place: Place, fields: dict[str, Any], *, cheap: bool) -> None:
    opened = await place.collection()
    request = opened.request(**{"query": "item"} | fields)
    plan = await make_plan(request, opened.scope, opened.collection, opened.parts)
    assert plan.cheap is cheap


# ---- reasons


async def test_every_result_says_which_field_has_which_word(place: Place) -> None:
    opened = await place.collection(languages=("en", "de"))
    await opened.write(
        {"id": "a", "title": "Asyncio tasks", "body": "How to install things", "tags": ["install"]},
        {"id": "b", "title": "Threads", "body": "asyncio is elsewhere"},
    )
    answer = await opened.search("asyncio install -missing", explain=True, matching="MATCHING_ANY")
    told = {
        name: [reason.text for reason in result.reasons]
        for name, result in zip(ids(answer.results), answer.results, strict=True)
    }
    assert told == {
        "a": ['title has "asyncio"', 'body has "install"', 'tags has "install"'],
        "b": ['body has "asyncio"', 'no field has "install"'],
    }
    first = answer.results[0].reasons[0]
    assert (first.term, first.field, first.matches) == ("asyncio", "title", True)
    plain = await opened.search("asyncio")
    assert not any(result.reasons for result in plain.results)


async def test_synonyms_phrases_and_beginnings_are_told_as_such(place: Place) -> None:
    settings = ranking_pb2.SearchSettings(synonyms=[ranking_pb2.Synonym(words=["car", "automobile"])])
    opened = await place.collection(settings=settings)
    await opened.write({"id": "a", "title": "An automobile fast as wind", "body": "engines"})

    async def why(query: str) -> list[str]:
        answer = await opened.search(query, explain=True)
        return [reason.text for result in answer.results for reason in result.reasons]

    assert await why("car") == ['title has "automobile" (for "car")']
    assert await why('"fast as wind"') == ['title has "fast as wind"']
    assert await why("engin*") == ['body has "engin*"']
    assert await why("title:fast") == ['title has "fast"']
