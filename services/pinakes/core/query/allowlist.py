# SPDX-License-Identifier: Apache-2.0
"""The query and aggregation types that may reach document indices; all others could show a neighbour's words or counts."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_LEAVES: dict[str, frozenset[str]] = {
    "term": frozenset({"value", "boost"}),
    "range": frozenset({"gt", "gte", "lt", "lte", "boost"}),
    "match": frozenset({"query", "operator", "boost", "minimum_should_match", "zero_terms_query"}),
    "match_phrase": frozenset({"query", "boost", "slop", "zero_terms_query"}),
    "prefix": frozenset({"value", "boost"}),
}
_BOOL_LISTS = frozenset({"must", "filter", "should", "must_not"})
_HIGHLIGHT = frozenset({
    "fields", "type", "number_of_fragments", "fragment_size", "boundary_scanner", "boundary_scanner_locale", "no_match_size",
    "pre_tags", "post_tags", "encoder", "order", "require_field_match", "max_analyzer_offset", "highlight_query",
})  # fmt: skip
_AGGREGATIONS: dict[str, frozenset[str]] = {
    "terms": frozenset(
        {"field", "size", "shard_size", "order", "include", "exclude", "min_doc_count", "execution_hint"}
    ),
    "range": frozenset({"field", "ranges", "keyed"}),
    "date_range": frozenset({"field", "ranges", "keyed"}),
    **{kind: frozenset({"field"}) for kind in ("min", "max", "sum", "avg", "stats", "value_count", "cardinality")},
}


_BODY = frozenset({
    "query", "filter", "post_filter", "sort", "size", "from", "search_after", "track_total_hits", "track_scores",
    "_source", "aggs", "highlight", "collapse", "min_score", "rescore",
})  # fmt: skip


def check_body(body: Json) -> None:
    """Refuse a search body with anything in it that isn't on the list; ValueError, because the compiler is wrong."""
    _keys("search", body, _BODY)
    for name in ("query", "filter", "post_filter"):
        if body.get(name) is not None:
            check(body[name])
    check_aggregations(body.get("aggs", {}))
    if "highlight" in body:
        _keys("highlight", body["highlight"], _HIGHLIGHT)
        for options in body["highlight"]["fields"].values():
            _keys("highlight", options, _HIGHLIGHT - {"fields"})
    if "collapse" in body:
        _keys("collapse", body["collapse"], frozenset({"field"}))
    if "rescore" in body:
        _keys("rescore", body["rescore"], frozenset({"window_size", "query"}))
        check(body["rescore"]["query"]["rescore_query"])


def check(query: Json) -> None:
    """Refuse an engine query with anything in it that isn't on the list; ValueError, because the compiler is wrong."""
    kind, body = _only(query, "query")
    if kind in ("match_all", "match_none"):
        _keys(kind, body, frozenset({"boost"}))
    elif kind == "bool":
        _keys(kind, body, _BOOL_LISTS | {"minimum_should_match", "boost"})
        for name in _BOOL_LISTS & body.keys():
            for clause in body[name] if isinstance(body[name], list) else [body[name]]:
                check(clause)
    elif kind == "dis_max":
        _keys(kind, body, frozenset({"queries", "tie_breaker", "boost"}))
        for clause in body["queries"]:
            check(clause)
    elif kind == "constant_score":
        _keys(kind, body, frozenset({"filter", "boost"}))
        check(body["filter"])
    else:
        _leaf(kind, body)


def check_aggregations(aggregations: Json) -> None:
    """Refuse aggregations that aren't on the list, or that list values without documents in scope."""
    for name, aggregation in aggregations.items():
        inner = {kind: body for kind, body in aggregation.items() if kind not in ("aggs", "aggregations")}
        kind, body = _only(inner, f"aggregation {name}")
        if kind == "filter":
            check(body)
        else:
            if kind not in _AGGREGATIONS:
                raise _refused(f"aggregation {kind}")
            _keys(kind, body, _AGGREGATIONS[kind])
            if kind == "terms" and body.get("min_doc_count", 1) < 1:
                raise _refused("min_doc_count: 0")
        for key in ("aggs", "aggregations"):
            check_aggregations(aggregation.get(key, {}))


def _leaf(kind: str, body: Json) -> None:
    if kind == "exists":
        _keys(kind, body, frozenset({"field"}))
    elif kind == "terms":
        for field, values in body.items():
            # An object here would look values up in another document.
            if field != "boost" and not isinstance(values, list):
                raise _refused("terms without a list")
    elif kind == "geo_distance":
        if len(body) != 2 or "distance" not in body:
            raise _refused("geo_distance with options")
    elif kind in _LEAVES:
        _, options = _only(body, kind)
        if isinstance(options, dict):
            _keys(kind, options, _LEAVES[kind])
    else:
        raise _refused(f"query {kind}")


def _only(value: object, what: str) -> tuple[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise _refused(f"{what} that isn't one clause")
    [(kind, body)] = value.items()
    return str(kind), body


def _keys(kind: str, body: object, allowed: frozenset[str]) -> None:
    if not isinstance(body, dict):
        raise _refused(f"{kind} without a body")
    if unknown := body.keys() - allowed:
        raise _refused(f"{kind} with {', '.join(sorted(map(str, unknown)))}")


def _refused(what: str) -> ValueError:
    return ValueError(f"{what} isn't on the list of what may be sent to document indices")
