# SPDX-License-Identifier: Apache-2.0
"""What a suggestion asks the engine: titles, completed words and related words, all from a collection's own words.

Conditions are on the engine's field of own words, so their cost doesn't grow with the number of tenants. Where too many
documents fit, a sample is looked at that is made of their revisions: the same whatever order the engine keeps them in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.dictionary import FIELD, own_pattern, own_prefix
from pinakes.core.engine.documents import Owner
from pinakes.core.query.allowlist import SCOPE_BACKGROUND
from pinakes.core.query.schema import language_field
from pinakes.core.query.terms import pieces
from pinakes.core.query.text import MOST_LEAVES, Term, counting_clause, parse_query
from pinakes.core.query.words import LONGEST, folded, words_in

if TYPE_CHECKING:
    from pinakes.core.engine.scope import Hit, Page
    from pinakes.core.query.options import Options
    from pinakes.core.query.schema import Schema
    from pinakes.core.settings import Limits

Json = dict[str, Any]
SAMPLE, RELATED_SAMPLE = 200, 100
"""Documents whose words are looked at, at most; each related word is counted in the whole collection as well."""
TITLE_LEAVES = 400
"""Clauses that say which title fits best, at most: the engine takes 1,024 together with the words typed and a filter."""
TITLES = 4
"""Titles looked at for each that is suggested: which of them comes first is decided here."""
_SEED = 1
_SORT: list[Json] = [{"_score": "desc"}, {"update_time": "desc"}, {"id": "asc"}]


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed: its text, where its last word begins, its complete words folded, and the beginning of the last.

    `last` is empty where a space or a sign follows the last word. `barred` are words that were excluded; `asked` are the
    complete words and phrases as a search reads them.
    """

    text: str
    start: int
    words: tuple[str, ...]
    last: str
    barred: tuple[str, ...] = ()
    asked: tuple[Term, ...] = ()

    @property
    def head(self) -> str:
        """What stands before the last word."""
        return self.text[: self.start]

    @property
    def empty(self) -> bool:
        """Whether there is no word in it."""
        return not self.words and not self.last


def read_typed(text: str, options: Options, limits: Limits) -> Typed:
    """Read what was typed. Raises the faults of `parse_query`."""
    parse_query(text, options, limits)
    text = text.removesuffix("*")  # the last word is a beginning anyway
    start = len(text)
    # A star inside a word is a sign of it: what stands before isn't a beginning of its own.
    while start and (text[start - 1] in "_'\u2019*\uff0a" or unicodedata.category(text[start - 1])[0] in "LNM"):
        start -= 1
    tail = words_in(folded(text[start:]))
    last = tail[0] if len(tail) == 1 and len(tail[0]) <= LONGEST else ""
    # What is being typed may be excluded: then nothing is to be completed.
    before = text[:start].rstrip("-")
    if len(before) < start and (not before or before[-1].isspace()):
        last = ""
    if not last:
        start = len(text)
    terms = parse_query(text[:start], options, limits).terms
    words = [word for term in terms if not term.excluded for word in words_in(folded(term.text))]
    barred = [word for term in terms if term.excluded for word in words_in(folded(term.text))]
    asked = tuple(term for term in terms if not term.excluded)
    return Typed(text, start, tuple(dict.fromkeys(words)), last, tuple(dict.fromkeys(barred)), asked)


class Completions:
    """Makes the bodies for what was typed. `condition` is the request's filter, compiled."""

    def __init__(self, owner: Owner, options: Options, schema: Schema, condition: Json | None) -> None:
        """Make bodies for a collection."""
        self._owner, self._options, self._condition = owner, options, condition
        self._own = own_prefix(owner)
        self._titles = [f"title_{suffix}" for suffix in schema.text_languages(options.languages)]

    def titles(self, typed: Typed, limit: int, instead: Sequence[str] = ()) -> Json:
        """Return the body that finds documents by their titles; `instead` are words to find for the last one."""
        body = self._body(typed, instead)
        whole = [*typed.words, *instead] if instead else [*typed.words, typed.last]
        text = " ".join(whole)
        if pieces(text) * len(self._titles) <= TITLE_LEAVES:
            body["query"]["bool"]["should"] = [{"match": {name: {"query": text}}} for name in self._titles]
        fields = ["id", "language", "title_*"]
        return body | {"size": max(10, limit * TITLES), "sort": _SORT, "_source": fields, "track_total_hits": False}

    def terms(self, typed: Typed, limit: int, instead: Sequence[str] = ()) -> Json:
        """Return the body that completes the last word; `instead` are words to count in its place."""
        include: Any = [self._own + word for word in instead] or own_pattern(self._owner, typed.last)
        words = {"terms": {"field": FIELD, "size": limit, "include": include, "execution_hint": "map"}}
        return _sampled(self._body(typed, instead), words, SAMPLE)

    def near(self, typed: Typed, beginning: str) -> Json:
        """Return the body that finds words with a shorter beginning than the one typed."""
        shorter = Typed(typed.text, typed.start, typed.words, beginning, typed.barred)
        return self.terms(shorter, 200)

    def related(self, typed: Typed, limit: int) -> Json:
        """Return the body that finds words that stand out in what the query finds."""
        found = [counting_clause(term, self._options, self._owner) for term in self._compact(typed.asked)]
        if typed.last:
            whole = counting_clause(Term(typed.last), self._options, self._owner)
            found.append({"bool": {"should": [whole, self._begins(typed.last)], "minimum_should_match": 1}})
        body: Json = {"query": {"bool": {"filter": found}}} | self._filter()
        own_words = len(typed.words) + 1
        words = {
            "significant_terms": {
                "field": FIELD, "size": limit + 2 * own_words, "min_doc_count": 2, "include": own_pattern(self._owner),
                "background_filter": SCOPE_BACKGROUND, "execution_hint": "map",
            }
        }  # fmt: skip
        return _sampled(body, words, RELATED_SAMPLE)

    def _compact(self, terms: Sequence[Term]) -> Sequence[Term]:
        """Return terms that aren't more clauses than the engine takes: as phrases if they have many words in them."""
        width = sum(len(pairs) for pairs in self._options.fields.values())
        if sum(pieces(term.text) for term in terms) * width <= MOST_LEAVES:
            return terms
        return [replace(term, phrase=True) for term in terms if not term.prefix]

    def _body(self, typed: Typed, instead: Sequence[str]) -> Json:
        """Return a query for the documents whose own words are those typed, or begin as the last one does."""
        conditions: list[Json] = [self._word(word) for word in typed.words]
        if instead:
            conditions.append({"terms": {FIELD: [self._own + word for word in instead]}})
        elif typed.last:
            conditions.append(self._begins(typed.last))
        inner: Json = {"filter": conditions}
        if typed.barred:
            inner["must_not"] = [{"terms": {FIELD: [self._own + word for word in typed.barred]}}]
        return {"query": {"bool": inner}} | self._filter()

    def _word(self, word: str) -> Json:
        own: Json = {"term": {FIELD: self._own + word}}
        return self._or_inside(word, own)

    def _begins(self, beginning: str) -> Json:
        own: Json = {"prefix": {FIELD: {"value": self._own + beginning}}}
        return self._or_inside(beginning, own)

    def _or_inside(self, word: str, own: Json) -> Json:
        """Return the condition; where words aren't set apart by spaces, what is inside of a title counts as well."""
        if not Term(word).unspaced:
            return own
        inside = [{"match_phrase": {name: {"query": word}}} for name in self._titles]
        return {"bool": {"should": [own, *inside], "minimum_should_match": 1}}

    def _filter(self) -> Json:
        return {} if self._condition is None else {"filter": self._condition}


def _sampled(body: Json, words: Json, size: int) -> Json:
    """Return a body that looks at the words of so many of the documents found."""
    score = {"random_score": {"seed": _SEED, "field": "revision"}}
    query = {"function_score": {"query": body["query"], "functions": [score], "boost_mode": "replace"}}
    sample = {"sampler": {"shard_size": size}, "aggs": {"words": words}}
    return body | {"query": query, "size": 0, "track_total_hits": False, "aggs": {"sample": sample}}


def read_words(page: Page, owner: Owner) -> list[tuple[str, int]]:
    """Return words with their counts out of a page of `terms`, `near` or `related`, in the engine's order."""
    own = own_prefix(owner)
    buckets = page.aggregations.get("sample", {}).get("words", {}).get("buckets", [])
    return [
        (key.removeprefix(own), bucket["doc_count"]) for bucket in buckets if (key := bucket["key"]).startswith(own)
    ]


def read_titles(page: Page, typed: Typed, limit: int) -> list[tuple[str, str]]:
    """Return ids and titles: those first that begin with what was typed, then the engine's order, shorter ones first."""
    text = " ".join(folded(typed.text).split())
    found = [(hit.source["id"], _title(hit), hit.score) for hit in page.hits]

    def rank(one: tuple[str, str, float]) -> tuple[bool, float, int, str]:
        name, title, score = one
        return not " ".join(folded(title).split()).startswith(text), -score, len(title), name

    return [(name, title) for name, title, _ in sorted(found, key=rank)[:limit]]


def _title(hit: Hit) -> str:
    title: str = hit.source.get(f"title_{language_field(hit.source.get('language', ''))}", "")
    return title
