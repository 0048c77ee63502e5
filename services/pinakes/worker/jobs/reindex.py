# SPDX-License-Identifier: Apache-2.0
"""Reindex: every document of a collection compiled anew by its present schema, in place, at its own revision.

A write that comes between has a greater revision and stands; a tombstone has one too. What searches find changes only where
the schema did. At the end the slots of attributes that were removed are free for others, unless the schema has changed
meanwhile: then the next reindex frees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import KEPT, compile_document, examine, read_document, source_fields
from pinakes.core.faults import not_found
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.pages import count, pages, write
from pinakes.core.rpc import names
from pinakes.core.tenancy import collections, messages
from pinakes.core.tenancy.models import CollectionRecord, now_ms
from pinakes.v1 import operations_pb2
from pinakes.worker.jobs.queued import drained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

Json = dict[str, Any]
VERB = "reindex"
# Every process has a changed schema after so long (design §7): what it writes from then on is compiled by it.
KNOWN_SECONDS = 5.0
# Documents with values in freed slots that turn up behind the first round; more rounds than this free nothing.
_ROUNDS = 3


async def run(context: Context) -> Message:
    """Write the documents again. There are no parameters."""
    if "begun" not in context.checkpoint:
        await context.advance({"begun": context.collection.to_json(), "after": "", "reindexed": 0})
    begun = CollectionRecord.from_json(context.checkpoint["begun"])
    # Until all writers know the schema and nothing compiled by an older one is queued, a document could be written by it
    # behind the place where this job is.
    await context.sleep(max(0.0, begun.update_ms / 1000 + KNOWN_SECONDS - now_ms() / 1000))
    await drained(context)
    await context.scope.refresh()
    seconds = context.platform.settings.engine_timeout_seconds
    if not context.progress.total:
        await context.advance(total=await count(context.scope, None, seconds))
    await _round(context, None, context.checkpoint["after"])
    if begun.freed and await _clean(context, begun.freed):
        await _free(context, begun)
    reindexed: int = context.checkpoint["reindexed"]
    await context.scope.refresh()
    await context.platform.cache.advance(generation_key(context.tenant.uid, context.collection.uid))
    collection = messages.collection(context.tenant.tenant_id, begun, context.platform.etags)
    return operations_pb2.ReindexCollectionResponse(reindexed_count=reindexed, collection=collection)


async def _round(context: Context, condition: Json | None, after: str) -> int:
    """Write all matching documents behind an id again, and return how many there were."""
    seconds = context.platform.settings.engine_timeout_seconds
    met = 0
    async for page in pages(context.scope, source_fields(KEPT), condition, seconds, after):
        # Read each time: a schema that is out of date would put values into slots that may be another attribute's by now.
        puts = _compiled(context, page, await _current(context))
        written = await write(context.scope, puts)
        met += len(page)
        checkpoint = {**context.checkpoint, "reindexed": context.checkpoint["reindexed"] + written}
        if condition is None:
            done = context.progress.done + len(page)
            total = max(done, context.progress.total)
            await context.advance({**checkpoint, "after": page[-1]["id"]}, done=done, total=total)
        else:
            await context.advance(checkpoint)
    return met


def _compiled(context: Context, page: Sequence[Json], collection: CollectionRecord) -> list[Put]:
    """Return the bodies of documents by a schema; a value that doesn't fit its declared type is told and left out."""
    owner, schema, telling = context.scope.owner, collection.schema(), context.operation.readers is None
    puts: list[Put] = []
    for number, source in enumerate(page, context.progress.done + 1):
        document = read_document(source, owner, KEPT, "")
        examined = examine(document, schema, context.platform.settings.limits)
        for wrong in examined.violations[:1]:
            text = f"{source['id']}: {wrong.field}: {wrong.description}"
            context.fail_row(number, "DOCUMENT_INVALID", text if telling else "a document doesn't fit the schema")
        known = None if examined.violations else examined
        body = compile_document(document, owner, schema, source["id"], source["revision"], source["create_time"], known)
        # As it was: it is part of the etag, and the document stays at its revision.
        body["hash"] = source["hash"]
        puts.append(Put(source["id"], body))
    return puts


async def _clean(context: Context, freed: Sequence[str]) -> bool:
    """Whether no document has a value in these slots any more. Those that have are written again."""
    left: Json = {"bool": {"should": [{"exists": {"field": slot}} for slot in freed], "minimum_should_match": 1}}
    for _ in range(_ROUNDS):
        await context.scope.refresh()
        if not await _round(context, left, ""):
            return True
    return False


async def _free(context: Context, begun: CollectionRecord) -> None:
    """Give freed slots back, if the collection is still what it was when this began."""

    def decide(now: CollectionRecord) -> CollectionRecord:
        same = (now.uid, now.version) == (begun.uid, begun.version)
        return now.changed(freed=()) if same else now

    directory = context.platform.directory
    await collections.change(directory, context.tenant, begun.collection_id, decide)


async def _current(context: Context) -> CollectionRecord:
    """Return the collection's record as it was last written."""
    tenant, collection = context.tenant, context.collection
    record = await context.platform.directory.fresh_collection(tenant, collection.collection_id)
    if record is None or record.uid != collection.uid:
        raise not_found("pinakes/Collection", names.collection(tenant.tenant_id, collection.collection_id))
    return record


JOB = Job(VERB, run, exclusive=True, whole=True)
