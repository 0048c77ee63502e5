# SPDX-License-Identifier: Apache-2.0
"""Turns facets into the engine's aggregations, all within the one search body (issue: one round trip).

A condition of the filter that is on a facet's own field doesn't count for that facet: such conditions are asked after
the counting (`post_filter`), and each facet is counted under those of the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.tokens import EXACT
from pinakes.core.faults import invalid
from pinakes.core.query.conjuncts import all_of, conjuncts, field_of
from pinakes.core.query.expression import Expression
from pinakes.core.query.facet_fields import TEXTS, FacetField, FacetKind, facet_field, include
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Limits
from pinakes.core.times import parse_time_ms
from pinakes.v1 import facets_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]

VALUES = 10
"""Values of a facet that doesn't say how many."""
LEAST_INTERVAL = 1e-9
CALENDAR = {
    facets_pb2.Facet.CALENDAR_MINUTE: "minute", facets_pb2.Facet.CALENDAR_HOUR: "hour",
    facets_pb2.Facet.CALENDAR_DAY: "day", facets_pb2.Facet.CALENDAR_WEEK: "week",
    facets_pb2.Facet.CALENDAR_MONTH: "month", facets_pb2.Facet.CALENDAR_QUARTER: "quarter",
    facets_pb2.Facet.CALENDAR_YEAR: "year",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_RANGED = (FacetKind.NUMBER, FacetKind.TIME)


@dataclass(frozen=True, slots=True)
class Counted:
    """A facet that was asked for, its field and how many values it may have."""

    facet: facets_pb2.Facet
    field: FacetField
    limit: int

    @property
    def steps(self) -> bool:
        """Whether steps are counted, not values or ranges."""
        return bool(self.facet.interval or self.facet.calendar)


@dataclass(frozen=True, slots=True)
class Facets:
    """Facets compiled: their aggregations, the conditions left in the filter, and the filter that is asked afterwards."""

    counted: tuple[Counted, ...]
    aggregations: Json
    condition: Expression | None
    post_filter: Json | None

    @property
    def cheap(self) -> bool:
        """Whether the search may share a round trip of the engine (design §6)."""
        return len(self.counted) <= 2 and not any(one.steps or one.facet.contains for one in self.counted)


def compile_facets(
    facets: Sequence[facets_pb2.Facet], condition: Expression | None, schema: Schema, limits: Limits
) -> Facets:
    """Compile facets and divide the filter among them.

    Raises a `Fault` with the place, `facets[3].ranges[0].from`: FACET_TOO_MANY, FACET_TOO_MANY_VALUES,
    FACET_UNKNOWN_FIELD, FACET_TWICE, FACET_WRONG_TYPE, FACET_CONFLICT, FACET_BAD_RANGE or FIELD_NOT_READABLE.
    """
    if len(facets) > limits.facets:
        description = f"there are {len(facets)} facets; at most {limits.facets} are allowed (limit facets)"
        raise invalid("facets", description, "FACET_TOO_MANY")
    counted: list[Counted] = []
    seen: dict[str, int] = {}
    for place, facet in enumerate(facets):
        one = _checked(facet, f"facets[{place}]", schema, limits)
        if facet.field in seen:
            description = f"{facet.field} is counted by facets[{seen[facet.field]}] already"
            raise invalid(f"facets[{place}].field", description, "FACET_TWICE")
        seen[facet.field] = place
        counted.append(one)
    kept, moved = _divided(condition, seen.keys(), schema)
    aggregations: Json = {}
    for place, one in enumerate(counted):
        inner = _aggregations(one, place)
        others = all_of(expression for field, expression in moved if field != one.field.name)
        if others is None:
            aggregations |= inner
        else:
            aggregations[f"{place}"] = {"filter": compile_filter(others, schema), "aggs": inner}
    after = all_of(expression for _, expression in moved)
    return Facets(tuple(counted), aggregations, all_of(kept), None if after is None else compile_filter(after, schema))


def _divided(
    condition: Expression | None, fields: Iterable[str], schema: Schema
) -> tuple[list[Expression], list[tuple[str, Expression]]]:
    """Return the conditions of no facet's field, and those of one with the field."""
    kept: list[Expression] = []
    moved: list[tuple[str, Expression]] = []
    counted = set(fields)
    for expression in conjuncts(condition):
        field = field_of(expression, schema)
        if field is not None and field in counted:
            moved.append((field, expression))
        else:
            kept.append(expression)
    return kept, moved


def _checked(facet: facets_pb2.Facet, place: str, schema: Schema, limits: Limits) -> Counted:
    """Return a facet whose parts go together and fit its field."""
    field = facet_field(facet.field, f"{place}.field", schema)
    if facet.limit > limits.facet_values:
        description = f"expected at most {limits.facet_values} (limit facet_values), found {facet.limit}"
        raise invalid(f"{place}.limit", description, "FACET_TOO_MANY_VALUES")
    ways = [name for name in ("ranges", "interval", "calendar") if getattr(facet, name)]
    if len(ways) > 1:
        description = f"a facet has one way of counting; {ways[0]} is set too"
        raise invalid(f"{place}.{ways[1]}", description, "FACET_CONFLICT")
    for name in ("contains", "prefix"):
        if getattr(facet, name) and (ways or field.kind not in TEXTS):
            what = f"with {ways[0]}" if ways else f"for {field.name}, which is {field.kind.value}"
            raise invalid(f"{place}.{name}", f"can't be used {what}; it is for strings", "FACET_CONFLICT")
    if ways:
        _check_way(facet, field, ways[0], place)
    return Counted(facet, field, facet.limit or min(VALUES, limits.facet_values))


def _check_way(facet: facets_pb2.Facet, field: FacetField, way: str, place: str) -> None:
    """Check ranges or steps against the type of the field."""
    wanted = {"ranges": _RANGED, "interval": (FacetKind.NUMBER,), "calendar": (FacetKind.TIME,)}[way]
    if field.kind not in wanted:
        what = " or ".join(kind.value for kind in wanted)
        advice = "; declare it in the collection" if field.kind is FacetKind.TOKENS else ""
        description = f"expected a field that is {what}; {field.name} is {field.kind.value}{advice}"
        raise invalid(f"{place}.{way}", description, "FACET_WRONG_TYPE")
    if facet.order == facets_pb2.Facet.ORDER_COUNT:
        what = "ranges come as they were asked for" if way == "ranges" else "steps come from the lowest on"
        raise invalid(f"{place}.order", f"{what}; leave order out", "FACET_CONFLICT")
    if way == "interval" and facet.interval < LEAST_INTERVAL:
        description = f"expected {LEAST_INTERVAL:g} or more, found {facet.interval:g}"
        raise invalid(f"{place}.interval", description, "FACET_BAD_RANGE")
    for number, one in enumerate(facet.ranges):
        _bounds(one, field, f"{place}.ranges[{number}]")


def _bounds(one: facets_pb2.Facet.Range, field: FacetField, place: str) -> tuple[float | None, float | None]:
    """Return the bounds of a range as the engine has them."""
    lower = _bound(getattr(one, "from"), field, f"{place}.from")
    upper = _bound(one.to, field, f"{place}.to")
    if lower is None and upper is None:
        raise invalid(place, "expected from, to or both", "FACET_BAD_RANGE")
    if lower is not None and upper is not None and lower >= upper:
        description = f"expected a bound above from, {getattr(one, 'from')}; found {one.to}"
        description = "expected a bound above from" if field.private else description
        raise invalid(f"{place}.to", description, "FACET_BAD_RANGE")
    return lower, upper


def _bound(text: str, field: FacetField, place: str) -> float | None:
    if not text:
        return None
    found = "" if field.private else f", found {text}"
    if field.kind is FacetKind.TIME:
        try:
            return parse_time_ms(text)
        except ValueError as error:
            raise invalid(place, f"{error}{found}", "FACET_BAD_RANGE") from None
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number) or abs(number) > EXACT:
        raise invalid(place, f"expected a number within ±2^53{found}", "FACET_BAD_RANGE")
    return number


def _aggregations(one: Counted, place: int) -> Json:
    """Return the aggregations of a facet: `Nv`, its values, ranges or steps, and `Nn`, how many values its steps have."""
    facet, field = one.facet, one.field
    values, number = f"{place}v", f"{place}n"
    if facet.ranges:
        ranges = []
        for index, given in enumerate(facet.ranges):
            lower, upper = _bounds(given, field, "")
            bounds = {name: value for name, value in (("from", lower), ("to", upper)) if value is not None}
            ranges.append({"key": str(index)} | bounds)
        return {values: {"range": {"field": field.engine, "keyed": True, "ranges": ranges}}}
    if one.steps:
        source: Json = {"histogram": {"field": field.engine, "interval": facet.interval}}
        if facet.calendar:
            source = {"date_histogram": {"field": field.engine, "calendar_interval": CALENDAR[facet.calendar]}}
        # Unlike a plain histogram it makes only so many steps, however small they are.
        steps = {"size": one.limit + 1, "sources": [{"s": source}]}
        return {values: {"composite": steps}, number: {"value_count": {"field": field.engine}}}
    return {values: {"terms": _terms(one)}}


def _terms(one: Counted) -> Json:
    facet, field = one.facet, one.field
    by_value = facet.order == facets_pb2.Facet.ORDER_VALUE
    terms: Json = {"field": field.engine, "size": one.limit, "order": {"_key": "asc"}}
    if not by_value:
        terms["order"] = [{"_count": "desc"}, {"_key": "asc"}]
    if field.kind in {FacetKind.STRING, FacetKind.BOOL, FacetKind.TOKENS}:
        # Global ordinals are rebuilt at each refresh, over every tenant's values.
        terms["execution_hint"] = "map"
        pattern = include(field, facet.prefix, facet.contains)
        if pattern is not None:
            terms["include"] = pattern
    return terms
