# SPDX-License-Identifier: Apache-2.0
"""All documents of a scope, page by page, for jobs that go through a whole collection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.settings import Limits
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]
# A page aims at so many bytes; its size follows what documents turn out to have.
PAGE_BYTES = 4 << 20
SMALLEST, FIRST, LARGEST = 4, 50, 500
_log = logger("pinakes.operations")


def condition_of(text: str, collection: CollectionRecord, limits: Limits) -> Json | None:
    """Compile an AIP-160 filter as Search does; None for an empty one. Raises the same faults."""
    return compile_filter(parse_filter(text, limits), collection.schema()) if text.strip() else None


async def count(scope: TenantScope, condition: Json | None, seconds: float) -> int:
    """Return exactly how many documents match, as far as searches see them."""
    body: Json = {"size": 0, "track_total_hits": True}
    if condition is not None:
        body["filter"] = condition
    return (await scope.search(body, seconds)).total


async def pages(
    scope: TenantScope, fields: Sequence[str], condition: Json | None, seconds: float, after: str = ""
) -> AsyncIterator[list[Json]]:
    """Yield the bodies of matching documents in pages, in the order of their ids, those after the id `after`.

    An id never changes, so writes that come between neither repeat nor hide a document that was there all the time.
    `fields` are engine fields; `id` and `revision` are always among them. `seconds` is what one page may take.
    """
    size = FIRST
    while True:
        body: Json = {
            "size": size,
            "sort": [{"id": "asc"}],
            "_source": sorted({"id", "revision", *fields}),
            "track_total_hits": False,
        }
        if condition is not None:
            body["filter"] = condition
        if after:
            body["search_after"] = [after]
        page = [hit.source for hit in (await scope.search(body, seconds)).hits]
        if page:
            yield page
        if len(page) < size:
            return
        after = page[-1]["id"]
        each = max(1, len(orjson.dumps(page)) // len(page))
        # Twice at most: the next documents may be larger than these.
        size = max(SMALLEST, min(LARGEST, PAGE_BYTES // each, size * 2))


async def write(scope: TenantScope, puts: Sequence[Put]) -> int:
    """Write bodies at their revisions, and return for how many nothing newer stood there already.

    Raises a fault of kind UNAVAILABLE when the engine had no room for one, after which all of it may be written again.
    """
    written = 0
    for part in _parts(puts):
        for item in await scope.bulk(part, searchable=False):
            if item.busy:
                raise unavailable("the search engine")
            if item.status < 300:
                written += 1
            elif item.status != 409:
                _log.error("a body was refused", error=item.error, detail=item.detail[:300])
                raise Fault(Kind.INTERNAL, "NOT_INDEXABLE", "the search engine can't index one of the documents")
    return written


def _parts(puts: Sequence[Put]) -> list[list[Put]]:
    """Split bodies into calls of about `PAGE_BYTES`."""
    parts: list[list[Put]] = []
    size = PAGE_BYTES
    for put in puts:
        if size >= PAGE_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(put)
        size += len(put.data)
    return parts
