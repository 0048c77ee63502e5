# SPDX-License-Identifier: Apache-2.0
"""The one mapping of every document index, its analysis and similarity, and the mapping of records (design §4)."""

from __future__ import annotations

from typing import Any

from pinakes.core.engine.analysis import analysis, analyzers_of
from pinakes.core.query.schema import LANGUAGES, OTHER_LANGUAGE

Json = dict[str, Any]

FORMAT = 3
ANALYSIS_FORMAT = 2
"""The format that changed the analysis last: an index of an earlier one must be closed to be brought up."""

REFRESH_INTERVAL = "1s"
"""Of document indices; an import may make that of a tenant's own longer for as long as it loads it."""

SLOTS = {"kw": 32, "num": 16, "time": 8, "text": 8, "geo": 2}
SEARCHED_LENGTH = {"title": 4, "tags": 4, "body": 400, "slot": 20}


def pool_settings(shards: int, replicas: int) -> Json:
    """Return the index settings of a pool."""
    return {
        "index": {
            "number_of_shards": shards,
            "number_of_replicas": replicas,
            "refresh_interval": REFRESH_INTERVAL,
            "translog.durability": "request",
            # Deletions are tombstones, so the engine needn't remember its own, of what was moved away; or what is moved
            # back within that time would be older than them.
            "gc_deletes": "1s",
            "replication.type": "DOCUMENT",
            "mapping.total_fields.limit": 300,
            "similarity": {f"s_{field}": _similarity(length) for field, length in SEARCHED_LENGTH.items()},
            "analysis": analysis(),
        }
    }


def document_mapping(*, routed: bool = True) -> Json:
    """Return the strict mapping that every document of every tenant shares.

    Pools are `routed` by tenant, so a document without routing is refused there; a tenant's own index isn't.
    """
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
        "bytes": {"type": "integer", "index": False},
        "create_time": date,
        "update_time": date,
        "expire_time": date,
        "tags": keyword,
        "tags_text": _text(OTHER_LANGUAGE, "s_tags"),
        "words": keyword,
        "title_key": keyword,
        "attrs": {"type": "binary"},
        "content": {"type": "binary"},
        "kv": keyword,
    }
    for language in (*LANGUAGES, OTHER_LANGUAGE):
        fields[f"title_{language}"] = _text(language, "s_title")
        fields[f"body_{language}"] = _text(language, "s_body")
    slots: dict[str, Json] = {
        "kw": keyword, "num": {"type": "double"}, "time": date, "text": _text(OTHER_LANGUAGE, "s_slot"),
        "geo": {"type": "geo_point"},
    }  # fmt: skip
    for kind, count in SLOTS.items():
        fields |= {slot(kind, number): slots[kind] for number in range(count)}
    return {
        "_meta": {"format": FORMAT},
        "dynamic": "strict",
        "_source": {"enabled": True},
        "_routing": {"required": routed},
        "properties": fields,
    }


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


def _text(language: str, similarity: str) -> Json:
    return {"type": "text", **analyzers_of(language), "similarity": similarity}


def _similarity(average: int) -> Json:
    """Return BM25's saturation and length norm against a constant average, without any corpus statistics.

    Statistics of a shared index would let a neighbour's documents change a tenant's ranking.
    """
    source = f"double tf = doc.freq / (doc.freq + 1.2 * (0.25 + 0.75 * doc.length / {average}.0)); return query.boost * 2.2 * tf;"
    return {"type": "scripted", "script": {"source": source}}
