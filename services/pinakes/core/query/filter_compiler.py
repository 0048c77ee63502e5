# SPDX-License-Identifier: Apache-2.0
"""Turns the tree of a filter into an engine query for filter context, checked against the collection's schema."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from pinakes.core.engine.tokens import EXACT, presence, token
from pinakes.core.query.expression import (
    And,
    Call,
    Comparison,
    Expression,
    Not,
    Or,
    Path,
    Value,
    Words,
    filter_fault,
)
from pinakes.core.query.readable import check_readable
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.query.terms import pieces
from pinakes.core.times import parse_time_ms

Json = dict[str, Any]

ATTRIBUTES = "attributes"
FIELDS: dict[str, str] = {
    "id": "keyword", "language": "keyword", "tags": "tags", "title": "text", "body": "text",
    "create_time": "time", "update_time": "time", "expire_time": "time",
}  # fmt: skip
_UNFILTERABLE = ("readers", "source_uri", "name", "etag", "content_hash")
_RANGES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TYPES = {
    AttributeType.STRING: "keyword", AttributeType.TEXT: "text", AttributeType.NUMBER: "number",
    AttributeType.BOOL: "bool", AttributeType.TIME: "time", AttributeType.GEO: "geo",
}  # fmt: skip
_TIME_FUNCTIONS = {
    "now": "now()", "ago": 'ago("7d")', "from_now": 'from_now("7d")', "timestamp": 'timestamp("2026-01-31T12:00:00Z")',
}  # fmt: skip
MOST_LEAVES = 300
"""Clauses that a filter becomes in the engine at most. A word is one in each text field that it is looked for in."""

LONGEST_WORDS = 500
"""Characters of a text whose words are looked for one by one: the engine takes 1,024 of them. Longer ones are phrases."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_DURATION = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_DISTANCE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:m|km|mi|ft|yd|nmi)", re.ASCII)


def compile_filter(expr: Expression, schema: Schema) -> Json:
    """Return the engine query of a filter, for filter context.

    Raises a `Fault` with the place: FIELD_NOT_READABLE, FILTER_UNKNOWN_FIELD, FILTER_UNKNOWN_FUNCTION, FILTER_WRONG_TYPE,
    FILTER_WRONG_OPERATOR, FILTER_NOT_DECLARED, FILTER_TOO_MANY_TERMS. Times are compared in milliseconds, those of `now`, `ago` and `from_now` with the time of the search. A quoted or bare value with a `*`
    at its end is a prefix where the field is a string.
    """
    return _Compiler(schema).compile(expr)


def compile_fields(expr: Expression, fields: Mapping[str, str]) -> Json:
    """Return the engine query of a filter over other things than documents, for filter context.

    `fields` are all there are, by their kind: `keyword` or `time`. Raises the faults of `compile_filter`.
    """
    return _FieldsCompiler(fields).compile(expr)


class _Compiler:
    """One compilation against one schema."""

    __slots__ = ("leaves", "schema")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.leaves = 0

    def compile(self, expr: Expression) -> Json:
        """Return the query of any node."""
        if isinstance(expr, And):
            return self._all(expr)
        if isinstance(expr, Or):
            return _any([self.compile(operand) for operand in expr.operands])
        if isinstance(expr, Not):
            return _not(self.compile(expr.operand))
        if isinstance(expr, Comparison):
            return self._comparison(expr)
        return self._words(expr) if isinstance(expr, Words) else self._call(expr)

    def _all(self, expr: And) -> Json:
        if not expr.operands:
            return {"match_all": {}}
        wanted = [self.compile(operand) for operand in expr.operands if not isinstance(operand, Not)]
        barred = [self.compile(operand.operand) for operand in expr.operands if isinstance(operand, Not)]
        return {"bool": {name: found for name, found in (("filter", wanted), ("must_not", barred)) if found}}

    def _words(self, expr: Words) -> Json:
        if not expr.value.quoted and expr.value.text.startswith(f"{ATTRIBUTES}."):
            _wrong(expr.position, "expected a comparison after the field", "FILTER_SYNTAX")
        own = {"title": self._text_fields("title"), "tags": ["tags_text"], "body": self._text_fields("body")}
        fields = [field for name, found in own.items() if not self.schema.hides(name) for field in found]
        return self._match(fields, expr.value) if fields else {"match_none": {}}

    def _comparison(self, expr: Comparison) -> Json:
        if isinstance(expr.left, Call):
            _wrong(expr.position, f"{expr.left.name}() can't be compared; it stands alone", "FILTER_WRONG_OPERATOR")
        if expr.operator == "!=":
            return _not(self._equal_or_range(expr, expr.left, "="))
        return self._equal_or_range(expr, expr.left, expr.operator)

    def _equal_or_range(self, expr: Comparison, path: Path, operator: str) -> Json:
        """Return the query of one comparison other than `!=`."""
        path = self._private(path)
        found = self._resolve(path)
        if found is None:
            return self._undeclared(path, operator, expr.value)
        kind, field = found
        if isinstance(expr.value, Value) and expr.value.anything:
            if operator not in (":", "="):
                _wrong(expr.value.position, "`*` goes with : only", "FILTER_WRONG_OPERATOR")
            names = self._text_fields(field) if field in ("title", "body") else [field]
            return _any([{"exists": {"field": name}} for name in names])
        if kind == "time":
            return _compare(field, operator, _time(expr.value, path))
        value = _literal(expr.value, path)
        if kind == "number":
            return _compare(field, operator, _number(value, path))
        if kind == "keyword":
            return _string(field, operator, value)
        return self._member(kind, field, path, operator, value)

    def _member(self, kind: str, field: str, path: Path, operator: str, value: Value) -> Json:
        """Return the query of the kinds that know neither greater nor less."""
        if kind == "geo":
            _wrong(
                path.position, f'{path} is a place; use geo_distance({path}, LAT, LON, "5km")', "FILTER_WRONG_OPERATOR"
            )
        if kind == "text":
            if operator != ":":
                _wrong(path.position, f"{path} is text; use : to find its words", "FILTER_WRONG_OPERATOR")
            return self._match(self._text_fields(field) if field in ("title", "body") else [field], value)
        if operator in _RANGES:
            what = "a list of strings" if kind == "tags" else "true or false"
            _wrong(path.position, f"{path} is {what}; use = != or :", "FILTER_WRONG_OPERATOR")
        if kind == "tags":
            return _string(field, operator, value)
        if value.quoted or value.text not in ("true", "false"):
            _mistyped(value, path, "true or false, not quoted")
        return {"term": {field: value.text}}

    def _undeclared(self, path: Path, operator: str, value: Value | Call) -> Json:
        """Return the query of an attribute that is kept as tokens only."""
        name = ".".join(path.keys[1:])
        if operator in _RANGES:
            advice = "declare it as a number, time or string in the collection"
            _wrong(path.position, f"{path} isn't declared, so only = != : compare it; {advice}", "FILTER_NOT_DECLARED")
        literal = _literal(value, path)
        if literal.anything:
            return {"term": {"kv": presence(name)}}
        if literal.stars:
            advice = "declare it as a string in the collection, or write \\* for a star"
            _wrong(
                literal.position,
                f"{path} isn't declared, so it can't be found by a prefix; {advice}",
                "FILTER_NOT_DECLARED",
            )
        if not literal.quoted:
            if literal.text in ("true", "false"):
                return {"term": {"kv": token(name, literal.text == "true")}}
            if _NUMBER.fullmatch(literal.text):
                return {"term": {"kv": token(name, _number(literal, path))}}
        return {"term": {"kv": token(name, literal.text)}}

    def _call(self, call: Call) -> Json:
        if call.name != "geo_distance":
            time = call.name in _TIME_FUNCTIONS
            known = "a time can only be compared with" if time else "known: geo_distance"
            _wrong(call.position, f"{call.name}() isn't a condition; {known}", "FILTER_UNKNOWN_FUNCTION")
        if len(call.arguments) != 4:
            advice = 'geo_distance(FIELD, LAT, LON, "5km")'
            _wrong(
                call.position, f"expected 4 arguments as in {advice}, found {len(call.arguments)}", "FILTER_WRONG_TYPE"
            )
        place, *numbers, distance = (_literal(argument, Path(("geo_distance",))) for argument in call.arguments)
        path = self._private(Path(tuple(place.text.split(".")), place.position))
        found = self._resolve(path)
        if found is None or found[0] != "geo":
            _wrong(place.position, f"expected a declared attribute of type GEO, found {path}", "FILTER_WRONG_TYPE")
        latitude, longitude = (_number(number, path) for number in numbers)
        for degrees, most, literal in ((latitude, 90, numbers[0]), (longitude, 180, numbers[1])):
            if abs(degrees) > most:
                _mistyped(literal, path, f"degrees from -{most} to {most}")
        given = _DISTANCE.fullmatch(distance.text)
        if given is None or not float(given[1]):
            _mistyped(distance, path, 'a distance above 0 such as "5km" (m, km, mi, ft, yd, nmi)')
        return {"geo_distance": {"distance": distance.text, found[1]: {"lat": latitude, "lon": longitude}}}

    def _resolve(self, path: Path) -> tuple[str, str] | None:  # noqa: RET503  # `_wrong` never returns
        """Return kind and engine field of a path; None if it is an attribute that isn't declared."""
        first = path.keys[0]
        if len(path.keys) == 1 and first in FIELDS:
            self._check_readable(path, first)
            return FIELDS[first], first
        declared = self._declared(path)
        if declared:
            self._check_readable(path, f"{ATTRIBUTES}.{declared.name}")
            return _TYPES[declared.type], declared.slot
        if first == ATTRIBUTES and len(path.keys) > 1:
            owner = self.schema.attributes.get(path.keys[1])
            if owner:
                kind = owner.type.value
                _wrong(
                    path.position, f"{ATTRIBUTES}.{owner.name} is a {kind} and has no fields", "FILTER_UNKNOWN_FIELD"
                )
            self._check_readable(path, str(path))
            return None
        if first in _UNFILTERABLE:
            _wrong(path.position, f"{first} can't be filtered", "FILTER_UNKNOWN_FIELD")
        known = [*FIELDS, *self.schema.attributes, *(f"{ATTRIBUTES}.{name}" for name in self.schema.attributes)]
        near = difflib.get_close_matches(str(path), known, 1)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(FIELDS)}, {ATTRIBUTES}.NAME"
        _wrong(path.position, f"there is no field {str(path)[:80]}; {advice}", "FILTER_UNKNOWN_FIELD")

    def _private(self, path: Path) -> Path:
        """Return the path, marked if its field has personal data."""
        name = str(path)
        if not self.schema.classes or not (self.schema.classed(name) or self.schema.classed(f"{ATTRIBUTES}.{name}")):
            return path
        return replace(path, private=True)

    def _check_readable(self, path: Path, name: str) -> None:
        check_readable(self.schema, name, "filter", f"at character {path.position}: ")

    def _declared(self, path: Path) -> Attribute | None:
        keys = path.keys[1:] if path.keys[0] == ATTRIBUTES else path.keys
        return self.schema.attributes.get(keys[0]) if len(keys) == 1 else None

    def _match(self, fields: list[str], value: Value) -> Json:
        """Return what finds all words of a value in one of the fields."""
        text = value.text
        phrase = len(text) > LONGEST_WORDS
        self.leaves += len(fields) * (1 if phrase else pieces(text))
        if self.leaves > MOST_LEAVES:
            description = (
                f"the words up to here are {self.leaves} in all text fields together; at most {MOST_LEAVES} are allowed"
            )
            _wrong(value.position, description, "FILTER_TOO_MANY_TERMS")
        if phrase:
            return _any([{"match_phrase": {field: {"query": text}}} for field in fields])
        return _any([{"match": {field: {"query": text, "operator": "and"}}} for field in fields])

    def _text_fields(self, name: str) -> list[str]:
        return [f"{name}_{language}" for language in self.schema.text_languages()]


class _FieldsCompiler(_Compiler):
    """One compilation against a fixed set of fields."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(Schema())
        self.fields = fields

    def _resolve(self, path: Path) -> tuple[str, str]:
        name = str(path)
        if name not in self.fields:
            near = difflib.get_close_matches(name, list(self.fields), 1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(self.fields)}"
            _wrong(path.position, f"there is no field {name[:80]}; {advice}", "FILTER_UNKNOWN_FIELD")
        return self.fields[name], name

    def _words(self, expr: Words) -> Json:  # `_wrong` never returns
        _wrong(expr.position, "expected a comparison, found a word alone", "FILTER_SYNTAX")

    def _call(self, call: Call) -> Json:  # `_wrong` never returns
        _wrong(call.position, f"{call.name}() isn't a condition", "FILTER_UNKNOWN_FUNCTION")


def _any(queries: list[Json]) -> Json:
    """Return what one of the queries must match; equal fields become one `terms`."""
    if len(queries) == 1:
        return queries[0]
    by_field: dict[str, list[Any]] = {}
    rest: list[Json] = []
    for query in queries:
        if "term" in query:
            [(field, value)] = query["term"].items()
            by_field.setdefault(field, []).append(value)
        else:
            rest.append(query)
    one = [
        {"term": {field: values[0]}} if len(values) == 1 else {"terms": {field: values}}
        for field, values in by_field.items()
    ]
    should = one + rest
    return should[0] if len(should) == 1 else {"bool": {"should": should, "minimum_should_match": 1}}


def _not(query: Json) -> Json:
    return {"bool": {"must_not": [query]}}


def _compare(field: str, operator: str, value: float | str) -> Json:
    return {"range": {field: {_RANGES[operator]: value}}} if operator in _RANGES else {"term": {field: value}}


def _string(field: str, operator: str, value: Value) -> Json:
    """Compare a string as a whole, or by its beginning."""
    if operator in _RANGES or not value.stars:
        return _compare(field, operator, value.text)
    if value.stars != (len(value.text) - 1,):
        _wrong(value.position, "`*` is understood at the end only; write \\* in quotes for a star", "FILTER_WRONG_TYPE")
    return {"prefix": {field: {"value": value.text[:-1]}}} if len(value.text) > 1 else {"exists": {"field": field}}


def _literal(value: Value | Call, path: Path) -> Value:
    if isinstance(value, Call):
        _wrong(value.position, f"{value.name}() can't be a value of {path}", "FILTER_WRONG_TYPE")
    return value


def _number(value: Value, path: Path) -> float:
    """Return a number that a double keeps exactly, as int where it is whole."""
    if value.quoted or not _NUMBER.fullmatch(value.text):
        _mistyped(value, path, "a number")
    if re.fullmatch(r"[+-]?\d+", value.text):
        digits = value.text.lstrip("+-").lstrip("0")
        if len(digits) > 16 or int(digits or "0") > EXACT:
            _mistyped(value, path, "a whole number within ±2^53, because greater ones can't be kept exactly")
        return int(value.text)
    number = float(value.text)
    if not math.isfinite(number) or (number.is_integer() and abs(number) > EXACT and "e" not in value.text.lower()):
        _mistyped(value, path, "a number within ±2^53 or the range of a double")
    return number


def _time(value: Value | Call, path: Path) -> int | str:
    """Return epoch milliseconds, or a time relative to that of the search in the engine's words."""
    if isinstance(value, Call):
        return _time_of_call(value, path)
    try:
        return parse_time_ms(value.text)
    except ValueError:
        _mistyped(value, path, "a time such as 2026-01-31T12:00:00Z")


def _time_of_call(call: Call, path: Path) -> int | str:
    """Return the time that a function gives."""
    example = _TIME_FUNCTIONS.get(call.name)
    if example is None:
        known = ", ".join(_TIME_FUNCTIONS.values())
        _wrong(call.position, f"{call.name}() isn't a time; known: {known}", "FILTER_UNKNOWN_FUNCTION")
    wanted = 0 if call.name == "now" else 1
    if len(call.arguments) != wanted:
        found = f"expected {wanted} arguments as in {example}, found {len(call.arguments)}"
        _wrong(call.position, found, "FILTER_WRONG_TYPE")
    if not wanted:
        return "now"
    value = _literal(call.arguments[0], path)
    if call.name == "timestamp":
        return _time(value, path)
    duration = _DURATION.fullmatch(value.text)
    if duration is None:
        _mistyped(value, path, 'a duration such as "7d" (s, m, h, d, w)')
    sign = "-" if call.name == "ago" else "+"
    return f"now{sign}{int(duration[1])}{duration[2]}"


def _mistyped(value: Value, path: Path, expected: str) -> NoReturn:
    shown = f'"{value.text[:40]}"' if value.quoted else value.text[:40]
    found = "" if path.private else f", found {shown}"
    _wrong(value.position, f"{path} expected {expected}{found}", "FILTER_WRONG_TYPE")


def _wrong(position: int, description: str, reason: str) -> NoReturn:
    raise filter_fault(position, description, reason)
