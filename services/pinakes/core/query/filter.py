# SPDX-License-Identifier: Apache-2.0
"""Reads AIP-160 filters. As the AIP has it, `OR` binds tighter than `AND`: `a AND b OR c` is `a AND (b OR c)`."""

from __future__ import annotations

import re
from typing import cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args
from lark.exceptions import VisitError

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.expression import (
    EVERYTHING,
    And,
    Call,
    Comparison,
    Expression,
    Not,
    Or,
    Path,
    Value,
    Words,
    canonical,
    filter_fault,
    joined,
    terms,
    uses_now,
)
from pinakes.core.settings import Limits

__all__ = [
    "And",
    "Call",
    "Comparison",
    "Expression",
    "Not",
    "Or",
    "Path",
    "Value",
    "Words",
    "canonical",
    "parse_filter",
    "uses_now",
]

# A dot joins keys only without spaces around it. The lexer knows from the parser's state whether a field or a value is
# due, so a value may hold dots and begin with a minus.
_GRAMMAR = r"""
start: expression?
expression: sequence (_AND sequence)*
sequence: factor+
factor: term (_OR term)*
?term: _NOT simple -> negated
     | _MINUS simple -> negated
     | simple
?simple: comparison | bare | call | composite
?composite: _LPAR expression _RPAR
bare: member
comparison: (member | call) OPERATOR (VALUE | TIME | STRING | call | composite)
member: (TEXT | STRING) (_DOT (TEXT | STRING | AND_KEY))*
call: FUNCTION _LPAR [argument (_COMMA argument)*] _RPAR
?argument: VALUE | TIME | STRING | call

OPERATOR: /!=|<=|>=|=|<|>|:/
_AND.4: /AND(?![^\s()"',:=<>!.])/
_OR.4: /OR(?![^\s()"',:=<>!.])/
_NOT.4: /NOT(?![^\s()"',:=<>!.])/
AND_KEY.4: /(?:AND|OR|NOT)(?![^\s()"',:=<>!.])/
_MINUS: "-"
_LPAR: "("
_RPAR: ")"
_COMMA: ","
_DOT: /(?<!\s)\.(?!\s)/
FUNCTION.3: /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?=\()/
TIME.2: /\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)?/
STRING: /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/s
TEXT: /(?!(?:AND|OR|NOT)(?![^\s()"',:=<>!.]))[^\s()"',:=<>!.\-][^\s()"',:=<>!.]*/
VALUE.1: /(?!(?:AND|OR|NOT)(?![^\s()"',:=<>!]))[^\s()"',:=<>!]+/
%ignore /\s+/
"""

_BRACKETS = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[()]""", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)|\*", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_PEOPLE = {
    "OPERATOR": "a comparison (= != < <= > >= :)",
    "_RPAR": "a closing parenthesis",
    "_COMMA": "a comma",
    "_AND": "AND",
    "_OR": "OR",
    "$END": "the end of the filter",
}


def parse_filter(text: str, limits: Limits) -> Expression:
    """Return the tree of a filter; an empty one holds for every document.

    Raises a `Fault` of reason FILTER_SYNTAX with the place and what was expected, or FILTER_TOO_LONG,
    FILTER_TOO_DEEP, FILTER_TOO_MANY_TERMS with the limit and what was given.
    """
    if len(text) > limits.filter_chars:
        raise _over(f"{len(text)} characters", limits.filter_chars, "filter_chars", "FILTER_TOO_LONG")
    if not text or text.isspace():
        return EVERYTHING
    _check_depth(text, limits.filter_depth)
    try:
        tree: Expression = _PARSER.parse(text)  # type: ignore[assignment]  # the transformer makes expressions
    except UnexpectedToken as error:
        raise _unexpected(text, error.token, set(error.expected)) from None
    except UnexpectedCharacters as error:
        raise _unreadable(text, cast("int", error.pos_in_stream), set(error.allowed or ())) from None
    except VisitError as error:
        if isinstance(error.orig_exc, Fault):
            raise error.orig_exc from None
        raise
    if (count := terms(tree)) > limits.filter_terms:
        raise _over(f"{count} terms", limits.filter_terms, "filter_terms", "FILTER_TOO_MANY_TERMS")
    return tree


@v_args(inline=True)
class _Builder(Transformer[Token, Expression]):
    """Makes the tree while the parser reads, so that no depth of nesting can exhaust the stack."""

    def start(self, expression: Expression = EVERYTHING) -> Expression:
        return expression

    def expression(self, *operands: Expression) -> Expression:
        return joined(And, list(operands))

    sequence = expression

    def factor(self, *operands: Expression) -> Expression:
        return joined(Or, list(operands))

    def negated(self, operand: Expression) -> Expression:
        return Not(operand)

    def member(self, *keys: Token) -> tuple[Token, ...]:
        return keys

    def bare(self, keys: tuple[Token, ...]) -> Expression:
        values = [_value(key) for key in keys]
        first = values[0]
        if len(keys) > 1:
            text = ".".join(value.text for value in values)
            stars: list[int] = []
            start = 0
            for value in values:
                stars += (start + star for star in value.stars)
                start += len(value.text) + 1
            # Quoted, if a part was: it may hold what would end an unquoted value.
            first = Value(text, any(value.quoted for value in values), tuple(stars), first.position)
        return Words(first, first.position)

    def call(self, name: Token, *arguments: Token | Call | None) -> Call:
        values = tuple(a if isinstance(a, Call) else _value(a) for a in arguments if a is not None)
        return Call(str(name), values, _place(name))

    def comparison(
        self, left: tuple[Token, ...] | Call, operator: Token, right: Token | Call | Expression
    ) -> Expression:
        field = left if isinstance(left, Call) else Path(tuple(_value(k).text for k in left), _place(left[0]))
        if isinstance(right, Token):
            return Comparison(field, str(operator), _value(right), field.position)
        if isinstance(right, Call):
            return Comparison(field, str(operator), right, field.position)
        return _spread(field, operator, right)


def _spread(left: Path | Call, operator: Token, right: Expression) -> Expression:
    """Turn `field:(a OR b)` into `field:a OR field:b`."""
    if isinstance(right, Words):
        return Comparison(left, str(operator), right.value, left.position)
    if isinstance(right, Not):
        return Not(_spread(left, operator, right.operand))
    if isinstance(right, And | Or):
        return joined(type(right), [_spread(left, operator, operand) for operand in right.operands])
    position = right.position
    raise filter_fault(position, "expected plain values in the parentheses after a comparison, found a comparison")


def _value(token: Token) -> Value:
    """Return the literal of a token, with its escapes resolved."""
    raw = str(token)
    if token.type != "STRING":
        return Value(raw, False, tuple(m.start() for m in re.finditer(r"\*", raw)), _place(token))
    body = raw[1:-1]
    if "\\" not in body and "*" not in body:
        return Value(body, True, (), _place(token))
    parts: list[str] = []
    stars: list[int] = []
    length = last = 0
    for match in _ESCAPE.finditer(body):
        plain, escape = body[last : match.start()], match.group(1)
        length, last = length + len(plain) + 1, match.end()
        if escape is None:
            stars.append(length - 1)
        parts += (plain, "*" if escape is None else _escaped(escape, _place(token) + 1 + match.start()))
    parts.append(body[last:])
    return Value("".join(parts), True, tuple(stars), _place(token))


def _escaped(escape: str, position: int) -> str:
    """Return the character of an escape; any other character stands for itself."""
    if len(escape) != 5:
        return _CONTROLS.get(escape, escape)
    code = int(escape[1:], 16)
    if 0xD800 <= code <= 0xDFFF:
        # Half of a pair is no character: it can't be sent on as UTF-8.
        raise filter_fault(position, f"\\{escape} is half of a character; write the character itself")
    return chr(code)


def _place(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _check_depth(text: str, limit: int) -> None:
    """Refuse parentheses nested deeper than the limit, before anything is built."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match.group() == "(":
            depth += 1
            if depth > limit:
                description = f"nested {depth} deep; at most {limit} is allowed (limit filter_depth)"
                raise filter_fault(match.start() + 1, description, "FILTER_TOO_DEEP")
        elif match.group() == ")":
            depth -= 1


def _possible(text: str, start: int, expected: set[str]) -> set[str]:
    """Return what was expected without what can't be: a closing parenthesis where none is open, the end where one is."""
    found = [match.group() for match in _BRACKETS.finditer(text, 0, start)]
    return expected - {"$END" if found.count("(") > found.count(")") else "_RPAR"}


def _over(given: str, limit: int, name: str, reason: str) -> Fault:
    return invalid("filter", f"has {given}; at most {limit} are allowed (limit {name})", reason)


def _unexpected(text: str, token: Token, expected: set[str]) -> Fault:
    """Make the fault of a word in a wrong place."""
    expected = _possible(text, len(text) if token.type == "$END" else token.start_pos or 0, expected)
    if token.type == "$END":
        return filter_fault(len(text) + 1, f"expected {_words(expected)}, found end of filter")
    start = token.start_pos or 0
    hint = "; quote a value that has this character" if str(token) in {":", "=", "<", ">", "!=", "<=", ">="} else ""
    return filter_fault(start + 1, f"expected {_words(expected)}, found {str(token)[:40]}{hint}")


def _unreadable(text: str, start: int, expected: set[str]) -> Fault:
    """Make the fault of a character that nothing can begin with here."""
    if text[start] in "\"'" and not re.match(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", text[start:], re.DOTALL):
        return filter_fault(start + 1, "expected a closing quote, found end of filter")
    expected = _possible(text, start, expected)
    word = re.match(r"[^\s()\"',:=<>!.]+|.", text[start:], re.DOTALL)
    return filter_fault(start + 1, f"expected {_words(expected)}, found {word.group()[:40] if word else ''}")


def _words(expected: set[str]) -> str:
    """Say in people's words what the parser would have taken."""
    if expected & {"VALUE", "TIME"}:
        return "a value or )" if "_RPAR" in expected else "a value"
    if "OPERATOR" in expected and "$END" not in expected and "_RPAR" not in expected:
        return _PEOPLE["OPERATOR"]
    choices = [words for name, words in _PEOPLE.items() if name in expected]
    if "TEXT" in expected and not choices:
        return "a field name" if "AND_KEY" in expected else "a comparison"
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else (choices or ["something else"])[0]


_PARSER = Lark(_GRAMMAR, parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=False)
