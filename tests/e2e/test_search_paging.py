# SPDX-License-Identifier: Apache-2.0
"""Pages, orders, totals, coverage and passages through Envoy: each document once, in an order that holds."""

from __future__ import annotations

import itertools
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pinakes.client import InvalidArgument, document
from pinakes.v1.search_pb2 import Highlight, SearchResult
from tests.e2e._search import COLLECTION, Shelf, pages, shelf

COUNT = 120
STAYING, OTHERS = 60, 10
SIZES = (1, 5, 16, 49, 50)
EVIL = '<script>alert("x")</script> & <img src=x onerror=alert(1)> papyrus </mark><mark>'


def _document(number: int) -> dict[str, Any]:
    """Return one of many documents that are alike: ties everywhere, and some without a value."""
    attributes: dict[str, Any] = {"group": f"g{number % 7}", "rank": number % 5}
    if number % 3:
        attributes["place"] = {"lat": number % 10, "lon": 0}
        attributes["name"] = "même" if number % 2 else "same"
    return {"title": "Papyrus leaf", "body": "The same text.", "attributes": attributes}


def _leaves(platform: Any, label: str, count: int) -> AbstractContextManager[Shelf]:
    documents = {f"d{number:03}": _document(number) for number in range(count)}
    attributes = ("group:string:sortable", "rank:number:sortable", "name:string:sortable", "place:geo")
    return shelf(platform, label, documents, attributes=attributes)


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection of documents that are alike."""
    with _leaves(platform, "pages", COUNT) as leaves:
        yield leaves


@pytest.fixture(scope="module")
def busy(platform: Any) -> Iterator[Shelf]:
    """Make another, for others to come and go in."""
    with _leaves(platform, "busy", STAYING) as leaves:
        yield leaves


@contextmanager
def _others_come_and_go(busy: Shelf) -> Iterator[Callable[[], None]]:
    """Write and delete others in a thread, which stand among the leaves in every order; give what waits for a change.

    The engine is told to show each change at once instead of every second; what is promised doesn't depend on it.
    """
    refresh = urllib.request.Request(f"{busy.platform.opensearch_url}/pinakes-pool-*/_refresh", method="POST")
    changed, over = threading.Event(), threading.Event()

    def change() -> None:
        for number in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            # Each is created, then it moves, then it goes: by threes 10 leave one, so its next turn is its next step.
            name, step = f"d{number % OTHERS * 6:03}-other", number % 3
            if step < 2:
                busy.client.put_document(document(name, **_document(number + number // OTHERS)), collection=COLLECTION)
            else:
                busy.client.delete_document(name, collection=COLLECTION, allow_missing=True)
            with urllib.request.urlopen(refresh, timeout=10):  # the test's own engine
                changed.set()

    def wait() -> None:
        changed.clear()
        assert changed.wait(10)

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        try:
            yield wait
        finally:
            over.set()
            changing.result()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("query", "order"),
    [
        ("papyrus", ""),
        ("", ""),
        ("papyrus", "id desc"),
        ("papyrus", "attributes.rank desc, attributes.name"),
        ("papyrus", "attributes.name desc, relevance"),
        ("", "distance(attributes.place, 3, 0)"),
        ("", "create_time, attributes.group desc"),
        ("papyrus", "title desc, id desc"),
    ],
)
def test_every_document_is_on_one_page_whatever_is_equal(made: Shelf, size: int, query: str, order: str) -> None:
    found = list(pages(made, query, order_by=order, page_size=size))
    assert all(len(page) == size for page in found[:-1])
    flat = [name for page in found for name in page]
    assert sorted(flat) == [f"d{number:03}" for number in range(COUNT)]
    assert flat == [name for page in pages(made, query, order_by=order, page_size=50) for name in page]


@pytest.mark.parametrize("size", SIZES)
def test_what_stays_is_on_one_page_whatever_comes_and_goes_meanwhile(busy: Shelf, size: int) -> None:
    asked = [("papyrus", ""), ("", ""), ("", "attributes.rank desc"), ("papyrus", "title, attributes.name")]
    listed = [pages(busy, query, order_by=order, page_size=50) for query, order in asked]
    before = [[name for page in listing for name in page if not name.endswith("other")] for listing in listed]
    assert all(sorted(names) == [f"d{number:03}" for number in range(STAYING)] for names in before)
    found: list[list[str]] = [[] for _ in asked]
    with _others_come_and_go(busy) as wait_for_a_change:
        for _ in range(OTHERS):
            wait_for_a_change()
        listings = [pages(busy, query, order_by=order, page_size=size) for query, order in asked]
        for number, together in enumerate(itertools.zip_longest(*listings, fillvalue=())):
            for names, page in zip(found, together, strict=True):
                names += page
            if number % (50 // size) == 0:
                wait_for_a_change()
    assert [[name for name in names if not name.endswith("other")] for names in found] == before
    assert any(len(names) > STAYING for names in found), "others have been seen"


def test_equal_documents_are_in_the_order_of_their_ids(made: Shelf) -> None:
    assert made.found("papyrus", page_size=5) == ["d000", "d001", "d002", "d003", "d004"]
    ranked = made.search(order_by="attributes.rank desc", page_size=50)
    keys = [(-one.document.attributes["rank"], one.document.name) for one in ranked.results]
    assert keys == sorted(keys)
    last = list(pages(made, order_by="attributes.name", page_size=50))[-1][-1]
    assert int(last[1:]) % 3 == 0, "documents without a value come last"


def test_collapsed_results_are_paged_through_once(made: Shelf) -> None:
    found = [name for page in pages(made, "papyrus", collapse="attributes.group", page_size=3) for name in page]
    assert found == [f"d{number:03}" for number in range(7)]
    best = made.found("papyrus", collapse="attributes.group", order_by="id desc")
    assert best == [f"d{number:03}" for number in range(COUNT - 1, COUNT - 8, -1)]
    assert made.search("papyrus", collapse="attributes.group").total_size == COUNT


def test_an_answer_says_how_much_there_is_and_how_much_was_searched(made: Shelf) -> None:
    answer = made.search("papyrus", page_size=1)
    assert (answer.total_size, answer.total_size_capped) == (COUNT, False)
    assert answer.coverage.shards == answer.coverage.answered > 0
    assert not answer.coverage.reason
    assert not answer.degraded
    assert answer.HasField("took")
    assert answer.search_id
    assert len(made.found("papyrus")) == 10
    assert len(made.found("papyrus", page_size=2_000_000)) == 50


def test_a_token_goes_with_its_own_request_only(made: Shelf) -> None:
    first = made.search("papyrus", page_size=5, filter="rank < 4")
    changes: list[dict[str, Any]] = [
        {"query": "leaf"}, {"filter": "rank < 3"}, {"order_by": "id"}, {"matching": "all"}, {"typos": False},
        {"ranking": {"title": 1}}, {"languages": ["en"]}, {"facets": ["tags"]}, {"highlight": True}, {"explain": True},
        {"collapse": "group"}, {"without_curation": True}, {"read_mask": ["title"]},
    ]  # fmt: skip
    for change in changes:
        options = {"query": "papyrus", "filter": "rank < 4", **change}
        with pytest.raises(InvalidArgument) as caught:
            made.search(page_token=first.next_page_token, **options)
        assert caught.value.reason == "PAGE_TOKEN_MISMATCH", change
        assert [violation.field for violation in caught.value.violations] == ["page_token"]
    second = made.found("papyrus", page_size=7, filter="rank < 4", page_token=first.next_page_token)
    assert len(second) == 7


def test_a_token_ends_when_the_order_that_it_is_of_has_changed(made: Shelf) -> None:
    made.change({"ranking": {"boosts": [{"number": "attributes.rank", "weight": 1}]}})
    order = "relevance, attributes.rank"
    token = made.search(order_by=order, page_size=5).next_page_token
    assert len(made.found(order_by=order, page_size=5, page_token=token)) == 5
    made.change({})
    with pytest.raises(InvalidArgument) as caught:
        made.search(order_by=order, page_size=5, page_token=token)
    assert caught.value.reason == "PAGE_TOKEN_MISMATCH"


@pytest.mark.parametrize(
    ("order", "reason", "words"),
    [
        ("rank sideways", "ORDER_SYNTAX", "asc or desc"),
        ("attributes.rnak", "ORDER_UNKNOWN_FIELD", "did you mean attributes.rank?"),
        ("attributes.place", "ORDER_NOT_SORTABLE", "GEO"),
        ("id, id desc", "ORDER_SYNTAX", "twice"),
        ("id,,id", "ORDER_SYNTAX", "field 2"),
        ("relevance asc", "ORDER_SYNTAX", "best first"),
        ("id, create_time, update_time, relevance, rank", "ORDER_SYNTAX", "at most 4"),
        ("distance(attributes.place, 1)", "ORDER_SYNTAX", "found 2 arguments"),
        ("distance(attributes.place, 91, 0)", "ORDER_SYNTAX", "-90 to 90"),
        ("distance(attributes.rank, 1, 1)", "ORDER_NOT_SORTABLE", "GEO"),
        ("distance(attributes.place, 1, 1) desc", "ORDER_SYNTAX", "nearest first"),
        ("\0", "ORDER_UNKNOWN_FIELD", "known"),
    ],
)
def test_an_order_that_cannot_be_says_why(made: Shelf, order: str, reason: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made.search(order_by=order)
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == (reason, "order_by")
    assert words in violation.description


def _passages(result: SearchResult) -> dict[str, list[str]]:
    return {one.field: list(one.texts) for one in result.highlights}


def test_passages_are_safe_whatever_a_text_holds(made: Shelf) -> None:
    made.write({"evil": {"title": EVIL, "body": f"{EVIL}. Next sentence.", "tags": ["evil"]}})
    (result,) = made.search("papyrus", filter="tags:evil", highlight=True).results
    for texts in _passages(result).values():
        bare = texts[0].replace("<mark>papyrus</mark>", "")
        assert "papyrus" not in bare
        assert not set(bare) & set("<>\"'"), bare
        assert "&lt;script&gt;" in bare
    asked = Highlight(fields=["title"], before="[", after="]", plain=True)
    (plain,) = made.search("papyrus", filter="tags:evil", highlight=asked).results
    assert _passages(plain) == {"title": [EVIL.replace("papyrus", "[papyrus]")]}
    made.client.delete_document("evil", collection="shelf", mode="searchable")


def test_passages_end_where_sentences_do_and_come_from_the_fields_asked_for(made: Shelf) -> None:
    sentences = [f"Sentence number {number} says nothing of interest to us." for number in range(20)]
    sentences[10] = "Here vellum is named."
    sentences[15] = "Vellum again, in a second place."
    made.write({"long": {"title": "Of skins", "body": " ".join(sentences), "tags": ["vellum"]}})
    asked = Highlight(fields=["body"], passages=2, passage_chars=50)
    (result,) = made.search("vellum", highlight=asked).results
    texts = _passages(result)["body"]
    assert len(texts) == 2
    assert "Here <mark>vellum</mark> is named." in texts[0]
    assert "<mark>Vellum</mark> again, in a second place." in texts[1]
    assert len(texts[0]) < 150
    (found,) = made.search("vellum", highlight=Highlight(fields=["title"])).results
    assert not found.highlights, "a field without the word has no passages"
    made.client.delete_document("long", collection="shelf", mode="searchable")
