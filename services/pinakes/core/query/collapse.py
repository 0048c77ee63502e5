# SPDX-License-Identifier: Apache-2.0
"""Collapse: of documents with the same value of an attribute only the best is found."""

from __future__ import annotations

import difflib

from pinakes.core.faults import invalid
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import AttributeType, Schema

WINDOW = 10_000
"""Results that can be paged through by counting from the first, which is the engine's only way for collapsed ones."""

_PREFIX = "attributes."
_TYPES = (AttributeType.STRING, AttributeType.NUMBER, AttributeType.BOOL)


def collapse_slot(name: str, schema: Schema) -> str:
    """Return the engine field to collapse by.

    Raises a `Fault` of reason COLLAPSE_UNKNOWN_FIELD, COLLAPSE_WRONG_TYPE or FIELD_NOT_READABLE.
    """
    attribute = schema.attributes.get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    if attribute is None:
        known = [_PREFIX + a.name for a in schema.attributes.values() if a.type in _TYPES]
        near = difflib.get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
        raise invalid(
            "collapse", f"there is no declared attribute {name[:80]} to collapse by; {advice}", "COLLAPSE_UNKNOWN_FIELD"
        )
    if attribute.type not in _TYPES:
        description = f"{name} is of type {attribute.type.value.upper()}; expected a STRING, NUMBER or BOOL"
        raise invalid("collapse", description, "COLLAPSE_WRONG_TYPE")
    check_readable(schema, _PREFIX + attribute.name, "collapse")
    return attribute.slot


def collapsed_page(start: int, most: int) -> dict[str, int]:
    """Return where a page of collapsed results begins and how many are asked for. Raises a `Fault` of reason COLLAPSE_TOO_DEEP."""
    if start >= WINDOW:
        description = f"collapsed results can be paged through up to the {WINDOW:,}th; narrow the search"
        raise invalid("page_token", description, "COLLAPSE_TOO_DEEP")
    return {"from": start, "size": min(most, WINDOW - start)}
