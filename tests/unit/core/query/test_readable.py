# SPDX-License-Identifier: Apache-2.0
"""Whatever names a hidden field is refused, whatever looks in all fields passes it over, and no other way is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.faults import Fault, Kind
from pinakes.core.privacy.classes import Pii
from pinakes.core.query.collapse import collapse_slot
from pinakes.core.query.facets import compile_facets
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.narrowing import narrowing_condition
from pinakes.core.query.options import encoded, options_of
from pinakes.core.query.order import compile_order
from pinakes.core.query.ranking import ranked
from pinakes.core.query.text import compile_query, parse_query
from pinakes.core.query.weights import Weights
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.search.queries.highlights import compile_highlights
from pinakes.v1 import facets_pb2, ranking_pb2, search_pb2

LIMITS = Limits()
KINDS = {"kw": "string", "num": "number", "time": "time", "text": "text", "geo": "geo"}
OWN = ("title", "body", "tags")


def record(
    pii: str = "mask", own: tuple[str, ...] = OWN, search: ranking_pb2.SearchSettings | None = None
) -> CollectionRecord:
    """Return a collection with a hidden attribute of each type, and hidden fields of documents' own, as a user has it."""
    attributes = tuple(
        SlotRecord(
            name=f"{kind}_x", type=kind, slot=f"{slot}_00", sortable=kind in {"string", "number", "time"}, pii=pii
        )
        for slot, kind in KINDS.items()
    )
    return CollectionRecord(
        tenant_uid="t", collection_id="c", uid="u", attributes=attributes, masked=True,
        personal=(*((name, pii) for name in own), ("attributes.free", pii)),
        search=encoded(search) if search is not None else "",
    )  # fmt: skip


def filtered(text: str) -> Callable[[CollectionRecord], Any]:
    """Return what compiles a filter."""
    return lambda one: compile_filter(parse_filter(text, LIMITS), one.schema())


def ordered(text: str) -> Callable[[CollectionRecord], Any]:
    """Return what compiles an order."""
    return lambda one: compile_order(text, one.schema(), True)  # as everywhere


def counted(field: str) -> Callable[[CollectionRecord], Any]:
    """Return what compiles a facet."""
    return lambda one: compile_facets([facets_pb2.Facet(field=field)], None, one.schema(), LIMITS)


def asked(text: str) -> Callable[[CollectionRecord], Any]:
    """Return what reads a query."""
    return lambda one: parse_query(text, options_of(one), LIMITS)


def ranking(**parts: Any) -> Callable[[CollectionRecord], Any]:
    """Return what compiles a request's ranking."""

    def compiled(one: CollectionRecord) -> Any:
        options = options_of(one, ranking=ranking_pb2.Ranking(**parts))
        return ranked(None, options, one.schema(), LIMITS, now_ms=0)

    return compiled


NAMED: dict[str, Callable[[CollectionRecord], Any]] = {
    "filter string": filtered('string_x = "a"'),
    "filter by the long name": filtered('attributes.string_x = "a"'),
    "filter prefix": filtered('string_x = "a*"'),
    "filter presence": filtered("string_x:*"),
    "filter number": filtered("tags = x OR number_x > 5"),
    "filter negated": filtered("NOT number_x = 5"),
    "filter time": filtered("time_x < now()"),
    "filter text": filtered("text_x:word"),
    "filter geo": filtered('geo_distance(attributes.geo_x, 1, 2, "5km")'),
    "filter title": filtered("title:word"),
    "filter body": filtered("body:word"),
    "filter tags": filtered("tags = a"),
    "filter undeclared": filtered("attributes.free = a"),
    "filter below undeclared": filtered("attributes.free.deep = a"),
    "filter by a key with a dot": filtered('attributes."free.deep" = a'),
    "order attribute": ordered("attributes.number_x desc"),
    "order by the short name": ordered("number_x"),
    "order title": ordered("title"),
    "order distance": ordered("distance(attributes.geo_x, 1, 2)"),
    "collapse": lambda one: collapse_slot("attributes.string_x", one.schema()),
    "highlight": lambda one: compile_highlights(
        search_pb2.Highlight(fields=["body"]), options_of(one), one.schema(), None, filtered=False
    ),
    "facet attribute": counted("attributes.string_x"),
    "facet tags": counted("tags"),
    "facet undeclared": counted("attributes.free"),
    "facet below undeclared": counted("attributes.free.deep"),
    "query title": asked("title:word"),
    "query phrase in body": asked('body:"some words"'),
    "query excluded tag": asked("a -tags:b"),
    "query attribute": asked("text_x:word"),
    "query attribute by its long name": asked("attributes.text_x:wor*"),
    "rank by text": ranking(text_attributes={"text_x": 2.0}),
    "rank by number": ranking(boosts=[ranking_pb2.Boost(number="attributes.number_x", weight=1)]),
    "rank by filter": ranking(boosts=[ranking_pb2.Boost(filter="number_x > 5", weight=2)]),
    "rank by age": ranking(freshness=ranking_pb2.Freshness(field="attributes.time_x")),
}


@pytest.mark.parametrize("pii", ["mask", "hash"])
@pytest.mark.parametrize("what", NAMED)
def test_a_request_that_names_a_hidden_field_is_refused(what: str, pii: str) -> None:
    with pytest.raises(Fault) as caught:
        NAMED[what](record(pii))
    assert (caught.value.kind, caught.value.reason) == (Kind.DENIED, "FIELD_NOT_READABLE")
    assert caught.value.violations[0].field
    assert "only see masked" in caught.value.message


@pytest.mark.parametrize("what", NAMED)
def test_who_sees_personal_data_may_name_it(what: str) -> None:
    NAMED[what](replace(record(), masked=False))


@pytest.mark.parametrize("what", NAMED)
def test_what_is_only_kept_out_of_logs_may_be_named_by_everybody(what: str) -> None:
    NAMED[what](record("omit_from_logs"))


def test_a_tokens_filter_looks_at_no_more_than_its_maker_may_see() -> None:
    # Whoever uses the token may see everything; its maker may not, and would learn of it by what is let through.
    seen = replace(record(), masked=False)
    for text in ("number_x > 5", "title:x"):
        assert narrowing_condition(text, seen, LIMITS) == filtered(text)(seen)
        with pytest.raises(Fault) as caught:
            narrowing_condition(text, seen, LIMITS, masked=True)
        assert (caught.value.kind, caught.value.reason) == (Kind.DENIED, "SCOPED_TOKEN_FILTER")


def test_words_are_not_looked_for_where_they_may_not_be_seen() -> None:
    settings = ranking_pb2.SearchSettings(ranking=ranking_pb2.Ranking(text_attributes={"text_x": 1.0}))
    one = record(own=("title",), search=settings)
    options = options_of(one)
    owner = Owner("t", "u", "t", "c")
    weights = Weights({"wrod": 1.0}, {"wrod": ("word",)})
    compiled = orjson.dumps(compile_query(parse_query("wrod beginn*", options, LIMITS), options, weights, owner=owner))
    assert b"body_en" in compiled
    assert b"tags_text" in compiled
    for hidden in (b"title_", b"text_00", b'"words"', b'"word"'):
        assert hidden not in compiled
    condition = orjson.dumps(filtered("word")(one))
    assert b"body_en" in condition
    assert b"title_" not in condition


def test_where_all_is_hidden_words_find_nothing() -> None:
    assert filtered("word")(record()) == {"match_none": {}}
    options = options_of(record())
    assert not options.fields
    assert b"match_none" in orjson.dumps(compile_query(parse_query("word", options, LIMITS), options, Weights()))


def test_a_collections_own_ranking_by_hidden_fields_is_left_out_for_who_may_not_see_them() -> None:
    parts = ranking_pb2.Ranking(
        text_attributes={"text_x": 1.0}, freshness=ranking_pb2.Freshness(field="attributes.time_x"),
        boosts=[
            ranking_pb2.Boost(number="attributes.number_x", weight=1), ranking_pb2.Boost(filter="string_x = a", weight=2),
            ranking_pb2.Boost(filter="language = en", weight=3),
        ],
    )  # fmt: skip
    one = record(own=(), search=ranking_pb2.SearchSettings(ranking=parts))
    ranked_by = orjson.dumps(ranked(None, options_of(one), one.schema(), LIMITS, now_ms=0))
    assert b"language" in ranked_by
    assert not [slot for slot in (b"num_00", b"kw_00", b"time_00", b"text_00") if slot in ranked_by]
    seen = replace(one, masked=False)
    assert b"num_00" in orjson.dumps(ranked(None, options_of(seen), seen.schema(), LIMITS, now_ms=0))


def test_classes_are_names_of_the_contract() -> None:
    assert {one.value for one in Pii} == {"mask", "hash", "omit_from_logs"}


@pytest.mark.parametrize(
    "text", ['number_x = "canary"', "number_x > canary", "time_x > canary", "attributes.number_x = canary"]
)
def test_no_error_repeats_a_value_that_was_compared_with_personal_data(text: str) -> None:
    for pii, repeated in (("omit_from_logs", False), ("", True)):
        with pytest.raises(Fault) as caught:
            filtered(text)(replace(record("omit_from_logs", own=()), attributes=record(pii).attributes))
        assert caught.value.reason == "FILTER_WRONG_TYPE"
        assert ("canary" in caught.value.message) is repeated


def test_no_error_repeats_a_bound_of_personal_data() -> None:
    for bounds in ({"from": "canary"}, {"from": "77017", "to": "5"}):
        facet = facets_pb2.Facet(field="attributes.number_x", ranges=[facets_pb2.Facet.Range(**bounds)])
        with pytest.raises(Fault) as caught:
            compile_facets([facet], None, record("omit_from_logs").schema(), LIMITS)
        assert "canary" not in caught.value.message
        assert "77017" not in caught.value.message
