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

from pinakes.core.engine.dictionary import FIELD, near_pattern, own_pattern, own_prefix
from pinakes.core.engine.documents import Owner
from pinakes.core.query.allowlist import SCOPE_BACKGROUND
from pinakes.core.query.terms import pieces
from pinakes.core.query.text import MOST_LEAVES, Term, counting_clause, parse_query
from pinakes.core.query.words import LONGEST, folded, title_key, words_in
from pinakes.search.typos import edits_of

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Page
    from pinakes.core.query.options import Options
    from pinakes.core.query.schema import Schema
    from pinakes.core.settings import Limits

Json = dict[str, Any]
SAMPLE, RELATED_SAMPLE = 200, 100
"""Documents whose words are looked at, at most; each related word is counted in the whole collection as well."""
_SEED = 1
_NARROW = 3
"""Letters from which on a beginning isn't one of very many words."""
_MANY = 200
"""Words looked at that may be meant by one with two errors."""
_USUAL = 20
"""Words more than are suggested, of which some may be stop words."""
_SORT: list[Json] = [{"title_key": "asc"}, {"id": "asc"}]
_TITLE = ["id", "title_*"]
_FITS = "fits"


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

    @property
    def goes_on(self) -> bool:
        """Whether there is something to complete: a word that has begun, or one that may follow after a space."""
        return bool(self.last) or self.text[-1:].isspace()

    @property
    def narrow(self) -> bool:
        """Whether few documents can be expected to fit, so that looking them up makes nobody wait."""
        return len(self.last) >= _NARROW or bool(self.words)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the last word is looked for: a condition on documents, and which of their words are counted.

    `nearly` is a wider one, which this is a part of, for where nothing fits this.
    """

    condition: Json | None
    include: str | list[str]
    nearly: Ending | None = None


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

    def found(self, typed: Typed, limit: int, ending: Ending, *, titles: bool = True, terms: bool = True) -> Json:
        """Return the body that finds titles, words that the last one may become, or both.

        The documents found are those whose titles begin with what was typed, all in order. The sample holds the words,
        and titles that have what was typed elsewhere; apart from these, the words and titles that nearly fit.
        """
        hits: Json = {"size": limit if titles else 0, "sort": _SORT, "_source": _TITLE}

        def looked_at(include: str | list[str]) -> Json:
            words = {"field": FIELD, "size": self._size(typed, limit), "include": include, "execution_hint": "map"}
            return ({"words": {"terms": words}} if terms else {}) | ({"titles": {"top_hits": hits}} if titles else {})

        aggregations = looked_at(ending.include)
        if ending.nearly is not None:
            fits = {"filter": ending.condition, "aggs": aggregations}
            aggregations = {_FITS: fits} | looked_at(ending.nearly.include)
        body = _sampled(self._body(typed, ending), aggregations, SAMPLE) | hits
        if titles:
            body["post_filter"] = {"prefix": {"title_key": {"value": self._own + title_key(typed.text)}}}
        return body

    def as_typed(self, typed: Typed, *, typos: bool = False) -> Ending:
        """Return the last word as it was typed, a beginning; without one, any word that goes with the others.

        With `typos`, what fits but for the last letter typed is found as well: a word that goes on otherwise.
        """
        if not typed.last:
            return Ending(None, own_pattern(self._owner))
        nearly = self.as_typed(replace(typed, last=typed.last[:-1])) if typos and edits_of(typed.last) else None
        return Ending(self._begins(typed.last), own_pattern(self._owner, typed.last), nearly)

    def misspelt(self, typed: Typed) -> Ending:
        """Return the last word with one typing error, or none, in what was typed of it."""
        pattern = near_pattern(self._owner, typed.last)
        return Ending({"regexp": {FIELD: {"value": pattern}}}, pattern)

    def instead(self, words: Sequence[str]) -> Ending:
        """Return other words in place of the last one."""
        own = [self._own + word for word in words]
        return Ending({"terms": {FIELD: own}}, own)

    def near(self, typed: Typed, beginning: str) -> Json:
        """Return the body that finds words with a shorter beginning than the one typed."""
        shorter = replace(typed, last=beginning)
        return self.found(shorter, _MANY, self.as_typed(shorter), titles=False)

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
                "field": FIELD, "size": limit + 2 * own_words + _USUAL, "min_doc_count": 2, "include": own_pattern(self._owner),
                "background_filter": SCOPE_BACKGROUND, "execution_hint": "map",
            }
        }  # fmt: skip
        return _sampled(body, {"words": words}, RELATED_SAMPLE)

    def _compact(self, terms: Sequence[Term]) -> Sequence[Term]:
        """Return terms that aren't more clauses than the engine takes: as phrases if they have many words in them."""
        width = sum(len(pairs) for pairs in self._options.fields.values())
        if sum(pieces(term.text) for term in terms) * width <= MOST_LEAVES:
            return terms
        return [replace(term, phrase=True) for term in terms if not term.prefix]

    def _size(self, typed: Typed, limit: int) -> int:
        """Return how many words to ask for: those that aren't suggested after a space are left out of the answer."""
        return limit if typed.last else limit + len(typed.words) + _USUAL

    def _body(self, typed: Typed, ending: Ending) -> Json:
        """Return a query for the documents whose own words are those typed and end so."""
        conditions: list[Json] = [self._word(word) for word in typed.words]
        widest = ending.nearly or ending
        if widest.condition is not None:
            conditions.append(widest.condition)
        inner: Json = {"filter": conditions}
        if ending.nearly is not None:
            # The sample is made of what fits first.
            inner["should"] = [{"constant_score": {"filter": ending.condition}}]
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


def _sampled(body: Json, looked_at: Json, size: int) -> Json:
    """Return a body that looks at so many of the documents found."""
    score = {"random_score": {"seed": _SEED, "field": "revision"}}
    query = {"function_score": {"query": body["query"], "functions": [score], "boost_mode": "sum"}}
    sample = {"sampler": {"shard_size": size}, "aggs": looked_at}
    return body | {"query": query, "size": 0, "track_total_hits": False, "aggs": {"sample": sample}}


def read_words(page: Page, owner: Owner, *, fitting: bool = False) -> list[tuple[str, int]]:
    """Return words with their counts out of a page of `found`, `near` or `related`, in the engine's order.

    Where nothing fits, they are those that nearly fit, unless only `fitting` ones are wanted.
    """
    own = own_prefix(owner)
    buckets = _looked_at(page, fitting=fitting).get("words", {}).get("buckets", [])
    return [
        (key.removeprefix(own), bucket["doc_count"]) for bucket in buckets if (key := bucket["key"]).startswith(own)
    ]


def read_titles(page: Page, limit: int) -> list[tuple[str, str]]:
    """Return ids and titles: those that begin with what was typed first, then those that have it elsewhere, or nearly."""
    elsewhere = _looked_at(page).get("titles", {}).get("hits", {}).get("hits", [])
    found: dict[str, str] = {}
    for source in (*(hit.source for hit in page.hits), *(hit["_source"] for hit in elsewhere)):
        if title := _title(source):
            found.setdefault(source["id"], title)
    return list(found.items())[:limit]


def _looked_at(page: Page, *, fitting: bool = False) -> Json:
    """Return what the sample holds of what fits, or else of what nearly does."""
    sample: Json = page.aggregations.get("sample", {})
    fits: Json = sample.get(_FITS, sample)
    return fits if fitting or fits.get("doc_count") else sample


def _title(source: Json) -> str:
    """Return the title out of the one field of a language that it is in."""
    titles = (value for name, value in source.items() if name.startswith("title_") and name != "title_key")
    return next(titles, "")
