# SPDX-License-Identifier: Apache-2.0
"""The one mapping of every document index, its analysis and similarity, and the mapping of records (design §4)."""

from __future__ import annotations

from typing import Any

from pinakes.core.query.schema import LANGUAGES

Json = dict[str, Any]

FORMAT = 1
SLOTS = {"kw": 32, "num": 16, "time": 8, "text": 8, "geo": 2}
OTHER = "und"
SEARCHED_LENGTH = {"title": 8, "tags": 8, "body": 200, "slot": 20}

# What the stemmer of a language is called in the engine; a language without one is only folded.
_STEMMERS = {
    "ar": "arabic", "cs": "czech", "de": "light_german", "en": "english", "es": "light_spanish", "fr": "light_french",
    "it": "light_italian", "nl": "dutch", "pt": "light_portuguese", "ru": "russian", "sv": "swedish",
}  # fmt: skip


def pool_settings(shards: int, replicas: int) -> Json:
    """Return the index settings of a pool."""
    return {
        "index": {
            "number_of_shards": shards,
            "number_of_replicas": replicas,
            "refresh_interval": "1s",
            "translog.durability": "request",
            "replication.type": "DOCUMENT",
            "mapping.total_fields.limit": 300,
            "similarity": {f"s_{field}": _similarity(length) for field, length in SEARCHED_LENGTH.items()},
            "analysis": _analysis(),
        }
    }


def document_mapping() -> Json:
    """Return the strict mapping that every document of every tenant shares."""
    keyword: Json = {"type": "keyword"}
    date: Json = {"type": "date", "format": "epoch_millis"}
    stored: Json = {"type": "keyword", "index": False, "doc_values": False}
    fields: Json = {
        "v": {"type": "short", "index": False},
        "tenant": keyword,
        "collection": keyword,
        "id": keyword,
        "revision": {"type": "long"},
        "deleted": {"type": "boolean"},
        "language": keyword,
        "readers": keyword,
        "source_uri": stored,
        "hash": stored,
        "create_time": date,
        "update_time": date,
        "expire_time": date,
        "tags": keyword,
        "tags_text": _text("folded", "s_tags"),
        "words": keyword,
        "attrs": {"type": "binary"},
        "content": {"type": "binary"},
        "kv": keyword,
    }
    for language in (*LANGUAGES, OTHER):
        fields[f"title_{language}"] = _text(analyzer(language), "s_title")
        fields[f"body_{language}"] = _text(analyzer(language), "s_body")
    slots: dict[str, Json] = {
        "kw": keyword, "num": {"type": "double"}, "time": date, "text": _text("folded", "s_slot"),
        "geo": {"type": "geo_point"},
    }  # fmt: skip
    for kind, count in SLOTS.items():
        fields |= {slot(kind, number): slots[kind] for number in range(count)}
    return {"dynamic": "strict", "_source": {"enabled": True}, "_routing": {"required": True}, "properties": fields}


def record_mapping() -> Json:
    """Return the mapping of the system indices: a few indexed fields, and the record itself as it is."""
    return {
        "dynamic": "strict",
        "properties": {
            "v": {"type": "short", "index": False},
            "rid": {"type": "keyword"},
            "parent": {"type": "keyword"},
            "state": {"type": "keyword"},
            "changed": {"type": "long"},
            "record": {"type": "object", "enabled": False},
        },
    }


def slot(kind: str, number: int) -> str:
    """Return the field of a slot, `kw_03`."""
    return f"{kind}_{number:02}"


def analyzer(language: str) -> str:
    """Return the name of a language's analyzer."""
    return "folded" if language == OTHER else f"text_{language}"


def _text(analyzer_name: str, similarity: str) -> Json:
    return {"type": "text", "analyzer": analyzer_name, "similarity": similarity}


def _similarity(average: int) -> Json:
    """Return BM25's saturation and length norm against a constant average, without any corpus statistics.

    Statistics of a shared index would let a neighbour's documents change a tenant's ranking.
    """
    source = f"double tf = doc.freq / (doc.freq + 1.2 * (0.25 + 0.75 * doc.length / {average}.0)); return query.boost * 2.2 * tf;"
    return {"type": "scripted", "script": {"source": source}}


def _analysis() -> Json:
    """Return the analyzers: ICU words, lower case and folding for all; a stemmer where the language has one.

    No stop words are dropped: they carry little weight by the saturation, and phrases need them.
    """
    filters: Json = {
        f"stem_{language}": {"type": "stemmer", "language": stemmer} for language, stemmer in _STEMMERS.items()
    }
    analyzers: Json = {"folded": {"type": "custom", "tokenizer": "icu_tokenizer", "filter": ["icu_folding"]}}
    for language in LANGUAGES:
        if language == "ja":
            steps = ["kuromoji_baseform", "cjk_width", "lowercase"]
            analyzers["text_ja"] = {"type": "custom", "tokenizer": "kuromoji_tokenizer", "filter": steps}
        else:
            # Stemmers know their language's accents, so folding comes after them.
            steps = ["lowercase", f"stem_{language}", "icu_folding"]
            analyzers[f"text_{language}"] = {"type": "custom", "tokenizer": "icu_tokenizer", "filter": steps}
    return {"filter": filters, "analyzer": analyzers}
