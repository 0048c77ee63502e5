# SPDX-License-Identifier: Apache-2.0
"""Turns what people type (words, "phrases", -exclusions) into a ranked engine query."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from pinakes.core.faults import invalid
from pinakes.core.query.options import Options
from pinakes.core.query.weights import Weights
from pinakes.core.settings import Limits

Json = dict[str, Any]

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

    @property
    def key(self) -> str:
        """What its weight is kept by: equal for terms that find the same."""
        return f'"{self.text}"' if self.phrase else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed: its words and phrases in order, each once. `empty` means that nothing was typed."""

    terms: tuple[Term, ...]
    empty: bool


def parse_query(text: str, options: Options, limits: Limits) -> Query:
    """Read a query. Raises a `Fault` of reason QUERY_TOO_LONG or QUERY_TOO_MANY_CLAUSES."""
    del options
    if len(text) > limits.query_chars:
        description = f"has {len(text)} characters; at most {limits.query_chars} are allowed (limit query_chars)"
        raise invalid("query", description, "QUERY_TOO_LONG")
    if not text or text.isspace():
        return Query((), empty=True)
    found = terms_of(text)
    if len(found) > limits.query_clauses:
        description = (
            f"has {len(found)} words and phrases; at most {limits.query_clauses} are allowed (limit query_clauses)"
        )
        raise invalid("query", description, "QUERY_TOO_MANY_CLAUSES")
    return Query(tuple(dict.fromkeys(found)), empty=False)


def compile_query(  # everything that a query's meaning depends on
    query: Query, options: Options, weights: Weights, *, now_ms: int, named: bool = False
) -> Json | None:
    """Return the engine query; None if there is nothing to look for but every document.

    `named` gives each clause the name `N:field`, N being the place of its term in the query, counted from 0.
    """
    del now_ms, named
    if query.empty:
        return None
    if not query.terms:
        return {"match_none": {}}
    wanted = [_clause(term, options, weights) for term in query.terms if not term.excluded]
    barred = [_clause(term, options, weights) for term in query.terms if term.excluded]
    inner: Json = {"should": wanted, "minimum_should_match": MINIMUM} if wanted else {"must": [{"match_all": {}}]}
    return {"bool": inner | {"must_not": barred} if barred else inner}


def counting_clause(term: Term, options: Options) -> Json:
    """Return a query for filter context: the documents that have the term in any of the searched fields."""
    return _clause(term, options, Weights())


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


def _clause(term: Term, options: Options, weights: Weights) -> Json:
    """Return the clause of one term: its best field counts, the others a little."""
    kind: str = "match_phrase" if term.phrase else "match"
    more: Json = {} if term.phrase else {"operator": "and"}
    idf = weights.idf.get(term.key, 1.0)
    fields = [pair for pairs in options.fields.values() for pair in pairs]
    queries = [{kind: {name: {"query": term.text, "boost": weight * idf} | more}} for name, weight in fields]
    return {"dis_max": {"queries": queries, "tie_breaker": TIE_BREAKER}}
