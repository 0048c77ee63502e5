# SPDX-License-Identifier: Apache-2.0
"""What goes through the scope: documents as they were found, results of searches, bodies that are to be written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.tenancy.models import now_ms
from pinakes.core.tenancy.placement import POOL, Place

Json = dict[str, Any]


class Found(NamedTuple):
    """A document in the engine, a tombstone too, with the position that a compare-and-set must find unchanged.

    `version` is the engine's. `kept_ms` is the collection's retention, 0 for ever.
    `place` is where it was read: a position is one of that index.
    """

    source: Json
    seq_no: int
    primary_term: int
    version: int
    kept_ms: int = 0
    place: Place = POOL

    @property
    def gone(self) -> bool:
        """Whether callers see it no more: it is a tombstone, has expired, or has outlived the collection's retention."""
        if self.source.get("deleted"):
            return True
        expires: int | None = self.source.get("expire_time")
        return (expires is not None and expires <= now_ms()) or self.outlived

    @property
    def settled(self) -> bool:
        """Whether it is at its revision; after the first of the two writes of `TenantScope.write_if` it isn't yet."""
        return self.version == self.revision

    @property
    def outlived(self) -> bool:
        """Whether it was last changed longer ago than the collection keeps documents."""
        return self.kept_ms > 0 and self.source["update_time"] <= now_ms() - self.kept_ms

    @property
    def revision(self) -> int:
        """The revision it was written at."""
        return int(self.source["revision"])


class Hit(NamedTuple):
    """One search result: the engine body, its score and the values that it was sorted by.

    `highlights` are passages by engine field, `matched` the names of the clauses that it matches.
    """

    source: Json
    score: float
    sort: list[Any]
    highlights: Json
    matched: list[str]


class Page(NamedTuple):
    """The results of a search, the aggregations asked for, and how many shards were to answer and did."""

    hits: list[Hit]
    total: int
    capped: bool
    aggregations: Json
    shards: int
    answered: int
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Put:
    """A body to be written at a revision: a document or a tombstone."""

    document_id: str
    body: Json

    @property
    def revision(self) -> int:
        """The revision it is written at."""
        revision: int = self.body["revision"]
        return revision

    @property
    def data(self) -> bytes:
        """The body as JSON."""
        return orjson.dumps(self.body)

    @property
    def tombstone(self) -> Json | None:
        """The body, if it is a tombstone."""
        return self.body if self.body.get("deleted") else None


class PackedPut(NamedTuple):
    """A document whose body is JSON already, such as one out of the queue. Tombstones aren't packed."""

    document_id: str
    revision: int
    data: bytes
    tombstone: None = None


def answered(answer: Json) -> bool:
    """Whether every shard is in the answer of a search or a count. The engine doesn't call one failed that is nowhere."""
    return bool(answer["_shards"]["successful"] >= answer["_shards"]["total"])


def whole(answer: Json) -> Json:
    """Return the answer of a search or a count if nothing is missing in it. Raises a fault of kind UNAVAILABLE."""
    if not answered(answer) or answer.get("timed_out"):
        raise unavailable("the search engine")
    return answer


def page_of(answer: Json, seconds: float, *, partial: bool) -> Page:
    """Return what a search found; without `partial` it is all there is, or a fault."""
    shards, found = answer["_shards"], answer["hits"]
    hits = [
        Hit(
            h.get("_source", {}),
            h.get("_score") or 0.0,
            h.get("sort", []),
            h.get("highlight", {}),
            h.get("matched_queries", []),
        )
        for h in found["hits"]
    ]
    if answer.get("timed_out") and not (partial and hits):
        raise Fault(Kind.DEADLINE, "SEARCH_TIMEOUT", f"the search took longer than {seconds:g} s; narrow it")
    if not answered(answer) and not (partial and shards["successful"]):
        raise unavailable("the search engine")
    total = found.get("total", {"value": 0, "relation": "eq"})
    return Page(
        hits, total["value"], total["relation"] == "gte", answer.get("aggregations", {}), shards["total"],
        shards["successful"], bool(answer.get("timed_out")),
    )  # fmt: skip
