# SPDX-License-Identifier: Apache-2.0
"""The query and aggregation types that may reach document indices; all others could show a neighbour's words or counts."""

from __future__ import annotations

import re
from typing import Any

from pinakes.core.engine.tokens import SEPARATOR

Json = dict[str, Any]

_LEAVES: dict[str, frozenset[str]] = {
    "term": frozenset({"value", "boost"}),
    "range": frozenset({"gt", "gte", "lt", "lte", "boost"}),
    "match": frozenset({"query", "operator", "boost", "minimum_should_match", "zero_terms_query", "_name"}),
    "match_phrase": frozenset({"query", "boost", "slop", "zero_terms_query", "_name"}),
    "prefix": frozenset({"value", "boost", "_name"}),
}
# Functions of a document's own values: no scripts, and nothing at random. `random_score` is made of a field's value, so
# that a sample of documents is the same however the engine stores them.
_FUNCTION = frozenset({"filter", "weight", "exp", "field_value_factor", "random_score"})
_DECAY = frozenset({"origin", "offset", "scale", "decay"})
_FACTOR = frozenset({"field", "factor", "modifier", "missing"})
_BOOL_LISTS = ("must", "filter", "should", "must_not")
_FORMS: dict[str, frozenset[str]] = {
    "match_all": frozenset({"boost"}),
    "match_none": frozenset({"boost"}),
    "bool": frozenset({*_BOOL_LISTS, "minimum_should_match", "boost"}),
    "dis_max": frozenset({"queries", "tie_breaker", "boost"}),
    "constant_score": frozenset({"filter", "boost"}),
    "function_score": frozenset({"query", "functions", "score_mode", "boost_mode"}),
}
"""Queries that may have others in them, and what else is in them."""
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
_STEPS = {
    "histogram": frozenset({"field", "interval"}),
    "date_histogram": frozenset({"field", "calendar_interval"}),
}
SCOPE_BACKGROUND = "scope"
"""What `significant_terms` are compared with: the scope puts its tenant and collection here; nothing else may stand."""
_SIGNIFICANT = frozenset(
    {"field", "size", "shard_size", "include", "min_doc_count", "execution_hint", "background_filter"}
)
_TOP_HITS = frozenset({"size", "sort", "_source"})
# Letters and digits mean themselves in a pattern.
_OWN = re.compile(rf"[0-9A-Za-z]+{SEPARATOR}[0-9A-Za-z]+{SEPARATOR}")
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
    for entry in body.get("sort", ()):
        _sort(*_only(entry, "sort"))
    if "highlight" in body:
        _keys("highlight", body["highlight"], _HIGHLIGHT)
        for options in body["highlight"]["fields"].values():
            _keys("highlight", options, _HIGHLIGHT - {"fields"})
        for options in (body["highlight"], *body["highlight"]["fields"].values()):
            if "highlight_query" in options:
                check(options["highlight_query"])
    if "collapse" in body:
        _keys("collapse", body["collapse"], frozenset({"field"}))
    if "rescore" in body:
        _keys("rescore", body["rescore"], frozenset({"window_size", "query"}))
        check(body["rescore"]["query"]["rescore_query"])


def check(query: Json) -> None:
    """Refuse an engine query with anything in it that isn't on the list; ValueError, because the compiler is wrong."""
    kind, body = _only(query, "query")
    form = _FORMS.get(kind)
    if form is None:
        _leaf(kind, body)
        return
    _keys(kind, body, form)
    if kind == "bool":
        for name in _BOOL_LISTS:
            if name in body:
                for clause in body[name] if isinstance(body[name], list) else [body[name]]:
                    check(clause)
    elif kind == "dis_max":
        for clause in body["queries"]:
            check(clause)
    elif kind == "constant_score":
        check(body["filter"])
    elif kind == "function_score":
        check(body["query"])
        for function in body["functions"]:
            _function(function)


def check_aggregations(aggregations: Json) -> None:
    """Refuse aggregations that aren't on the list, or that list values without documents in scope."""
    for name, aggregation in aggregations.items():
        inner = {kind: body for kind, body in aggregation.items() if kind not in ("aggs", "aggregations")}
        kind, body = _only(inner, f"aggregation {name}")
        if kind == "filter":
            check(body)
        elif kind == "composite":
            _composite(body)
        elif kind == "sampler":
            _keys(kind, body, frozenset({"shard_size"}))
        elif kind == "significant_terms":
            _significant(body)
        elif kind == "top_hits":
            _top_hits(body)
        else:
            if kind not in _AGGREGATIONS:
                raise _refused(f"aggregation {kind}")
            _keys(kind, body, _AGGREGATIONS[kind])
            if kind == "terms" and body.get("min_doc_count", 1) < 1:
                raise _refused("min_doc_count: 0")
        for key in ("aggs", "aggregations"):
            check_aggregations(aggregation.get(key, {}))


def with_background(aggregations: Json, background: Json) -> Json:
    """Return aggregations with this filter as the background of all `significant_terms` in them."""
    found: Json = {}
    for name, aggregation in aggregations.items():
        found[name] = one = dict(aggregation)
        if "significant_terms" in one:
            one["significant_terms"] = one["significant_terms"] | {"background_filter": background}
        for key in ("aggs", "aggregations"):
            if key in one:
                one[key] = with_background(one[key], background)
    return found


def _significant(body: Json) -> None:
    """Refuse words compared with anything but the scope, and words without a document in it."""
    _keys("significant_terms", body, _SIGNIFICANT)
    if body.get("background_filter") != SCOPE_BACKGROUND:
        raise _refused("significant_terms without the scope as background")
    if body.get("min_doc_count", 3) < 1:
        raise _refused("min_doc_count: 0")


def _top_hits(body: Json) -> None:
    """Refuse documents of an aggregation with more than a page's, or by default with all that is in them."""
    _keys("top_hits", body, _TOP_HITS)
    if body.keys() != _TOP_HITS:
        raise _refused("top_hits without size, sort and _source")
    for entry in body["sort"]:
        _sort(*_only(entry, "sort"))


def _own_pattern(body: Json) -> None:
    """Refuse a pattern of words that may begin otherwise than with the ids of one collection."""
    _keys("regexp", body, frozenset({"words"}))
    _keys("regexp", body["words"], frozenset({"value"}))
    own = _OWN.match(body["words"]["value"])
    depth = 0
    for sign in re.sub(r"\\.", "", body["words"]["value"][own.end() :] if own else "|", flags=re.DOTALL):
        depth += (sign == "(") - (sign == ")")
        # An alternative of the whole pattern would begin anew; quotes and classes could hide a bracket.
        if (sign == "|" and depth < 1) or sign in '"[':
            raise _refused("regexp of words that may not be a collection's own")


def _sort(field: str, order: object) -> None:
    """Refuse an order by anything but a field's own value, the score or the distance to a point."""
    if field == "_geo_distance" and isinstance(order, dict):
        _keys("sort", order, frozenset({"order", "unit"}) | {slot for slot in order if slot.startswith("geo_")})
    elif field.startswith("_") and field != "_score":
        raise _refused(f"sort by {field}")
    elif order not in ("asc", "desc"):
        _keys("sort", order, frozenset({"order", "missing"}))


def _composite(body: Json) -> None:
    """Refuse all but one source of steps: so many of them at most, from the lowest on."""
    _keys("composite", body, frozenset({"size", "sources"}))
    if len(body["sources"]) != 1:
        raise _refused("composite of several sources")
    _, source = _only(body["sources"][0], "source of composite")
    kind, steps = _only(source, "source of composite")
    if kind not in _STEPS:
        raise _refused(f"composite of {kind}")
    _keys(kind, steps, _STEPS[kind])


def _function(function: Json) -> None:
    """Refuse a function of scores with anything in it that isn't on the list."""
    _keys("function", function, _FUNCTION)
    if "filter" in function:
        check(function["filter"])
    if "exp" in function:
        _, decay = _only(function["exp"], "exp")
        _keys("exp", decay, _DECAY)
    if "random_score" in function:
        _keys("random_score", function["random_score"], frozenset({"seed", "field"}))
        if len(function["random_score"]) != 2:
            raise _refused("random_score without seed and field")
    if "field_value_factor" in function:
        _keys("field_value_factor", function["field_value_factor"], _FACTOR)


def _leaf(kind: str, body: Json) -> None:
    if (allowed := _LEAVES.get(kind)) is not None:
        _, options = _only(body, kind)
        if isinstance(options, dict):
            _keys(kind, options, allowed)
    elif kind == "exists":
        _keys(kind, body, frozenset({"field"}))
    elif kind == "terms":
        for field, values in body.items():
            # An object here would look values up in another document.
            if field != "boost" and not isinstance(values, list):
                raise _refused("terms without a list")
    elif kind == "regexp":
        _own_pattern(body)
    elif kind == "geo_distance":
        if len(body) != 2 or "distance" not in body:
            raise _refused("geo_distance with options")
    else:
        raise _refused(f"query {kind}")


def _only(value: object, what: str) -> tuple[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise _refused(f"{what} that isn't one clause")
    [found] = value.items()
    return found


def _keys(kind: str, body: object, allowed: frozenset[str]) -> None:
    if not isinstance(body, dict):
        raise _refused(f"{kind} without a body")
    if not allowed.issuperset(body):
        raise _refused(f"{kind} with {', '.join(sorted(map(str, body.keys() - allowed)))}")


def _refused(what: str) -> ValueError:
    return ValueError(f"{what} isn't on the list of what may be sent to document indices")
