# SPDX-License-Identifier: Apache-2.0
"""Purge: tombstones over all documents that match a filter, at the one revision at which the purge was asked for.

So what is written after that stands, whether the purge meets it or not. It goes through the documents again and again until
none matches that is older; what it wrote before it was stopped isn't found any more, so it can begin again anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import KEPT, source_fields, tombstone
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.pages import condition_of, count, pages, write
from pinakes.v1 import operations_pb2
from pinakes.worker.jobs.queued import drained

if TYPE_CHECKING:
    from google.protobuf.message import Message

Json = dict[str, Any]
VERB = "purge"


async def run(context: Context) -> Message:
    """Delete the documents. Parameters: `filter` (AIP-160) and `revision`."""
    settings, scope = context.platform.settings, context.scope
    revision: int = context.parameters["revision"]
    chosen = condition_of(context.parameters["filter"], context.collection, settings.limits)
    older: Json = {"range": {"revision": {"lt": revision}}}
    condition = {"bool": {"filter": [older, chosen]}} if chosen is not None else older
    seconds = settings.engine_timeout_seconds
    # A write that was accepted before this purge belongs to what the filter is asked about.
    await drained(context)
    while True:
        await scope.refresh()
        if not context.progress.total:
            await context.advance(total=await count(scope, condition, seconds))
        before = context.progress.done
        async for page in pages(scope, source_fields(KEPT), condition, seconds):
            puts = [Put(one["id"], tombstone(scope.owner, one["id"], revision, one)) for one in page]
            written = await write(scope, puts)
            scope.wrote(written)
            done = context.progress.done + written
            # A checkpoint that differs is progress; there is nothing to go on from.
            await context.advance({**context.checkpoint, "done": done}, done=done)
        # A page whose documents all have newer revisions by now changes nothing, and nothing is left of it.
        if context.progress.done == before:
            break
    # Pages that were written by a run that died before it could count them are counted here.
    done = max(context.progress.done, await scope.count_tombstones(revision))
    await context.advance(done=done, total=max(done, context.progress.total))
    await context.platform.cache.advance(generation_key(context.tenant.uid, context.collection.uid))
    return operations_pb2.PurgeDocumentsResponse(purge_count=done)


JOB = Job(VERB, run)
