# SPDX-License-Identifier: Apache-2.0
"""Turns what people type (words, "phrases", -exclusions) into a ranked engine query."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from pinakes.core.faults import invalid
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Limits

Json = dict[str, Any]

TITLE, TAGS, BODY = 3, 2, 1
TIE_BREAKER = 0.1
# One or two words must all be there; of more, a quarter may be missing.
MINIMUM = "2<-25%"
_TERM = re.compile(r'(-?)"([^"]*)"|(\S+)')
_QUOTES = str.maketrans("“”„‟", '""""')


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase to look for, or to exclude."""

    text: str
    phrase: bool = False
    excluded: bool = False


def compile_query(text: str, schema: Schema, limits: Limits) -> Json | None:
    """Return the engine query of a search's words; None if there is nothing to look for but every document.

    Raises a `Fault` of reason QUERY_TOO_LONG or QUERY_TOO_MANY_CLAUSES.
    """
    if len(text) > limits.query_chars:
        description = f"has {len(text)} characters; at most {limits.query_chars} are allowed (limit query_chars)"
        raise invalid("query", description, "QUERY_TOO_LONG")
    if not text or text.isspace():
        return None
    found = terms_of(text)
    if len(found) > limits.query_clauses:
        description = (
            f"has {len(found)} words and phrases; at most {limits.query_clauses} are allowed (limit query_clauses)"
        )
        raise invalid("query", description, "QUERY_TOO_MANY_CLAUSES")
    if not found:
        return {"match_none": {}}
    distinct = list(dict.fromkeys(found))
    fields = _fields(schema)
    wanted = [_clause(term, fields) for term in distinct if not term.excluded]
    barred = [_clause(term, fields) for term in distinct if term.excluded]
    query: Json = {"should": wanted, "minimum_should_match": MINIMUM} if wanted else {"must": [{"match_all": {}}]}
    return {"bool": query | {"must_not": barred} if barred else query}


def terms_of(text: str) -> list[Term]:
    """Return the words and phrases of a query in order. A quote without its pair is ignored, so is lone punctuation."""
    found = []
    for match in _TERM.finditer(text.translate(_QUOTES)):
        minus, phrase, word = match.groups()
        if word is None:
            term = Term(" ".join(phrase.split()), True, bool(minus))
        else:
            bare = word.lstrip("-") if word.startswith("-") else word
            term = Term(bare.replace('"', " ").strip(), False, bare != word)
        if any(c.isalnum() or unicodedata.category(c) == "So" for c in term.text):
            found.append(term)
    return found


def _fields(schema: Schema) -> list[tuple[str, int]]:
    languages = schema.text_languages()
    titles = [(f"title_{language}", TITLE) for language in languages]
    return [*titles, ("tags_text", TAGS), *((f"body_{language}", BODY) for language in languages)]


def _clause(term: Term, fields: list[tuple[str, int]]) -> Json:
    """Return the clause of one term: its best field counts, the others a little."""
    if term.phrase:
        queries = [{"match_phrase": {name: {"query": term.text, "boost": boost}}} for name, boost in fields]
    else:
        queries = [{"match": {name: {"query": term.text, "operator": "and", "boost": boost}}} for name, boost in fields]
    return {"dis_max": {"queries": queries, "tie_breaker": TIE_BREAKER}}
