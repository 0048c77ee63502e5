# SPDX-License-Identifier: Apache-2.0
"""Facets through Envoy: values, ranges and steps, search inside of them, several choices at once, for whom they count."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import Client, InvalidArgument
from pinakes.v1.facets_pb2 import Facet
from tests.e2e._search import COLLECTION, Shelf, buckets, shelf

ATTRIBUTES = ("kind:string", "colour:string", "price:number", "made:time", "sold:bool", "note:text", "place:geo")
KINDS = ("desk", "desk", "desk", "wall", "wall", "floor")
COLOURS = ("red", "Red wine", "blue", "red", "blue", "green")


def _document(number: int) -> dict[str, Any]:
    """Return one of six lamps; the last is of a time that is none in all zones' years."""
    made = f"202{number}-0{number + 1}-15T00:00:00Z" if number < 5 else "0001-01-01T00:00:00Z"
    return {
        "title": f"Lamp {number}", "tags": [f"t{number % 2}", "lamp"],
        "attributes": {
            "kind": KINDS[number], "colour": COLOURS[number], "price": number * 10, "made": made, "sold": number > 3,
            "maker": {"city": "Oslo" if number % 2 else "Rome"}, "note": "words",
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection of six lamps, and one for the eyes of bob."""
    documents = {f"d{number}": _document(number) for number in range(6)}
    hidden = {"title": "Lamp", "tags": ["secret"], "readers": ["bob"], "attributes": {"kind": "cellar", "price": 1000}}
    with shelf(platform, "facets", documents | {"hidden": hidden}, attributes=ATTRIBUTES) as lamps:
        yield lamps


@pytest.fixture(scope="module")
def user(made: Shelf) -> Iterator[Client]:
    """Give a client that may not see what is for bob."""
    with Client(made.platform.endpoint, key=made.key("user")) as client:
        yield client


def counted(client: Client, *facets: Facet, query: str = "lamp", **options: Any) -> list[list[tuple[str, int]]]:
    """Search, and return the values of each facet with their counts."""
    return buckets(client.search(query, collection=COLLECTION, facets=facets, **options))


def test_values_of_every_type_are_counted(user: Client) -> None:
    fields = ("attributes.kind", "tags", "attributes.sold", "attributes.price", "language", "attributes.maker.city")
    assert counted(user, *(Facet(field=field) for field in fields)) == [
        [("desk", 3), ("wall", 2), ("floor", 1)],
        [("lamp", 6), ("t0", 3), ("t1", 3)],
        [("false", 4), ("true", 2)],
        [("0", 1), ("10", 1), ("20", 1), ("30", 1), ("40", 1), ("50", 1)],
        [("en", 6)],
        [("Oslo", 3), ("Rome", 3)],
    ]


def test_values_can_be_limited_ordered_and_searched_for(user: Client) -> None:
    answer = user.search(
        "lamp", collection=COLLECTION,
        facets=[
            Facet(field="attributes.colour", limit=1, order=Facet.ORDER_VALUE),
            Facet(field="tags", prefix="t", limit=1),
            Facet(field="attributes.kind", contains="L"),
        ],
    )  # fmt: skip
    assert buckets(answer) == [[("Red wine", 1)], [("t0", 3)], [("wall", 2), ("floor", 1)]]
    assert [(facet.more, facet.other_count) for facet in answer.facets] == [(True, 5), (True, 3), (False, 0)]
    inside = counted(user, Facet(field="attributes.colour", contains="RED"))
    assert inside == [[("red", 2), ("Red wine", 1)]]
    both = counted(user, Facet(field="attributes.colour", contains="WIN", prefix="Red"))
    assert both == [[("Red wine", 1)]]
    for signs in (".*", '"<>&#@~', "\\", "[a-z]", "\0", "\n"):
        assert counted(user, Facet(field="attributes.colour", contains=signs)) == [[]]


def test_ranges_and_steps_of_numbers_and_times(user: Client) -> None:
    ranges = [
        Facet.Range(to="20", label="cheap"),
        Facet.Range(**{"from": "20", "to": "40"}),
        Facet.Range(**{"from": "40"}),
    ]
    years = [Facet.Range(**{"from": "2020-01-01T00:00:00Z", "to": "2022-01-01T00:00:00Z"})]
    answer = user.search(
        "lamp", collection=COLLECTION,
        facets=[
            Facet(field="attributes.price", ranges=ranges),
            Facet(field="attributes.made", ranges=years),
            Facet(field="create_time", calendar=Facet.CALENDAR_YEAR),
        ],
    )  # fmt: skip
    prices, times, created = answer.facets
    assert [(one.value, one.count, getattr(one, "from"), one.to) for one in prices.buckets] == [
        ("cheap", 2, "", "20"), ("20..40", 2, "20", "40"), ("40..", 2, "40", "")
    ]  # fmt: skip
    assert [one.count for one in times.buckets] == [2]
    assert [one.count for one in created.buckets] == [6]
    (steps,) = counted(user, Facet(field="attributes.price", interval=25))
    assert steps == [("0", 3), ("25", 2), ("50", 1)]
    (months,) = counted(user, Facet(field="attributes.made", calendar=Facet.CALENDAR_MONTH))
    assert months[0] == ("0001-01-01T00:00:00Z", 1)
    assert months[1:3] == [("2020-01-01T00:00:00Z", 1), ("2021-02-01T00:00:00Z", 1)]
    weeks = user.search(
        "lamp", collection=COLLECTION, facets=[Facet(field="attributes.made", calendar=Facet.CALENDAR_WEEK, limit=2)]
    )
    assert [one.value for one in weeks.facets[0].buckets] == ["0001-01-01T00:00:00Z", "2020-01-13T00:00:00Z"]
    assert weeks.facets[0].more
    assert weeks.facets[0].other_count == 4


def test_several_choices_at_once_a_choice_does_not_hide_the_others(user: Client) -> None:
    kind, colour = Facet(field="attributes.kind"), Facet(field="attributes.colour")
    answer = user.search(
        "lamp", collection=COLLECTION, facets=[kind, colour],
        filter='(kind = desk OR kind = floor) AND attributes.colour = "red" AND price < 100',
    )  # fmt: skip
    # Each facet is counted under the other's choice, not under its own.
    assert buckets(answer) == [[("desk", 1), ("wall", 1)], [("Red wine", 1), ("blue", 1), ("green", 1), ("red", 1)]]
    assert answer.total_size == len(answer.results) == 1
    # A condition that isn't of one field alone counts for all.
    mixed = counted(user, kind, colour, filter="kind = wall OR colour = green")
    assert mixed == [[("wall", 2), ("floor", 1)], [("blue", 1), ("green", 1), ("red", 1)]]


def test_nothing_is_counted_that_the_caller_may_not_read(made: Shelf, user: Client) -> None:
    facets = [Facet(field="attributes.kind"), Facet(field="tags"), Facet(field="attributes.price", interval=500)]
    mine, all_of_them = counted(user, *facets), counted(made.client, *facets)
    assert ("cellar", 1) not in mine[0]
    assert ("secret", 1) not in mine[1]
    assert mine[2] == [("0", 6)]
    assert ("cellar", 1) in all_of_them[0]
    assert ("secret", 1) in all_of_them[1]
    assert all_of_them[2] == [("0", 6), ("1000", 1)]
    with Client(made.platform.endpoint, key=made.key("user", ["bob"])) as bob:
        assert counted(bob, *facets) == all_of_them


def test_hidden_documents_are_not_counted_and_later_pages_have_no_facets(made: Shelf, user: Client) -> None:
    made.change({"curations": [{"query": "lamp", "hides": ["d5"]}]})
    assert counted(user, Facet(field="attributes.kind")) == [[("desk", 3), ("wall", 2)]]
    assert counted(user, Facet(field="attributes.kind"), without_curation=True)[0][-1] == ("floor", 1)
    made.change({})
    facets = [Facet(field="tags")]
    first = user.search("lamp", collection=COLLECTION, facets=facets, page_size=4)
    second = user.search("lamp", collection=COLLECTION, facets=facets, page_size=4, page_token=first.next_page_token)
    assert (len(first.results), len(second.results)) == (4, 2)
    assert first.facets
    assert not second.facets


def test_facets_by_json(made: Shelf) -> None:
    body = {"query": "lamp", "pageSize": 1, "facets": [{"field": "attributes.kind", "limit": 2}]}
    request = urllib.request.Request(
        f"http://{made.platform.endpoint}/v1/tenants/-/collections/{COLLECTION}:search",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", "authorization": f"Bearer {made.key('user')}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        told = json.load(answer)
    assert told["facets"] == [{
        "field": "attributes.kind", "otherCount": "1", "more": True,
        "buckets": [{"value": "desk", "count": "3"}, {"value": "wall", "count": "2"}],
    }]  # fmt: skip


_WRONG: dict[str, tuple[list[Facet], str, str]] = {
    "no field": ([Facet()], "facets[0].field", "INVALID_ARGUMENT"),
    "an unknown field": ([Facet(field="kind")], "facets[0].field", "FACET_UNKNOWN_FIELD"),
    "a text": ([Facet(field="tags"), Facet(field="attributes.note")], "facets[1].field", "FACET_WRONG_TYPE"),
    "a place": ([Facet(field="attributes.place")], "facets[0].field", "FACET_WRONG_TYPE"),
    "a title": ([Facet(field="title")], "facets[0].field", "FACET_UNKNOWN_FIELD"),
    "readers": ([Facet(field="readers")], "facets[0].field", "FACET_UNKNOWN_FIELD"),
    "inside a value": ([Facet(field="attributes.kind.x")], "facets[0].field", "FACET_UNKNOWN_FIELD"),
    "a field twice": ([Facet(field="tags"), Facet(field="tags")], "facets[1].field", "FACET_TWICE"),
    "too many": ([Facet(field=f"attributes.x{n}") for n in range(21)], "facets", "FACET_TOO_MANY"),
    "too many values": ([Facet(field="tags", limit=101)], "facets[0].limit", "INVALID_ARGUMENT"),
    "a negative limit": ([Facet(field="tags", limit=-1)], "facets[0].limit", "INVALID_ARGUMENT"),
    "two ways": ([Facet(field="attributes.price", interval=1, ranges=[Facet.Range(to="1")])], "facets[0].interval", "FACET_CONFLICT"),
    "steps of strings": ([Facet(field="attributes.kind", interval=1)], "facets[0].interval", "FACET_WRONG_TYPE"),
    "a calendar of numbers": ([Facet(field="attributes.price", calendar=3)], "facets[0].calendar", "FACET_WRONG_TYPE"),
    "ranges of what isn't declared": ([Facet(field="attributes.x", ranges=[Facet.Range(to="1")])], "facets[0].ranges", "FACET_WRONG_TYPE"),
    "contains of numbers": ([Facet(field="attributes.price", contains="1")], "facets[0].contains", "FACET_CONFLICT"),
    "prefix with ranges": ([Facet(field="attributes.price", prefix="1", ranges=[Facet.Range(to="1")])], "facets[0].prefix", "FACET_CONFLICT"),
    "an order of steps": ([Facet(field="attributes.price", interval=1, order=Facet.ORDER_COUNT)], "facets[0].order", "FACET_CONFLICT"),
    "an empty range": ([Facet(field="attributes.price", ranges=[Facet.Range()])], "facets[0].ranges[0]", "FACET_BAD_RANGE"),
    "a range of words": ([Facet(field="attributes.price", ranges=[Facet.Range(to="x")])], "facets[0].ranges[0].to", "FACET_BAD_RANGE"),
    "a range of NaN": ([Facet(field="attributes.price", ranges=[Facet.Range(to="NaN")])], "facets[0].ranges[0].to", "FACET_BAD_RANGE"),
    "a range backwards": ([Facet(field="attributes.price", ranges=[Facet.Range(**{"from": "2", "to": "1"})])], "facets[0].ranges[0].to", "FACET_BAD_RANGE"),
    "a time that is none": ([Facet(field="attributes.made", ranges=[Facet.Range(to="2026")])], "facets[0].ranges[0].to", "FACET_BAD_RANGE"),
    "a time before all": ([Facet(field="attributes.made", ranges=[Facet.Range(to="0001-01-01T00:00:00+14:00")])], "facets[0].ranges[0].to", "FACET_BAD_RANGE"),
    "an interval too small": ([Facet(field="attributes.price", interval=1e-10)], "facets[0].interval", "FACET_BAD_RANGE"),
    "an interval without end": ([Facet(field="attributes.price", interval=float("inf"))], "facets[0].interval", "INVALID_ARGUMENT"),
    "too many ranges": ([Facet(field="attributes.price", ranges=[Facet.Range(to="1")] * 51)], "facets[0].ranges", "INVALID_ARGUMENT"),
    "a long prefix": ([Facet(field="tags", prefix="x" * 65)], "facets[0].prefix", "INVALID_ARGUMENT"),
    "an unknown calendar": ([Facet(field="attributes.made", calendar=99)], "facets[0].calendar", "INVALID_ARGUMENT"),  # type: ignore[arg-type]  # as a newer caller may send
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(_WRONG))
def test_a_facet_that_cannot_be_counted_says_where_and_why(user: Client, case: str) -> None:
    facets, place, reason = _WRONG[case]
    with pytest.raises(InvalidArgument) as caught:
        user.search("lamp", collection=COLLECTION, facets=facets)
    assert ([violation.field for violation in caught.value.violations], caught.value.reason) == ([place], reason)
