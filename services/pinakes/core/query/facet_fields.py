# SPDX-License-Identifier: Apache-2.0
"""What a facet counts: its field, resolved against the collection, and the pattern of the values that are wanted."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum

from pinakes.core.engine.tokens import SEPARATOR
from pinakes.core.faults import invalid
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import AttributeType, Schema

_PREFIX = "attributes."


class FacetKind(Enum):
    """What the values of a field are."""

    STRING = "a string"
    BOOL = "true or false"
    NUMBER = "a number"
    TIME = "a time"
    TOKENS = "not declared"


@dataclass(frozen=True, slots=True)
class FacetField:
    """A field that can be counted. `engine` is the engine's field; of tokens, `path` is the path they begin with.

    Of a `private` one no error repeats a value.
    """

    name: str
    kind: FacetKind
    engine: str
    path: str = ""
    private: bool = False


_FIELDS = {
    "tags": FacetKind.STRING, "language": FacetKind.STRING,
    "create_time": FacetKind.TIME, "update_time": FacetKind.TIME,
}  # fmt: skip
_KINDS = {
    AttributeType.STRING: FacetKind.STRING, AttributeType.BOOL: FacetKind.BOOL,
    AttributeType.NUMBER: FacetKind.NUMBER, AttributeType.TIME: FacetKind.TIME,
}  # fmt: skip
TEXTS = frozenset({FacetKind.STRING, FacetKind.TOKENS})
"""Kinds whose values can be looked for by their text."""


def facet_field(name: str, place: str, schema: Schema) -> FacetField:
    """Return the field of a facet; `place` is where the request names it, `facets[3].field`.

    Raises a `Fault` of reason FACET_UNKNOWN_FIELD, FACET_WRONG_TYPE or FIELD_NOT_READABLE.
    """
    check_readable(schema, name, place)
    if name in _FIELDS:
        return FacetField(name, _FIELDS[name], name)
    path = name.removeprefix(_PREFIX)
    if path == name or not path:
        known = [*_FIELDS, *(_PREFIX + attribute for attribute in schema.attributes)]
        near = difflib.get_close_matches(name, known, 1)
        near = [_PREFIX + name] if name in schema.attributes else near
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(_FIELDS)}, {_PREFIX}NAME"
        raise invalid(place, f"there is no field {name[:80]} to count; {advice}", "FACET_UNKNOWN_FIELD")
    attribute = schema.attributes.get(path)
    if attribute is not None:
        if attribute.type not in _KINDS:
            description = f"{name} is of type {attribute.type.value.upper()}, whose values can't be counted"
            raise invalid(place, description, "FACET_WRONG_TYPE")
        return FacetField(name, _KINDS[attribute.type], attribute.slot, private=schema.classed(name))
    outer = schema.attributes.get(path.partition(".")[0])
    if outer is not None:
        description = f"{_PREFIX}{outer.name} is a {outer.type.value} and has no fields"
        raise invalid(place, description, "FACET_UNKNOWN_FIELD")
    # Tokens are made with the separator in a key replaced, see `tokens`.
    return FacetField(name, FacetKind.TOKENS, "kv", path.replace(SEPARATOR, "\ufffd"))


def include(field: FacetField, prefix: str, contains: str) -> str | None:
    """Return the engine's pattern of the values wanted; None for all of them.

    Tokens of values that are too long are hashes, and of presence a star: neither matches.
    """
    wanted = [f"{escaped(prefix)}.*"] if prefix else []
    if contains:
        wanted.append(f".*{_either_case(contains)}.*")
    # Both must hold, and they may overlap: `&` is the intersection of patterns.
    values = "&".join(f"({pattern})" for pattern in wanted)
    if field.kind is FacetKind.TOKENS:
        return f"{escaped(field.path)}{SEPARATOR}[snb]:({values or '.*'})"
    return values or None


def escaped(text: str) -> str:
    """Return text as a pattern of the engine that matches just it."""
    return "".join(f"\\{c}" if c.isascii() and not c.isalnum() else c for c in text)


def _either_case(text: str) -> str:
    """Return a pattern that matches text in either case of its ASCII letters."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else escaped(c) for c in text)
