# SPDX-License-Identifier: Apache-2.0
"""Synonyms, stop words, ranking and curation through Envoy: in force with the very next search, in every way of asking."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from pinakes.client import Client, InvalidArgument
from pinakes.v1.ranking_pb2 import SearchSettings
from pinakes.v1.resources_pb2 import Collection
from tests.e2e._search import COLLECTION, Shelf, ids, pages, shelf

DOCUMENTS: dict[str, dict[str, Any]] = {
    "city": {"title": "New York", "body": "A city by the sea."},
    "laptop": {"title": "Laptop"},
    "pad": {"title": "Notebook of paper"},
    "guide": {"title": "Guide to lamps", "attributes": {"stars": 3}},
    "lamp1": {"title": "Lamp of brass", "attributes": {"stars": 1}},
    "lamp2": {"title": "Lamp of iron", "attributes": {"stars": 9007199254740000}},
    "lamp3": {"title": "Lamp of wood", "attributes": {"stars": 5}},
    "secret": {"title": "Lamp for bob", "readers": ["bob"]},
    "other": {"title": "Chair"},
}


@pytest.fixture(scope="module")
def shop(platform: Any) -> Iterator[Shelf]:
    """Make a collection of a few documents."""
    with shelf(platform, "settings", DOCUMENTS, attributes=["stars:number"]) as things:
        yield things


@pytest.fixture
def made(shop: Shelf) -> Iterator[Shelf]:
    """Give the collection, as it was made before and after."""
    yield shop
    shop.change({})


def test_synonyms_hold_with_the_very_next_search_and_no_longer_after_they_are_taken_back(made: Shelf) -> None:
    for _ in range(5):
        assert made.found("ny") == []
        made.change({"synonyms": [{"words": ["NY", "New York", "big apple"]}]}, "search.synonyms")
        assert made.found("ny") == made.found("big apple") == ["city"]
        assert made.client.count_documents("ny", collection=COLLECTION).total_size == 1
        (outcome,) = made.client.batch_search([{"query": "ny"}], collection=COLLECTION)
        assert ids(outcome) == ["city"]
        made.change({}, "search.synonyms")


def test_one_way_synonyms_find_one_way(made: Shelf) -> None:
    made.change({"synonyms": [{"words": ["computer"], "means": ["laptop", "notebook of paper"]}]})
    assert set(made.found("computer")) == {"laptop", "pad"}
    assert made.found("laptop") == ["laptop"]
    answer = made.search("computer", explain=True, filter="id = laptop")
    assert [reason.text for reason in answer.results[0].reasons] == ['title has "laptop" (for "computer")']


def test_stop_words_may_be_missing_and_hold_at_once(made: Shelf) -> None:
    assert made.found("please chair", matching="all") == []
    made.change({"stopWords": ["please"]}, "search.stop_words")
    assert made.found("please chair", matching="all") == ["other"]
    assert made.found("please") == [], "alone it is looked for"


def test_matching_typos_and_ranking_of_the_collection_hold_where_a_request_says_nothing(made: Shelf) -> None:
    made.change({"matching": "MATCHING_ALL", "typos": "TYPOS_REFUSED", "ranking": {"title": 0}})
    assert made.found("lamp") == []
    assert made.found("lmap", ranking={"title": 1}) == []
    assert made.found("lmap", ranking={"title": 1}, typos=True)
    assert made.found("lamp absent", ranking={"title": 1}) == []
    assert set(made.found("lamp chair", ranking={"title": 1}, matching="any")) >= {"lamp1", "other"}
    made.change({"typos": "TYPOS_TOLERATED"}, "search.typos")
    kept = made.client.get_collection(COLLECTION).search
    assert (kept.matching, kept.typos, kept.ranking.title) == (2, 1, 0.0)


def test_pins_come_first_in_order_if_the_caller_may_see_them_and_the_filter_leaves_them(made: Shelf) -> None:
    made.change({"curations": [{"query": "Lamp", "pins": ["other", "secret", "lamp3", "absent"], "hides": ["lamp2"]}]})
    answer = made.search("  lAMP ")
    assert ids(answer)[:3] == ["other", "secret", "lamp3"]
    assert [(one.pinned, one.score == 0) for one in answer.results[:3]] == [(True, True)] * 3
    assert "lamp2" not in ids(answer)
    assert answer.total_size == made.client.count_documents("lamp", collection=COLLECTION).total_size == 5
    with Client(made.platform.endpoint, key=made.key("user")) as user:
        assert ids(user.search("lamp", collection=COLLECTION))[:2] == ["other", "lamp3"]
    assert ids(made.search("lamp", filter="attributes.stars > 3")) == ["lamp3"]
    assert "other" not in made.found("lamp", order_by="id")
    assert "lamp2" not in made.found("lamp", order_by="id")
    plain = made.found("lamp", without_curation=True)
    assert "lamp2" in plain
    assert "other" not in plain
    assert made.found("lamps")[0] != "other", "another query"
    paged = [name for page in pages(made, "lamp", page_size=1) for name in page]
    assert paged == ids(answer)


def test_pins_stay_above_whatever_boosts_make_of_scores(made: Shelf) -> None:
    boosts = [{"number": "attributes.stars", "weight": 100, "scale": 1e-30}] * 8
    made.change({"ranking": {"boosts": boosts, "title": 10}, "curations": [{"query": "lamp", "pins": ["lamp1"]}]})
    assert made.found("lamp")[:2] == ["lamp1", "lamp2"]


def test_a_prefix_curation_holds_for_queries_that_begin_with_it(made: Shelf) -> None:
    made.change({"curations": [{"query": "lamp", "match": "MATCH_PREFIX", "pins": ["guide"]}]})
    assert made.found("lamp of brass")[0] == "guide"
    assert made.found("lämp of iron")[0] == "guide"
    assert made.found("lamps")[0] != "guide" or not made.search("lamps").results[0].pinned
    assert made.found("brass lamp")[0] == "lamp1"


def test_a_curation_holds_in_its_time_only(made: Shelf) -> None:
    def when(seconds: float) -> str:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def pinned() -> list[str]:
        return [one.document.name.rpartition("/")[2] for one in made.search("lamp").results if one.pinned]

    made.change({
        "curations": [
            {"query": "lamp", "pins": ["other"], "endTime": when(-120)},
            {"query": "lamp", "pins": ["pad"], "startTime": when(3600)},
            {"query": "lamp", "pins": ["guide"], "startTime": when(-60), "endTime": when(2)},
        ]
    })  # fmt: skip
    assert pinned() == ["guide"]
    # An answer may be kept for a second.
    time.sleep(3.2)
    assert pinned() == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"synonyms": [{"words": ["a b c d e f", "x"]}]}, "collection.search.synonyms[0].words[0]"),
        ({"synonyms": [{"words": []}]}, "collection.search.synonyms[0].words"),
        ({"stopWords": ["x", "x"]}, "collection.search.stop_words"),
        ({"curations": [{"query": ""}]}, "collection.search.curations[0].query"),
        ({"curations": [{"query": "x", "pins": ["a b"]}]}, "collection.search.curations[0].pins[0]"),
        ({"curations": [{"query": "x", "pins": ["a"], "hides": ["a"]}]}, "collection.search.curations[0].pins[0]"),
        ({"curations": [{"query": "x", "startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}]}, "collection.search.curations[0].end_time"),
        ({"ranking": {"textAttributes": {"nothing": 1}}}, "collection.search.ranking.text_attributes"),
        ({"ranking": {"boosts": [{"filter": "colour = red", "weight": 1}]}}, "collection.search.ranking.boosts[0].filter"),
        ({"ranking": {"boosts": [{"filter": "id = a"}]}}, "collection.search.ranking.boosts[0].weight"),
        ({"ranking": {"freshness": {"field": "attributes.stars", "halfLife": "60s"}}}, "collection.search.ranking.freshness.field"),
        ({"ranking": {"freshness": {"field": "update_time", "halfLife": "59s"}}}, "collection.search.ranking.freshness.half_life"),
        ({"ranking": {"title": 11}}, "collection.search.ranking.title"),
    ],
)  # fmt: skip
def test_settings_that_cannot_hold_are_refused_when_they_are_made(
    made: Shelf, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made.change(settings)
    assert field in [violation.field for violation in caught.value.violations], caught.value.violations
    assert made.client.get_collection(COLLECTION).search == SearchSettings()


def test_times_of_a_curation_that_are_none_are_refused(made: Shelf) -> None:
    settings = ParseDict({"curations": [{"query": "x", "pins": ["a"]}]}, SearchSettings())
    for seconds, nanos in ((1 << 62, 0), (-(1 << 62), 0), (0, -5), (0, 2_000_000_000)):
        settings.curations[0].start_time.seconds = seconds
        settings.curations[0].start_time.nanos = nanos
        with pytest.raises(InvalidArgument) as caught:
            made.client.update_collection(Collection(name=made.name, search=settings), ["search"])
        assert caught.value.violations[0].field.startswith("collection.search.curations[0]")
