# SPDX-License-Identifier: Apache-2.0
"""What filters become for the engine, against every type of field, and that tokens of both sides agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.tokens import EXACT, LONGEST_BYTES, SEPARATOR, presence, token, tokens_of
from pinakes.core.faults import Fault, Kind
from pinakes.core.query import allowlist
from pinakes.core.query.expression import Comparison, Path, Value, canonical
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import MOST_LEAVES, compile_filter
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.settings import Limits

LIMITS = Limits()
ROOMY = Limits(filter_chars=1_000_000)
SCHEMA = Schema(
    ("en", "de"),
    {
        name: Attribute(name, kind, slot)
        for name, kind, slot in (
            ("kind", AttributeType.STRING, "kw_00"), ("done", AttributeType.BOOL, "kw_01"),
            ("price", AttributeType.NUMBER, "num_00"), ("seen", AttributeType.TIME, "time_00"),
            ("note", AttributeType.TEXT, "text_00"), ("place", AttributeType.GEO, "geo_00"),
        )
    },
)  # fmt: skip
US = SEPARATOR


def compiled(text: str) -> dict[str, Any]:
    query = compile_filter(parse_filter(text, LIMITS), SCHEMA)
    allowlist.check(query)
    return query


def refused(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        compiled(text)
    assert caught.value.kind is Kind.INVALID
    return caught.value


def kv(text: str) -> dict[str, Any]:
    return {"term": {"kv": text}}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {"match_all": {}}),
        ('id = "x"', {"term": {"id": "x"}}),
        ("id:ab*", {"prefix": {"id": {"value": "ab"}}}),
        (r'id = "ab\*"', {"term": {"id": "ab*"}}),
        ("language = de", {"term": {"language": "de"}}),
        ("language != de", {"bool": {"must_not": [{"term": {"language": "de"}}]}}),
        ("tags:asyncio", {"term": {"tags": "asyncio"}}),
        ("tags:*", {"exists": {"field": "tags"}}),
        ("attributes.kind = function", {"term": {"kw_00": "function"}}),
        ("kind = function", {"term": {"kw_00": "function"}}),
        ('attributes.kind >= "m"', {"range": {"kw_00": {"gte": "m"}}}),
        ("attributes.kind:fu*", {"prefix": {"kw_00": {"value": "fu"}}}),
        ("attributes.done = true", {"term": {"kw_01": "true"}}),
        ("attributes.price > 1.5", {"range": {"num_00": {"gt": 1.5}}}),
        ("attributes.price <= -3", {"range": {"num_00": {"lte": -3}}}),
        ("attributes.price = 9007199254740992", {"term": {"num_00": 9007199254740992}}),
        ("price = 1e3", {"term": {"num_00": 1000.0}}),
        ("create_time >= 2026-01-31T12:00:00Z", {"range": {"create_time": {"gte": 1769860800000}}}),
        ('seen < "2026-01-31T13:00:00.0019+01:00"', {"range": {"time_00": {"lt": 1769860800001}}}),
        ("seen < 1970-01-01T00:00:00Z", {"range": {"time_00": {"lt": 0}}}),
        ("expire_time > now()", {"range": {"expire_time": {"gt": "now"}}}),
        ('expire_time > from_now("36h")', {"range": {"expire_time": {"gt": "now+36h"}}}),
        ("update_time >= ago(07d)", {"range": {"update_time": {"gte": "now-7d"}}}),
        ('seen < timestamp("1970-01-01T00:00:01Z")', {"range": {"time_00": {"lt": 1000}}}),
        ("expire_time:*", {"exists": {"field": "expire_time"}}),
        ("attributes.note:word", {"match": {"text_00": {"query": "word", "operator": "and"}}}),
        ("attributes.place:*", {"exists": {"field": "geo_00"}}),
        (
            'geo_distance(attributes.place, 52.5, -13, "5km")',
            {"geo_distance": {"distance": "5km", "geo_00": {"lat": 52.5, "lon": -13}}},
        ),
        ("tags:a OR tags:b OR id:c", {"bool": {
            "should": [{"terms": {"tags": ["a", "b"]}}, {"term": {"id": "c"}}], "minimum_should_match": 1,
        }}),
        ("tags:a AND NOT tags:b", {"bool": {"filter": [{"term": {"tags": "a"}}], "must_not": [{"term": {"tags": "b"}}]}}),
    ],
)  # fmt: skip
def test_filters_become_these_queries(text: str, query: dict[str, Any]) -> None:
    assert compiled(text) == query


def test_a_text_too_long_for_single_words_is_a_phrase() -> None:
    assert "match" in compiled(f'note:"{"x " * 249}yz"')
    assert compiled(f'note:"{"x " * 250}y"') == {"match_phrase": {"text_00": {"query": "x " * 250 + "y"}}}


def test_words_are_counted_in_every_field_that_they_are_looked_for_in() -> None:
    fields = len(compiled("word")["bool"]["should"])
    words = " ".join(["word"] * (MOST_LEAVES // fields))
    compiled(words)
    fault = refused(f"{words} two-words")
    assert fault.reason == "FILTER_TOO_MANY_TERMS"
    assert f"at character {len(words) + 2}: " in fault.message
    assert f"at most {MOST_LEAVES} are allowed" in fault.message


def test_words_alone_are_looked_for_in_title_tags_and_body() -> None:
    fields = [next(iter(clause["match"])) for clause in compiled("word")["bool"]["should"]]
    assert fields == ["title_en", "title_de", "title_und", "tags_text", "body_en", "body_de", "body_und"]


def test_title_is_looked_for_in_every_language_of_the_collection() -> None:
    fields = [next(iter(clause["match"])) for clause in compiled("title:word")["bool"]["should"]]
    assert fields == ["title_en", "title_de", "title_und"]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("attributes.a = 1", kv(f"a{US}n:1")),
        ("attributes.a = 1.0", kv(f"a{US}n:1")),
        ("attributes.a = -0.0", kv(f"a{US}n:0")),
        ("attributes.a = 0.5", kv(f"a{US}n:0.5")),
        ('attributes.a = "1"', kv(f"a{US}s:1")),
        ("attributes.a = true", kv(f"a{US}b:true")),
        ('attributes.a = "true"', kv(f"a{US}s:true")),
        ("attributes.a.b:c", kv(f"a.b{US}s:c")),
        ("attributes.a:*", kv(f"a{US}*")),
        (r'attributes.a = "*x\*"', None),
        (r'attributes.a = "\*"', kv(f"a{US}s:*")),
        ("attributes.a != 1", {"bool": {"must_not": [kv(f"a{US}n:1")]}}),
        ("attributes.a = 2026-01-31T12:00:00Z", kv(f"a{US}s:2026-01-31T12:00:00Z")),
    ],
)
def test_undeclared_attributes_are_compared_by_tokens(text: str, query: dict[str, Any] | None) -> None:
    if query is None:
        assert refused(text).reason == "FILTER_NOT_DECLARED"
    else:
        assert compiled(text) == query


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("titel:x", "FILTER_UNKNOWN_FIELD", 1),
        ("id = 1 AND readers:x", "FILTER_UNKNOWN_FIELD", 12),
        ("source_uri = x", "FILTER_UNKNOWN_FIELD", 1),
        ("tenant = x", "FILTER_UNKNOWN_FIELD", 1),
        ("kv = x", "FILTER_UNKNOWN_FIELD", 1),
        ("kw_00 = x", "FILTER_UNKNOWN_FIELD", 1),
        ("deleted = true", "FILTER_UNKNOWN_FIELD", 1),
        ("attributes.kind.x = 1", "FILTER_UNKNOWN_FIELD", 1),
        ("attributes = 1", "FILTER_UNKNOWN_FIELD", 1),
        ("attributes.price = x", "FILTER_WRONG_TYPE", 20),
        ('attributes.price = "1"', "FILTER_WRONG_TYPE", 20),
        ("attributes.price = 9007199254740993", "FILTER_WRONG_TYPE", 20),
        ("attributes.price = 1e999", "FILTER_WRONG_TYPE", 20),
        ("attributes.price = ١", "FILTER_WRONG_TYPE", 20),
        ("attributes.a = 9007199254740993", "FILTER_WRONG_TYPE", 16),
        ("attributes.done = yes", "FILTER_WRONG_TYPE", 19),
        ("create_time > 2026-01-31", "FILTER_WRONG_TYPE", 15),
        ('create_time > "2026-02-30T00:00:00Z"', "FILTER_WRONG_TYPE", 15),
        ("id = now()", "FILTER_WRONG_TYPE", 6),
        ("id:a*b", "FILTER_WRONG_TYPE", 4),
        ("create_time > later()", "FILTER_UNKNOWN_FUNCTION", 15),
        ("create_time > now(1)", "FILTER_WRONG_TYPE", 15),
        ("create_time > ago()", "FILTER_WRONG_TYPE", 15),
        ('create_time > ago("7 days")', "FILTER_WRONG_TYPE", 19),
        ('create_time > ago("-7d")', "FILTER_WRONG_TYPE", 19),
        ('create_time > ago("1M")', "FILTER_WRONG_TYPE", 19),
        ('create_time > ago("9999999999d")', "FILTER_WRONG_TYPE", 19),
        ("create_time > ago(now())", "FILTER_WRONG_TYPE", 19),
        ('create_time > timestamp("yesterday")', "FILTER_WRONG_TYPE", 25),
        ('price > ago("7d")', "FILTER_WRONG_TYPE", 9),
        ('ago("7d")', "FILTER_UNKNOWN_FUNCTION", 1),
        ("now()", "FILTER_UNKNOWN_FUNCTION", 1),
        ("script(x)", "FILTER_UNKNOWN_FUNCTION", 1),
        ('geo_distance(kind, 1, 2, "5km")', "FILTER_WRONG_TYPE", 14),
        ('geo_distance(attributes.place, 91, 2, "5km")', "FILTER_WRONG_TYPE", 32),
        ('geo_distance(attributes.place, 1, 2, "5 leagues")', "FILTER_WRONG_TYPE", 38),
        ('geo_distance(attributes.place, 1, 2, "0.0km")', "FILTER_WRONG_TYPE", 38),
        ('geo_distance(attributes.place, 1, 2, "1000000000km")', "FILTER_WRONG_TYPE", 38),
        ("geo_distance(attributes.place)", "FILTER_WRONG_TYPE", 1),
        ("now() = 1", "FILTER_WRONG_OPERATOR", 1),
        ("attributes.done > true", "FILTER_WRONG_OPERATOR", 1),
        ("tags > a", "FILTER_WRONG_OPERATOR", 1),
        ("title = x", "FILTER_WRONG_OPERATOR", 1),
        ("attributes.note = x", "FILTER_WRONG_OPERATOR", 1),
        ("attributes.place = x", "FILTER_WRONG_OPERATOR", 1),
        ("id > *", "FILTER_WRONG_OPERATOR", 6),
        ("attributes.a > 1", "FILTER_NOT_DECLARED", 1),
        ("attributes.a:x*", "FILTER_NOT_DECLARED", 14),
        ("attributes.a", "FILTER_SYNTAX", 1),
    ],
)
def test_what_cannot_be_compared_is_refused_with_place_and_reason(text: str, reason: str, place: int) -> None:
    fault = refused(text)
    assert fault.reason == reason
    assert fault.violations[0].description.startswith(f"at character {place}: ")


def test_a_misspelt_field_is_told_the_near_one() -> None:
    assert "did you mean title?" in refused("titel:x").message
    assert "did you mean attributes.kind?" in refused("attribute.kind = x").message


_keys = st.text(st.characters(codec="utf-8"), max_size=300)
# No other numbers come into a document.
_scalars = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=400), st.booleans(),
    st.floats(-EXACT, EXACT), st.integers(-EXACT, EXACT),
)  # fmt: skip


def _literal(value: str | float | bool) -> Value:
    if isinstance(value, bool):
        return Value("true" if value else "false")
    return Value(value, True) if isinstance(value, str) else Value(repr(value))


@given(st.lists(_keys, min_size=1, max_size=4), _scalars)
def test_a_document_has_the_token_that_a_filter_for_its_value_asks_for(
    keys: list[str], value: str | float | bool
) -> None:
    attributes: Any = value
    for key in reversed(keys):
        attributes = {key: attributes}
    tokens = tokens_of(attributes, ())
    for asked in (_literal(value), Value("*", False, (0,))):
        tree = Comparison(Path(("attributes", *keys)), "=", asked)
        query = compile_filter(parse_filter(canonical(tree), ROOMY), Schema())
        assert query["term"]["kv"] in tokens


@given(st.lists(_scalars, min_size=2, max_size=2))
def test_values_that_differ_have_tokens_that_differ(values: list[str | float | bool]) -> None:
    one, other = values
    same = one == other and isinstance(one, bool) == isinstance(other, bool)
    assert (token("a", one) == token("a", other)) is same


@given(_keys, _scalars)
def test_no_token_is_longer_than_a_path_and_a_hash(path: str, value: str | float | bool) -> None:
    assert len(token(path, value).encode()) <= LONGEST_BYTES + 25


_fragments = st.lists(
    st.sampled_from([
        "id", "tags", "title", "create_time", "attributes.price", "attributes.kind", "seen", "note", "attributes.place",
        "attributes.x", "=", "!=", "<", ">=", ":", "AND", "OR", "NOT", "-", "(", ")", ",", "*", "a*", "1", "-2.5", "1e400",
        "true", '"q"', '"2026-01-31T12:00:00Z"', "2026-01-31T12:00:00Z", "now()", 'ago("7d")', "from_now(1w)", "geo_distance(",
        "timestamp(", '"5km"', "\U0001f389", "\0",
    ]),
    max_size=12,
)  # fmt: skip


@given(_fragments, st.sampled_from(["", " "]))
def test_any_filter_compiles_to_what_may_be_sent_or_is_refused_with_a_place(parts: list[str], between: str) -> None:
    text = between.join(parts)
    try:
        compiled(text)
    except Fault as fault:
        assert fault.kind is Kind.INVALID
        assert fault.reason.startswith("FILTER_")
        assert "at character " in fault.message


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
def test_values_of_any_characters_reach_the_engine_unchanged(value: str) -> None:
    for field, slot in (("id", "id"), ("tags", "tags"), ("attributes.kind", "kw_00")):
        written = canonical(Comparison(Path(tuple(field.split("."))), "=", Value(value, True)))
        assert compile_filter(parse_filter(written, ROOMY), SCHEMA) == {"term": {slot: value}}
    text = compile_filter(parse_filter(canonical(Comparison(Path(("note",)), ":", Value(value, True))), ROOMY), SCHEMA)
    assert text == {"match": {"text_00": {"query": value, "operator": "and"}}}


def test_a_token_of_exactly_the_longest_size_is_plain_and_one_more_is_hashed() -> None:
    room = LONGEST_BYTES - len(f"a{US}s:")
    assert token("a", "x" * room) == f"a{US}s:" + "x" * room
    assert token("a", "x" * (room + 1)).startswith(f"a{US}h:")


def test_a_separator_in_a_key_cannot_make_the_token_of_another_attribute() -> None:
    assert token(f"a{US}s:x", "y") != token("a", f"x{US}s:y")
    assert token("a", f"s:b{US}") not in tokens_of({f"a{US}s:s:b": "x"}, ())


def test_lists_give_a_token_an_element_and_null_gives_nothing() -> None:
    tokens = tokens_of({"a": [1, "x", None, {"b": True}], "c": None, "d": [], "kind": "k"}, {"kind"})
    assert tokens == [f"a{US}n:1", f"a{US}*", f"a{US}s:x", f"a.b{US}b:true", f"a.b{US}*"]
    assert presence("c") not in tokens
