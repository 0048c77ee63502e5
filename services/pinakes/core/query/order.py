# SPDX-License-Identifier: Apache-2.0
"""Turns AIP-132 orders (`update_time desc, attributes.price`) into the engine's sort."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.schema import AttributeType, Schema

MOST = 4
RELEVANCE = "relevance"
FIELDS = ("create_time", "update_time", "id")
_PREFIX = "attributes."


@dataclass(frozen=True, slots=True)
class Order:
    """The engine's sort, which always ends with the id; `by_score` tells whether scores are needed."""

    sort: list[dict[str, Any]]
    by_score: bool


def compile_order(text: str, schema: Schema, has_query: bool) -> Order:
    """Return the order of a search. Documents without a value come last, whichever the direction.

    `relevance` is best first with or without `desc`, and says nothing without a query.
    Raises a `Fault` of reason ORDER_SYNTAX, ORDER_UNKNOWN_FIELD or ORDER_NOT_SORTABLE.
    """
    asked = text if text.strip() else ("relevance desc" if has_query else "update_time desc")
    parts = asked.split(",")
    if len(parts) > MOST:
        raise _fault(f"has {len(parts)} fields; at most {MOST} are allowed", "ORDER_SYNTAX")
    sort: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        field, direction = _part(part, number, schema)
        if field in sort:
            raise _fault(f"field {number}: {part.split()[0]} is named twice", "ORDER_SYNTAX")
        sort[field] = direction
    by_score = has_query and "_score" in sort
    if not has_query:
        sort.pop("_score", None)
        sort = sort or {"update_time": "desc"}
    sort.setdefault("id", "asc")
    return Order([_entry(field, direction) for field, direction in sort.items()], by_score)


def _entry(field: str, direction: str) -> dict[str, Any]:
    if field == "id":
        return {field: direction}
    return {field: {"order": direction} if field == "_score" else {"order": direction, "missing": "_last"}}


def _part(part: str, number: int, schema: Schema) -> tuple[str, str]:
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
    return (name if name in FIELDS else _slot(name, number, schema)), direction


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
    return attribute.slot


def _fault(description: str, reason: str) -> Fault:
    return invalid("order_by", description, reason)
