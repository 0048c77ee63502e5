# SPDX-License-Identifier: Apache-2.0
"""Turns AIP-132 orders (`update_time desc, attributes.price`) into the engine's sort.

Beyond the AIP, `distance(attributes.place, LAT, LON)` puts what is nearest to a point first.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import AttributeType, Schema

MOST = 4
RELEVANCE = "relevance"
FIELDS = {"create_time": "create_time", "update_time": "update_time", "id": "id", "title": "title_key"}
_PREFIX = "attributes."
_COMMA = re.compile(r",(?![^()]*\))")
_DISTANCE = re.compile(r"distance\s*\(([^()]*)\)(.*)", re.DOTALL)
_DEGREES = re.compile(r"[+-]?\d{1,3}(?:\.\d{1,15})?", re.ASCII)
_FAR = "_geo_distance"


@dataclass(frozen=True, slots=True)
class Order:
    """The engine's sort, which always ends with the id; `by_score` tells whether scores are needed."""

    sort: list[dict[str, Any]]
    by_score: bool


def compile_order(text: str, schema: Schema, has_query: bool) -> Order:
    """Return the order of a search. Documents without a value come last, whichever the direction.

    `relevance` is best first with or without `desc`, and says nothing without a query; `distance` is nearest first.
    Raises a `Fault` of reason ORDER_SYNTAX, ORDER_UNKNOWN_FIELD, ORDER_NOT_SORTABLE or FIELD_NOT_READABLE.
    """
    asked = text if text.strip() else ("relevance desc" if has_query else "update_time desc")
    parts = _COMMA.split(asked)
    if len(parts) > MOST:
        raise _fault(f"has {len(parts)} fields; at most {MOST} are allowed", "ORDER_SYNTAX")
    sort: dict[str, dict[str, Any]] = {}
    for number, part in enumerate(parts, 1):
        field, entry = _part(part, number, schema)
        if field in sort:
            raise _fault(f"field {number}: {part.split()[0]} is named twice", "ORDER_SYNTAX")
        sort[field] = entry
    by_score = has_query and "_score" in sort
    if not has_query:
        sort.pop("_score", None)
        sort = sort or {"update_time": _entry("update_time", "desc")}
    sort.setdefault("id", _entry("id", "asc"))
    entries = list(sort.values())
    # No two documents have the same id: what is named behind it decides nothing.
    return Order(entries[: list(sort).index("id") + 1], by_score)


def _entry(field: str, direction: str) -> dict[str, Any]:
    if field == "id":
        return {field: direction}
    return {field: {"order": direction} if field == "_score" else {"order": direction, "missing": "_last"}}


def _part(part: str, number: int, schema: Schema) -> tuple[str, dict[str, Any]]:
    """Return one field of the order, as it is told from others, and its entry in the engine's sort."""
    if far := _DISTANCE.fullmatch(part.strip()):
        return _distance(far.group(1), far.group(2).split(), number, schema)
    if "(" in part:
        description = f"expected distance(attributes.NAME, LAT, LON), found {part.strip()[:80]}"
        raise _fault(f"field {number}: {description}", "ORDER_SYNTAX")
    field, direction = _plain(part, number, schema)
    return field, _entry(field, direction)


def _distance(inside: str, rest: list[str], number: int, schema: Schema) -> tuple[str, dict[str, Any]]:
    """Return the order by the distance to a point; the engine can't put documents without a place last but this way."""
    arguments = [argument.strip() for argument in inside.split(",")]
    if rest not in ([], ["asc"]):
        raise _fault(f"field {number}: distance is nearest first; {' '.join(rest)[:40]} isn't possible", "ORDER_SYNTAX")
    if len(arguments) != 3:
        advice = "expected distance(attributes.NAME, LAT, LON)"
        raise _fault(f"field {number}: {advice}, found {len(arguments)} arguments", "ORDER_SYNTAX")
    name, *numbers = arguments
    attribute = schema.attributes.get(name.removeprefix(_PREFIX))
    if attribute is None or attribute.type is not AttributeType.GEO:
        description = f"field {number}: expected a declared attribute of type GEO, found {name[:80]}"
        raise _fault(description, "ORDER_UNKNOWN_FIELD" if attribute is None else "ORDER_NOT_SORTABLE")
    check_readable(schema, _PREFIX + attribute.name, "order_by", f"field {number}: ")
    point: dict[str, float] = {}
    for key, text, most in zip(("lat", "lon"), numbers, (90, 180), strict=True):
        if not _DEGREES.fullmatch(text) or abs(float(text)) > most:
            raise _fault(f"field {number}: expected degrees from -{most} to {most}, found {text[:40]}", "ORDER_SYNTAX")
        point[key] = float(text)
    return f"{_FAR}:{attribute.slot}", {_FAR: {attribute.slot: point, "order": "asc", "unit": "m"}}


def _plain(part: str, number: int, schema: Schema) -> tuple[str, str]:
    """Return the engine field and direction of one field of the order."""
    words = part.split()
    if not words:
        raise _fault(f"field {number}: expected a field, found nothing", "ORDER_SYNTAX")
    name, *rest = words
    if len(rest) > 1 or (rest and rest[0] not in ("asc", "desc")):
        raise _fault(f"field {number}: expected asc or desc after {name}, found {' '.join(rest)[:40]}", "ORDER_SYNTAX")
    direction = rest[0] if rest else "asc"
    if name == RELEVANCE:
        if rest == ["asc"]:
            raise _fault(f"field {number}: relevance is best first; asc isn't possible", "ORDER_SYNTAX")
        return "_score", "desc"
    if name in FIELDS:
        check_readable(schema, name, "order_by", f"field {number}: ")
        return FIELDS[name], direction
    return _slot(name, number, schema), direction


def _slot(name: str, number: int, schema: Schema) -> str:
    """Return the slot of a sortable attribute."""
    attribute = schema.attributes.get(name.removeprefix(_PREFIX))
    if attribute is None:
        known = [RELEVANCE, *FIELDS, *(_PREFIX + a.name for a in schema.attributes.values() if a.sortable)]
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise _fault(f"field {number}: there is no {name[:80]} to order by; {advice}", "ORDER_UNKNOWN_FIELD")
    if not attribute.sortable or attribute.type in (AttributeType.TEXT, AttributeType.GEO):
        description = f"field {number}: {name} isn't sortable; declare it sortable in the collection"
        if attribute.type in (AttributeType.TEXT, AttributeType.GEO):
            description = f"field {number}: {name} is of type {attribute.type.value.upper()}, which can't be ordered by"
        raise _fault(description, "ORDER_NOT_SORTABLE")
    check_readable(schema, _PREFIX + attribute.name, "order_by", f"field {number}: ")
    return attribute.slot


def _fault(description: str, reason: str) -> Fault:
    return invalid("order_by", description, reason)
