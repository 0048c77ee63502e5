# SPDX-License-Identifier: Apache-2.0
"""BatchSearch, CountDocuments and ExplainDocument through Envoy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import Client, InvalidArgument, NotFound, PinakesError, document
from pinakes.v1.search_pb2 import BatchSearchRequest, ExplainDocumentRequest, ExplainDocumentResponse, SearchRequest
from tests.e2e._search import COLLECTION, Shelf, buckets, ids, pages, shelf
from tests.wire import SEARCH, Door

Verdict = ExplainDocumentResponse.Verdict
COUNT = 60


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection of many lamps and a few other things."""
    documents: dict[str, dict[str, Any]] = {
        f"d{number:02}": {"title": f"Lamp {number}", "attributes": {"price": number, "series": f"s{number % 4}"}}
        for number in range(COUNT)
    }
    documents["chair"] = {
        "title": "Chair with a lamp",
        "body": "Oak.",
        "tags": ["oak"],
        "attributes": {"price": 500, "parts": ["a", "b"]},
    }
    documents["bob"] = {"title": "Table", "readers": ["bob"]}
    attributes = ["price:number:sortable", "series:string", "parts:string"]
    with shelf(platform, "batch", documents, attributes=attributes) as lamps:
        yield lamps


@pytest.fixture(scope="module")
def door(platform: Any) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def user(made: Shelf) -> Iterator[Client]:
    """Give a client that may not see what is for bob."""
    with Client(made.platform.endpoint, key=made.key("user")) as client:
        yield client


# ---- BatchSearch


def test_each_search_of_a_batch_has_an_outcome_of_its_own(made: Shelf) -> None:
    searches: list[dict[str, Any]] = [
        {"query": "lamp", "page_size": 3, "order_by": "attributes.price"},
        {"query": "lamp", "filter": "attributes.price ="},
        {"query": "oak", "facets": ["tags"], "highlight": True, "explain": True},
        {"query": "", "order_by": "nowhere"},
        {"query": "x" * 501},
        {"query": "lamp", "collapse": "attributes.parts"},
        {"query": "lamp", "collapse": "attributes.series", "page_size": 50},
        {"query": "lmap", "page_size": 1},
        {"query": "lamp", "page_token": "none"},
        {"query": "lamp", "page_size": -1},
        {"query": "nothing"},
    ]
    outcomes = made.client.batch_search(searches, collection=COLLECTION)
    told = [one.reason if isinstance(one, PinakesError) else ids(one) for one in outcomes]
    assert told[:6] == [
        ["d00", "d01", "d02"],
        "FILTER_SYNTAX",
        ["chair"],
        "ORDER_UNKNOWN_FIELD",
        "QUERY_TOO_LONG",
        "COLLAPSE_MANY_VALUES",
    ]
    assert len(told[6]) == 5, "four series, and what has none"
    assert told[7] == ["d00"], "the first of all that have what was meant"
    assert (outcomes[7].total_size, outcomes[7].degraded) == (COUNT + 1, False)
    assert told[8:] == ["PAGE_TOKEN_MALFORMED", "INVALID_ARGUMENT", []]
    assert [violation.field for violation in outcomes[1].violations] == ["filter"]
    assert outcomes[0].total_size == COUNT + 1
    assert buckets(outcomes[2]) == [[("oak", 1)]]
    assert outcomes[2].results[0].reasons
    assert outcomes[2].results[0].highlights
    assert all(one.search_id and one.coverage.shards for one in outcomes if not isinstance(one, PinakesError))


def test_a_batch_finds_what_single_searches_find_and_goes_on_by_their_tokens(made: Shelf) -> None:
    searches: list[dict[str, Any]] = [
        {"query": f"lamp {number}", "page_size": 5, "order_by": order}
        for number in range(10)
        for order in ("", "id desc")
    ]
    for search, outcome in zip(searches, made.client.batch_search(searches, collection=COLLECTION), strict=True):
        single = made.search(**search)
        assert ids(outcome) == ids(single)
        assert [one.score for one in outcome.results] == [one.score for one in single.results]
        token = single.next_page_token
        (later,) = made.client.batch_search([search | {"page_token": token}], collection=COLLECTION)
        assert ids(later) == made.found(**search, page_token=outcome.next_page_token)


def test_a_batch_as_a_whole_is_refused_where_it_is_wrong(made: Shelf, door: Door) -> None:
    key = made.key("service")
    cases = {
        "requests": BatchSearchRequest(parent=made.name),
        "parent": BatchSearchRequest(parent="nothing", requests=[SearchRequest()]),
    }
    for field, request in cases.items():
        assert door.refusal(SEARCH + "BatchSearch", request, key).fields == {field}
    many = BatchSearchRequest(parent=made.name, requests=[SearchRequest()] * 21)
    assert door.refusal(SEARCH + "BatchSearch", many, key).fields == {"requests"}
    foreign = BatchSearchRequest(parent=made.name, requests=[SearchRequest(parent="tenants/other/collections/default")])
    (outcome,) = door.call(SEARCH + "BatchSearch", foreign, key).outcomes
    assert outcome.error.code == 3
    assert outcome.error.message.startswith("parent: expected nothing")


# ---- CountDocuments


def test_documents_are_counted_all_of_them_for_the_caller(made: Shelf, user: Client) -> None:
    def count(client: Client, query: str = "", **options: Any) -> int:
        answer = client.count_documents(query, collection=COLLECTION, **options)
        assert answer.coverage.shards == answer.coverage.answered > 0
        return answer.total_size

    assert (count(made.client), count(user)) == (COUNT + 2, COUNT + 1)
    assert count(user, "lamp") == COUNT + 1
    assert count(user, "lmap") == COUNT + 1
    assert count(user, "lmap", typos=False) == 0
    assert count(user, "lamp oak", matching="all") == 1
    assert count(user, "lamp", filter="attributes.price < 10") == 10
    assert (count(made.client, "table"), count(user, "table")) == (1, 0)
    for options in ({"query": "x" * 501}, {"filter": "x ="}):
        with pytest.raises(InvalidArgument) as caught:
            count(user, **options)
        assert [violation.field for violation in caught.value.violations] == list(options)


def test_what_is_counted_is_what_all_pages_have(made: Shelf) -> None:
    for query, text in (("lamp 1 2 3", ""), ("lamp", "attributes.price >= 30"), ("la*", ""), ("-oak", "")):
        found = sum(len(page) for page in pages(made, query, filter=text, page_size=50))
        assert made.client.count_documents(query, filter=text, collection=COLLECTION).total_size == found


# ---- ExplainDocument


def test_the_place_of_each_result_is_its_place_among_equals_too(made: Shelf) -> None:
    for options in (
        {},
        {"order_by": "id desc"},
        {"filter": "attributes.price < 20"},
        {"collapse": "attributes.series"},
    ):
        order = [name for page in pages(made, "lamp", page_size=50, **options) for name in page]
        for place in {1, 2, 7, len(order)} & set(range(1, len(order) + 1)):
            told = made.client.explain_document(order[place - 1], "lamp", collection=COLLECTION, **options)
            assert (told.verdict, told.position) == (Verdict.VERDICT_FOUND, place), (options, told)
            assert told.text.startswith(f"it is result {place}")


def test_a_document_that_is_not_found_says_what_leaves_it_out(made: Shelf, user: Client) -> None:
    def told(name: str, query: str, client: Client = user, **options: Any) -> tuple[int, str]:
        answer = client.explain_document(name, query, collection=COLLECTION, **options)
        assert answer.position == 0
        return answer.verdict, answer.text

    assert told("chair", "table")[0] == Verdict.VERDICT_QUERY
    verdict, text = told("chair", "lamp -oak")
    assert (verdict, text) == (Verdict.VERDICT_QUERY, 'it has "oak", which the query excludes')
    verdict, text = told("d05", "lamp", filter="attributes.price > 50 AND series = s1")
    assert (verdict, text) == (Verdict.VERDICT_FILTER, "the filter leaves it out: attributes.price > 50 doesn't hold")
    assert told("d05", "lamp", collapse="attributes.series")[0] == Verdict.VERDICT_COLLAPSED
    made.change({"curations": [{"query": "lamp", "hides": ["d05"], "pins": ["d30"]}]})
    assert told("d05", "lamp")[0] == Verdict.VERDICT_HIDDEN
    pinned = user.explain_document("d30", "lamp", collection=COLLECTION)
    assert (pinned.position, pinned.score, pinned.text) == (1, 0.0, "it is result 1 of 60; a curation pins it")
    made.change({})
    for name in ("bob", "absent"):
        with pytest.raises(NotFound) as caught:
            user.explain_document(name, "table", collection=COLLECTION)
        assert name in caught.value.message


def test_a_document_that_was_written_just_now_says_so(made: Shelf) -> None:
    """The engine shows writes within two seconds: some of several tries come before that."""
    verdicts = set()
    for number in range(8):
        made.client.put_document(document(f"new{number}", title="Novelty"), collection=COLLECTION, mode="applied")
        verdicts.add(made.client.explain_document(f"new{number}", "novelty", collection=COLLECTION).verdict)
        if Verdict.VERDICT_NOT_YET in verdicts:
            break
        time.sleep(0.17)
    assert Verdict.VERDICT_NOT_YET in verdicts
    assert verdicts <= {Verdict.VERDICT_NOT_YET, Verdict.VERDICT_FOUND}


@pytest.mark.parametrize(
    ("name", "search", "field"),
    [
        ("garbage", {}, "name"),
        ("{name}", {}, "name"),
        ("{name}/documents/", {}, "name"),
        ("{name}/documents/a b", {}, "name"),
        ("{name}/documents/d01/more/of", {}, "name"),
        ("{name}/documents/d01", {"parent": "tenants/other/collections/default"}, "search.parent"),
        ("{name}/documents/d01", {"parent": "{name}/documents/d01"}, "search.parent"),
        ("{name}/documents/d01", {"parent": "\0"}, "search.parent"),
        ("{name}/documents/d01", {"query": "x" * 501}, "search.query"),
        ("{name}/documents/d01", {"filter": "x ="}, "search.filter"),
        ("{name}/documents/d01", {"order_by": "nowhere"}, "search.order_by"),
        ("{name}/documents/d01", {"collapse": "attributes.x"}, "search.collapse"),
        ("{name}/documents/d01", {"matching": 99}, "search.matching"),
        ("{name}/documents/d01", {"languages": ["xx"]}, "search.languages[0]"),
    ],
)
def test_an_explanation_that_cannot_be_says_where(
    made: Shelf, door: Door, name: str, search: dict[str, Any], field: str
) -> None:
    given = {key: value.format(name=made.name) if isinstance(value, str) else value for key, value in search.items()}
    request = ExplainDocumentRequest(name=name.format(name=made.name), search=SearchRequest(**given))
    assert door.refusal(SEARCH + "ExplainDocument", request, made.key("service")).fields == {field}
