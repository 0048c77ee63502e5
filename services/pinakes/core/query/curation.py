# SPDX-License-Identifier: Apache-2.0
"""Curation: what a collection shows first, or not at all, for certain queries.

A pinned document is an alternative to the query with a score of its own, far above any that words can have. So it comes
first, in order, whether it matches the words or not; filter, readers and expiry hold for it as for any other document; and
`search_after` pages over it without knowing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pinakes.core.query.options import search_settings
from pinakes.core.query.words import folded
from pinakes.v1 import ranking_pb2

if TYPE_CHECKING:
    from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]
PINS = 50
"""Pins that apply to one query at most, where several curations do."""

PIN_SCORE = 2.0**120
"""Score of the last pin; each one before it has as much more. Multiples of it up to `PINS` are exact in the engine's 32
bits, and eight boosts of the greatest weight and number keep below it."""

_FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Curated:
    """What the curations of a query ask for: ids of documents that come first, in order, and of those not shown."""

    pins: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()

    def without_pins(self) -> Curated:
        """Return the hides alone, for orders in which nothing comes first by hand."""
        return Curated((), self.hides) if self.pins else self


NOTHING = Curated()


@dataclass(frozen=True, slots=True)
class _Entry:
    place: int
    start_ms: int
    end_ms: int
    pins: tuple[str, ...]
    hides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """Curations by their query; `longest` is the most words that a prefix has."""

    exact: Mapping[str, list[_Entry]]
    prefix: Mapping[str, list[_Entry]]
    longest: int


def normalised(query: str) -> str:
    """Return a query as curations compare it: in lower case, without accents, with single spaces."""
    return " ".join(folded(query).split())


def applied(collection: CollectionRecord, query: str, now_ms: int) -> Curated:
    """Return what the collection's curations ask for a query at a time in ms since 1970.

    Several may apply: their pins follow each other in the order of the settings, and what one of them hides is hidden.
    """
    if not collection.search:
        return NOTHING
    table = _table(collection)
    if not table.exact and not table.prefix:
        return NOTHING
    text = normalised(query)
    if not text:
        return NOTHING
    found = list(table.exact.get(text, ()))
    if table.prefix:
        words = text.split(" ")
        for count in range(1, min(len(words), table.longest) + 1):
            found += table.prefix.get(" ".join(words[:count]), ())
    active = sorted((one for one in found if one.start_ms <= now_ms < one.end_ms), key=lambda one: one.place)
    if not active:
        return NOTHING
    hides = dict.fromkeys(name for one in active for name in one.hides)
    pins = dict.fromkeys(name for one in active for name in one.pins if name not in hides)
    return Curated(tuple(pins)[:PINS], tuple(hides))


def curated_query(query: Json | None, curated: Curated) -> Json | None:
    """Return the engine query with pins and hides; `query` is None where every document is found."""
    if query is not None and curated.pins:
        # The best alternative counts alone, so that a pin's score is exactly its own on every page.
        query = {"dis_max": {"queries": [query, *_pins(curated.pins)], "tie_breaker": 0.0}}
    if not curated.hides:
        return query
    hidden = {"terms": {"id": list(curated.hides)}}
    return {"bool": {"must": [query or {"match_all": {}}], "must_not": [hidden]}}


def _pins(ids: Sequence[str]) -> list[Json]:
    return [
        {"constant_score": {"filter": {"term": {"id": name}}, "boost": PIN_SCORE * (len(ids) - place)}}
        for place, name in enumerate(ids)
    ]


def period(curation: ranking_pb2.Curation) -> tuple[int, int]:
    """Return from when on and until when a curation holds, in ms since 1970."""
    start = curation.start_time.ToMilliseconds() if curation.HasField("start_time") else -_FOREVER
    end = curation.end_time.ToMilliseconds() if curation.HasField("end_time") else _FOREVER
    return start, end


@lru_cache(maxsize=1024)
def _table(collection: CollectionRecord) -> _Table:
    exact: dict[str, list[_Entry]] = {}
    prefix: dict[str, list[_Entry]] = {}
    for place, curation in enumerate(search_settings(collection).curations):
        start, end = period(curation)
        entry = _Entry(place, start, end, tuple(curation.pins), tuple(curation.hides))
        table = prefix if curation.match == ranking_pb2.Curation.MATCH_PREFIX else exact
        table.setdefault(normalised(curation.query), []).append(entry)
    return _Table(exact, prefix, max((text.count(" ") + 1 for text in prefix), default=0))
