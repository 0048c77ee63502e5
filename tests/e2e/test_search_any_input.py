# SPDX-License-Identifier: Apache-2.0
"""Any request to SearchService, made at random of what is right, nearly right and wrong, is answered or refused for a reason.

What is sent is drawn anew in each run; a failure prints how to repeat it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pinakes.v1 import facets_pb2, insights_pb2, ranking_pb2, search_pb2, suggest_pb2
from tests.e2e._search import COLLECTION, Shelf, shelf
from tests.wire import SEARCH, Door

SEED = secrets.randbits(32)
SECONDS = 25.0
ACCIDENTS = {
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNIMPLEMENTED,
}  # fmt: skip
PARENT = f"tenants/-/collections/{COLLECTION}"
ATTRIBUTES = (
    "price:number:sortable",
    "kind:string:sortable",
    "made:time:sortable",
    "note:text",
    "sold:bool",
    "place:geo",
)
DOCUMENTS: dict[str, dict[str, Any]] = {
    f"d{number}": {
        "title": f"Running lamp {number} \U0001f600", "body": "A café by the sea. 東京都に行きました。 <b>", "tags": ["red", "réd", f"t{number}"],
        "attributes": {
            "kind": "desk" if number % 2 else "Wände", "price": number * 1.5 - 3, "sold": number > 3, "note": "switch", "free": {"x": [1, "a"]},
            "made": ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-28T00:00:00Z")[number % 3], "place": {"lat": number, "lon": -number},
        },
    }
    for number in range(6)
}  # fmt: skip


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection with as much in it as can be got wrong: languages, attributes, settings."""
    settings_of_it = {
        "synonyms": [{"words": ["ny", "new york", "big apple"]}, {"words": ["lamp"], "means": ["light source", "灯"]}],
        "stopWords": ["please"],
        "curations": [{"query": "lamp", "match": "MATCH_PREFIX", "pins": ["d3", "none"], "hides": ["d1"]}],
        "ranking": {"textAttributes": {"note": 1}},
    }
    languages = ["en", "de", "ja", "zh", "ko"]
    with shelf(platform, "any", DOCUMENTS, attributes=ATTRIBUTES, languages=languages, search=settings_of_it) as things:
        yield things


# ---- what is sent


def mostly(right: st.SearchStrategy[Any], wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what is right, but for one in twenty: with many fields, half of the requests are right as a whole."""
    return st.integers(0, 19).flatmap(lambda number: right if number else wrong)


def some(*right: Any, wrong: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return mostly one of these values."""
    return mostly(st.sampled_from(right), wrong)


def seldom(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return None, and in one case of four something."""
    return st.integers(0, 3).flatmap(lambda number: st.none() if number else strategy)


WORDS = (
    "lamp", "lmap", "running", "runnin*", "please", "ny", "new york", "-lamp", '"running lamp"', "title:lamp", "note:switch", "tags:réd",
    "東京", "café", "\U0001f600", "title:", '"', "-", "x" * 70, "a.b.c.d", "os.path.join", "3.14", "*", "\0", "-title:xy*", 'body:"', "灯" * 40,
)  # fmt: skip
odd = st.text(max_size=12)
queries = mostly(
    st.one_of(
        st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
        st.text("漢字仮名交文章日本語中国韓国図書館 ", max_size=500),
        st.lists(st.text(st.characters(codec="utf-8"), max_size=15), max_size=31).map(" ".join),
    ),
    st.one_of(st.text(max_size=520), st.text("ab. -\"*:()'", max_size=500)),
)
PIECES = (
    "kind", "price", "sold", "made", "place", "note", "tags", "title", "attributes.free.x", "attributes", "id", "readers", " = ", " != ", " < ",
    " >= ", ":", ":*", " AND ", " OR ", " NOT ", "-", "(", ")", "desk", '"desk"', "5", "-1e3", "1e999", "true", '"2026-01-01T00:00:00Z"', "now()",
    'ago("7d")', 'from_now("999999999w")', 'timestamp("0001-01-01T00:00:00Z")', ",", "*", "\\", "'", '"', " ", "\0", "de*", '"a\\*b*"', "漢字",
)  # fmt: skip
WHOLE = (
    "price > 0", "kind = desk", "kind:(desk OR x)", "tags:red OR tags:t1", "price > 1 AND kind = desk", "made < now()", "NOT sold = true",
    'geo_distance(place, 0, 0, "999999999nmi")', 'geo_distance(place, 90, -180, "0.1m")', "lamp", '"running lamp"', "attributes.free.x = 1",
    "language = en", "price = 1e-300", 'made = from_now("999999999w")', "note:switch", 'kind = "\0"', "price:*", '"東京都 行く"', "",
)  # fmt: skip
filters = mostly(
    st.lists(st.sampled_from(WHOLE), max_size=3).map(lambda parts: " AND ".join(filter(None, parts))),
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), odd),
)
ANY_FIELD = st.one_of(
    st.sampled_from(["attributes.", "title", "readers", "", "attributes.\0", "attributes.kind.x", "relevance"]), odd
)
STRINGS = ("tags", "language", "attributes.kind", "attributes.free.x", "attributes.free", "attributes.\0")
numbers = st.one_of(st.sampled_from([0.0, -1.0, 1e-300, 1e300, 5e-324]), st.floats())
weights = mostly(st.floats(0.001, 10), numbers)
small = mostly(st.integers(0, 20), st.sampled_from([-1, 21, 50, 51, 101, 1 << 31 - 1]))
usual = some(0, 0, 0, 1, 2, wrong=st.sampled_from([3, 9, -1]))
ORDERS = (
    "id",
    "relevance",
    "attributes.price desc",
    "attributes.kind",
    "attributes.made",
    "distance(attributes.place, 1, 2)",
    "update_time",
)
orders = mostly(
    st.one_of(st.just(""), st.lists(st.sampled_from(ORDERS), max_size=4, unique=True).map(", ".join)),
    st.lists(st.tuples(ANY_FIELD, st.sampled_from(["", " desc", " up"])).map("".join), max_size=5).map(",".join),
)
texts = mostly(
    st.one_of(st.just(""), st.text(max_size=64), st.sampled_from(["r", "RE", ".*", "\\", '"', "[", "a" * 64])),
    st.text(max_size=70),
)
bounds = st.one_of(st.sampled_from(["", "0", "1e300", "2026-01-01T00:00:00Z", "x", "NaN"]), odd)
wrong_ranges = st.builds(lambda lower, upper: facets_pb2.Facet.Range(**{"from": lower, "to": upper}), bounds, bounds)
RIGHT_RANGES = {
    "attributes.price": [facets_pb2.Facet.Range(to="1.5"), facets_pb2.Facet.Range(**{"from": "-3", "to": "1e9"})],
    "attributes.made": [facets_pb2.Facet.Range(**{"from": "0001-01-01T00:00:00Z"})],
}
limits = mostly(st.integers(0, 100), st.sampled_from([-1, 101]))
facets = mostly(
    st.one_of(
        st.builds(facets_pb2.Facet, field=st.sampled_from(STRINGS), limit=limits, contains=texts, prefix=texts, order=st.integers(0, 2)),
        st.builds(lambda field: facets_pb2.Facet(field=field, ranges=RIGHT_RANGES[field]), st.sampled_from(list(RIGHT_RANGES))),
        st.builds(facets_pb2.Facet, field=st.just("attributes.price"), interval=st.floats(1e-9, 1e308), limit=limits),
        st.builds(facets_pb2.Facet, field=st.sampled_from(["attributes.made", "create_time"]), calendar=st.integers(1, 7), limit=limits),
        st.builds(facets_pb2.Facet, field=st.sampled_from(["attributes.made", "attributes.price", "attributes.sold"]), limit=limits),
    ),
    st.builds(
        facets_pb2.Facet, field=ANY_FIELD, limit=limits, contains=texts, ranges=st.lists(wrong_ranges, max_size=3), interval=numbers,
        calendar=st.integers(0, 9),
    ),
)  # fmt: skip
boosts = st.one_of(
    st.builds(ranking_pb2.Boost, filter=filters, weight=weights),
    st.builds(
        ranking_pb2.Boost,
        number=some("price", "attributes.price", wrong=ANY_FIELD),
        weight=weights,
        scale=mostly(st.floats(1e-30, 1e30), numbers),
    ),
)
freshness = st.builds(
    lambda field, seconds, nanos, weight: ranking_pb2.Freshness(field=field, half_life={"seconds": seconds, "nanos": nanos}, weight=weight),
    some("update_time", "attributes.made", wrong=ANY_FIELD), some(60, 86_400, 3_155_759_999, wrong=st.sampled_from([0, 59, -1, 1 << 60])),
    some(0, 0, wrong=st.sampled_from([-1, 1 << 30])), mostly(st.floats(0, 1), numbers),
)  # fmt: skip
rankings = st.builds(
    ranking_pb2.Ranking, title=seldom(weights), tags=seldom(weights), body=seldom(weights),
    text_attributes=st.dictionaries(some("note", "note", wrong=odd), weights, max_size=1),
    freshness=seldom(freshness), boosts=st.lists(boosts, max_size=4),
)  # fmt: skip
highlights = st.builds(
    search_pb2.Highlight, fields=st.lists(some("title", "body", "attributes.note", wrong=ANY_FIELD), max_size=3, unique=True),
    passages=some(0, 1, 5, wrong=st.sampled_from([-1, 6])), passage_chars=some(0, 50, 1000, wrong=st.sampled_from([49, 1001])),
    before=st.text(max_size=5), after=st.text(max_size=5), plain=st.booleans(),
)  # fmt: skip
searches = st.builds(
    search_pb2.SearchRequest, parent=st.just(PARENT), query=queries, filter=filters, order_by=orders, page_size=small,
    matching=usual, typos=usual, ranking=seldom(rankings), languages=st.lists(some("en", "de", "ja", wrong=odd), max_size=2, unique=True),
    facets=st.lists(facets, max_size=3, unique_by=lambda facet: facet.field), highlight=seldom(highlights),
    collapse=mostly(seldom(st.sampled_from(["attributes.kind", "attributes.price", "attributes.sold"])), ANY_FIELD),
    explain=st.booleans(), without_curation=st.booleans(), page_token=mostly(st.just(""), odd),
)  # fmt: skip


def _within(search: search_pb2.SearchRequest, parent: str) -> search_pb2.SearchRequest:
    search.parent = parent
    return search


members = st.builds(_within, searches, some("", PARENT, wrong=odd))
NAMES = [f"{PARENT}/documents/d{number}" for number in range(7)]
REQUESTS: dict[str, tuple[int, st.SearchStrategy[Any]]] = {
    "Search": (600, searches),
    "BatchSearch": (60, st.builds(search_pb2.BatchSearchRequest, parent=st.just(PARENT), requests=st.lists(members, max_size=5))),
    "CountDocuments": (
        150,
        st.builds(search_pb2.CountDocumentsRequest, parent=st.just(PARENT), query=queries, filter=filters, matching=usual, typos=usual),
    ),
    "ExplainDocument": (150, st.builds(search_pb2.ExplainDocumentRequest, name=some(*NAMES, wrong=odd), search=members)),
    "Suggest": (
        300,
        st.builds(
            suggest_pb2.SuggestRequest, parent=st.just(PARENT), query=queries, filter=filters, typos=usual, limit=small,
            kinds=st.lists(some(1, 2, 3, 4, wrong=st.sampled_from([0, 5])), max_size=4, unique=True),
        ),
    ),
    "RecordEvent": (
        40,
        st.builds(insights_pb2.RecordEventRequest, parent=st.just(PARENT), search_id=odd, type=st.integers(0, 3), document=odd, position=small),
    ),
}  # fmt: skip
"""How many of each are sent at most, and what."""


@dataclass
class Count:
    """How often what was sent was answered, and refused."""

    answered: int = 0
    refused: int = 0


def _send(door: Door, key: str, method: str, request: Message, count: Count) -> Any:
    """Send a request; whatever comes of it, it isn't an accident."""
    try:
        answer = door.call(SEARCH + method, request, key, timeout=30)
    except grpc.RpcError as error:
        status = error.code()  # type: ignore[attr-defined]  # a failed call is a call too
        assert status not in ACCIDENTS, f"seed {SEED}: {status.name} {error.details()} for {method} {request}"  # type: ignore[attr-defined]
        count.refused += 1
        return None
    count.answered += 1
    for outcome in getattr(answer, "outcomes", ()):
        assert outcome.error.code not in {status.value[0] for status in ACCIDENTS}, (
            f"seed {SEED}: {outcome.error} for {request}"
        )
    return answer


@pytest.mark.parametrize("method", REQUESTS)
def test_no_request_is_an_accident(made: Shelf, method: str) -> None:
    print(f"seed {SEED}")
    most, requests = REQUESTS[method]
    until = time.monotonic() + SECONDS * most / sum(number for number, _ in REQUESTS.values())
    count = Count()
    key = made.key("service")
    with Door(made.platform.endpoint) as door:

        @seed(SEED)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests)
        def send(request: Message) -> None:
            if time.monotonic() > until:
                return
            answer = _send(door, key, method, request, count)
            if answer is not None and isinstance(request, search_pb2.SearchRequest) and answer.next_page_token:
                # The next page of whatever was found is an answer, too.
                request.page_token = answer.next_page_token
                _send(door, key, method, request, count)

        send()
    print(f"{method}: {count}")
    assert count.refused > 0
    assert count.answered > 0 or method == "RecordEvent"
