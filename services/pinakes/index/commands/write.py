# SPDX-License-Identifier: Apache-2.0
"""What writing one document means: create, update by mask, delete; conditional where the caller asks for it (design §4)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.documents import (
    check_document,
    compile_document,
    read_document,
    refused,
    revision_ms,
    tombstone,
)
from pinakes.core.engine.scope import Found, Put, TenantScope
from pinakes.core.faults import Fault, Kind, concurrent_change, etag_mismatch, not_found
from pinakes.core.query.update_mask import update_paths
from pinakes.core.telemetry import metrics
from pinakes.v1 import index_pb2, resources_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.query.schema import Schema
    from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]
CHANGEABLE = frozenset({"title", "body", "tags", "language", "attributes", "readers", "source_uri", "expire_time"})
ALL_PATHS = CHANGEABLE | {"create_time", "update_time", "content_hash"}
_TRIES = 5


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

    def check(self, document: resources_pb2.Document, prefix: str) -> None:
        """Refuse a document that can't be written."""
        if found := check_document(document, self.schema, self.platform.settings.limits):
            raise refused(found, prefix)

    def compile(self, document: resources_pb2.Document, document_id: str, create_ms: int | None) -> Json:
        """Return the body of a document at a new revision; `create_ms` is that of the document it replaces."""
        revision = self.platform.revisions.next()
        created = revision_ms(revision) if create_ms is None else create_ms
        return compile_document(document, self.scope.owner, self.schema, document_id, revision, created)

    def tombstone(self, document_id: str) -> Json:
        """Return the body of a delete at a new revision."""
        return tombstone(self.scope.owner, document_id, self.platform.revisions.next())

    def check_etag(self, given: str, seen: Found) -> None:
        """Refuse a write whose etag isn't that of the document that is there."""
        if given and not self.platform.etags.matches(given, seen.source["revision"], seen.source.get("hash", "")):
            raise etag_mismatch("document")

    async def acknowledge(self, *, searchable: bool) -> None:
        """Before a SEARCHABLE write is answered, see that no cached answer from before it is served any more."""
        if searchable:
            await self.platform.cache.advance(generation_key(self.scope.owner.tenant_uid, self.collection.uid))

    def absent(self, document_id: str) -> Fault:
        """Return the fault of a document that isn't there."""
        return not_found("pinakes/Document", self.scope.owner.name(document_id))


async def create(request: index_pb2.CreateDocumentRequest, writer: Writer) -> resources_pb2.Document:
    """Create a document that mustn't exist."""
    writer.check(request.document, "document")
    document_id = request.document_id or uuid.uuid4().hex
    exists = Fault(
        Kind.EXISTS, "DOCUMENT_EXISTS", f"{writer.scope.owner.name(document_id)} exists",
        resource=("pinakes/Document", writer.scope.owner.name(document_id)),
    )  # fmt: skip
    seen = await writer.scope.get(document_id, ())
    if seen is not None and not seen.gone:
        raise exists
    body = writer.compile(request.document, document_id, None)
    if request.validate_only:
        return writer.message(body)
    searchable = request.mode == index_pb2.WRITE_MODE_SEARCHABLE
    if not await writer.scope.write_if(Put(document_id, body), seen, searchable=searchable):
        raise exists
    await writer.acknowledge(searchable=searchable)
    _count("created")
    return writer.message(body)


async def update(request: index_pb2.UpdateDocumentRequest, document_id: str, writer: Writer) -> resources_pb2.Document:
    """Change the fields of the mask. Without an etag, a write that comes between is taken in and the change tried again."""
    paths = update_paths(request.update_mask.paths, request.document, CHANGEABLE)
    searchable = request.mode == index_pb2.WRITE_MODE_SEARCHABLE
    for _ in range(_TRIES):
        seen = await writer.scope.get(document_id)
        if seen is None or seen.gone:
            if not request.allow_missing or request.document.etag:
                raise writer.absent(document_id)
            merged, create_ms = request.document, None
        else:
            writer.check_etag(request.document.etag, seen)
            merged = _merged(writer.message(seen.source), request.document, paths)
            create_ms = seen.source["create_time"]
        writer.check(merged, "document")
        body = writer.compile(merged, document_id, create_ms)
        if request.validate_only:
            return writer.message(body)
        if await writer.scope.write_if(Put(document_id, body), seen, searchable=searchable):
            await writer.acknowledge(searchable=searchable)
            _count("updated")
            return writer.message(body)
        if request.document.etag:
            raise etag_mismatch("document")
    raise concurrent_change("document")


async def delete(request: index_pb2.DeleteDocumentRequest, document_id: str, writer: Writer) -> None:
    """Write a tombstone."""
    searchable = request.mode == index_pb2.WRITE_MODE_SEARCHABLE
    for _ in range(_TRIES):
        seen = await writer.scope.get(document_id, ("hash",))
        if seen is None or seen.gone:
            if request.allow_missing:
                return
            raise writer.absent(document_id)
        writer.check_etag(request.etag, seen)
        if request.validate_only:
            return
        body = writer.tombstone(document_id)
        if await writer.scope.write_if(Put(document_id, body), seen, searchable=searchable):
            await writer.acknowledge(searchable=searchable)
            _count("deleted")
            return
        if request.etag:
            raise etag_mismatch("document")
    raise concurrent_change("document")


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


def _count(outcome: str) -> None:
    metrics.WRITES.labels(outcome).inc()
