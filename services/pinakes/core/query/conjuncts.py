# SPDX-License-Identifier: Apache-2.0
"""The conditions at the top of a filter, each for itself: which field one is on, and a filter without some of them."""

from __future__ import annotations

from collections.abc import Iterable

from pinakes.core.query.expression import And, Call, Comparison, Expression, Not, Or, Path, joined
from pinakes.core.query.filter_compiler import FIELDS
from pinakes.core.query.schema import Schema

ATTRIBUTES = "attributes"


def conjuncts(expression: Expression | None) -> tuple[Expression, ...]:
    """Return the conditions that must hold together; none for no filter."""
    if expression is None:
        return ()
    return expression.operands if isinstance(expression, And) else (expression,)


def all_of(conditions: Iterable[Expression]) -> Expression | None:
    """Return the filter that these conditions make together; None if there are none."""
    operands = list(conditions)
    return joined(And, operands) if operands else None


def field_of(condition: Expression, schema: Schema) -> str | None:
    """Return the one field that every comparison of a condition is on; None if there are several, or other terms."""
    fields = set(_fields(condition, schema))
    return fields.pop() if len(fields) == 1 else None


def field_name(path: Path, schema: Schema) -> str:
    """Return the name of a filter's field as facets and sorts have it: `attributes.kind`, also for the short `kind`."""
    first = path.keys[0]
    # A document's own field is meant by the short name, whatever attributes are called.
    if len(path.keys) == 1 and first in schema.attributes and first not in FIELDS:
        return f"{ATTRIBUTES}.{path}"
    return str(path)


def _fields(expression: Expression, schema: Schema) -> Iterable[str | None]:
    if isinstance(expression, And | Or):
        for operand in expression.operands:
            yield from _fields(operand, schema)
    elif isinstance(expression, Not):
        yield from _fields(expression.operand, schema)
    elif isinstance(expression, Comparison) and not isinstance(expression.left, Call):
        yield field_name(expression.left, schema)
    else:
        yield None
