# SPDX-License-Identifier: Apache-2.0
"""What the platform is measured against: plain BM25 by `multi_match` on the same engine, in an index of its own.

It has the platform's analysis of each language, the engine's own BM25 with the collection's own statistics (nothing
else is in its index), one shard, and the usual weights: 3 for titles, 2 for tags, 1 for bodies.
"""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pinakes.core.engine import mapping
from pinakes.core.query.schema import Schema, language_field
from tests.relevance.judged import Item, Judged, Run
from tests.relevance.ours import DEPTH, typed

Json = dict[str, Any]
WEIGHTS = {"title": 3, "tags": 2, "body": 1}
AT_ONCE = 500
SEARCHES_AT_ONCE = 16


class EngineError(Exception):
    """What the engine said to a request that it refused."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An index of plain BM25; `url` is its address."""

    url: str

    def load(self, judged: Judged) -> None:
        """Write the documents of a collection."""
        for group in _groups(judged.documents(), AT_ONCE):
            lines = (line for item in group for line in ({"index": {"_id": item.id}}, _body(item)))
            answer = _call("POST", f"{self.url}/_bulk", lines)
            if answer["errors"]:
                message = json.dumps(next(item for item in answer["items"] if "error" in item["index"]))
                raise EngineError(message)
        _call("POST", f"{self.url}/_refresh")

    def search(self, judged: Judged, *, depth: int = DEPTH) -> Run:
        """Ask every query; return what it finds, in the order of the results."""
        fields = _fields(judged)
        run: Run = {}
        for group in _groups(judged.queries, SEARCHES_AT_ONCE):
            lines: list[Json] = []
            for query in group:
                match = {"query": typed(query.text), "type": "best_fields", "fields": fields}
                lines += [{}, {"size": depth, "_source": False, "query": {"multi_match": match}}]
            for query, answer in zip(group, _call("POST", f"{self.url}/_msearch", lines)["responses"], strict=True):
                if "error" in answer:
                    message = f"{query.id}: {json.dumps(answer['error'])}"
                    raise EngineError(message)
                run[query.id] = [hit["_id"] for hit in answer["hits"]["hits"]]
        return run


@contextmanager
def baseline(engine_url: str, judged: Judged) -> Iterator[Baseline]:
    """Make the index for a collection; it is removed afterwards."""
    url = f"{engine_url}/relevance-{secrets.token_hex(6)}"
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    fields = _mapping(judged)
    analysis = _used(mapping.pool_settings(1, 0)["index"]["analysis"], fields["properties"].values())
    _call("PUT", url, {"settings": {"index": settings | {"analysis": analysis}}, "mappings": fields})
    try:
        yield Baseline(url)
    finally:
        _call("DELETE", url)


def _mapping(judged: Judged) -> Json:
    """Return the text fields of a collection with the platform's analysis and the engine's own similarity."""
    known = mapping.document_mapping()["properties"]
    fields = {field.partition("^")[0] for field in _fields(judged)}
    return {
        "dynamic": "strict",
        "properties": {
            field: {name: value for name, value in known[field].items() if name != "similarity"} for field in fields
        },
    }


def _used(analysis: Json, fields: Iterable[Json]) -> Json:
    """Return the part of an analysis that fields use: the engine builds, and holds, whatever it is given."""
    names = {value for field in fields for name, value in field.items() if name.endswith("analyzer")}
    analyzers = {name: made for name, made in analysis["analyzer"].items() if name in names}
    steps = {step for made in analyzers.values() for kind in ("filter", "char_filter") for step in made.get(kind, ())}
    steps |= {made["tokenizer"] for made in analyzers.values()}
    others = {
        kind: {name: made for name, made in parts.items() if name in steps}
        for kind, parts in analysis.items()
        if kind != "analyzer"
    }
    return others | {"analyzer": analyzers}


def _fields(judged: Judged) -> list[str]:
    """Return the searched fields with their weights."""
    suffixes = Schema(languages=judged.languages).text_languages()
    text = [f"{field}_{suffix}^{WEIGHTS[field]}" for field in ("title", "body") for suffix in suffixes]
    return [*text, f"tags_text^{WEIGHTS['tags']}"]


def _body(item: Item) -> Json:
    suffix = language_field(item.language)
    return {f"title_{suffix}": item.title, f"body_{suffix}": item.body, "tags_text": list(item.tags)}


def _groups(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut into lists of so many."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group


def _call(method: str, url: str, body: Json | Iterable[Json] | None = None) -> Any:
    """Call the engine. Raises EngineError with what it says if it refuses."""
    data, kind = b"", "application/json"
    if isinstance(body, dict):
        data = json.dumps(body).encode()
    elif body is not None:
        data, kind = b"".join(json.dumps(line).encode() + b"\n" for line in body), "application/x-ndjson"
    request = urllib.request.Request(url, data or None, {"Content-Type": kind}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            message = f"{method} {url}: {error.code} {error.read(2000).decode(errors='replace')}"
        raise EngineError(message) from None
