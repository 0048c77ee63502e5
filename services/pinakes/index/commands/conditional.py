# SPDX-License-Identifier: Apache-2.0
"""Writes that an etag binds to a version, by compare-and-set."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.scope import Found, Put
from pinakes.core.faults import Fault, concurrent_change
from pinakes.core.writing.apply import Applied
from pinakes.core.writing.requests import Attempt
from pinakes.v1 import index_pb2

if TYPE_CHECKING:
    from pinakes.index.commands.write import Writer
    from pinakes.v1 import resources_pb2

Json = dict[str, Any]
Outcome = index_pb2.WriteResult
_AT_ONCE = 16
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Conditional:
    """A write to one version of a document: `document` is what replaces it, None deletes it."""

    place: int
    document_id: str
    document: resources_pb2.Document | None
    etag: str
    attempt: Attempt


async def write_conditional(items: Sequence[Conditional], writer: Writer, *, searchable: bool) -> list[Applied]:
    """Write each if its etag is the current one, and return what became of each, in order."""
    if not items:
        return []
    seen = await writer.scope.mget([item.document_id for item in items])
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Conditional, there: Found | None) -> Applied:
        try:
            async with gate:
                return await _compare_and_set(item, there, writer, searchable=searchable)
        except Fault as fault:
            return Applied(Outcome.OUTCOME_FAILED, fault=fault)

    return await asyncio.gather(*(one(item, there) for item, there in zip(items, seen, strict=True)))


async def _compare_and_set(item: Conditional, there: Found | None, writer: Writer, *, searchable: bool) -> Applied:
    attempt = item.attempt
    for _ in range(_TRIES):
        mine = there is not None and there.revision == attempt.first  # an earlier attempt of this very request wrote it
        if not mine and (there is None or there.gone):
            return Applied(Outcome.OUTCOME_NOT_FOUND, fault=writer.absent(item.document_id))
        try:
            if not mine and there is not None:
                writer.check_etag(item.etag, there)
        except Fault as fault:
            return Applied(Outcome.OUTCOME_CONFLICT, fault=fault)
        revision = attempt.first if mine else writer.revision(attempt, there)
        body = _body(item, there, revision, writer)
        if mine or await writer.scope.write_if(Put(item.document_id, body), there, searchable=searchable):
            outcome = Outcome.OUTCOME_DELETED if item.document is None else Outcome.OUTCOME_UPDATED
            return Applied(outcome, revision, body.get("hash", ""))
        # A newer version, which the etag tells, or the same one, indexed anew. This attempt hasn't written.
        there, attempt = await writer.scope.get(item.document_id), Attempt(attempt.first)
    raise concurrent_change("document")


def _body(item: Conditional, there: Found | None, revision: int, writer: Writer) -> Json:
    """Return the body of a write over what is there."""
    if item.document is None:
        return writer.tombstone(item.document_id, revision, there)
    created = there.source.get("create_time") if there is not None else None
    return writer.compile(item.document, item.document_id, created, revision)
