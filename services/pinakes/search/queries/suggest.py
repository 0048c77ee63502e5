# SPDX-License-Identifier: Apache-2.0
"""What Suggest means: titles, completed words, related words and the corrected query, from what the caller may see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.curation import applied
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.options import Options, options_of
from pinakes.core.query.stopwords import stop_words
from pinakes.core.query.text import Query, Term
from pinakes.core.query.weights import NOTHING, Weights
from pinakes.core.tenancy.models import now_ms
from pinakes.search.completions import Completions, Ending, Typed, read_titles, read_typed, read_words
from pinakes.search.queries.corrections import corrected, found_by
from pinakes.search.typos import MOST, distance_to_beginning, edits_of, misspelt_word
from pinakes.v1 import suggest_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Page
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts

Json = dict[str, Any]
LIMIT = 5
"""Suggestions of each kind where a request doesn't say."""
_SHORTER = 3
_TITLE, _TERM = suggest_pb2.SuggestRequest.KIND_TITLE, suggest_pb2.SuggestRequest.KIND_TERM
_CORRECTION, _RELATED = suggest_pb2.SuggestRequest.KIND_CORRECTION, suggest_pb2.SuggestRequest.KIND_RELATED


async def run(
    request: suggest_pb2.SuggestRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> suggest_pb2.SuggestResponse:
    """Suggest, without `took`, which the servicer tells. One engine call, unless there are typing errors to see to."""
    limits = parts.platform.settings.limits
    options = options_of(collection, typos=request.typos)
    typed = read_typed(request.query, options, limits)
    condition: Json | None = None
    if request.filter.strip():
        condition = compile_filter(parse_filter(request.filter, limits), collection.schema())
    # All that is suggested is made of the words of titles and tags, which the index doesn't keep apart.
    if typed.empty or options.words_hidden:
        return suggest_pb2.SuggestResponse()
    completions = Completions(scope.owner, options, collection.schema(), condition)
    suggestion = _Suggestion(request, scope, collection, parts, options, typed, completions, condition)
    return await suggestion.made()


@dataclass(slots=True)
class _Suggestion:
    """The answer to one request while it is being made."""

    request: suggest_pb2.SuggestRequest
    scope: TenantScope
    collection: CollectionRecord
    parts: Parts
    options: Options
    typed: Typed
    completions: Completions
    condition: Json | None

    @property
    def kinds(self) -> frozenset[int]:
        """What is asked for."""
        return frozenset(self.request.kinds) or frozenset({_TITLE, _TERM})

    @property
    def limit(self) -> int:
        """How many of each kind."""
        return self.request.limit or LIMIT

    async def made(self) -> suggest_pb2.SuggestResponse:
        """Return the answer."""
        bodies = self._bodies(self.typed, self._as_typed(self.typed))
        if _RELATED in self.kinds:
            bodies["related"] = self.completions.related(self.typed, self.limit)
        if _CORRECTION in self.kinds:
            pages, weights = await asyncio.gather(self._pages(bodies), self._weights())
        else:
            pages, weights = await self._pages(bodies), NOTHING
        response = suggest_pb2.SuggestResponse()
        found = pages.get("found")
        if found is not None and self.kinds & {_TITLE, _TERM}:
            self._read(response, found, self.typed)
            if self.options.typos and not response.titles and not response.terms:
                await self._in_spite_of_errors(response)
        if "related" in pages:
            self._read_related(response, pages["related"])
        if _CORRECTION in self.kinds:
            completed = found is not None and bool(read_words(found, self.scope.owner, fitting=True))
            await self._correct(response, weights, completed=completed)
        return response

    def _as_typed(self, typed: Typed) -> Ending:
        return self.completions.as_typed(typed, typos=self.options.typos and bool(self.kinds & {_TITLE, _TERM}))

    def _bodies(self, typed: Typed, ending: Ending) -> dict[str, Json]:
        """Return the body for titles and terms, if they are asked for."""
        titles = _TITLE in self.kinds
        # Whether a beginning has completions says whether it is an error.
        terms = (_TERM in self.kinds and typed.goes_on) or (_CORRECTION in self.kinds and bool(typed.last))
        if not titles and not terms:
            return {}
        return {"found": self.completions.found(typed, self.limit, ending, titles=titles, terms=terms)}

    async def _pages(self, bodies: dict[str, Json]) -> dict[str, Page]:
        """Ask the engine once. Raises the fault of the first body that failed."""
        if not bodies:
            return {}
        seconds = self.parts.platform.settings.limits.search_seconds
        if bodies.keys() == {"found"}:
            return {"found": await self.scope.search(bodies["found"], seconds, cheap=self.typed.narrow, partial=True)}
        pages: dict[str, Page] = {}
        for name, page in zip(bodies, await self.scope.search_many(list(bodies.values()), seconds), strict=True):
            if isinstance(page, Fault):
                raise page
            pages[name] = page
        return pages

    def _read(self, response: suggest_pb2.SuggestResponse, page: Page, typed: Typed) -> None:
        """Add titles and terms."""
        if _TITLE in self.kinds:
            for name, title in read_titles(page, self.limit):
                response.titles.add(document=self.scope.owner.name(name), title=title)
        if _TERM in self.kinds:
            for word, count in self._new(read_words(page, self.scope.owner), typed):
                response.terms.add(text=typed.head + word, count=count)

    def _new(self, words: list[tuple[str, int]], typed: Typed) -> list[tuple[str, int]]:
        """Return what is suggested of words: after a space not those that were typed, and no stop words."""
        if not typed.last:
            known = stop_words(self.options.languages)
            words = [one for one in words if one[0] not in typed.words and one[0] not in known]
        return words[: self.limit]

    def _read_related(self, response: suggest_pb2.SuggestResponse, page: Page) -> None:
        """Add related words, without those that were typed, and no stop words."""
        typed, usual = self.typed, stop_words(self.options.languages)
        for word, count in read_words(page, self.scope.owner):
            known = word in usual or word in typed.words or (typed.last and word.startswith(typed.last))
            if not known and len(response.related) < self.limit:
                response.related.add(text=word, count=count)

    def _query(self, *, with_last: bool) -> Query:
        """Return what was typed as words that may be misspelt."""
        last = (Term(self.typed.text[self.typed.start :]),) if with_last and self.typed.last else ()
        return Query(tuple(dict.fromkeys(self.typed.asked + last)), empty=False)

    async def _weights(self) -> Weights:
        query = self._query(with_last=True)
        return await self.parts.vocabulary.weights(self.scope, query, self.options, corrected=True)

    async def _correct(self, response: suggest_pb2.SuggestResponse, weights: Weights, *, completed: bool) -> None:
        """Add the corrected query with how many documents it finds, if there is anything to correct."""
        text = corrected(self.typed.text, self._query(with_last=not completed), weights)
        if not text:
            return
        body: Json = {} if self.condition is None else {"filter": self.condition}
        curated = applied(self.collection, text, now_ms())
        total = await found_by(text, self.options, self.scope, self.parts, body, curated)
        if total:
            response.correction.query = text
            response.correction.total_size = total

    async def _in_spite_of_errors(self, response: suggest_pb2.SuggestResponse) -> None:
        """Add what is found with typing errors corrected: in the complete words, and in the beginning of the last.

        One error in the beginning is looked for in the call that looks for the corrected words, two after that.
        """
        typed = await self._with_words_corrected()
        edits = edits_of(typed.last)
        tried: dict[str, Json] = {}
        if typed is not self.typed:
            tried |= self._bodies(typed, self._as_typed(typed))
        if edits:
            near = self._bodies(typed, self.completions.misspelt(typed))
            tried |= {"near": near["found"]} if tried else near
        if not tried:
            return
        for page in (await self._pages(tried)).values():
            self._read(response, page, typed)
            if response.titles or response.terms:
                return
        if edits > 1 and (words := await self._beginnings(typed)):
            pages = await self._pages(self._bodies(typed, self.completions.instead(words)))
            self._read(response, pages["found"], typed)

    async def _with_words_corrected(self) -> Typed:
        """Return what was typed with the best correction of each misspelt complete word."""
        typed = self.typed
        suspects = tuple(term for term in typed.asked if misspelt_word(term))
        if not suspects:
            return typed
        query = Query(suspects, empty=False)
        weights = await self.parts.vocabulary.weights(self.scope, query, self.options, corrected=True)
        head = corrected(typed.head, query, weights)
        if not head:
            return typed
        better = {misspelt_word(t): found[0] for t in suspects if (found := weights.corrections.get(t.key))}
        words = tuple(better.get(word, word) for word in typed.words)
        return replace(typed, text=head + typed.text[typed.start :], start=len(head), words=words)

    async def _similar(self, word: str, edits: int, seconds: float) -> list[str]:
        """Return whole words that are like one; none while a part of the index is away, as other parts of an answer are missing."""
        try:
            (found,) = await self.scope.similar_words([(word, edits)], seconds)
        except Fault as fault:
            if fault.kind is not Kind.UNAVAILABLE:
                raise
            return []
        return [*found]

    async def _beginnings(self, typed: Typed) -> tuple[str, ...]:
        """Return own words that begin nearly as the last word does, fewest errors first."""
        edits = edits_of(typed.last)
        seconds = self.parts.platform.settings.limits.search_seconds
        page, similar = await asyncio.gather(
            self.scope.search(self.completions.near(typed, typed.last[:_SHORTER]), seconds, partial=True),
            self._similar(typed.last, edits, seconds),
        )
        counts = dict(read_words(page, self.scope.owner))
        ranked = sorted(
            (apart, -counts.get(word, 0), word)
            for word in {*counts, *similar}
            if (apart := distance_to_beginning(typed.last, word)) <= edits
        )
        return tuple(word for _, _, word in ranked[:MOST])
