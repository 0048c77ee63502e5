# SPDX-License-Identifier: Apache-2.0
"""Facets compiled to aggregations, and their counts read back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault, Kind
from pinakes.core.query import allowlist
from pinakes.core.query.facet_fields import escaped, facet_field, include
from pinakes.core.query.facets import Facets, compile_facets
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.settings import Limits
from pinakes.search.queries.facets import number_text, read_facets, step_text
from pinakes.v1 import facets_pb2

LIMITS = Limits()
SCHEMA = Schema(
    attributes={
        name: Attribute(name, kind, slot)
        for name, kind, slot in (
            ("kind", AttributeType.STRING, "kw_00"), ("open", AttributeType.BOOL, "kw_01"),
            ("price", AttributeType.NUMBER, "num_00"), ("made", AttributeType.TIME, "time_00"),
            ("abstract", AttributeType.TEXT, "text_00"), ("place", AttributeType.GEO, "geo_00"),
        )
    }
)  # fmt: skip


def compiled(*facets: dict[str, Any], filter_: str = "", limits: Limits = LIMITS) -> Facets:
    """Compile facets given as JSON."""
    messages = [json_format.ParseDict(one, facets_pb2.Facet()) for one in facets]
    return compile_facets(messages, parse_filter(filter_, limits) if filter_ else None, SCHEMA, limits)


def test_strings_are_counted_without_global_ordinals() -> None:
    found = compiled({"field": "tags"}, {"field": "attributes.kind", "order": "ORDER_VALUE", "limit": 3})
    assert found.aggregations == {
        "0v": {
            "terms": {
                "field": "tags", "size": 10, "order": [{"_count": "desc"}, {"_key": "asc"}], "execution_hint": "map"
            }
        },
        "1v": {"terms": {"field": "kw_00", "size": 3, "order": {"_key": "asc"}, "execution_hint": "map"}},
    }  # fmt: skip
    assert (found.condition, found.post_filter) == (None, None)
    allowlist.check_aggregations(found.aggregations)


def test_conditions_of_a_facets_own_field_are_asked_afterwards() -> None:
    found = compiled(
        {"field": "attributes.kind"}, {"field": "tags"}, {"field": "attributes.price", "interval": 5},
        filter_='(kind = "a" OR attributes.kind = "b") AND tags:x AND language = "en" AND (price > 1 OR tags:y)',
    )  # fmt: skip
    kind, tag = {"terms": {"kw_00": ["a", "b"]}}, {"term": {"tags": "x"}}
    assert found.condition == parse_filter('language = "en" AND (price > 1 OR tags:y)', LIMITS)
    assert found.post_filter == {"bool": {"filter": [kind, tag]}}
    assert found.aggregations["0"]["filter"] == tag
    assert found.aggregations["1"]["filter"] == kind
    assert found.aggregations["2"]["filter"] == found.post_filter
    assert set(found.aggregations["2"]["aggs"]) == {"2v", "2n"}
    allowlist.check_aggregations(found.aggregations)


@pytest.mark.parametrize(
    ("condition", "moves"),
    [
        ("attributes.kind:*", True), ('NOT kind = "a"', True), ('kind != "a"', True), ("kind:(a OR b)", True),
        ('kind = "a" OR word', False), ('kind = "a" OR price = 1', False), ("word", False),
        ('geo_distance(attributes.place, 1, 2, "5km")', False), ("attributes.kinds = 1", False),
    ],
)  # fmt: skip
def test_which_conditions_are_on_the_field_itself(condition: str, moves: bool) -> None:
    found = compiled({"field": "attributes.kind"}, filter_=condition)
    assert (found.post_filter is not None, found.condition is None) == (moves, moves)


def test_a_documents_own_field_is_not_taken_for_an_attribute_of_its_name() -> None:
    tags = Attribute("tags", AttributeType.STRING, "kw_02")
    schema = Schema(attributes={"tags": tags})
    condition = parse_filter("tags:x AND attributes.tags = y", LIMITS)
    found = compile_facets([facets_pb2.Facet(field="attributes.tags")], condition, schema, LIMITS)
    assert found.post_filter == {"term": {"kw_02": "y"}}
    found = compile_facets([facets_pb2.Facet(field="tags")], condition, schema, LIMITS)
    assert found.post_filter == {"term": {"tags": "x"}}


def test_without_own_conditions_nothing_is_filtered_afterwards() -> None:
    found = compiled({"field": "tags"}, filter_='kind = "a" AND price > 1')
    assert (found.post_filter, found.condition) == (None, parse_filter('kind = "a" AND price > 1', LIMITS))


@pytest.mark.parametrize(
    ("facet", "place", "reason"),
    [
        ({"field": "tag"}, "field", "FACET_UNKNOWN_FIELD"),
        ({"field": "title"}, "field", "FACET_UNKNOWN_FIELD"),
        ({"field": "kind"}, "field", "FACET_UNKNOWN_FIELD"),
        ({"field": "attributes."}, "field", "FACET_UNKNOWN_FIELD"),
        ({"field": "attributes.kind.deep"}, "field", "FACET_UNKNOWN_FIELD"),
        ({"field": "attributes.abstract"}, "field", "FACET_WRONG_TYPE"),
        ({"field": "attributes.place"}, "field", "FACET_WRONG_TYPE"),
        ({"field": "attributes.kind", "ranges": [{"from": "1"}]}, "ranges", "FACET_WRONG_TYPE"),
        ({"field": "attributes.other", "interval": 1}, "interval", "FACET_WRONG_TYPE"),
        ({"field": "attributes.made", "interval": 1}, "interval", "FACET_WRONG_TYPE"),
        ({"field": "attributes.price", "calendar": "CALENDAR_DAY"}, "calendar", "FACET_WRONG_TYPE"),
        ({"field": "attributes.price", "ranges": [{"from": "1"}], "interval": 1}, "interval", "FACET_CONFLICT"),
        ({"field": "attributes.price", "contains": "1"}, "contains", "FACET_CONFLICT"),
        ({"field": "attributes.open", "prefix": "t"}, "prefix", "FACET_CONFLICT"),
        ({"field": "attributes.price", "interval": 1, "order": "ORDER_COUNT"}, "order", "FACET_CONFLICT"),
        ({"field": "attributes.price", "interval": 1e-300}, "interval", "FACET_BAD_RANGE"),
        ({"field": "attributes.price", "ranges": [{"from": "1"}, {}]}, "ranges[1]", "FACET_BAD_RANGE"),
        ({"field": "attributes.price", "ranges": [{"from": "2", "to": "2"}]}, "ranges[0].to", "FACET_BAD_RANGE"),
        ({"field": "attributes.price", "ranges": [{"from": "ten"}]}, "ranges[0].from", "FACET_BAD_RANGE"),
        ({"field": "attributes.price", "ranges": [{"to": "1e999"}]}, "ranges[0].to", "FACET_BAD_RANGE"),
        ({"field": "update_time", "ranges": [{"to": "yesterday"}]}, "ranges[0].to", "FACET_BAD_RANGE"),
        ({"field": "tags", "limit": 101}, "limit", "FACET_TOO_MANY_VALUES"),
        ({"field": "language"}, "field", "FACET_TWICE"),
    ],
)
def test_faults_say_where_they_are(facet: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        compiled({"field": "language"}, facet)
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, reason)
    assert [one.field for one in caught.value.violations] == [f"facets[1].{place}"]


def test_limits_are_settings_and_named() -> None:
    with pytest.raises(Fault, match=r"at most 1 are allowed \(limit facets\)"):
        compiled({"field": "tags"}, {"field": "language"}, limits=Limits(facets=1))
    with pytest.raises(Fault, match=r"at most 5 \(limit facet_values\), found 6"):
        compiled({"field": "tags", "limit": 6}, limits=Limits(facet_values=5))
    assert compiled({"field": "tags"}, limits=Limits(facet_values=5)).aggregations["0v"]["terms"]["size"] == 5


def test_a_near_name_is_proposed() -> None:
    for name, near in (
        ("attributes.kin", None),
        ("kind", "attributes.kind"),
        ("tag", "tags"),
        ("updatetime", "update_time"),
    ):
        if near is None:
            assert facet_field(name, "facets[0].field", SCHEMA).path == "kin"
            continue
        with pytest.raises(Fault, match=f"did you mean {near}?"):
            facet_field(name, "facets[0].field", SCHEMA)


@given(st.text(max_size=40))
def test_escaped_text_has_no_sign_of_a_pattern_left(text: str) -> None:
    pattern = escaped(text)
    assert re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL) == text
    bare = re.sub(r"\\.", "", pattern, flags=re.DOTALL)
    assert all(character.isalnum() or not character.isascii() for character in bare)


def test_patterns_of_tokens_leave_hashes_and_presence_out() -> None:
    field = facet_field("attributes.a.b", "facets[0].field", SCHEMA)
    assert include(field, "", "") == "a\\.b\x1f[snb]:(.*)"
    assert include(field, "x", "y1") == "a\\.b\x1f[snb]:((x.*)&(.*[yY]1.*))"


def test_costly_facets_do_not_share_round_trips() -> None:
    assert compiled({"field": "tags"}, {"field": "language"}).cheap
    assert not compiled({"field": "tags"}, {"field": "language"}, {"field": "attributes.kind"}).cheap
    assert not compiled({"field": "attributes.price", "interval": 1}).cheap
    assert not compiled({"field": "tags", "contains": "x"}).cheap


def test_equal_texts_of_an_undeclared_attribute_are_one_value() -> None:
    buckets = [
        {"key": f"x\x1f{value}", "doc_count": n} for value, n in (("s:a", 5), ("s:1", 4), ("n:1", 3), ("b:true", 1))
    ]
    found = {"0v": {"buckets": buckets, "sum_other_doc_count": 2}}
    (facet,) = read_facets(compiled({"field": "attributes.x"}), found)
    assert [(bucket.value, bucket.count) for bucket in facet.buckets] == [("1", 7), ("a", 5), ("true", 1)]
    assert (facet.other_count, facet.more) == (2, True)


def test_the_last_step_of_time_has_no_upper_bound() -> None:
    year_9999 = 253_370_764_800_000
    step = {"key": {"s": year_9999}, "doc_count": 1}
    facets = compiled({"field": "attributes.made", "calendar": "CALENDAR_YEAR"})
    (facet,) = read_facets(facets, {"0v": {"buckets": [step]}, "0n": {"value": 1}})
    assert [(bucket.value, bucket.to) for bucket in facet.buckets] == [("9999-01-01T00:00:00Z", "")]


def test_a_facet_that_ran_out_of_time_has_no_values() -> None:
    (facet,) = read_facets(compiled({"field": "tags"}), {})
    assert (facet.field, list(facet.buckets)) == ("tags", [])


def test_numbers_are_written_as_people_and_filters_do() -> None:
    assert [number_text(n) for n in (3.0, -7.25, 0.1 + 0.2, 9007199254740991.0)] == [
        "3", "-7.25", "0.30000000000000004", "9007199254740991"
    ]  # fmt: skip
    assert [step_text(n) for n in (0.1 + 0.2, 30.0, -0.5)] == ["0.3", "30", "-0.5"]
