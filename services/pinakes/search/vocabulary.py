# SPDX-License-Identifier: Apache-2.0
"""What a collection's own documents say of a query's words (design §4): how rare they are, and what may have been meant.

Statistics are those of the documents that the principal may read: neither ranks nor corrections tell of others. They are
looked up once and kept for a while, by collection and readers. What is a little too old is used, and renewed meanwhile if the
collection has changed.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.dictionary import FIELD, own_prefix
from pinakes.core.faults import Fault, unavailable
from pinakes.core.query.options import ALL
from pinakes.core.query.text import Query, Term, counting_clause
from pinakes.core.query.weights import NOTHING, UNKNOWN, Weights
from pinakes.core.telemetry.logs import logger
from pinakes.search.typos import edits_of, misspelt_word, nearest

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Page
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.query.options import Options

Json = dict[str, Any]
_log = logger("pinakes.vocabulary")

TERMS = 100_000
"""Terms kept by a process, about 200 bytes each; the collection that wasn't searched for longest goes first."""
GROUP_TERMS = 10_000
"""Terms kept of one collection and set of readers, so that nobody's queries displace all others'."""
WAIT_SECONDS = 0.25
"""Time a search waits for words; without any that it hasn't seen, all weigh the same and none is corrected."""
LOOKUP_SECONDS = 2.0
"""Time the engine has for a look-up that searches may have ceased to wait for."""
LOOKUPS, LOOKUPS_OF_ONE = 32, 16
"""Look-ups under way or waiting at once, of all tenants and of one; beyond, searches do without."""
HELD = 10
"""How many times its lifetime a term is used while it is being renewed, or while nothing seems to have changed."""
SETTLED_SECONDS = 2.0
"""Time after a change in which counts may still be of before it, as searches see it at different moments."""
UNSETTLED = -1
"""Stands for the state of what was counted meanwhile: it is renewed once more."""
GROWTH = 1.25
"""Change of a collection's size from which on all its terms are looked up anew."""
LEAST_SECONDS, DOCUMENTS_A_SECOND = 2.0, 200
"""A look-up costs by the collection's size: a small one's terms live two seconds, a second more for each 200 documents."""
LEAST_IDF = 0.05
# How many documents there are, and the revision of the one that was written last.
_NEWEST: Json = {"size": 1, "sort": [{"revision": "desc"}], "track_total_hits": True, "_source": False}
# Stands for that among the terms that are being looked up.
_STATE = ("", False)


@dataclass(slots=True)
class _Entry:
    """What is known of a term. `corrections` are words with their own idf; None means that none were looked for.

    It is of the group's state of that number.
    """

    idf: float
    found: bool
    corrections: tuple[tuple[str, float], ...] | None
    until: float
    state: int


@dataclass(slots=True)
class _Group:
    """The terms of one collection, set of readers and fields; look-ups under way are shared by key.

    `state` is a number that grows whenever the documents are found to have changed: how many there are, or which of them
    was written last. What was written in another order than the revisions' may escape that, which is why terms are
    renewed now and then all the same. `changed` is when it last grew.
    """

    key: tuple[object, ...]
    seconds: float
    entries: dict[str, _Entry] = field(default_factory=dict)
    pending: dict[tuple[str, bool], asyncio.Task[None]] = field(default_factory=dict)
    total: int = 0
    newest: int = 0
    state: int = 0
    state_until: float = 0.0
    changed: float = 0.0

    @property
    def lifetime(self) -> float:
        """Return the seconds for which what is known now stays new."""
        return min(self.seconds, LEAST_SECONDS + self.total / DOCUMENTS_A_SECOND)

    def unknown(self, term: Term, *, corrected: bool) -> bool:
        """Tell whether a term was never looked up, or never so that it could be corrected."""
        entry = self.entries.get(term.key)
        return entry is None or (corrected and entry.corrections is None)

    def lacks(self, term: Term, now: float, *, corrected: bool) -> bool:
        """Tell whether a term must be looked up before it can be used."""
        if self.unknown(term, corrected=corrected):
            return True
        entry = self.entries[term.key]
        # What wasn't there is looked up anew at once: it may have been written since.
        return entry.until + (HELD * self.lifetime if entry.found else 0) < now

    def aged(self, terms: Iterable[Term], now: float) -> list[Term]:
        """Return the terms that are known and may have changed since."""
        trusted = now - HELD / 2 * self.lifetime if self.state_until >= now else math.inf
        return [
            term
            for term in terms
            if (entry := self.entries.get(term.key))
            and entry.until < now
            and not (entry.state == self.state and entry.until > trusted)
        ]

    def weights(self, terms: Iterable[Term], *, corrected: bool) -> Weights:
        """Return what is known of these terms."""
        idf: dict[str, float] = {}
        corrections: dict[str, tuple[str, ...]] = {}
        for term in terms:
            entry = self.entries.get(term.key)
            if entry is None:
                continue
            if corrected and entry.corrections:
                corrections[term.key] = tuple(word for word, _ in entry.corrections)
                for word, weight in entry.corrections:
                    idf.setdefault(word, weight)
            idf[term.key] = entry.idf
        return Weights(idf, corrections) if idf else NOTHING


class Vocabulary:
    """Weights of words by tenant and collection, looked up once and kept for `seconds` at most."""

    def __init__(self, seconds: float = 60.0) -> None:
        """Begin with nothing known."""
        self._seconds = seconds
        self._groups: OrderedDict[tuple[object, ...], _Group] = OrderedDict()
        self._terms = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._of: Counter[str] = Counter()

    async def weights(self, scope: TenantScope, query: Query, options: Options, *, corrected: bool = False) -> Weights:
        """Return the weights of a query's words and the corrections of those the collection doesn't have.

        Corrections are looked for if the options tolerate typing errors, or if they are asked for by `corrected`.
        Never fails: of words that can't be looked up in time, what was known before is used; if that isn't known of all of
        them, the weights are `UNKNOWN`.
        """
        # Nobody is told words of titles and tags that they may not see.
        corrected = (corrected or options.typos) and not options.words_hidden
        group = self._group(scope, options)
        terms = [term for term in query.terms if not term.excluded]
        now = time.monotonic()
        missing = [term for term in terms if group.lacks(term, now, corrected=corrected)]
        if missing:
            await self._wait_for(self._look_up(missing, scope, options, group, corrected=corrected))
            # What was known of the others may just have been found to be of no use.
            dropped = [term for term in terms if term not in missing and group.unknown(term, corrected=corrected)]
            if dropped:
                await self._wait_for(self._look_up(dropped, scope, options, group, corrected=corrected))
            if any(group.unknown(term, corrected=corrected) for term in terms):
                return UNKNOWN
        if aged := group.aged(terms, now):
            # Whether anything has changed is asked first: one question for all terms.
            asked = aged if group.state_until >= now else ()
            self._look_up(asked, scope, options, group, corrected=corrected)
        return group.weights(terms, corrected=corrected)

    async def close(self) -> None:
        """End the look-ups under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _group(self, scope: TenantScope, options: Options) -> _Group:
        """Return what is known of a scope's collection, by all that a count depends on."""
        fields = tuple([name for pairs in options.fields.values() for name, _ in pairs])
        key = (
            scope.owner.collection_uid,
            scope.readers,
            scope.narrowing,
            fields,
            options.languages,
            options.matching == ALL,
        )
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(key, self._seconds)
        else:
            self._groups.move_to_end(key)
        return group

    @staticmethod
    async def _wait_for(tasks: set[asyncio.Task[None]]) -> None:
        """Wait for look-ups as long as a search may; they go on if it is given up."""
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT_SECONDS)

    def _look_up(
        self, terms: Sequence[Term], scope: TenantScope, options: Options, group: _Group, *, corrected: bool
    ) -> set[asyncio.Task[None]]:
        """Start to look up what isn't being looked up already, and return all to wait for; none if there are too many.

        Without terms, only the collection's state is looked up.
        """
        wanted = {(term.key, corrected): term for term in terms} if terms else {_STATE: None}
        found = {group.pending[key] for key in wanted if key in group.pending}
        keys = [key for key in wanted if key not in group.pending]
        if not keys:
            return found
        new = [term for key in keys if (term := wanted[key]) is not None]
        tenant = scope.owner.tenant_uid
        if len(self._tasks) >= LOOKUPS or self._of[tenant] >= LOOKUPS_OF_ONE:
            return set()
        # A context of its own: what is shared has no caller's deadline.
        task = asyncio.get_running_loop().create_task(
            self._learn(new, scope, options, group, corrected=corrected), context=contextvars.Context()
        )
        self._tasks.add(task)
        self._of[tenant] += 1
        group.pending |= dict.fromkeys(keys, task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._of -= Counter((tenant,))  # which leaves those out that have none
            for key in keys:
                group.pending.pop(key, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                level = _log.info if isinstance(error, Fault) else _log.error
                level("words weren't looked up", error=error)

        task.add_done_callback(done)
        return found | {task}

    async def _learn(
        self, terms: Sequence[Term], scope: TenantScope, options: Options, group: _Group, *, corrected: bool
    ) -> None:
        """Look up terms, and what may have been meant by those that no document has, and keep it."""
        bodies = [_counting(counting_clause(term, options, scope.owner)) for term in terms]
        began, state = time.monotonic(), group.state
        aged = began >= group.state_until
        if not (terms or aged):
            return  # another look-up was faster
        pages = await _pages(scope, [_NEWEST, *bodies] if aged else bodies)
        if aged:
            first = pages.pop(0)
            self._seen(group, first.total, first.hits[0].sort[0] if first.hits else 0)
        totals = [page.total for page in pages]
        suspects = {
            term.key: word
            for term, count in zip(terms, totals, strict=True)
            if corrected and count == 0 and (word := misspelt_word(term))
        }
        meant = await _meant(suspects, scope, options, group.total) if suspects else {}
        until = time.monotonic() + group.lifetime
        if group.state != state or began < group.changed + SETTLED_SECONDS:
            state = UNSETTLED
        for term, count in zip(terms, totals, strict=True):
            corrections = meant.get(term.key, ()) if corrected else None
            entry = _Entry(idf_of(count, group.total), count > 0, corrections, until, state)
            self._keep(group, term.key, entry)
        self._trim()

    def _seen(self, group: _Group, total: int, newest: int) -> None:
        """Keep a collection's state; after its size has changed much, what was known of its terms is of no use."""
        if not group.total / GROWTH <= total <= group.total * GROWTH:
            self._count(group, -len(group.entries))
            group.entries.clear()
        if (total, newest) != (group.total, group.newest):
            group.state += 1
            group.changed = time.monotonic()
        group.total, group.newest = total, newest
        group.state_until = time.monotonic() + group.lifetime

    def _keep(self, group: _Group, key: str, entry: _Entry) -> None:
        """Keep what is known of a term, in place of the one of its group that was looked up longest ago if that is full."""
        before = len(group.entries)
        if group.entries.pop(key, None) is None and before >= GROUP_TERMS:
            del group.entries[next(iter(group.entries))]
        group.entries[key] = entry
        self._count(group, len(group.entries) - before)

    def _count(self, group: _Group, change: int) -> None:
        """Count a group's terms, unless it has been forgotten while its look-ups were under way."""
        if self._groups.get(group.key) is group:
            self._terms += change

    def _trim(self) -> None:
        """Forget the groups that weren't used for longest, beyond the bound."""
        # A group costs about as much as ten terms.
        while self._terms + 10 * len(self._groups) > TERMS and len(self._groups) > 1:
            _, oldest = self._groups.popitem(last=False)
            self._terms -= len(oldest.entries)
            oldest.entries = {}


def idf_of(count: int, total: int) -> float:
    """Return BM25's inverse document frequency, to two digits: a few documents more don't change an order."""
    idf = math.log1p((max(0, total - count) + 0.5) / (count + 0.5))
    return max(LEAST_IDF, float(f"{idf:.2g}"))


def _counting(clause: Json) -> Json:
    return {"size": 0, "track_total_hits": True, "filter": clause}


async def _pages(scope: TenantScope, bodies: Sequence[Json]) -> list[Page]:
    """Count in one round trip. Raises the fault of the first count that failed, wholly or in part.

    Counts of their own rather than aggregations of one search: the engine begins with the rarest condition of each,
    where an aggregation looks at every document of the collection.
    """
    pages: list[Page] = []
    for page in await scope.search_many(bodies, LOOKUP_SECONDS):
        if isinstance(page, Fault):
            raise page
        if page.timed_out or page.answered < page.shards:
            raise unavailable("the search engine")
        pages.append(page)
    return pages


async def _meant(
    suspects: dict[str, str], scope: TenantScope, options: Options, total: int
) -> dict[str, tuple[tuple[str, float], ...]]:
    """Return, by the key of a term, the own words that it may be an error of, with their idf; those in scope only."""
    words = list(dict.fromkeys(suspects.values()))
    similar = dict(
        zip(words, await scope.similar_words([(w, edits_of(w)) for w in words], LOOKUP_SECONDS), strict=True)
    )
    candidates = list(dict.fromkeys(word for found in similar.values() for word in found))
    if not candidates:
        return {}
    counts, weights = await _confirmed(candidates, scope, options, total)
    return {
        key: tuple((other, weights[other]) for other in nearest(word, {c: counts[c] for c in similar[word]}))
        for key, word in suspects.items()
    }


async def _confirmed(
    candidates: Sequence[str], scope: TenantScope, options: Options, total: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Return how many documents of the scope have each word in title or tags, and the word's idf over all fields."""
    own = own_prefix(scope.owner)
    bodies: list[Json] = []
    for word in candidates:
        kept: Json = {"term": {FIELD: own + word}}
        anywhere = [kept, counting_clause(Term(word), options, scope.owner)]
        body = _counting({"bool": {"should": anywhere, "minimum_should_match": 1}})
        bodies.append(body | {"aggs": {"kept": {"filter": kept}}})
    counts: dict[str, int] = {}
    weights: dict[str, float] = {}
    for word, page in zip(candidates, await _pages(scope, bodies), strict=True):
        counts[word] = page.aggregations["kept"]["doc_count"]
        weights[word] = idf_of(page.total, total)
    return counts, weights
