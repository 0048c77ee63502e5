# SPDX-License-Identifier: Apache-2.0
"""Turns what people type into a ranked engine query.

Each term is a clause of its own that takes its best field, weighted by how rare the term is in the collection. So words
are counted over all fields together, and no neighbour's documents have a say (design §4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.tokens import SEPARATOR
from pinakes.core.query.options import ALL, ANY, Options
from pinakes.core.query.schema import Schema
from pinakes.core.query.stopwords import stop_words
from pinakes.core.query.synonyms import group_of, lexicon
from pinakes.core.query.terms import Query, Term, parse_query, pieces
from pinakes.core.query.weights import Weights
from pinakes.core.query.words import folded

if TYPE_CHECKING:
    from pinakes.core.engine.documents import Owner

__all__ = ["OWN_WORDS", "Query", "Term", "compile_query", "counting_clause", "parse_query", "read_name", "unnamed"]

Json = dict[str, Any]
Fields = Mapping[str, tuple[tuple[str, float], ...]]

TIE_BREAKER = 0.1
# Documents that have one or two words, or of more all but a quarter, come before those that have fewer: what they get
# beside the words themselves, as a part of what all words weigh.
MINIMUM, MOSTLY = "2<-25%", 0.3
# Of the pieces that an analyzer makes of a word of a script without spaces.
UNSPACED_MINIMUM = "2<25%"
# What other words count of the word that was typed.
CORRECTED, SYNONYM = 0.6, 0.9
# Weight of a stop word as long as nothing is known of its frequency.
STOP_WORD = 0.2
# All words of a query near one another, as a part of what one of them counts; 0 turns it off.
PROXIMITY, SLOP, NEAR_MOST = 0.5, 3, 8
# Clauses that a query's words become with all that is added to them. The engine takes 1,024 in query and filter together;
# 32 words in the 21 fields that there can be at most are 672, and a filter may have 300 (`filter_compiler.MOST_LEAVES`).
MOST_LEAVES = 600
OWN_WORDS = "words"
"""The engine field of own words, and what `read_name` gives for it: no field that callers know."""

_NO_WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class _Unit:
    """One clause: a term, or several that together have `synonyms`; `place` is that of the first in the query."""

    place: int
    terms: tuple[Term, ...]
    synonyms: tuple[str, ...] = ()
    optional: bool = False


def compile_query(
    query: Query,
    options: Options,
    weights: Weights,
    *,
    named: bool = False,
    owner: Owner | None = None,
) -> Json | None:
    """Return the engine query; None if there is nothing to look for but every document.

    `named` gives each clause a name that `read_name` reads. With an `owner`, words are completed from its own as well.
    """
    if query.empty:
        return None
    if not query.terms:
        return {"match_none": {}}
    units = _units(query.terms, options)
    compiler = _Compiler(options, weights, owner, query.terms, named=named)
    required: list[Json] = []
    counted: list[Json] = []
    extra: list[Json] = []
    for unit in units:
        first = unit.terms[0]
        # Who writes a sign means it.
        strict = options.matching != ANY and (options.matching == ALL or first.phrase or bool(first.field))
        (extra if unit.optional else required if strict else counted).append(compiler.unit(unit))
    extra += compiler.near(units)
    barred = [compiler.plain(term) for term in query.terms if term.excluded]
    if options.matching != ANY and len(counted) > 1 and compiler.room(2):
        idf = sum(compiler.idf(term, unit) for unit in units if not unit.optional for term in unit.terms)
        # The engine tells of one clause a name only, so those that are there twice have it once.
        extra.append(_mostly([unnamed(clause) for clause in counted] if named else counted, idf))
    return _joined(required, counted, extra, barred)


def counting_clause(term: Term, options: Options, owner: Owner | None = None) -> Json:
    """Return a query for filter context: the documents that have the term in any of the searched fields."""
    return _Compiler(options, _NO_WEIGHTS, owner, (term,), named=False).plain(term)


def read_name(name: str) -> tuple[int, str, str | None]:
    """Return what the name of a clause says: the place of its term in the query, the field, and the word found instead.

    That word is a correction or a synonym; None where the term was found as it was typed. The synonym of several words
    has the place of the first of them.
    """
    place, field, *word = name.partition(SEPARATOR)[0].split(":", 2)
    return int(place), field, word[0] if word else None


def unnamed(query: Json) -> Json:
    """Return an engine query without the names of its clauses."""
    found: Json = _unnamed(query)
    return found


def _unnamed(part: Any) -> Any:
    if isinstance(part, list):
        return [_unnamed(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: _unnamed(value) for key, value in part.items() if key != "_name"}


def _mostly(counted: list[Json], idf: float) -> Json:
    """Return what puts documents that have most of a query's words before those that have fewer."""
    most = {"bool": {"should": counted, "minimum_should_match": MINIMUM}}
    return {"constant_score": {"filter": most, "boost": MOSTLY * idf}}


def _joined(required: list[Json], counted: list[Json], extra: list[Json], barred: list[Json]) -> Json:
    """Return one query of what must be there, of what at least one must be there, what may, and what must not."""
    inner: Json = {}
    if counted and (required or extra):
        required = [*required, {"bool": {"should": counted, "minimum_should_match": 1}}]
    elif counted:
        inner = {"should": counted, "minimum_should_match": 1}
    if required:
        inner = {"must": required}
    elif not counted:
        inner = {"must": [{"match_all": {}}]}
    if extra:
        inner["should"] = extra
    if barred:
        inner["must_not"] = barred
    return {"bool": inner}


def _units(terms: Sequence[Term], options: Options) -> list[_Unit]:
    """Return what is to be found: groups with synonyms, longest first, and single terms; of these the stop words."""
    known = lexicon(options.settings)
    groups = [group_of(term.text) if term.plain else () for term in terms] if known.synonyms else []
    usual = stop_words(options.languages)
    units: list[_Unit] = []
    place = 0
    while place < len(terms):
        term = terms[place]
        length, synonyms = known.match(groups, place) if groups else (0, ())
        if length:
            units.append(_Unit(place, tuple(terms[place : place + length]), synonyms))
        elif not term.excluded:
            word = folded(term.text.strip(".,;!?()")) if term.plain else ""
            units.append(_Unit(place, (term,), optional=word in usual or word in known.stop_words))
        place += length or 1
    if all(unit.optional for unit in units):
        return [_Unit(unit.place, unit.terms) for unit in units]
    return units


class _Compiler:
    """Makes the clauses of one query."""

    __slots__ = ("leaves_left", "named", "options", "owner", "weights", "whole")

    def __init__(
        self, options: Options, weights: Weights, owner: Owner | None, terms: Sequence[Term], *, named: bool
    ) -> None:
        self.options, self.weights, self.owner, self.named = options, weights, owner, named
        width = sum(len(pairs) for pairs in options.fields.values())
        parts = sum(1 if term.phrase else pieces(term.text) + term.prefix for term in terms)
        # A word that an analyzer takes apart is a clause for each piece; as a phrase it is one.
        self.whole = parts * width > MOST_LEAVES
        self.leaves_left = MOST_LEAVES - (len(terms) if self.whole else parts) * width

    def room(self, times: int) -> bool:
        """Whether the clauses made so far may be there so many times."""
        return (MOST_LEAVES - self.leaves_left) * times <= MOST_LEAVES

    def unit(self, unit: _Unit) -> Json:
        """Return the clause of a unit: its best field counts, the others a little."""
        first = unit.terms[0]
        idf = sum(self.idf(term, unit) for term in unit.terms)
        if len(unit.terms) == 1:
            queries = self.leaves(first, unit.place, idf)
            queries += self.corrections(first, unit.place, idf)
        else:
            clauses = [self.plain(t, self.idf(t, unit), unit.place + n) for n, t in enumerate(unit.terms)]
            queries = [{"bool": {"must": clauses}}]
        for text in unit.synonyms:
            phrase = len(group_of(text)) > 1
            queries += self.expansion(Term(text, phrase=phrase), unit.place, idf * SYNONYM)
        return _best(queries)

    def plain(self, term: Term, idf: float = 1.0, place: int | None = None) -> Json:
        """Return the clause of a term alone; without a `place` it has no name."""
        return _best(self.leaves(term, place, idf))

    def idf(self, term: Term, unit: _Unit) -> float:
        """Return the weight of a term of a unit."""
        return self.weights.idf.get(term.key, STOP_WORD if unit.optional else 1.0)

    def corrections(self, term: Term, place: int, idf: float) -> list[Json]:
        """Return clauses for the words that a term may be a typing error of."""
        if not (self.options.typos and self.weights.corrections) or term.phrase or term.prefix:
            return []
        found: list[Json] = []
        for word in self.weights.corrections.get(term.key, ()):
            weight = CORRECTED * self.weights.idf.get(word, idf)
            found += self.expansion(Term(word, field=term.field), place, weight)
        return found

    def expansion(self, term: Term, place: int, idf: float) -> list[Json]:
        """Return clauses for another word than was typed, as long as the query doesn't become too large."""
        cost = sum(len(pairs) for pairs in self.options.fields.values())
        cost *= 1 if term.phrase else pieces(term.text)
        if cost > self.leaves_left:
            return []
        self.leaves_left -= cost
        return self.leaves(term, place, idf, f":{term.text}")

    def leaves(self, term: Term, place: int | None, idf: float, suffix: str = "") -> list[Json]:
        """Return a clause for each field that a term is looked for in."""
        fields = searched(term, self.options)
        named = self.named and place is not None
        if term.prefix:
            return self.beginnings(term, fields, f"{place}:" if named else "", idf)
        kind, more = self._match(term)
        queries: list[Json] = []
        for name, pairs in fields.items():
            for field, weight in pairs:
                options = {"query": term.text, "boost": weight * idf, **more}
                if named:
                    # The engine tells of one clause a name only, so each needs its own.
                    options["_name"] = f"{place}:{name}{suffix}{SEPARATOR}{field}"
                queries.append({kind: {field: options}})
        return queries

    def _match(self, term: Term) -> tuple[str, Json]:
        """Return how a term is compared with a field."""
        if term.phrase or (self.whole and pieces(term.text) > 1):
            return "match_phrase", {}
        if self.options.matching != ALL and term.unspaced:
            return "match", {"minimum_should_match": UNSPACED_MINIMUM}
        # An analyzer may take a word apart: all of it must be there.
        return "match", {"operator": "and"}

    def beginnings(self, term: Term, fields: Fields, name: str, idf: float) -> list[Json]:
        """Return clauses for words that begin with a term's text.

        The engine looks such a beginning up in the words of all tenants, but only counts documents in scope. Stemmed
        words may have lost their end, so titles and tags are looked for among the owner's unstemmed words as well.
        """
        whole = folded(term.text)
        *before, last = group_of(term.text)
        queries: list[Json] = []
        for caller, pairs in fields.items():
            for field, weight in pairs:
                options: Json = {"boost": weight * idf}
                if name:
                    options["_name"] = f"{name}{caller}{SEPARATOR}{field}"
                queries.append({"prefix": {field: {"value": whole, **options}}})
                if before and not self.whole:
                    rest = {"match": {field: {"query": " ".join(before), "operator": "and"}}}
                    if name:
                        options = options | {"_name": options["_name"] + SEPARATOR}
                    beginning = {"prefix": {field: {"value": last, **options}}}
                    queries.append({"bool": {"filter": [rest], "must": [beginning]}})
        title = fields.get("title")
        # The words are those of titles and tags: both must be searched.
        if self.owner and title and "tags" in fields and not term.field and not before:
            own = f"{self.owner.tenant_uid}{SEPARATOR}{self.owner.collection_uid}{SEPARATOR}{last}"
            options = {"value": own, "boost": title[0][1] * idf}
            if name:
                options["_name"] = f"{name}{OWN_WORDS}{SEPARATOR}"
            queries.append({"prefix": {OWN_WORDS: options}})
        return queries

    def near(self, units: Sequence[_Unit]) -> list[Json]:
        """Return clauses for all words near one another in a title or body, if they are few and nothing else is asked."""
        words = [unit.terms[0] for unit in units if len(unit.terms) == 1 and unit.terms[0].plain]
        if not PROXIMITY or not 2 <= len(words) <= NEAR_MOST or len(words) < len(units):
            return []
        if any(word.unspaced for word in words):
            return []
        text = " ".join(word.text for word in words)
        idf = PROXIMITY * sum(self.idf(unit.terms[0], unit) for unit in units) / len(units)
        return [
            {"match_phrase": {field: {"query": text, "slop": SLOP, "boost": weight * idf}}}
            for name in ("title", "body")
            for field, weight in self.options.fields.get(name, ())
        ]


def _best(queries: list[Json]) -> Json:
    """Return a query whose score is that of the best of some; where no field has a weight, nothing is found."""
    return {"dis_max": {"queries": queries, "tie_breaker": TIE_BREAKER}} if queries else {"match_none": {}}


def searched(term: Term, options: Options) -> Fields:
    """Return the engine's fields that a term is looked for in, by the name callers know.

    A title, tags or body that isn't searched because its weight is 0 is searched by who names it.
    """
    if not term.field:
        return options.fields
    found = options.fields.get(term.field)
    if found is None:
        suffixes = Schema(options.languages).text_languages()
        names = ["tags_text"] if term.field == "tags" else [f"{term.field}_{suffix}" for suffix in suffixes]
        found = tuple((name, 1.0) for name in names)
    return {term.field: found}
