# SPDX-License-Identifier: Apache-2.0
"""The verb `export`: a collection's documents as JSON Lines in an object, in the order of their ids.

It has the documents as they were at one moment, when it began; what is written meanwhile isn't in it. The object appears when
it is complete. A run that is interrupted leaves nothing at the destination, and the next one begins a new object, of a later
moment: what was sent of the old one can't be gone on with.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.documents import KEPT, source_fields
from pinakes.core.engine.searches import MOMENT_GONE
from pinakes.core.faults import Fault
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.pages import condition_of
from pinakes.core.operations.records import BLIND, NARROWED
from pinakes.core.query.narrowing import narrowing_condition
from pinakes.core.storage import uris
from pinakes.core.storage.compression import Compression, Deflater
from pinakes.core.storage.rows import write_row
from pinakes.core.telemetry.logs import logger
from pinakes.v1 import operations_pb2
from pinakes.worker.jobs.ahead import ahead
from pinakes.worker.jobs.patience import patiently

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.engine.bodies import Hit, Page
    from pinakes.core.engine.scope import TenantScope

Json = dict[str, Any]
_log = logger("pinakes.export")
PATHS = KEPT - {"create_time"}
PAGE = 64
"""Documents at a time: as many of the largest ones take about 100 MB."""
WRITE_BYTES = 1 << 20
_PAGE_SECONDS = 10.0
# A run that gives up must begin anew, so it waits for long.
_PATIENCE = 600.0
MOMENTS = 5
"""How often an export begins before it fails."""


async def run(context: Context) -> Message:
    """Export, from the beginning; once more from there if the engine has lost the moment, because a node went, for instance."""
    for left in reversed(range(MOMENTS)):
        try:
            async with context.scope.at_one_moment(_PATIENCE + _PAGE_SECONDS) as scope:
                return await _exported(context, scope)
        except Fault as fault:
            if fault.reason != MOMENT_GONE or not left:
                raise
            _log.warning("an export begins anew", left=left)
    raise AssertionError


async def _exported(context: Context, scope: TenantScope) -> Message:
    location = uris.parse(context.parameters["destination_uri"], "destination_uri")
    body = body_of(_condition(context))
    total = (await _page(context, scope, body | {"size": 0, "track_total_hits": True})).total
    await context.advance({}, total=total, done=0, done_bytes=0)
    deflater, count = Deflater(Compression[context.parameters["compression"]]), 0
    storage, tenant_id = context.platform.storage, context.tenant.tenant_id
    async with await storage.sink(location, tenant_id, context.operation.operation_id, context.fence) as sink:
        waiting: list[bytes] = []
        async with aclosing(ahead(pages_of(context, scope, body))) as pages:
            async for hits in pages:
                waiting.append(deflater.feed(b"".join([row(scope, hit) for hit in hits])))
                count += len(hits)
                if sum(map(len, waiting)) >= WRITE_BYTES:
                    await sink.write(b"".join(waiting))
                    waiting = []
                await context.advance({}, total=max(total, count), done=count, done_bytes=sink.written)
        await sink.write(b"".join((*waiting, deflater.finish())))
        await context.check()
        await sink.finish()
        size = sink.written
    await context.advance({}, total=count, done=count, done_bytes=size)
    return operations_pb2.ExportDocumentsResponse(exported_count=count, size_bytes=size)


def _condition(context: Context) -> Json | None:
    """Return what chooses the documents; a credential's filter lets through what it does in searches, and not more."""
    collection, limits = context.collection, context.platform.settings.limits
    chosen = condition_of(context.parameters["filter"], collection, limits)
    narrowed = context.parameters.get(NARROWED)
    if not narrowed:
        return chosen
    # It is read again with the eyes of who made the credential, which may see what its holder may not.
    seen = replace(collection, masked=context.parameters.get(BLIND, True))
    return {"bool": {"filter": [chosen, narrowing_condition(narrowed, seen, limits)]}}


def body_of(condition: Json | None = None) -> Json:
    """Return the search that finds the documents."""
    body: Json = {
        "size": PAGE,
        "sort": [{"id": "asc"}],
        "_source": source_fields(PATHS),
        "track_total_hits": False,
    }
    return body if condition is None else body | {"filter": condition}


async def pages_of(context: Context, scope: TenantScope, body: Json, start: str = "") -> AsyncGenerator[list[Hit]]:
    """Yield pages of documents in the order of their ids, those after the id `start`."""
    after: list[Any] | None = [start] if start else None
    while True:
        found = await _page(context, scope, body if after is None else body | {"search_after": after})
        if found.hits:
            yield found.hits
        if len(found.hits) < PAGE:
            return
        after = found.hits[-1].sort


async def _page(context: Context, scope: TenantScope, body: Json) -> Page:
    return await patiently(context, partial(scope.search, body, _PAGE_SECONDS), _PATIENCE)


def row(scope: TenantScope, hit: Hit) -> bytes:
    """Return a document as a line: writing that again changes nothing."""
    return write_row(scope.document(hit.source, PATHS, ""), hit.source["id"])


JOB = Job("export", run)
