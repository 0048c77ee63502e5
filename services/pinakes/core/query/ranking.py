# SPDX-License-Identifier: Apache-2.0
"""Multiplies scores by what a request or collection says beside words: how new a document is, and its attributes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.readable import NOT_READABLE, check_readable
from pinakes.core.query.schema import AttributeType, Schema

if TYPE_CHECKING:
    from pinakes.core.query.expression import Expression
    from pinakes.core.query.options import Options
    from pinakes.core.settings import Limits
    from pinakes.v1 import ranking_pb2

Json = dict[str, Any]

FRESHNESS_WEIGHT = 0.5
SCALES = (1e-30, 1e30)
"""Least and greatest `Boost.scale`: the engine computes with its inverse in 32 bits."""

_TIMES = ("update_time", "create_time")
_ATTRIBUTE = "attributes."


def has_functions(options: Options) -> bool:
    """Whether there is anything that scores are multiplied by."""
    return options.freshness is not None or bool(options.boosts)


def ranked(
    query: Json | None, options: Options, schema: Schema, limits: Limits, *, now_ms: int, path: str = "ranking"
) -> Json | None:
    """Return a query whose scores are multiplied as `options` say; without a query, documents are ranked by that alone.

    For orders by relevance: elsewhere scores aren't computed. Raises a `Fault` that names the part below `path`,
    `ranking.boosts[2].filter: at character 5: …`: reasons of filters, RANKING_UNKNOWN_FIELD and RANKING_WRONG_TYPE.
    """
    if not has_functions(options):
        return query
    found: Json = {"match_all": {}} if query is None else query
    factors: list[Json] = []
    for number, boost in enumerate(options.boosts):
        place = f"{path}.boosts[{number}]"
        with _passing_hidden("boosts" in options.own):
            if boost.WhichOneof("what") == "filter":
                factors.append({"filter": _condition(boost.filter, schema, limits, place), "weight": boost.weight})
            else:
                found = _multiplied(found, _by_number(boost, schema, place), "sum")
    if factors:
        # A document that no function is for keeps its score.
        found = _multiplied(found, factors, "multiply")
    if options.freshness is not None:
        with _passing_hidden("freshness" in options.own):
            found = _multiplied(found, _by_age(options.freshness, schema, now_ms, f"{path}.freshness"), "sum")
    return found


@contextmanager
def _passing_hidden(own: bool) -> Iterator[None]:  # whether it is the collection's own
    """Leave out a part of a collection's own ranking by what the caller may not see: the order would tell of it."""
    try:
        yield
    except Fault as fault:
        if not own or fault.reason != NOT_READABLE:
            raise


def _multiplied(query: Json, functions: list[Json], mode: str) -> Json:
    return {"function_score": {"query": query, "functions": functions, "score_mode": mode, "boost_mode": "multiply"}}


def _condition(text: str, schema: Schema, limits: Limits, place: str) -> Json:
    """Compile a boost's filter; what is wrong with it is told with its place in the ranking."""
    try:
        return compile_filter(_parsed(text, limits), schema)
    except Fault as fault:
        violations = tuple(replace(violation, field=f"{place}.filter") for violation in fault.violations)
        description = violations[0].description if violations else fault.message
        raise Fault(fault.kind, fault.reason, f"{place}.filter: {description}", violations) from None


@lru_cache(maxsize=1024)
def _parsed(text: str, limits: Limits) -> Expression:
    """Parse a filter that comes with every search of a collection."""
    return parse_filter(text, limits)


def _by_number(boost: ranking_pb2.Boost, schema: Schema, place: str) -> list[Json]:
    """Return functions whose sum is 1 + weight * ln(1 + number / scale)."""
    field = _attribute(boost.number, AttributeType.NUMBER, schema, f"{place}.number", "")
    scale = boost.scale or 1.0
    if not SCALES[0] <= scale <= SCALES[1]:
        raise invalid(
            f"{place}.scale", f"expected {SCALES[0]:g} to {SCALES[1]:g}, found {scale:g}", "RANKING_WRONG_TYPE"
        )
    # The logarithm of negative numbers has no value; where it isn't applied, 1 is all there is.
    function: Json = {
        "filter": {"range": {field: {"gte": 0}}},
        "field_value_factor": {"field": field, "factor": 1.0 / scale, "modifier": "ln1p", "missing": 0},
        "weight": boost.weight,
    }
    return [function, {"weight": 1.0}]


def _by_age(freshness: ranking_pb2.Freshness, schema: Schema, now_ms: int, place: str) -> list[Json]:
    """Return functions whose sum is 1 - weight + weight * 0.5 ^ (age / half_life)."""
    name = freshness.field
    known = ", ".join(_TIMES)
    field = name if name in _TIMES else _attribute(name, AttributeType.TIME, schema, f"{place}.field", f"{known} or ")
    weight = freshness.weight or FRESHNESS_WEIGHT
    # Decay counts both ways from now; documents of the future are left out of it, as are those without the time.
    past = {"range": {field: {"lte": now_ms}}}
    half_life = f"{max(1, freshness.half_life.ToMilliseconds())}ms"
    decay = {field: {"origin": now_ms, "offset": "0ms", "scale": half_life, "decay": 0.5}}
    functions: list[Json] = [{"filter": past, "exp": decay, "weight": weight}]
    if weight < 1.0:
        functions.append({"filter": past, "weight": 1.0 - weight})
    return functions


def _attribute(name: str, kind: AttributeType, schema: Schema, place: str, others: str) -> str:
    """Return the slot of a declared attribute of a type."""
    attribute = schema.attributes.get(name.removeprefix(_ATTRIBUTE))
    what = f"{others}a declared attribute of type {kind.value.upper()}"
    if attribute is None:
        raise invalid(place, f"expected {what}; there is no {name[:80]}", "RANKING_UNKNOWN_FIELD")
    if attribute.type is not kind:
        found = f"{name[:80]} is of type {attribute.type.value.upper()}"
        raise invalid(place, f"expected {what}; {found}", "RANKING_WRONG_TYPE")
    check_readable(schema, _ATTRIBUTE + attribute.name, place)
    return attribute.slot
