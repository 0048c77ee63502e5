# SPDX-License-Identifier: Apache-2.0
"""Searches with wrong values in every field, by gRPC and by JSON: each refused with its place, none an accident."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from pinakes.v1.search_pb2 import CountDocumentsRequest, SearchRequest
from tests.e2e._search import COLLECTION, Shelf, shelf
from tests.wire import INTERNAL_WORDS, SEARCH, Door

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DOCUMENTS: dict[str, dict[str, Any]] = {
    "a": {"title": "Lamp", "attributes": {"price": 1, "kind": "desk", "made": "0001-01-01T00:00:00Z"}},
    "b": {"title": "Lamp", "attributes": {"price": 2, "kind": "wall", "made": "9999-12-31T23:59:59Z"}},
}
ATTRIBUTES = ("price:number:sortable", "kind:string:sortable", "made:time", "note:text", "sold:bool", "place:geo")


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection with an attribute of each type."""
    with shelf(platform, "wrong", DOCUMENTS, attributes=ATTRIBUTES) as things:
        yield things


@pytest.fixture(scope="module")
def key(made: Shelf) -> str:
    """Make a key that searches."""
    return made.key("user")


@pytest.fixture(scope="module")
def door(platform: Any) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


_HALF = {"field": "update_time", "halfLife": "60s"}
_SEARCHES: list[tuple[dict[str, Any], str, str]] = [
    ({"parent": ""}, "parent", "INVALID_ARGUMENT"),
    ({"parent": "tenants/-/collections/x/documents/y"}, "parent", "INVALID_ARGUMENT"),
    ({"parent": "tenants/-/collections/ü"}, "parent", "INVALID_ARGUMENT"),
    ({"query": "lamp " * 101}, "query", "QUERY_TOO_LONG"),
    ({"query": '"a" ' * 33}, "query", "QUERY_TOO_MANY_CLAUSES"),
    ({"query": "-a*"}, "query", "QUERY_PREFIX_TOO_SHORT"),
    ({"filter": "("}, "filter", "FILTER_SYNTAX"),
    ({"filter": "NOT"}, "filter", "FILTER_SYNTAX"),
    ({"filter": 'kind = "\\ud800"'}, "filter", "FILTER_SYNTAX"),
    ({"filter": "a OR " * 64 + "a"}, "filter", "FILTER_TOO_MANY_TERMS"),
    ({"filter": '"' + "a.b " * 100 + '"'}, "filter", "FILTER_TOO_MANY_TERMS"),
    ({"orderBy": "x" * 501}, "order_by", "INVALID_ARGUMENT"),
    ({"orderBy": "attributes.sold"}, "order_by", "ORDER_NOT_SORTABLE"),
    ({"orderBy": "body"}, "order_by", "ORDER_UNKNOWN_FIELD"),
    ({"pageSize": -5}, "page_size", "INVALID_ARGUMENT"),
    ({"pageToken": "x"}, "page_token", "PAGE_TOKEN_MALFORMED"),
    ({"pageToken": "AQ" + "A" * 100}, "page_token", "PAGE_TOKEN_MISMATCH"),
    ({"pageToken": "A" * 65537}, "page_token", "INVALID_ARGUMENT"),
    ({"readMask": "titel"}, "read_mask", "MASK_UNKNOWN_FIELD"),
    ({"readMask": "attributes.,title"}, "read_mask", "MASK_UNKNOWN_FIELD"),
    ({"matching": 9}, "matching", "INVALID_ARGUMENT"),
    ({"typos": -1}, "typos", "INVALID_ARGUMENT"),
    ({"ranking": {"title": -1}}, "ranking.title", "INVALID_ARGUMENT"),
    ({"ranking": {"tags": "NaN"}}, "ranking.tags", "INVALID_ARGUMENT"),
    ({"ranking": {"body": "Infinity"}}, "ranking.body", "INVALID_ARGUMENT"),
    ({"ranking": {"textAttributes": {"kind": 1}}}, "ranking.text_attributes", "UNKNOWN_ATTRIBUTE"),
    ({"ranking": {"textAttributes": {"note": 11}}}, 'ranking.text_attributes["note"]', "INVALID_ARGUMENT"),
    ({"ranking": {"textAttributes": {f"n{n}": 1 for n in range(9)}}}, "ranking.text_attributes", "INVALID_ARGUMENT"),
    ({"ranking": {"freshness": _HALF | {"halfLife": "1s"}}}, "ranking.freshness.half_life", "INVALID_ARGUMENT"),
    ({"ranking": {"freshness": {"field": "update_time"}}}, "ranking.freshness.half_life", "INVALID_ARGUMENT"),
    ({"ranking": {"freshness": _HALF | {"weight": 2}}}, "ranking.freshness.weight", "INVALID_ARGUMENT"),
    ({"ranking": {"freshness": _HALF | {"field": "expire_time"}}}, "ranking.freshness.field", "RANKING_UNKNOWN_FIELD"),
    ({"ranking": {"freshness": _HALF | {"field": "attributes.kind"}}}, "ranking.freshness.field", "RANKING_WRONG_TYPE"),
    ({"ranking": {"boosts": [{"weight": 1}]}}, "ranking.boosts[0].what", "INVALID_ARGUMENT"),
    ({"ranking": {"boosts": [{"filter": "kind = a"}]}}, "ranking.boosts[0].weight", "INVALID_ARGUMENT"),
    ({"ranking": {"boosts": [{"filter": "kind =", "weight": 1}]}}, "ranking.boosts[0].filter", "FILTER_SYNTAX"),
    ({"ranking": {"boosts": [{"number": "kind", "weight": 1}]}}, "ranking.boosts[0].number", "RANKING_WRONG_TYPE"),
    ({"ranking": {"boosts": [{"number": "price", "weight": 1, "scale": 1e-40}]}}, "ranking.boosts[0].scale", "RANKING_WRONG_TYPE"),
    ({"ranking": {"boosts": [{"number": "price", "weight": 101}]}}, "ranking.boosts[0].weight", "INVALID_ARGUMENT"),
    ({"ranking": {"boosts": [{"number": "price", "weight": 1}] * 9}}, "ranking.boosts", "INVALID_ARGUMENT"),
    ({"languages": ["english"]}, "languages[0]", "INVALID_ARGUMENT"),
    ({"languages": ["de"]}, "languages[0]", "UNKNOWN_LANGUAGE"),
    ({"highlight": {"fields": ["nothing"]}}, "highlight.fields[0]", "HIGHLIGHT_UNKNOWN_FIELD"),
    ({"highlight": {"fields": ["title", "attributes.kind"]}}, "highlight.fields[1]", "HIGHLIGHT_WRONG_TYPE"),
    ({"highlight": {"fields": ["title", "title"]}}, "highlight.fields", "INVALID_ARGUMENT"),
    ({"highlight": {"fields": [""]}}, "highlight.fields[0]", "INVALID_ARGUMENT"),
    ({"highlight": {"passages": 6}}, "highlight.passages", "INVALID_ARGUMENT"),
    ({"highlight": {"passageChars": 49}}, "highlight.passage_chars", "HIGHLIGHT_PASSAGE_CHARS"),
    ({"highlight": {"passageChars": 1001}}, "highlight.passage_chars", "INVALID_ARGUMENT"),
    ({"highlight": {"before": "x" * 65}}, "highlight.before", "INVALID_ARGUMENT"),
    ({"highlight": {"after": "x" * 65}}, "highlight.after", "INVALID_ARGUMENT"),
    ({"collapse": "kind"}, "collapse", "COLLAPSE_UNKNOWN_FIELD"),
    ({"collapse": "attributes.made"}, "collapse", "COLLAPSE_WRONG_TYPE"),
    ({"collapse": "attributes.\0"}, "collapse", "COLLAPSE_UNKNOWN_FIELD"),
    ({"collapse": "x" * 201}, "collapse", "INVALID_ARGUMENT"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "reason"), _SEARCHES, ids=lambda value: str(value)[:40])
def test_a_wrong_value_is_told_with_its_place(
    made: Shelf, door: Door, key: str, fields: dict[str, Any], field: str, reason: str
) -> None:
    request = ParseDict({"parent": made.name, "query": "lamp", **fields}, SearchRequest())
    refusal = door.refusal(SEARCH + "Search", request, key)
    assert (refusal.code, refusal.fields, refusal.reason) == (INVALID, {field}, reason), refusal
    assert all(text for _, text in refusal.violations)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": "x" * 501}, "query"), ({"filter": "x ="}, "filter"), ({"matching": 9}, "matching"), ({"typos": 9}, "typos"),
        ({"parent": "x"}, "parent"), ({"query": "a*"}, "query"), ({"filter": "(" * 10}, "filter"),
    ],
)  # fmt: skip
def test_a_wrong_value_of_a_count_is_told_with_its_place(
    made: Shelf, door: Door, key: str, fields: dict[str, Any], field: str
) -> None:
    request = CountDocumentsRequest(**{"parent": made.name, **fields})
    assert door.refusal(SEARCH + "CountDocuments", request, key).fields == {field}


_ODD = (
    "\0",
    "la\0mp",
    "\U0001f600",
    "\ufeff",
    "\u202e",
    "ﷺ",
    "a\u0301" * 60,
    "İSTANBUL",
    "\ud7ff\ue000",
    "\\",
    '"',
    "'",
    "*",
    "-",
    ":",
    "((((",
    "<script>",
)


@pytest.mark.parametrize("text", _ODD, ids=ascii)
def test_odd_characters_are_looked_for_like_any(made: Shelf, door: Door, key: str, text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    request = SearchRequest(parent=made.name, query=text, filter=f'NOT kind = "{escaped}"', explain=True)
    request.highlight.fields.append("title")
    request.facets.add(field="attributes.kind", contains=text[:60])
    request.facets.add(field=f"attributes.{text}", prefix=text[:60])
    request.facets.add(field="tags", prefix=text[:60])
    answer = door.call(SEARCH + "Search", request, key)
    assert len(answer.facets) == 3


def _post(made: Shelf, key: str, method: str, data: bytes) -> tuple[int, str]:
    """Send JSON as it is, and return status and body."""
    request = urllib.request.Request(
        f"http://{made.platform.endpoint}/v1/tenants/-/collections/{COLLECTION}:{method}", data=data,
        headers={"content-type": "application/json", "authorization": f"Bearer {key}"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


_JSON = (
    b'{"query":"\\ud800"}', b'{"query":"\\udc00x"}', b'{"query":"\xff"}', b'{"query":5}', b'{"query":["a"]}', b'{"query":{}}',
    b'{"pageSize":"many"}', b'{"pageSize":1.5}', b'{"pageSize":99999999999}', b'{"matching":"SOME"}',
    b'{"facets":["tags"]}', b'{"facets":[{"interval":"x"}]}', b'{"explain":"perhaps"}', b'{"readMask":5}', b'{"highlight":true}',
    b'{"ranking":{"freshness":{"field":"update_time","halfLife":"long"}}}', b'{"ranking":{"title":"much"}}', b"[]", b"{", b"5", b"nul",
)  # fmt: skip


@pytest.mark.parametrize("data", _JSON, ids=ascii)
@pytest.mark.parametrize("method", ["search", "batchSearch"])
def test_json_of_wrong_types_is_a_bad_request(made: Shelf, key: str, method: str, data: bytes) -> None:
    sent = b'{"requests":[' + data + b"]}" if method == "batchSearch" else data
    status, text = _post(made, key, method, sent)
    assert status == 400, text
    assert not [word for word in INTERNAL_WORDS if word in text.lower()], text


def test_other_tenants_names_are_refused_alike_wherever_they_stand(made: Shelf, door: Door, key: str) -> None:
    with shelf(made.platform, "neighbour", DOCUMENTS) as other:
        for parent in (other.name, "tenants/nobody-here/collections/shelf"):
            refusal = door.refusal(SEARCH + "Search", SearchRequest(parent=parent), key)
            assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
            assert parent not in refusal.message
        token = other.search("lamp", page_size=1).next_page_token
        request = SearchRequest(
            parent=f"tenants/-/collections/{COLLECTION}", query="lamp", page_size=1, page_token=token
        )
        assert door.refusal(SEARCH + "Search", request, key).reason == "PAGE_TOKEN_MISMATCH"


def test_a_page_of_json_is_bounded_by_the_contract(made: Shelf, key: str) -> None:
    status, text = _post(made, key, "search", json.dumps({"query": "lamp", "pageSize": 1000}).encode())
    assert (status, len(json.loads(text)["results"])) == (200, 2)
