# SPDX-License-Identifier: Apache-2.0
"""The one way changes get into the engine: look at what is there, skip what is the same, write the rest in one bulk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pinakes.core.engine.bodies import Found, PackedPut, Put
from pinakes.core.engine.documents import tombstone
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import now_ms
from pinakes.core.writing.changes import Change, created_at
from pinakes.v1 import index_pb2

Json = dict[str, Any]
Outcome = index_pb2.WriteResult
_NAMES = {number: name.removeprefix("OUTCOME_") for name, number in Outcome.Outcome.items()}
# What a write must know of the document it replaces; a deletion needs all of it, to keep for an undelete.
_SEEN = ("hash", "create_time", "update_time", "bytes")
_log = logger("pinakes.writing")

OlderQueued = Callable[[], Awaitable[bool]]
"""Tells whether a write of this tenant that is older than the present one may still come out of the queue."""


@dataclass(slots=True)
class Applied:
    """What became of a change. `revision` and `content_hash` are of what stands; `busy` asks for another try."""

    outcome: index_pb2.WriteResult.Outcome
    revision: int = 0
    content_hash: str = ""
    fault: Fault | None = None
    busy: bool = False


def count(applied: Iterable[Applied | None]) -> None:
    """Count outcomes in the metrics."""
    for outcome, times in Counter(one.outcome for one in applied if one is not None).items():
        metrics.WRITES.labels(outcome_name(outcome).lower()).inc(times)


def outcome_name(outcome: index_pb2.WriteResult.Outcome) -> str:
    """Return how an outcome is called, without its prefix."""
    return _NAMES[outcome]


async def apply(
    scope: TenantScope, changes: Sequence[Change], older_queued: OlderQueued, *, searchable: bool = False
) -> list[Applied]:
    """Apply changes of different documents, and return what became of each, in order.

    Raises a fault of kind UNAVAILABLE or DEADLINE when the engine can't be reached; then all of it may be done again:
    a change that has been applied at its revision is known again.
    """
    seen = await _look(scope, changes)
    depending = [
        place for place, (change, there) in enumerate(zip(changes, seen, strict=True)) if _depends(change, there)
    ]
    # What one of two places has doesn't show that the other has it: then all is written.
    moving = scope.moving
    older = moving or (await older_queued() if depending else False)
    if depending and not older:
        # What was queued at the first look has been applied by now: only a second one is sure to see it.
        again = await _look(scope, [changes[place] for place in depending])
        for place, there in zip(depending, again, strict=True):
            seen[place] = there
    results: list[Applied] = []
    puts: list[tuple[int, Put | PackedPut]] = []
    for change, there in zip(changes, seen, strict=True):
        result, body = _decide(scope, change, there, older=older, moving=moving, searchable=searchable)
        if isinstance(body, bytes):
            puts.append((len(results), PackedPut(change.document_id, change.revision, body)))
        elif body is not None:
            puts.append((len(results), Put(change.document_id, body)))
        results.append(result)
    items = await scope.bulk([put for _, put in puts], searchable=searchable)
    written = documents = size = 0
    for (place, _), item in zip(puts, items, strict=True):
        if item.status == 409:
            results[place].outcome = Outcome.OUTCOME_SUPERSEDED
        elif item.status >= 300:
            results[place] = _failed(item.busy, item.error, item.detail)
        else:
            grown = _grown(changes[place], seen[place])
            written, documents, size = written + 1, documents + grown[0], size + grown[1]
    scope.wrote(written, documents, size)
    return results


def _grown(change: Change, there: Found | None) -> tuple[int, int]:
    """Return by how many documents and bytes a tenant has grown by a change of what was there."""
    before = there.source if there is not None and not there.source.get("deleted") else None
    return (not change.deletion) - (before is not None), change.size - (before or {}).get("bytes", 0)


async def _look(scope: TenantScope, changes: Sequence[Change]) -> list[Found | None]:
    """Read what is there."""
    whole = [i for i, change in enumerate(changes) if change.deletion]
    parts = [i for i, change in enumerate(changes) if not change.deletion]
    seen: list[Found | None] = [None] * len(changes)
    for places, fields in ((parts, _SEEN), (whole, None)):
        if places:
            found = await scope.mget([changes[i].document_id for i in places], fields)
            for place, document in zip(places, found, strict=True):
                seen[place] = document
    return seen


def _depends(change: Change, there: Found | None) -> bool:
    """Tell whether what is to be done depends on what may still be queued."""
    if there is None:
        return change.deletion
    if change.deletion:
        return there.gone
    return there.source.get("hash") == change.content_hash and not there.gone


def _decide(
    scope: TenantScope, change: Change, there: Found | None, *, older: bool, moving: bool, searchable: bool
) -> tuple[Applied, bytes | Json | None]:
    """Return what becomes of a change if its body is written, and the body: packed, or a tombstone, or None for nothing."""
    if there is None or there.revision < change.revision:
        return _decide_new(scope, change, there, older=older, searchable=searchable)
    body = _decide_new(scope, change, there, older=True, searchable=searchable)[1] if moving else None
    return _repeated(change, there), body


def _decide_new(
    scope: TenantScope, change: Change, there: Found | None, *, older: bool, searchable: bool
) -> tuple[Applied, bytes | Json | None]:
    """Return that of a change above which nothing newer stands."""
    present = there if there is not None and not there.gone else None
    if change.deletion:
        # Also of a document that isn't there: an older write that is still queued must not bring it to life.
        # What was kept for as long as may be isn't kept any longer by deleting it.
        replaced = there.source if there is not None and not there.outlived else None
        if change.over and (there is None or orjson.loads(change.over)["revision"] > there.revision):
            replaced = orjson.loads(change.over)
        body = tombstone(scope.owner, change.document_id, change.revision, replaced)
        if present is not None or change.over:
            return Applied(Outcome.OUTCOME_DELETED, change.revision), body
        return Applied(Outcome.OUTCOME_NOT_FOUND), body if older else None
    if present is None:
        return Applied(Outcome.OUTCOME_CREATED, change.revision, change.content_hash), change.data
    if present.source.get("hash") == change.content_hash and not older:
        fresh = now_ms() - present.source.get("update_time", 0) < scope.refreshed_ms
        if not (searchable and fresh):
            return Applied(Outcome.OUTCOME_UNCHANGED, present.revision, change.content_hash), None
    data = created_at(change.data, present.source["create_time"])
    return Applied(Outcome.OUTCOME_UPDATED, change.revision, change.content_hash), data


def _repeated(change: Change, there: Found) -> Applied:
    """Return what became of a change that was applied before, or that something newer stands above."""
    if there.revision > change.revision:
        return Applied(Outcome.OUTCOME_SUPERSEDED, change.revision, change.content_hash)
    if change.deletion:
        return Applied(Outcome.OUTCOME_DELETED, change.revision)
    first = there.source.get("create_time") == there.source.get("update_time")
    outcome = Outcome.OUTCOME_CREATED if first else Outcome.OUTCOME_UPDATED
    return Applied(outcome, change.revision, change.content_hash)


def _failed(busy: bool, error: str, detail: str) -> Applied:  # as an item has it
    if busy:
        return Applied(Outcome.OUTCOME_FAILED, fault=unavailable("the search engine"), busy=True)
    _log.error("a body was refused", error=error, detail=detail[:300])
    message = "the search engine can't index the document; tell the platform's operators its name and revision"
    return Applied(Outcome.OUTCOME_FAILED, fault=Fault(Kind.INTERNAL, "NOT_INDEXABLE", message))
