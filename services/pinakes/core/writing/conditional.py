# SPDX-License-Identifier: Apache-2.0
"""Writes that an etag binds to a version, by compare-and-set: of batches, streams and imports alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.bodies import Found, Put
from pinakes.core.engine.documents import compile_document, tombstone
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, concurrent_change, etag_mismatch, not_found
from pinakes.core.writing.apply import Applied
from pinakes.core.writing.requests import Attempt
from pinakes.v1 import index_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.query.schema import Schema
    from pinakes.v1 import resources_pb2

Json = dict[str, Any]
Outcome = index_pb2.WriteResult
_AT_ONCE = 16
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Conditional:
    """A write to one version of a document: `document` is what replaces it, None deletes it; `place` is its caller's."""

    place: int
    document_id: str
    document: resources_pb2.Document | None
    etag: str
    attempt: Attempt


async def write_conditional(
    items: Sequence[Conditional], scope: TenantScope, schema: Schema, platform: Platform, *, searchable: bool = False
) -> list[Applied]:
    """Write each if its etag is the current one, and return what became of each, in order."""
    if not items:
        return []
    seen = await scope.settled([item.document_id for item in items])
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Conditional, there: Found | None) -> Applied:
        try:
            async with gate:
                return await _compare_and_set(item, there, scope, schema, platform, searchable=searchable)
        except Fault as fault:
            return Applied(Outcome.OUTCOME_FAILED, fault=fault)

    return await asyncio.gather(*(one(item, there) for item, there in zip(items, seen, strict=True)))


async def _compare_and_set(
    item: Conditional, there: Found | None, scope: TenantScope, schema: Schema, platform: Platform, *, searchable: bool
) -> Applied:
    attempt = item.attempt
    for _ in range(_TRIES):
        mine = there is not None and there.revision == attempt.first  # an earlier attempt of this very write wrote it
        if not mine and (there is None or there.gone):
            absent = not_found("pinakes/Document", scope.owner.name(item.document_id))
            return Applied(Outcome.OUTCOME_NOT_FOUND, fault=absent)
        if not mine and there is not None and not matches(platform, item.etag, there):
            return Applied(Outcome.OUTCOME_CONFLICT, fault=etag_mismatch("document"))
        revision = attempt.first if mine else attempt.revision(there, platform.revisions.next)
        body = _body(item, there, scope, schema, revision)
        if mine or await scope.write_if(Put(item.document_id, body), there, searchable=searchable):
            outcome = Outcome.OUTCOME_DELETED if item.document is None else Outcome.OUTCOME_UPDATED
            return Applied(outcome, revision, body.get("hash", ""))
        # A newer version, which the etag tells, or the same one, indexed anew. This attempt hasn't written.
        (there,) = await scope.settled([item.document_id])
        attempt = Attempt(attempt.first)
    raise concurrent_change("document")


def matches(platform: Platform, etag: str, there: Found) -> bool:
    """Tell whether an etag is that of the document that is there."""
    return platform.etags.matches(etag, there.source["revision"], there.source.get("hash", ""))


def _body(item: Conditional, there: Found | None, scope: TenantScope, schema: Schema, revision: int) -> Json:
    """Return the body of a write over what is there."""
    old = there.source if there is not None else {}
    if item.document is None:
        return tombstone(scope.owner, item.document_id, revision, old)
    return compile_document(item.document, scope.owner, schema, item.document_id, revision, old["create_time"])
