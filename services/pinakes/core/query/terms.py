# SPDX-License-Identifier: Apache-2.0
"""Reads what people type: words, "phrases", -exclusions, prefix*, field:word. Any text can be read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from pinakes.core.faults import Fault, invalid
from pinakes.core.query.options import Options
from pinakes.core.query.readable import not_readable
from pinakes.core.query.words import folded, words_in
from pinakes.core.settings import Limits

PREFIX_CHARS = 2
"""Characters that a `prefix*` has before its star at least: one would find nearly everything."""

BUILT_IN = ("title", "tags", "body")
_ATTRIBUTE = "attributes."
_TERM = re.compile(r'(-*)(?:([\w.]+):)?"([^"]*)"|(\S+)')
# Typographic quotes, and the punctuation of scripts that don't put spaces around it.
_PIECES = re.compile(r"[A-Z]*[a-z\u00df-\u024f]+|[A-Z]+|\d+|[\u0370-\u03ff]+|[\u0400-\u052f]+|[^\W_]")
_READ_AS = str.maketrans("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\uff0a", '"""""""*') | dict.fromkeys(
    map(
        ord,
        "\u3000\u3001\u3002\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011\u30fb\uff01\uff08\uff09\uff0c\uff0e\uff1b\uff1f",
    ),
    " ",
)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase to look for, or to exclude.

    `prefix` asks for words that begin with the text. `field` is the one field to look in, as callers name it (`title`,
    `attributes.abstract`); empty means every field that is searched.
    """

    text: str
    phrase: bool = False
    excluded: bool = False
    prefix: bool = False
    field: str = ""

    @property
    def key(self) -> str:
        """What its weight is kept by: equal for terms that find the same."""
        text = f'"{self.text}"' if self.phrase else f"{self.text}*" if self.prefix else self.text
        return f"{self.field}:{text}" if self.field else text

    @property
    def plain(self) -> bool:
        """Whether it is a word to look for without any sign, which alone may be a stop word, misspelt or a synonym."""
        return not (self.phrase or self.excluded or self.prefix or self.field)

    @property
    def unspaced(self) -> bool:
        """Whether it is of a script that is written without spaces, so that one "word" is many."""
        return not self.text.isascii() and _UNSPACED.search(self.text) is not None


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed: its words and phrases in order, each once. `empty` means that nothing was typed."""

    terms: tuple[Term, ...]
    empty: bool


def parse_query(text: str, options: Options, limits: Limits) -> Query:
    """Read a query.

    Raises a `Fault` of reason QUERY_TOO_LONG, QUERY_TOO_MANY_CLAUSES, QUERY_TOO_MANY_PREFIXES with the limit,
    QUERY_PREFIX_TOO_SHORT with the place, or FIELD_NOT_READABLE.
    """
    if len(text) > limits.query_chars:
        description = f"has {len(text)} characters; at most {limits.query_chars} are allowed (limit query_chars)"
        raise invalid("query", description, "QUERY_TOO_LONG")
    if not text or text.isspace():
        return Query((), empty=True)
    found = list(_terms(text.translate(_READ_AS), options))
    if len(found) > limits.query_clauses:
        raise _too_many(
            len(found), "words and phrases", limits.query_clauses, "query_clauses", "QUERY_TOO_MANY_CLAUSES"
        )
    prefixes = sum(term.prefix for term in found)
    if prefixes > limits.query_prefixes:
        raise _too_many(
            prefixes, "words with a star", limits.query_prefixes, "query_prefixes", "QUERY_TOO_MANY_PREFIXES"
        )
    return Query(tuple(dict.fromkeys(found)), empty=False)


def pieces(text: str) -> int:
    """Return how many words analyzers may make of a text at most; at least 1."""
    return len(_PIECES.findall(text)) or 1


def _terms(text: str, options: Options) -> Iterator[Term]:
    """Yield the terms of a query in order. A quote without its pair is ignored, so is lone punctuation."""
    for match in _TERM.finditer(text):
        minus, name, phrase, word = match.groups()
        if word is not None:
            term = _word(word, match.start() + 1, options)
        else:
            field = _field(name, options) if name else ""
            if name and not field and _says(name):
                yield Term(name, excluded=bool(minus))
            term = Term(" ".join(phrase.split()), phrase=True, excluded=bool(minus), field=field)
        if _says(term.text):
            yield term


def _word(word: str, place: int, options: Options) -> Term:
    """Return the term of a word with its signs; `place` is where it begins, counted from 1."""
    bare = word.lstrip("-")
    excluded, field = bare != word, ""
    name, colon, rest = bare.partition(":")
    # `std::vector`, `http://x`, `12:30` and `title:` are ordinary text.
    if colon and rest and rest[0] not in ":/" and (field := _field(name, options)):
        bare = rest
    text = bare.replace('"', " ").strip()
    beginning = text[:-1]
    prefix = text.endswith("*") and "*" not in beginning and _says(beginning)
    if not prefix:
        return Term(text, excluded=excluded, field=field)
    term = Term(beginning, excluded=excluded, prefix=True, field=field)
    if term.unspaced:
        # Where words aren't set apart, a word is found inside of others anyway.
        return Term(beginning, excluded=excluded, field=field)
    last = (words_in(folded(beginning)) or [""])[-1]
    if len(last) < PREFIX_CHARS:
        description = (
            f"at character {place}: {word[:40]} has {len(last)} letter or digit before the star; "
            f"at least {PREFIX_CHARS} are needed"
        )
        raise invalid("query", description, "QUERY_PREFIX_TOO_SHORT")
    return term


def _field(name: str, options: Options) -> str:
    """Return the searched field that a name before a colon means; empty if it means none, so is ordinary text."""
    lower = name.lower()
    whole = name if name.startswith(_ATTRIBUTE) else _ATTRIBUTE + name
    for found in (lower, whole):
        if found in options.hidden:
            raise not_readable("query", found)
    if lower in BUILT_IN:
        return lower
    return whole if whole in options.fields else ""


def _says(text: str) -> bool:
    """Whether there is anything in a text that can be looked for: a letter, a digit or a pictogram."""
    return any(c.isalnum() or (c > "\u00ff" and unicodedata.category(c) == "So") for c in text)


def _too_many(count: int, what: str, limit: int, name: str, reason: str) -> Fault:
    return invalid("query", f"has {count} {what}; at most {limit} are allowed (limit {name})", reason)
