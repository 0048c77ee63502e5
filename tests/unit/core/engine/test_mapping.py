# SPDX-License-Identifier: Apache-2.0
"""The one mapping: strict, small enough, and with every field that the compilers name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pinakes.core.engine.analysis import analyzers_of
from pinakes.core.engine.documents import Owner
from pinakes.core.engine.mapping import (
    FORMAT,
    SEARCHED_LENGTH,
    SLOTS,
    document_mapping,
    pool_settings,
    record_mapping,
    slot,
)
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import FIELDS, compile_filter
from pinakes.core.query.order import compile_order
from pinakes.core.query.schema import LANGUAGES, Attribute, AttributeType, Schema
from pinakes.core.query.text import compile_query, parse_query
from pinakes.core.query.weights import Weights
from pinakes.core.settings import Limits
from tests.unit.core.query._options import options

PROPERTIES: dict[str, Any] = document_mapping()["properties"]
INDEX: dict[str, Any] = pool_settings(1, 0)["index"]
KINDS = {"kw": AttributeType.STRING, "num": AttributeType.NUMBER, "time": AttributeType.TIME, "text": AttributeType.TEXT,
         "geo": AttributeType.GEO}  # fmt: skip
EVERYTHING = Schema(
    (*LANGUAGES, "mt"),
    {
        slot(kind, n): Attribute(slot(kind, n), KINDS[kind], slot(kind, n), sortable=kind not in {"text", "geo"})
        for kind, count in SLOTS.items()
        for n in range(count)
    },
)


def _fields(query: Any) -> Iterator[str]:
    """Yield the engine fields of a compiled query."""
    if isinstance(query, list):
        for part in query:
            yield from _fields(part)
    elif isinstance(query, dict):
        for kind, body in query.items():
            if kind == "exists":
                yield body["field"]
            elif kind in {"term", "terms", "range", "match", "match_phrase", "prefix"}:
                yield from body
            elif kind == "geo_distance":
                yield from body.keys() - {"distance"}
            else:
                yield from _fields(body)


def test_nothing_is_mapped_that_was_not_foreseen() -> None:
    assert document_mapping()["dynamic"] == record_mapping()["dynamic"] == "strict"
    assert document_mapping()["_routing"] == {"required": True}


def test_there_are_fewer_fields_than_the_limit() -> None:
    assert len(PROPERTIES) < INDEX["mapping.total_fields.limit"]


def test_every_analyzer_and_similarity_of_a_field_is_defined() -> None:
    for field in PROPERTIES.values():
        if field["type"] == "text":
            named = [value for key, value in field.items() if key.endswith("analyzer")]
            assert set(named) <= INDEX["analysis"]["analyzer"].keys()
            assert field["similarity"] in INDEX["similarity"]


def test_every_part_of_an_analyzer_is_defined_or_the_engine_s_own() -> None:
    own = {
        "filter": {
            "apostrophe", "arabic_normalization", "bengali_normalization", "cjk_width", "decimal_digit", "german_normalization", "hindi_normalization", "icu_folding", "indic_normalization",
            "kuromoji_baseform", "kuromoji_stemmer", "lowercase", "persian_normalization", "scandinavian_folding",
        },
        "tokenizer": {"icu_tokenizer", "standard"},
        "char_filter": set(),
    }  # fmt: skip
    used: dict[str, set[str]] = {kind: set() for kind in own}
    for definition in INDEX["analysis"]["analyzer"].values():
        used["filter"] |= set(definition["filter"])
        used["tokenizer"].add(definition["tokenizer"])
        used["char_filter"] |= set(definition.get("char_filter", ()))
    for kind, names in used.items():
        assert names - own[kind] == INDEX["analysis"][kind].keys(), "defined and used, or the engine's own"


def test_every_language_has_its_fields_and_analyzers() -> None:
    for language in (*LANGUAGES, "und"):
        for field in ("title", "body"):
            assert analyzers_of(language).items() <= PROPERTIES[f"{field}_{language}"].items()
    assert len(LANGUAGES) == len({analyzers_of(language)["analyzer"] for language in LANGUAGES}) == 35


def test_no_analyzer_drops_stop_words() -> None:
    assert not {name for name in INDEX["analysis"]["filter"] if "stop" in name}
    assert not any("stop" in name for a in INDEX["analysis"]["analyzer"].values() for name in a["filter"])


def test_an_index_says_its_format() -> None:
    assert document_mapping()["_meta"] == {"format": FORMAT}


def test_no_similarity_looks_at_the_statistics_of_the_shared_index() -> None:
    for name in SEARCHED_LENGTH:
        source = INDEX["similarity"][f"s_{name}"]["script"]["source"]
        assert "field." not in source
        assert "term." not in source


def test_a_pool_keeps_its_promises_on_writes() -> None:
    assert INDEX["translog.durability"] == "request"
    assert INDEX["replication.type"] == "DOCUMENT"
    assert INDEX["refresh_interval"] == "1s"


def test_every_slot_is_a_field() -> None:
    assert {slot(kind, n) for kind, count in SLOTS.items() for n in range(count)} <= PROPERTIES.keys()


def test_every_field_that_a_filter_names_is_in_the_mapping() -> None:
    texts = [f"{name}:*" for name in (*FIELDS, *(f"attributes.{a}" for a in EVERYTHING.attributes))]
    texts += ["word", "attributes.undeclared = 1", "attributes.undeclared:*", "title:word", "body:word"]
    texts += [f'geo_distance({slot("geo", n)}, 1, 2, "1km")' for n in range(SLOTS["geo"])]
    for text in texts:
        found = set(_fields(compile_filter(parse_filter(text, Limits()), EVERYTHING)))
        assert found
        assert found <= PROPERTIES.keys()


def test_every_field_that_a_query_names_is_in_the_mapping() -> None:
    how = options(LANGUAGES, ranking={"textAttributes": {"abstract": 1}})
    owner = Owner("tu", "cu", "t", "c")
    query = parse_query('word "a phrase" -not begin* title:x', how, Limits())
    found = set(_fields(compile_query(query, how, Weights(), owner=owner)))
    assert found
    assert found <= PROPERTIES.keys()


def test_every_field_that_an_order_names_is_in_the_mapping() -> None:
    sortable = [a.name for a in EVERYTHING.attributes.values() if a.sortable]
    for name in ("id", "title", "create_time", "update_time", *sortable):
        for entry in compile_order(name, EVERYTHING, False).sort:
            [field] = entry
            assert PROPERTIES[field]["type"] != "text"
