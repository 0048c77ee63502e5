# SPDX-License-Identifier: Apache-2.0
"""The tree of a filter, and its canonical text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from pinakes.core.faults import Fault, invalid

WHOLE = "*"
_PLAIN_KEY = re.compile(r"(?!(?:AND|OR|NOT)\Z)[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """A literal as written: `stars` are the indexes of its unescaped `*`. `position` counts characters from 1."""

    text: str
    quoted: bool = False
    stars: tuple[int, ...] = ()
    position: int = field(default=1, compare=False)

    @property
    def anything(self) -> bool:
        """Whether it is the bare `*` that asks for presence."""
        return self.text == WHOLE and self.stars == (0,)


@dataclass(frozen=True, slots=True)
class Path:
    """A field by its keys, `attributes.kind`. Of a `private` one no error repeats a value."""

    keys: tuple[str, ...]
    position: int = field(default=1, compare=False)
    private: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """The keys joined by dots, as it is told in errors and kept in tokens."""
        return ".".join(self.keys)


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Value | Call, ...] = ()
    position: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field or function compared with a value; the operator is one of `= != < <= > >= :`."""

    left: Path | Call
    operator: str
    value: Value | Call
    position: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Words:
    """A value that stands alone: its words are looked for in title, tags and body."""

    value: Value
    position: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """What must hold together; without operands, anything holds. No operand is an `And` itself."""

    operands: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Of which one must hold. No operand is an `Or` itself."""

    operands: tuple[Expression, ...]


Expression: TypeAlias = And | Or | Not | Comparison | Words | Call
EVERYTHING = And()


def joined(kind: type[And | Or], operands: list[Expression]) -> Expression:
    """Return the operands under one `And` or `Or`, with those of the same kind taken in."""
    flat: list[Expression] = []
    for operand in operands:
        if isinstance(operand, kind):
            flat.extend(operand.operands)
        else:
            flat.append(operand)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def terms(expression: Expression) -> int:
    """Return the number of comparisons, functions and words."""
    if isinstance(expression, And | Or):
        return sum(terms(operand) for operand in expression.operands)
    return terms(expression.operand) if isinstance(expression, Not) else 1


def uses_now(expression: Expression) -> bool:
    """Tell whether the meaning depends on the time of the search."""
    if isinstance(expression, And | Or):
        return any(uses_now(operand) for operand in expression.operands)
    if isinstance(expression, Not):
        return uses_now(expression.operand)
    value = expression.value if isinstance(expression, Comparison) else None
    return isinstance(value, Call) and value.name != "timestamp"


def canonical(expression: Expression) -> str:
    """Return text that parses to the same tree; equal trees have equal text."""
    if isinstance(expression, And):
        return " AND ".join(_inner(operand, (Or, Not, Comparison, Words, Call)) for operand in expression.operands)
    if isinstance(expression, Or):
        return " OR ".join(_inner(operand, (Not, Comparison, Words, Call)) for operand in expression.operands)
    if isinstance(expression, Not):
        return f"NOT {_inner(expression.operand, (Comparison, Words, Call))}"
    if isinstance(expression, Comparison):
        left = _call(expression.left) if isinstance(expression.left, Call) else _path(expression.left)
        return f"{left} {expression.operator} {_argument(expression.value)}"
    return _argument(expression.value if isinstance(expression, Words) else expression)


def filter_fault(position: int, description: str, reason: str = "FILTER_SYNTAX") -> Fault:
    """Make the fault of a filter, with its place as a character counted from 1."""
    return invalid("filter", f"at character {position}: {description}", reason)


def _inner(expression: Expression, bare: tuple[type, ...]) -> str:
    text = canonical(expression)
    return text if isinstance(expression, bare) else f"({text})"


def _path(path: Path) -> str:
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else _quoted(key, ()) for key in path.keys)


def _call(call: Call) -> str:
    return f"{call.name}({', '.join(_argument(argument) for argument in call.arguments)})"


def _argument(value: Value | Call) -> str:
    if isinstance(value, Call):
        return _call(value)
    return _quoted(value.text, value.stars) if value.quoted else value.text


def _quoted(text: str, stars: tuple[int, ...]) -> str:
    """Return a string literal; stars that aren't wildcards are escaped."""
    parts = []
    for index, character in enumerate(text):
        escaped = character in '\\"' or (character == WHOLE and index not in stars)
        parts.append(f"\\{character}" if escaped else character)
    return f'"{"".join(parts)}"'
