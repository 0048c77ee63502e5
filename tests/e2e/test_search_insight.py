# SPDX-License-Identifier: Apache-2.0
"""Search insight through Envoy: what is told of searches and of results opened, to whom, and where nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import Client, InvalidArgument, PermissionDenied
from pinakes.v1.insights_pb2 import GetSearchInsightsRequest, GetSearchInsightsResponse, RecordEventRequest
from tests.e2e._search import COLLECTION, Shelf, shelf
from tests.wire import SEARCH, Door

DOCUMENTS: dict[str, dict[str, Any]] = {"lamp": {"title": "Lamp"}, "desk": {"title": "Desk"}}
SECONDS = 45.0
"""Searches are told within half a minute."""


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection, and a second one of which nothing is kept."""
    with shelf(platform, "insight", DOCUMENTS) as things:
        things.client.create_collection("private", attributes=[])
        yield things


def told(made: Shelf, **options: Any) -> GetSearchInsightsResponse:
    return made.client.get_search_insights(collection=COLLECTION, **options)


def test_searches_and_what_was_opened_are_told_to_those_who_may_write(made: Shelf) -> None:
    made.change({"insights": "INSIGHTS_OFF"})
    off = made.search("never kept")
    assert not made.client.record_event(off.search_id, "lamp", collection=COLLECTION)
    made.change({})
    with Client(made.platform.endpoint, key=made.key("user")) as user:
        for text in ("Lamp", " lamp ", "LAMP", "desk"):
            found = user.search(text, collection=COLLECTION)
        for text in ("unicorn", "Unicorn"):
            user.search(text, collection=COLLECTION)
        everything = user.search("", collection=COLLECTION)
        lamps = user.search("lamp", collection=COLLECTION)
        assert user.record_event(lamps.search_id, "lamp", position=1, collection=COLLECTION)
        assert user.record_event(lamps.search_id, "lamp", position=3, collection=COLLECTION)
        assert user.record_event(found.search_id, "desk", event="conversion", collection=COLLECTION)
        assert user.record_event(everything.search_id, "desk", collection=COLLECTION)
        with pytest.raises(PermissionDenied):
            user.get_search_insights(collection=COLLECTION)
    until = time.monotonic() + SECONDS
    while (answer := told(made)).searches < 7 or answer.conversions < 1:
        assert time.monotonic() < until, answer
        time.sleep(0.5)
    assert (answer.searches, answer.without_results, answer.clicks, answer.conversions) == (7, 2, 3, 1)
    assert [(one.query, one.searches, one.clicks, one.conversions) for one in answer.top_queries] == [
        ("lamp", 4, 2, 0), ("unicorn", 2, 0, 0), ("desk", 1, 0, 1),
    ]  # fmt: skip
    assert answer.top_queries[0].mean_click_position == 2.0
    assert [(one.query, one.without_results) for one in answer.queries_without_results] == [("unicorn", 2)]
    assert {one.query for one in answer.slow_queries} == {"lamp", "unicorn", "desk"}
    assert all(one.HasField("p95_took") for one in answer.slow_queries)
    assert answer.retention.ToSeconds() >= 86_400
    assert "never kept" not in str(answer)
    assert [one.query for one in told(made, limit=1).top_queries] == ["lamp"]
    assert told(made, end_time="2020-01-01T00:00:00Z").searches == 0
    assert made.client.get_search_insights(collection="private").searches == 0


def test_an_event_is_of_a_search_in_this_collection_or_refused(made: Shelf) -> None:
    search_id = made.search("lamp").search_id
    client = made.client
    for forged in (search_id[:-2] + "xx", "A" * len(search_id), "x", "ü" * 40, "=", "\0"):
        with pytest.raises(InvalidArgument) as caught:
            client.record_event(forged, "lamp", collection=COLLECTION)
        assert caught.value.reason == "SEARCH_ID_INVALID"
        assert [violation.field for violation in caught.value.violations] == ["search_id"]
    with pytest.raises(InvalidArgument) as caught:
        client.record_event(search_id, "lamp", collection="private")
    assert caught.value.reason == "SEARCH_ID_INVALID"
    with shelf(made.platform, "stranger", DOCUMENTS) as others, pytest.raises(InvalidArgument):
        others.client.record_event(search_id, "lamp", collection=COLLECTION)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"search_id": ""}, "search_id"),
        ({"search_id": "x" * 201}, "search_id"),
        ({"type": 0}, "type"),
        ({"type": 9}, "type"),
        ({"document": ""}, "document"),
        ({"document": "a b"}, "document"),
        ({"document": "x" * 129}, "document"),
        ({"position": -1}, "position"),
        ({"position": 100_001}, "position"),
        ({"parent": "tenants/-/collections/UPPER"}, "parent"),
    ],
)
def test_an_event_with_wrong_fields_is_refused(made: Shelf, fields: dict[str, Any], field: str) -> None:
    right = {"parent": made.name, "search_id": "x", "type": 1, "document": "lamp"}
    with Door(made.platform.endpoint) as door:
        refusal = door.refusal(SEARCH + "RecordEvent", RecordEventRequest(**{**right, **fields}), made.key("user"))
    assert refusal.fields == {field}


def test_insights_of_wrong_times_and_limits_are_refused(made: Shelf) -> None:
    key = made.key("service")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"limit": 101}, "limit"),
        ({"limit": -1}, "limit"),
        ({"start_time": {"seconds": 10}, "end_time": {"seconds": 10}}, "end_time"),
        ({"start_time": {"seconds": 1 << 60}}, "start_time"),
        ({"end_time": {"nanos": -1}}, "end_time"),
        ({"parent": ""}, "parent"),
    ]
    with Door(made.platform.endpoint) as door:
        for fields, field in cases:
            request = GetSearchInsightsRequest(**{"parent": made.name, **fields})
            assert door.refusal(SEARCH + "GetSearchInsights", request, key).fields == {field}, fields
