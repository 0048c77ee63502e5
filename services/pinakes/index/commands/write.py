# SPDX-License-Identifier: Apache-2.0
"""What writing one document means: create, update by mask, delete and undelete, in each mode and once per request id."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from google.protobuf import empty_pb2
from google.protobuf.message import Message

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.bodies import Found, Put
from pinakes.core.engine.documents import (
    Examined,
    compile_document,
    deleted_document,
    examine,
    read_document,
    refused,
    revision_ms,
    tombstone,
)
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, concurrent_change, etag_mismatch, invalid, not_found
from pinakes.core.limits.quota import Admitted, Incoming
from pinakes.core.query.update_mask import update_paths
from pinakes.core.queue.producer import Claim, Enqueued
from pinakes.core.rpc import call as calls
from pinakes.core.writing import changes
from pinakes.core.writing.apply import Applied, apply, count, outcome_name
from pinakes.core.writing.changes import Change
from pinakes.core.writing.conditional import matches
from pinakes.core.writing.quick import Compiler, compiler_of
from pinakes.core.writing.requests import Attempt, recalled, remembered
from pinakes.v1 import index_pb2, resources_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.query.schema import Schema
    from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]
Mode = index_pb2.WriteMode
M = TypeVar("M", bound=Message)
ACCEPTED, SEARCHABLE = index_pb2.WRITE_MODE_ACCEPTED, index_pb2.WRITE_MODE_SEARCHABLE
Outcome = index_pb2.WriteResult
CHANGEABLE = frozenset({"title", "body", "tags", "language", "attributes", "readers", "source_uri", "expire_time"})
ALL_PATHS = CHANGEABLE | {"create_time", "update_time", "content_hash"}
# Others who change the same document come first as often; the pause lets one of them end.
_TRIES = 10
_LONGEST_PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Writer:
    """What a write works with: the scope, the collection's record and the platform."""

    scope: TenantScope
    collection: CollectionRecord
    schema: Schema
    platform: Platform

    def message(self, source: Json) -> resources_pb2.Document:
        """Return the document that an engine body holds."""
        return read_document(source, self.scope.owner, ALL_PATHS, self.etag(source))

    def etag(self, source: Json) -> str:
        """Return the etag of an engine body."""
        return self.platform.etags.make(source["revision"], source.get("hash", ""))

    def check(self, document: resources_pb2.Document, prefix: str) -> Examined:
        """Refuse a document that can't be written."""
        examined = examine(document, self.schema, self.platform.settings.limits)
        if examined.violations:
            raise refused(examined.violations, prefix)
        return examined

    def compile(self, document: resources_pb2.Document, document_id: str, create_ms: int | None, revision: int) -> Json:
        """Return the body of a document at a revision; `create_ms` is that of the document it replaces."""
        created = revision_ms(revision) if create_ms is None else create_ms
        return compile_document(document, self.scope.owner, self.schema, document_id, revision, created)

    def language_of(self, document: resources_pb2.Document) -> str:
        """Return the language that a document is in without a look at its text, or nothing."""
        languages = self.collection.languages
        return document.language or (languages[0] if len(languages) == 1 else "")

    def quick(self) -> Compiler | None:
        """Return what compiles usual documents without a closer look."""
        return compiler_of(self.scope.owner, self.collection, self.platform.settings.limits)

    def change(
        self,
        document: resources_pb2.Document | None,
        document_id: str,
        revision: int,
        examined: Examined | None = None,
    ) -> Change:
        """Return the change that writes a document whatever is there, or that deletes it if there is none."""
        if document is None:
            return changes.deletion(document_id, revision)
        return changes.put(document, self.scope.owner, self.schema, document_id, revision, examined)

    def attempt(self) -> Attempt:
        """Return a first attempt, of a request that isn't remembered."""
        return Attempt(self.platform.revisions.next())

    def revision(self, attempt: Attempt, seen: Found | None) -> int:
        """Return the revision that an attempt writes over what it saw."""
        return attempt.revision(seen, self.platform.revisions.next)

    def tombstone(self, document_id: str, revision: int, old: Found | None) -> Json:
        """Return the body of a delete at a revision, which keeps the content of what was there."""
        return tombstone(self.scope.owner, document_id, revision, old.source if old else None)

    async def older_queued(self) -> bool:
        """Tell whether accepted writes of this tenant may still be applied."""
        return await self.platform.queue.older_queued(self.scope.owner.tenant_uid)

    def check_etag(self, given: str, seen: Found) -> None:
        """Refuse a write whose etag isn't that of the document that is there."""
        if given and not matches(self.platform, given, seen):
            raise etag_mismatch("document")

    async def acknowledge(self, *, searchable: bool) -> None:
        """Before a SEARCHABLE write is answered, see that no cached answer from before it is served any more."""
        if searchable:
            await self.platform.cache.advance(generation_key(self.scope.owner.tenant_uid, self.collection.uid))

    async def refuse_beyond(self, document_id: str, size: int, *, keep: bool = True) -> Admitted:
        """Refuse a document of so many bytes for which the tenant has no room. Raises a fault of kind EXHAUSTED.

        Returns the room that it takes, which is given back when nothing is written; without `keep` it is only looked for.
        """
        admitted = await self.admit([Incoming(document_id, size)])
        for fault in admitted.faults:
            if fault is not None:
                raise fault
        if not keep:
            admitted.give_back()
        return admitted

    @property
    def bounded(self) -> bool:
        """Whether there is anything that the tenant's documents could go beyond."""
        return self.platform.quota.bounds(calls.current().tenant)

    async def beyond(self, incoming: Mapping[int, Incoming]) -> tuple[dict[int, Fault], Admitted]:
        """Return the places of the documents that the tenant has no room for, with the fault of each, and the others' room."""
        admitted = await self.admit(list(incoming.values()))
        faults = zip(incoming, admitted.faults, strict=True)
        return {place: fault for place, fault in faults if fault is not None}, admitted

    async def admit(self, incoming: Sequence[Incoming]) -> Admitted:
        """Return, for each document, None or the fault of what the tenant has no room for."""
        return await self.platform.quota.admit(self.scope, calls.current().tenant, incoming)

    def absent(self, document_id: str) -> Fault:
        """Return the fault of a document that isn't there."""
        return not_found("pinakes/Document", self.scope.owner.name(document_id))


async def create(request: index_pb2.CreateDocumentRequest, writer: Writer) -> resources_pb2.Document:
    """Create a document that mustn't exist."""
    if request.mode == ACCEPTED:
        if request.document_id:
            refuse_conditional("document_id", "whether the id is free")
        return await _accept(request, request.document, uuid.uuid4().hex, writer)
    writer.check(request.document, "document")
    if request.validate_only:
        return await _create(request, writer, writer.attempt())
    return await _once(request, writer, resources_pb2.Document, lambda attempt: _create(request, writer, attempt))


async def _create(request: index_pb2.CreateDocumentRequest, writer: Writer, attempt: Attempt) -> resources_pb2.Document:
    # Of the revision, so that another attempt of the same request means the same document.
    document_id = request.document_id or uuid.uuid5(uuid.NAMESPACE_OID, str(attempt.first)).hex
    (seen,) = await writer.scope.settled([document_id])
    if seen is not None and seen.revision == attempt.first:
        return writer.message(seen.source)
    if seen is not None and not seen.gone:
        raise _exists(writer, document_id)
    revision = writer.revision(attempt, seen)
    body = writer.compile(request.document, document_id, None, revision)
    room = await writer.refuse_beyond(document_id, body["bytes"], keep=not request.validate_only)
    if request.validate_only:
        return writer.message(body)
    if not await _put(writer, document_id, body, seen, request.mode, room):
        raise _exists(writer, document_id)
    _tell(request.mode, Outcome.OUTCOME_CREATED, revision)
    return writer.message(body)


async def update(request: index_pb2.UpdateDocumentRequest, document_id: str, writer: Writer) -> resources_pb2.Document:
    """Change the fields of the mask. Without an etag, a write that comes between is taken in and the change tried again."""
    paths = update_paths(request.update_mask.paths, request.document, CHANGEABLE)
    whole = paths == CHANGEABLE and request.allow_missing and not request.document.etag
    if request.mode == ACCEPTED:
        if request.document.etag:
            refuse_conditional("document.etag")
        if not whole:
            refuse_conditional("update_mask", "what the document is; replace it whole, with mask * and allow_missing")
        return await _accept(request, request.document, document_id, writer)
    if request.validate_only:
        return await _update(request, document_id, writer, paths, writer.attempt())

    async def work(attempt: Attempt) -> resources_pb2.Document:
        if whole:
            writer.check(request.document, "document")
            return await _replace(request, document_id, writer, attempt.first)
        return await _update(request, document_id, writer, paths, attempt)

    return await _once(request, writer, resources_pb2.Document, work)


async def _replace(
    request: index_pb2.UpdateDocumentRequest, document_id: str, writer: Writer, revision: int
) -> resources_pb2.Document:
    """Write a document whatever is there, together with what other callers write at the moment."""
    body = writer.compile(request.document, document_id, None, revision)
    await writer.refuse_beyond(document_id, body["bytes"])
    applied = await _apply(writer, changes.of_body(body), request.mode)
    if applied.outcome == Outcome.OUTCOME_UPDATED or applied.revision != revision:
        # What stands holds the creation time, and may be newer than what was written.
        seen = await writer.scope.get(document_id)
        if seen is not None and seen.revision == applied.revision and not seen.gone:
            return writer.message(seen.source)
    return writer.message(body)


async def _update(
    request: index_pb2.UpdateDocumentRequest, document_id: str, writer: Writer, paths: frozenset[str], attempt: Attempt
) -> resources_pb2.Document:
    for _ in range(_TRIES):
        (seen,) = await writer.scope.settled([document_id])
        if seen is not None and seen.revision == attempt.first:
            return writer.message(seen.source)
        there = seen if seen is not None and not seen.gone else None
        if there is None:
            if not request.allow_missing or request.document.etag:
                raise writer.absent(document_id)
            merged, create_ms = request.document, None
        else:
            writer.check_etag(request.document.etag, there)
            merged = _merged(writer.message(there.source), request.document, paths)
            create_ms = there.source["create_time"]
        writer.check(merged, "document")
        revision = writer.revision(attempt, seen)
        body = writer.compile(merged, document_id, create_ms, revision)
        room = await writer.refuse_beyond(document_id, body["bytes"], keep=not request.validate_only)
        if request.validate_only:
            return writer.message(body)
        if await _put(writer, document_id, body, seen, request.mode, room):
            _tell(request.mode, Outcome.OUTCOME_CREATED if there is None else Outcome.OUTCOME_UPDATED, revision)
            return writer.message(body)
        # Something came between: a newer version, which the next look compares with the etag, or the same one, indexed
        # anew. This attempt hasn't written, so it may go on above it.
        attempt = Attempt(attempt.first)
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    raise concurrent_change("document")


async def delete(request: index_pb2.DeleteDocumentRequest, document_id: str, writer: Writer) -> empty_pb2.Empty:
    """Write a tombstone."""
    if request.mode == ACCEPTED:
        if request.etag:
            refuse_conditional("etag")
        if not request.allow_missing:
            refuse_conditional("allow_missing", "whether the document is there; set allow_missing")
        await _accept(request, None, document_id, writer)
        return empty_pb2.Empty()
    if request.validate_only:
        await _delete(request, document_id, writer, writer.attempt())
        return empty_pb2.Empty()

    async def work(attempt: Attempt) -> empty_pb2.Empty:
        if request.etag:
            await _delete(request, document_id, writer, attempt)
        else:
            applied = await _apply(writer, writer.change(None, document_id, attempt.first), request.mode)
            if applied.outcome == Outcome.OUTCOME_NOT_FOUND and not request.allow_missing:
                raise writer.absent(document_id)
        return empty_pb2.Empty()

    return await _once(request, writer, empty_pb2.Empty, work)


async def _delete(request: index_pb2.DeleteDocumentRequest, document_id: str, writer: Writer, attempt: Attempt) -> None:
    """Delete a version of a document."""
    for _ in range(_TRIES):
        (seen,) = await writer.scope.settled([document_id])
        if seen is not None and seen.revision == attempt.first:
            return
        if seen is None or seen.gone:
            if request.allow_missing:
                return
            raise writer.absent(document_id)
        writer.check_etag(request.etag, seen)
        if request.validate_only:
            return
        revision = writer.revision(attempt, seen)
        if await _put(writer, document_id, writer.tombstone(document_id, revision, seen), seen, request.mode):
            _tell(request.mode, Outcome.OUTCOME_DELETED, revision)
            return
        attempt = Attempt(attempt.first)
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))
    raise concurrent_change("document")


async def undelete(
    request: index_pb2.UndeleteDocumentRequest, document_id: str, writer: Writer
) -> resources_pb2.Document:
    """Write the document that a tombstone keeps again, at a new revision."""
    if request.mode == ACCEPTED:
        refuse_conditional("mode", "whether the document was deleted")
    if request.validate_only:
        return await _undelete(request, document_id, writer, writer.attempt())
    return await _once(
        request, writer, resources_pb2.Document, lambda attempt: _undelete(request, document_id, writer, attempt)
    )


async def _undelete(
    request: index_pb2.UndeleteDocumentRequest, document_id: str, writer: Writer, attempt: Attempt
) -> resources_pb2.Document:
    (seen,) = await writer.scope.settled([document_id])
    if seen is not None and seen.revision == attempt.first:
        return writer.message(seen.source)
    if seen is None:
        raise writer.absent(document_id)
    if not seen.source.get("deleted"):
        raise _exists(writer, document_id)
    kept = deleted_document(seen.source)
    if kept is None:
        raise writer.absent(document_id)
    create_ms = kept.create_time.ToMilliseconds()
    kept.ClearField("create_time")
    writer.check(kept, "document")  # the collection may have other attributes now
    revision = writer.revision(attempt, seen)
    body = writer.compile(kept, document_id, create_ms, revision)
    room = await writer.refuse_beyond(document_id, body["bytes"], keep=not request.validate_only)
    if request.validate_only:
        return writer.message(body)
    if not await _put(writer, document_id, body, seen, request.mode, room):
        raise concurrent_change("document")
    _tell(request.mode, Outcome.OUTCOME_CREATED, revision)
    return writer.message(body)


# ---- what they have in common


def refuse_conditional(field: str, on: str = "the document's version") -> NoReturn:
    """Refuse to accept a write that depends on what is there when it is applied."""
    text = f"a write in mode ACCEPTED can't depend on {on}; use mode APPLIED or SEARCHABLE"
    raise invalid(field, text, "MODE_UNSUPPORTED")


async def _once(request: Any, writer: Writer, answer: type[M], work: Callable[[Attempt], Awaitable[M]]) -> M:
    """Do the work of a request with one write, once per request id."""
    return await writer.platform.requests.once(
        writer.scope.owner.tenant_uid, request.request_id, request, 1, answer, work
    )


async def _put(
    writer: Writer, document_id: str, body: Json, seen: Found | None, mode: Mode, room: Admitted | None = None
) -> bool:
    """Write a body if the document is still what was seen; if not, give back the room that it would have taken."""
    searchable = mode == SEARCHABLE
    if not await writer.scope.write_if(Put(document_id, body), seen, searchable=searchable):
        if room is not None:
            room.give_back()
        return False
    await writer.acknowledge(searchable=searchable)
    return True


async def _apply(writer: Writer, change: Change, mode: Mode) -> Applied:
    """Apply one change."""
    searchable = mode == SEARCHABLE
    (applied,) = await apply(writer.scope, [change], writer.older_queued, searchable=searchable)
    if applied.fault is not None:
        raise applied.fault
    await writer.acknowledge(searchable=searchable)
    _tell(mode, applied.outcome, applied.revision)
    return applied


async def _accept(
    request: Any, document: resources_pb2.Document | None, document_id: str, writer: Writer
) -> resources_pb2.Document:
    """Queue one write, and return the document as it will be."""
    platform, owner = writer.platform, writer.scope.owner
    revision, room = platform.revisions.next(), Admitted([])
    if document is None:
        change, will_be = changes.deletion(document_id, revision), resources_pb2.Document(name=owner.name(document_id))
    else:
        change, will_be = _prepared(document, document_id, revision, writer)
        try:
            room = await writer.refuse_beyond(document_id, change.size, keep=not request.validate_only)
        except Fault:
            if (kept := await _accepted_before(request, writer)) is None:
                raise
            return resources_pb2.Document.FromString(kept)
    if request.validate_only:
        return will_be
    try:
        done = await _enqueue(request, change, will_be, writer)
    except Fault as fault:
        if fault.kind is Kind.EXHAUSTED:  # of others it isn't known whether it was queued
            room.give_back()  # who tries again asks for it again
        raise
    if done.seen is not None:
        room.give_back()
        return resources_pb2.Document.FromString(recalled(done.seen, request))
    _tell(ACCEPTED, Outcome.OUTCOME_ACCEPTED, revision)
    return will_be


async def _accepted_before(request: Any, writer: Writer) -> bytes | None:
    """Return the answer to a request that was accepted before, or None: what is full now may be so by that very write."""
    if request.validate_only or not request.request_id:
        return None
    kept = await writer.platform.queue.claimed(writer.scope.owner.tenant_uid, request.request_id)
    return None if kept is None else recalled(kept, request)


async def _enqueue(request: Any, change: Change, will_be: resources_pb2.Document, writer: Writer) -> Enqueued:
    """Queue the write of a request, once per request id."""
    platform, owner = writer.platform, writer.scope.owner
    claim = None
    if request.request_id:
        await platform.requests.check_unused(owner.tenant_uid, request.request_id)
        claim = Claim(request.request_id, remembered(request, will_be))
    parts = platform.queue.parts(owner, [(0, change)], writer.collection.version)
    return await platform.queue.enqueue(owner, parts, 1, claim=claim)


def _prepared(
    document: resources_pb2.Document, document_id: str, revision: int, writer: Writer
) -> tuple[Change, resources_pb2.Document]:
    """Return the change that writes a document, and the document as it will be. Refuses one that can't be written."""
    language = writer.language_of(document)
    quick = writer.quick() if language else None
    change = quick(document, document_id, revision) if quick is not None else None
    if change is None:
        writer.check(document, "document")
        body = writer.compile(document, document_id, None, revision)
        return changes.of_body(body), writer.message(body)
    will_be = resources_pb2.Document()
    will_be.CopyFrom(document)
    will_be.name, will_be.language = writer.scope.owner.name(document_id), language
    will_be.content_hash = change.content_hash
    will_be.etag = writer.platform.etags.make(revision, change.content_hash)
    will_be.create_time.FromMilliseconds(revision_ms(revision))
    will_be.update_time.CopyFrom(will_be.create_time)
    if will_be.HasField("expire_time"):
        will_be.expire_time.FromMilliseconds(will_be.expire_time.ToMilliseconds())
    return change, will_be


def _exists(writer: Writer, document_id: str) -> Fault:
    name = writer.scope.owner.name(document_id)
    return Fault(Kind.EXISTS, "DOCUMENT_EXISTS", f"{name} exists", resource=("pinakes/Document", name))


def _tell(mode: Mode, outcome: index_pb2.WriteResult.Outcome, revision: int) -> None:
    """Count a write, and tell mode, outcome and revision beside the answer, which is the document itself."""
    count([Applied(outcome)])
    reached = index_pb2.WriteMode.Name(mode or index_pb2.WRITE_MODE_APPLIED).removeprefix("WRITE_MODE_")
    calls.current().tell(
        x_pinakes_write_mode=reached, x_pinakes_write_outcome=outcome_name(outcome), x_pinakes_revision=str(revision)
    )


def _merged(
    old: resources_pb2.Document, given: resources_pb2.Document, paths: frozenset[str]
) -> resources_pb2.Document:
    """Return the old document with the given fields of `paths`."""
    merged = resources_pb2.Document()
    for source, fields in ((old, CHANGEABLE - paths), (given, paths)):
        part = resources_pb2.Document()
        part.CopyFrom(source)
        for field in CHANGEABLE - fields:
            part.ClearField(field)
        merged.MergeFrom(part)
    return merged
