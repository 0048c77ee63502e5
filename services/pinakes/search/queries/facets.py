# SPDX-License-Identifier: Apache-2.0
"""Facets as callers see them: the engine's counts read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.tokens import EXACT
from pinakes.core.query.facet_fields import FacetKind
from pinakes.core.query.facets import CALENDAR, Counted, Facets
from pinakes.core.times import format_time_ms
from pinakes.v1 import facets_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Bucket = facets_pb2.FacetResult.Bucket
_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(7)}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_facets(facets: Facets, aggregations: Json) -> list[facets_pb2.FacetResult]:
    """Return the facets in the order they were asked for. What ran out of time is there without values."""
    return [_read(one, place, aggregations) for place, one in enumerate(facets.counted)]


def _read(one: Counted, place: int, aggregations: Json) -> facets_pb2.FacetResult:
    # Under the others' conditions, if there are any.
    found = aggregations.get(f"{place}", aggregations)
    result = facets_pb2.FacetResult(field=one.facet.field)
    values = found.get(f"{place}v")
    if values is None:
        return result
    if one.facet.ranges:
        result.buckets.extend(_ranges(one, values["buckets"]))
    elif one.steps:
        steps = values["buckets"]
        result.more = len(steps) > one.limit
        result.buckets.extend(_step(one, step) for step in steps[: one.limit])
        counted = sum(bucket.count for bucket in result.buckets)
        result.other_count = max(0, found[f"{place}n"]["value"] - counted)
    else:
        result.buckets.extend(_values(one, values["buckets"]))
        result.other_count = values["sum_other_doc_count"]
        result.more = result.other_count > 0
    return result


def _values(one: Counted, buckets: list[Json]) -> Iterator[Bucket]:
    """Yield the values; of an undeclared attribute those with the same text, 1 and "1", are one."""
    counts: dict[str, int] = {}
    for bucket in buckets:
        text = value_text(one, bucket["key"])
        counts[text] = counts.get(text, 0) + bucket["doc_count"]
    pairs = list(counts.items())
    if len(pairs) < len(buckets) and one.facet.order != facets_pb2.Facet.ORDER_VALUE:
        pairs.sort(key=lambda pair: -pair[1])
    for text, count in pairs:
        yield Bucket(value=text, count=count)


def _ranges(one: Counted, buckets: Json) -> Iterator[Bucket]:
    for place, given in enumerate(one.facet.ranges):
        lower, upper = getattr(given, "from"), given.to
        count = buckets[str(place)]["doc_count"]
        yield Bucket(value=given.label or f"{lower}..{upper}", count=count, to=upper, **{"from": lower})


def _step(one: Counted, step: Json) -> Bucket:
    lower = step["key"]["s"]
    if one.facet.calendar:
        text, upper = format_time_ms(lower), _next(lower, CALENDAR[one.facet.calendar])
    else:
        text, upper = step_text(lower), step_text(lower + one.facet.interval)
    return Bucket(value=text, count=step["doc_count"], to=upper, **{"from": text})


def _next(milliseconds: int, step: str) -> str:
    """Return the time of the next step; empty beyond the year 9999."""
    begin = _EPOCH + timedelta(milliseconds=milliseconds)
    try:
        if step in _STEPS:
            end = begin + _STEPS[step]
        else:
            months = begin.year * 12 + begin.month - 1 + _MONTHS[step]
            end = begin.replace(year=months // 12, month=months % 12 + 1)
    except (OverflowError, ValueError):
        return ""
    return format_time_ms((end - _EPOCH) // timedelta(milliseconds=1))


def value_text(one: Counted, key: Any) -> str:
    """Return a value of the engine as text."""
    match one.field.kind:
        case FacetKind.NUMBER:
            return number_text(key)
        case FacetKind.TIME:
            return format_time_ms(key)
        case FacetKind.TOKENS:
            return str(key)[len(one.field.path) + 3 :]  # behind `path␟s:`
    return str(key)


def number_text(number: float) -> str:
    """Return a number as a filter takes it: whole ones without a point, others with all their digits."""
    whole = float(number).is_integer() and abs(number) <= EXACT
    return str(int(number)) if whole else repr(float(number))


def step_text(number: float) -> str:
    """Return a bound of a step, without the dust of binary fractions: 0.3, not 0.30000000000000004."""
    return number_text(number if float(number).is_integer() else float(f"{number:.12g}"))
