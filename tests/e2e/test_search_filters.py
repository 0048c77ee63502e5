# SPDX-License-Identifier: Apache-2.0
"""Filters through Envoy: every comparison, each type, logic, and the functions for time and distance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import InvalidArgument
from tests.e2e._search import Shelf, shelf

ATTRIBUTES = ("kind:string", "price:number", "sold:bool", "made:time", "place:geo", "note:text")
DOCUMENTS: dict[str, dict[str, Any]] = {
    "a": {
        "title": "Amber lamp", "tags": ["red", "old"],
        "attributes": {"kind": "desk", "price": 5, "sold": True, "made": "2020-05-01T00:00:00Z", "place": {"lat": 52.5, "lon": 13.4}},
    },
    "b": {
        "title": "Blue lamp", "tags": ["red"], "language": "en",
        "attributes": {"kind": "wall", "price": 10, "sold": False, "made": "2026-05-01T00:00:00Z", "place": {"lat": 48.1, "lon": 11.6}},
    },
    "c": {"title": "Copper lamp", "attributes": {"kind": "desk:top", "note": "with a switch", "maker": {"name": "Ann", "year": 1999}}},
    "d": {"title": "Dark lamp", "attributes": {"price": -2.5, "colour": ["grey", "black"], "count": "7"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection with an attribute of each type."""
    with shelf(platform, "filters", DOCUMENTS, attributes=ATTRIBUTES) as lamps:
        yield lamps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('attributes.kind = "desk"', "a"),
        ("kind = desk", "a"),
        ('kind = "desk:top"', "c"),
        ("kind = desk*", "ac"),
        ("kind != desk", "bcd"),
        ("kind > desk", "bc"),
        ("kind:*", "abc"),
        ("NOT kind:*", "d"),
        ("price = 5", "a"),
        ("price != 5", "bcd"),
        ("price < 0", "d"),
        ("price <= 5", "ad"),
        ("price > 5", "b"),
        ("price >= -2.5", "abd"),
        ("sold = true", "a"),
        ("sold != true", "bcd"),
        ('made < "2021-01-01T00:00:00Z"', "a"),
        ('made >= timestamp("2026-05-01T02:00:00+02:00")', "b"),
        ('made < ago("52w") OR made > now()', "a"),
        ('create_time > ago("1h") AND update_time < from_now("1h")', "abcd"),
        ('geo_distance(place, 52.52, 13.41, "5km")', "a"),
        ('geo_distance(attributes.place, 50, 12.5, "400mi")', "ab"),
        ("note:switch", "c"),
        ("title:lamp", "abcd"),
        ("amber", "a"),
        ('"blue lamp"', "b"),
        ("tags:red", "ab"),
        ("tags:red AND NOT tags:old", "b"),
        ("tags:(old OR none)", "a"),
        ("-tags:*", "cd"),
        ("price = 5 OR price = 10 AND sold = true", "a"),
        ("(price = 5 OR price = 10) (sold = true OR sold = false)", "ab"),
        ("attributes.maker.name = Ann", "c"),
        ("attributes.maker.year = 1999", "c"),
        ('attributes.maker.year = "1999"', ""),
        ("attributes.maker:*", "c"),
        ("attributes.colour = black", "d"),
        ("attributes.colour != black", "abc"),
        ('attributes.count = "7"', "d"),
        ("id = a OR id = d", "ad"),
        ("language = en", "abcd"),
        ("", "abcd"),
    ],
)
def test_what_a_filter_leaves(made: Shelf, text: str, expected: str) -> None:
    assert sorted(made.found(filter=text)) == list(expected)
    assert made.client.count_documents(filter=text, collection="shelf").total_size == len(expected)


def test_a_filter_and_a_query_must_both_hold(made: Shelf) -> None:
    assert made.found("lamp", filter="price > 5") == ["b"]
    assert made.found("amber", filter="price > 5") == []


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("price = cheap", "FILTER_WRONG_TYPE", "at character 9"),
        ("price = 9007199254740993", "FILTER_WRONG_TYPE", "2^53"),
        ("sold > true", "FILTER_WRONG_OPERATOR", "at character 1"),
        ("made = yesterday", "FILTER_WRONG_TYPE", "RFC|2026"),
        ('made > ago("soon")', "FILTER_WRONG_TYPE", "duration"),
        ("made > tomorrow()", "FILTER_UNKNOWN_FUNCTION", "known: now()"),
        ("made > now(1)", "FILTER_WRONG_TYPE", "expected 0 arguments"),
        ("place = here", "FILTER_WRONG_OPERATOR", "geo_distance"),
        ('geo_distance(place, 91, 0, "5km")', "FILTER_WRONG_TYPE", "-90 to 90"),
        ('geo_distance(place, 1, 0, "5 km")', "FILTER_WRONG_TYPE", "distance"),
        ('geo_distance(place, 1, 0, "0m")', "FILTER_WRONG_TYPE", "above 0"),
        (f'geo_distance(place, 1, 0, "{"9" * 400}km")', "FILTER_WRONG_TYPE", "distance"),
        ('geo_distance(place, 1, "5km")', "FILTER_WRONG_TYPE", "expected 4 arguments"),
        ('geo_distance(kind, 1, 0, "5km")', "FILTER_WRONG_TYPE", "GEO"),
        ('made > "0001-01-01T00:00:00+14:00"', "FILTER_WRONG_TYPE", "at character 8"),
        ("attributes.colour > b", "FILTER_NOT_DECLARED", "declare it"),
        ("colour = red", "FILTER_UNKNOWN_FIELD", "at character 1"),
        ("knid = desk", "FILTER_UNKNOWN_FIELD", "did you mean kind?"),
        ("readers:ann", "FILTER_UNKNOWN_FIELD", "readers can't be filtered"),
        ("kind = de*k", "FILTER_WRONG_TYPE", "at the end only"),
        ("kind =", "FILTER_SYNTAX", "at character 7"),
        ("(kind = desk", "FILTER_SYNTAX", "parenthesis"),
        ("kind = desk)", "FILTER_SYNTAX", "at character 12"),
        ("kind.x = 1", "FILTER_UNKNOWN_FIELD", "at character 1"),
        ("attributes.kind.x = 1", "FILTER_UNKNOWN_FIELD", "has no fields"),
        ("(" * 9 + "a" + ")" * 9, "FILTER_TOO_DEEP", "8"),
        ("a " * 65, "FILTER_TOO_MANY_TERMS", "64"),
        ("a" * 2001, "FILTER_TOO_LONG", "2000"),
    ],
)
def test_a_filter_that_cannot_be_done_says_where_and_why(made: Shelf, text: str, reason: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made.search(filter=text)
    (violation,) = caught.value.violations
    assert (caught.value.reason, violation.field) == (reason, "filter")
    assert any(word in violation.description for word in words.split("|")), violation
