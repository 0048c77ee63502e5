# SPDX-License-Identifier: Apache-2.0
"""What CountDocuments means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.query.curation import applied, curated_query
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.options import options_of
from pinakes.core.query.text import compile_query, parse_query
from pinakes.core.query.weights import NOTHING
from pinakes.core.tenancy.models import now_ms
from pinakes.search.queries.search import coverage
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts


async def run(
    request: search_pb2.CountDocumentsRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> search_pb2.CountDocumentsResponse:
    """Count what a search finds, without `took`, which the servicer tells."""
    limits = parts.platform.settings.limits
    options = options_of(collection, matching=request.matching, typos=request.typos)
    query = parse_query(request.query, options, limits)
    # Corrections decide what is found, so they are looked up as a search does.
    weights = NOTHING if query.empty else await parts.vocabulary.weights(scope, query, options)
    now = now_ms()
    compiled = curated_query(
        compile_query(query, options, weights, owner=scope.owner), applied(collection, request.query, now)
    )
    body: dict[str, object] = {"size": 0, "track_total_hits": True}
    if compiled is not None:
        body["query"] = compiled
    if request.filter.strip():
        body["filter"] = compile_filter(parse_filter(request.filter, limits), collection.schema())
    page = await scope.search(body, limits.search_seconds, cheap=True, partial=True)
    return search_pb2.CountDocumentsResponse(total_size=page.total, coverage=coverage(page))
