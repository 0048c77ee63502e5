# SPDX-License-Identifier: Apache-2.0
"""Documents checked, compiled for the engine and read back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.documents import (
    Owner,
    check_document,
    compile_document,
    content_hash,
    plain,
    read_document,
    refused,
    revision_ms,
    source_fields,
    tombstone,
)
from pinakes.core.engine.mapping import document_mapping
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS
from pinakes.core.faults import Kind, Violation
from pinakes.core.query.mask import DOCUMENT_FIELDS
from pinakes.core.query.schema import LANGUAGES, Attribute, AttributeType, Schema
from pinakes.core.settings import Limits
from pinakes.v1 import resources_pb2

Json = dict[str, Any]
LIMITS = Limits()
OWNER = Owner("uid-a", "uid-c", "a", "books")
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
REVISION = (1_769_860_800_123_456 - EPOCH_US) << SLOT_BITS | 7
PATHS = DOCUMENT_FIELDS - {"name", "etag"}


def _document(attributes: Json | None = None, **fields: Any) -> resources_pb2.Document:
    document = resources_pb2.Document(**fields)
    if attributes:
        document.attributes.update(attributes)
    return document


def _wrong(attributes: Json, limits: Limits = LIMITS, schema: Schema = SCHEMA) -> list[Violation]:
    return check_document(_document(attributes), schema, limits)


def _compiled(document: resources_pb2.Document, schema: Schema = SCHEMA) -> Json:
    return compile_document(document, OWNER, schema, "d1", REVISION, 5)


# ---- ids


def test_the_engine_id_differs_by_tenant_collection_and_document() -> None:
    owners = [OWNER, Owner("uid-b", "uid-c", "a", "books"), Owner("uid-a", "uid-d", "a", "books")]
    assert len({owner.engine_id(document) for owner in owners for document in ("d1", "d2")}) == 6


def test_the_engine_id_is_of_uids_not_of_names() -> None:
    assert Owner("uid-a", "uid-c", "renamed", "other").engine_id("d1") == OWNER.engine_id("d1")


def test_parts_of_an_engine_id_do_not_run_into_one_another() -> None:
    assert Owner("a", "bc", "", "").engine_id("d") != Owner("ab", "c", "", "").engine_id("d")
    assert len(OWNER.engine_id("x" * 128)) == 22


# ---- checks


def test_a_document_of_exactly_the_allowed_size_passes_and_one_byte_more_is_told() -> None:
    limits = Limits(document_bytes=2000)
    overhead = _document(body="x" * 1900).ByteSize() - 1900
    assert check_document(_document(body="x" * (2000 - overhead)), SCHEMA, limits) == []
    [violation] = check_document(_document(body="x" * (2001 - overhead)), SCHEMA, limits)
    assert "2001 bytes; at most 2000" in violation.description


def test_exactly_256_attributes_pass_and_one_more_is_told() -> None:
    assert _wrong({f"a{n}": n for n in range(256)}) == []
    [violation] = _wrong({f"a{n}": n for n in range(257)})
    assert violation.field == "attributes"
    assert "257 attributes; at most 256" in violation.description


def test_nested_attributes_count_and_items_of_a_list_do_not() -> None:
    assert _wrong({"a": {f"a{n}": n for n in range(255)}}) == []
    assert "257" in _wrong({"a": {f"a{n}": n for n in range(256)}})[0].description
    assert _wrong({"a": list(range(1000))}) == []
    assert "301" in _wrong({"a": [{"b": 1}] * 300})[0].description


def test_four_levels_pass_and_a_fifth_is_told_with_its_path() -> None:
    assert _wrong({"a": {"b": {"c": {"d": 1}}}}) == []
    [violation] = _wrong({"a": {"b": {"c": {"d": {"e": 1}}}}})
    assert violation == Violation("attributes.a.b.c.d.e", "attributes may be nested 4 deep")


def test_lists_in_lists_are_levels_and_items_are_not() -> None:
    assert _wrong({"a": [[[[1, 2]]]]}) == []
    assert _wrong({"a": [[[[[1]]]]]})[0].field == "attributes.a[0][0][0][0]"


def test_hostile_nesting_is_refused_without_recursion() -> None:
    value: Any = 1
    for _ in range(30):
        value = {"a": value}
    assert _wrong(value)[0].description == "attributes may be nested 4 deep"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_must_be_finite(number: float) -> None:
    assert _wrong({"x": {"y": [1, number]}}) == [Violation("attributes.x.y[1]", "a number must be finite")]


@pytest.mark.parametrize(("number", "fits"), [
    (1 << 53, True), (-(1 << 53), True), ((1 << 53) + 2, False), (-(1 << 53) - 2, False), (1e300, False), (0.1, True),
])  # fmt: skip
def test_whole_numbers_beyond_what_a_double_keeps_are_refused(number: float, fits: bool) -> None:
    assert (_wrong({"x": number}) == []) is fits


def test_a_value_that_is_not_set_is_refused() -> None:
    document = _document()
    document.attributes.fields["x"].SetInParent()
    assert check_document(document, SCHEMA, LIMITS) == [Violation("attributes.x", "the value isn't set")]


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800, 1 << 62])
def test_an_expiry_out_of_the_calendar_is_refused(seconds: int) -> None:
    document = _document()
    document.expire_time.seconds = seconds
    assert [v.field for v in check_document(document, SCHEMA, LIMITS)] == ["expire_time"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", 1), ("kind", True), ("kind", {"a": "b"}), ("kind", ["x", 1]), ("kind", [None]), ("kind", "ä" * 501),
        ("done", "true"), ("done", 1), ("price", "1"), ("price", True), ("price", [1, "2"]), ("seen", 1),
        ("seen", "yesterday"), ("seen", "2026-02-30T00:00:00Z"), ("note", 1), ("place", "52,13"), ("place", [13, 52]),
        ("place", {"lat": 1}), ("place", {"lat": 1, "lon": 2, "alt": 3}), ("place", {"lat": 91, "lon": 0}),
        ("place", {"lat": 0, "lon": -181}), ("place", {"lat": "1", "lon": 2}), ("place", {"lat": True, "lon": 2}),
    ],
)  # fmt: skip
def test_a_value_of_another_type_than_declared_is_refused(name: str, value: object) -> None:
    [violation] = _wrong({name: value})
    assert violation.field == f"attributes.{name}"
    assert f"is declared as {SCHEMA.attributes[name].type.value}: " in violation.description


@pytest.mark.parametrize(
    ("name", "value", "slot"),
    [
        ("kind", "x", "x"), ("kind", ["x", "y"], ["x", "y"]), ("kind", "ä" * 500, "ä" * 500), ("kind", "\0", "\0"),
        ("kind", [], []), ("done", True, "true"), ("done", [False], ["false"]), ("price", 1, 1), ("price", 1.5, 1.5),
        ("price", -0.0, 0), ("seen", "2026-01-31T12:00:00.1239Z", 1769860800123), ("note", "some words", "some words"),
        ("place", {"lat": -90, "lon": 180}, {"lat": -90, "lon": 180}),
    ],
)  # fmt: skip
def test_declared_values_go_to_their_slots_and_have_no_tokens(name: str, value: object, slot: object) -> None:
    assert _wrong({name: value}) == []
    body = _compiled(_document({name: value}))
    assert body[SCHEMA.attributes[name].slot] == slot
    assert "kv" not in body


def test_null_has_neither_slot_nor_token() -> None:
    assert _wrong({"kind": None}) == []
    body = _compiled(_document({"kind": None, "other": None}))
    assert "kw_00" not in body
    assert "kv" not in body


def test_violations_are_placed_in_the_request() -> None:
    fault = refused([Violation("attributes.x", "wrong"), Violation("", "too large")], "document")
    assert fault.kind is Kind.INVALID
    assert [v.field for v in fault.violations] == ["document.attributes.x", "document"]


# ---- bodies


def test_a_body_belongs_to_its_owner_and_holds_text_in_one_language_only() -> None:
    body = _compiled(_document(title="Der Titel", body="x", language="de", tags=["Käse"], readers=["r"]))
    assert (body["tenant"], body["collection"], body["id"], body["revision"]) == ("uid-a", "uid-c", "d1", REVISION)
    assert [key for key in body if key.startswith(("title_", "body_"))] == ["title_de", "body_de", "title_key"]
    assert body["title_key"] == "uid-a\x1fuid-c\x1fder titel"
    assert "title_key" not in _compiled(_document(title=" "))
    assert body["words"] == ["uid-a\x1fuid-c\x1fder", "uid-a\x1fuid-c\x1ftitel", "uid-a\x1fuid-c\x1fkase"]
    assert body["create_time"] == 5
    assert body["update_time"] == 1_769_860_800_123


def test_without_a_language_the_collections_first_is_taken() -> None:
    assert _compiled(_document(title="t"))["title_en"] == "t"
    assert _compiled(_document(title="t", language="mt"))["title_und"] == "t"
    assert _compiled(_document(title="t", language="nb"))["title_no"] == "t"


def test_without_a_language_it_is_recognised_among_the_collection_s() -> None:
    schema = Schema(languages=("en", "de", "fr"))
    document = _document(title="Einführung in die Informatik", body="Dieses Buch ist für alle, die beginnen.")
    body = compile_document(document, OWNER, schema, "d1", REVISION, 5)
    assert (body["language"], body["title_de"]) == ("de", document.title)
    again = compile_document(document, OWNER, schema, "d1", REVISION + 1, 6)
    assert again["hash"] == body["hash"] == content_hash(read_document(body, OWNER, PATHS, ""))
    document.language = "fr"
    assert compile_document(document, OWNER, schema, "d1", REVISION, 5)["language"] == "fr"


def test_what_was_written_when_a_language_had_no_fields_is_read() -> None:
    body = _compiled(_document(title="t", body="b", language="fi"))
    body["title_und"], body["body_und"] = body.pop("title_fi"), body.pop("body_fi")
    found = read_document(body, OWNER, PATHS, "")
    assert (found.title, found.body, found.language) == ("t", "b", "fi")


def test_a_tombstone_has_no_content() -> None:
    body = tombstone(OWNER, "d1", REVISION)
    assert body["deleted"] is True
    assert set(body) == {"v", "tenant", "collection", "id", "revision", "deleted", "update_time"}
    assert set(body) <= document_mapping()["properties"].keys()


def test_revisions_tell_their_time() -> None:
    assert revision_ms(REVISION) == 1_769_860_800_123


_text = st.text(st.characters(codec="utf-8"), max_size=20)
_scalar = st.one_of(
    _text, st.booleans(), st.none(), st.integers(-(1 << 53), 1 << 53),
    st.floats(-1e15, 1e15, allow_nan=False),
)  # fmt: skip
_value = st.one_of(
    _scalar,
    st.lists(_scalar, max_size=3),
    st.dictionaries(_text, st.one_of(_scalar, st.lists(_scalar, max_size=2)), max_size=3),
)


@st.composite
def _documents(draw: st.DrawFn) -> resources_pb2.Document:
    names = st.one_of(_text.filter(lambda name: name not in SCHEMA.attributes))
    attributes = draw(st.dictionaries(names, _value, max_size=4))
    optional: list[tuple[str, st.SearchStrategy[Any]]] = [
        ("kind", _text), ("done", st.booleans()), ("price", st.floats(-1e9, 1e9)), ("note", _text),
        ("place", st.fixed_dictionaries({"lat": st.floats(-90, 90), "lon": st.floats(-180, 180)})),
    ]  # fmt: skip
    for name, values in optional:
        if draw(st.booleans()):
            attributes[name] = draw(values)
    document = _document(
        attributes, title=draw(_text), body=draw(_text), tags=draw(st.lists(_text, max_size=3)),
        readers=draw(st.lists(_text, max_size=2)), source_uri=draw(_text),
        language=draw(st.sampled_from(["nb", "mt", *LANGUAGES])),
    )  # fmt: skip
    if draw(st.booleans()):
        document.expire_time.FromMilliseconds(draw(st.integers(0, 4_000_000_000_000)))
    return document


@given(_documents())
def test_any_document_is_read_back_as_it_was_written(document: resources_pb2.Document) -> None:
    assert check_document(document, SCHEMA, LIMITS) == []
    source = json.loads(json.dumps(_compiled(document)))
    found = read_document(source, OWNER, PATHS, "etag")
    assert (found.name, found.etag) == (OWNER.name("d1"), "etag")
    assert found.content_hash == content_hash(document) == content_hash(found)
    for field in ("name", "etag", "content_hash", "create_time", "update_time"):
        found.ClearField(field)
    assert found == document


@given(_documents())
def test_every_field_of_a_body_is_in_the_mapping(document: resources_pb2.Document) -> None:
    body = _compiled(document)
    assert body.keys() <= document_mapping()["properties"].keys()
    assert all(len(token.encode()) < 600 for token in body.get("kv", []))


@given(_documents(), st.sets(st.sampled_from(sorted(PATHS))))
def test_the_fields_that_are_fetched_for_a_mask_are_enough_for_it(
    document: resources_pb2.Document, paths: set[str]
) -> None:
    body = _compiled(document)
    wanted = source_fields(frozenset(paths))
    fetched = {k: v for k, v in body.items() if k in wanted or f"{k.partition('_')[0]}_*" in wanted}
    assert read_document(fetched, OWNER, frozenset(paths), "") == read_document(body, OWNER, frozenset(paths), "")


def test_a_mask_may_name_single_attributes() -> None:
    body = _compiled(_document({"a": 1, "b": {"c": 2, "d": 3}, "e.f": 4, "g": [1]}, body="x"))
    wanted = frozenset({"attributes.a", "attributes.b.c", "attributes.e.f", "attributes.g.x", "attributes.none"})
    assert "attrs" in source_fields(wanted)
    found = read_document(body, OWNER, wanted, "")
    assert plain(found.attributes) == {"a": 1, "b": {"c": 2}, "e.f": 4}
    assert not found.body


def test_without_a_mask_for_them_attributes_stay_away() -> None:
    body = _compiled(_document({"a": 1}, title="t"))
    assert "attrs" not in source_fields(frozenset({"title"}))
    assert not read_document(body, OWNER, frozenset({"title"}), "").HasField("attributes")


# ---- content hash


def test_the_hash_is_of_what_the_caller_wrote_only() -> None:
    one = _document({"b": 1, "a": 2}, title="t", name="n1", etag="x")
    two = _document({"a": 2, "b": 1}, title="t", name="n2", content_hash="y")
    two.create_time.seconds = 5
    assert content_hash(one) == content_hash(two)


@pytest.mark.parametrize("field", ["title", "body", "language", "source_uri"])
def test_the_hash_changes_with_every_text(field: str) -> None:
    assert content_hash(_document(**{field: "x"})) != content_hash(_document())


def test_the_hash_changes_with_lists_attributes_and_expiry() -> None:
    expiring = _document()
    expiring.expire_time.seconds = 1
    variants = [_document(), _document(tags=["x"]), _document(readers=["x"]), _document({"a": "x"}), expiring]
    assert len({content_hash(document) for document in variants}) == len(variants)


def test_the_hash_knows_nothing_of_fields_from_a_later_version() -> None:
    later = resources_pb2.Document.FromString(_document(title="t").SerializeToString() + b"\xfa\x3e\x01x")
    assert content_hash(later) == content_hash(_document(title="t"))


def test_attributes_are_stored_as_they_came() -> None:
    body = _compiled(_document({"a": [1, {"b": None}]}))
    stored = struct_pb2.Struct.FromString(base64.b64decode(body["attrs"]))
    assert plain(stored) == {"a": [1, {"b": None}]}
