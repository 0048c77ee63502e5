# SPDX-License-Identifier: Apache-2.0
"""Orders, read masks, update masks and page sizes."""

from __future__ import annotations

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.mask import DOCUMENT_FIELDS, read_paths
from pinakes.core.query.order import compile_order
from pinakes.core.query.pages import page_size
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.query.update_mask import update_paths
from pinakes.core.settings import Limits
from pinakes.v1 import resources_pb2

SCHEMA = Schema(
    ("en",),
    {
        "price": Attribute("price", AttributeType.NUMBER, "num_00", sortable=True),
        "kind": Attribute("kind", AttributeType.STRING, "kw_00"),
        "note": Attribute("note", AttributeType.TEXT, "text_00", sortable=True),
        "id": Attribute("id", AttributeType.STRING, "kw_01", sortable=True),
        "place": Attribute("place", AttributeType.GEO, "geo_00"),
    },
)
SCORE = {"_score": {"order": "desc"}}
ID = {"id": "asc"}
CHANGEABLE = frozenset({"title", "body", "tags"})


def test_without_an_order_it_is_relevance_or_the_latest_first() -> None:
    assert compile_order("", SCHEMA, True).sort == [SCORE, ID]
    assert compile_order(" ", SCHEMA, False).sort == [{"update_time": {"order": "desc", "missing": "_last"}}, ID]


def test_every_order_ends_with_the_id_once() -> None:
    assert compile_order("price", SCHEMA, False).sort == [{"num_00": {"order": "asc", "missing": "_last"}}, ID]
    assert compile_order("id desc", SCHEMA, False).sort == [{"id": "desc"}]
    assert compile_order("attributes.price desc, id", SCHEMA, False).sort[-1] == ID


def test_what_is_named_behind_the_id_decides_nothing() -> None:
    assert compile_order("id desc, price", SCHEMA, False).sort == [{"id": "desc"}]


def test_the_distance_to_a_point_is_nearest_first() -> None:
    near = {"_geo_distance": {"geo_00": {"lat": 52.5, "lon": -13.25}, "order": "asc", "unit": "m"}}
    for text in ("distance(attributes.place, 52.5, -13.25)", "distance( place,52.5 ,-13.25 ) asc"):
        assert compile_order(f"{text}, price", SCHEMA, False).sort == [
            near,
            {"num_00": {"order": "asc", "missing": "_last"}},
            ID,
        ]


def test_titles_are_ordered_by_what_is_kept_of_them_for_it() -> None:
    by_title = {"title_key": {"order": "desc", "missing": "_last"}}
    assert compile_order("title desc", SCHEMA, False).sort == [by_title, ID]


def test_relevance_says_nothing_without_a_query() -> None:
    order = compile_order("relevance, price", SCHEMA, False)
    assert not order.by_score
    assert order.sort[0] == {"num_00": {"order": "asc", "missing": "_last"}}
    assert compile_order("relevance", SCHEMA, True).by_score
    assert not compile_order("price", SCHEMA, True).by_score


def test_an_attribute_named_like_a_field_is_reached_by_its_full_name() -> None:
    assert compile_order("attributes.id", SCHEMA, False).sort[0] == {"kw_01": {"order": "asc", "missing": "_last"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("price up", "ORDER_SYNTAX"),
        ("price desc desc", "ORDER_SYNTAX"),
        ("price,", "ORDER_SYNTAX"),
        (",", "ORDER_SYNTAX"),
        ("relevance asc", "ORDER_SYNTAX"),
        ("price, attributes.price", "ORDER_SYNTAX"),
        ("price, id, create_time, update_time, relevance", "ORDER_SYNTAX"),
        ("prize", "ORDER_UNKNOWN_FIELD"),
        ("_score", "ORDER_UNKNOWN_FIELD"),
        ("num_00", "ORDER_UNKNOWN_FIELD"),
        ("title_key", "ORDER_UNKNOWN_FIELD"),
        ("title, title desc", "ORDER_SYNTAX"),
        ("tenant", "ORDER_UNKNOWN_FIELD"),
        ("_script", "ORDER_UNKNOWN_FIELD"),
        ("kind", "ORDER_NOT_SORTABLE"),
        ("note", "ORDER_NOT_SORTABLE"),
        ("place", "ORDER_NOT_SORTABLE"),
        ("distance(price, 1, 2)", "ORDER_NOT_SORTABLE"),
        ("distance(nowhere, 1, 2)", "ORDER_UNKNOWN_FIELD"),
        ("distance(place, 1, 2) desc", "ORDER_SYNTAX"),
        ("distance(place, 1)", "ORDER_SYNTAX"),
        ("distance(place, 91, 2)", "ORDER_SYNTAX"),
        ("distance(place, 1, nan)", "ORDER_SYNTAX"),
        ("distance(place, 1, 2), distance(place, 1, 2)", "ORDER_SYNTAX"),
        ("distance(place, 1, 2", "ORDER_SYNTAX"),
    ],
)
def test_orders_that_cannot_be_are_refused(text: str, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        compile_order(text, SCHEMA, True)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "order_by"


def test_four_fields_are_allowed_in_an_order() -> None:
    assert len(compile_order("price, create_time, update_time, relevance", SCHEMA, True).sort) == 5


def test_an_empty_mask_means_the_default_and_a_star_everything() -> None:
    assert read_paths([], ["title"]) == {"title"}
    assert read_paths(["title", "*"], []) == DOCUMENT_FIELDS


def test_single_attributes_can_be_asked_for() -> None:
    assert read_paths(["attributes.a", "title"], []) == {"attributes.a", "title"}
    assert read_paths(["attributes.a", "attributes"], []) == {"attributes"}


@pytest.mark.parametrize("path", ["titel", "", "attributes.", "attributes..a", "title.x", "kv", "tenant"])
def test_unknown_fields_in_a_mask_are_refused(path: str) -> None:
    with pytest.raises(Fault) as caught:
        read_paths([path], [])
    assert caught.value.reason == "MASK_UNKNOWN_FIELD"


def test_a_misspelt_field_in_a_mask_is_told_the_near_one() -> None:
    with pytest.raises(Fault, match="did you mean title"):
        read_paths(["titel"], [])


def test_an_update_without_a_mask_changes_what_is_set() -> None:
    document = resources_pb2.Document(name="n", title="t", etag="e")
    assert update_paths([], document, CHANGEABLE) == {"title"}
    assert update_paths(["*"], document, CHANGEABLE) == CHANGEABLE
    assert update_paths(["body", "body"], document, CHANGEABLE) == {"body"}


@pytest.mark.parametrize("paths", [["etag"], ["name"], ["title", "nothing"], ["*", "title"], [""]])
def test_what_cannot_be_changed_is_refused(paths: list[str]) -> None:
    with pytest.raises(Fault) as caught:
        update_paths(paths, resources_pb2.Document(), CHANGEABLE)
    assert caught.value.reason == "MASK_UNKNOWN_FIELD"
    assert caught.value.violations[0].field == "update_mask"


def test_page_sizes_have_a_default_and_a_most() -> None:
    limits = Limits()
    assert [page_size(asked, limits) for asked in (0, 1, 50, 51, 1 << 30)] == [10, 1, 50, 50, 50]
