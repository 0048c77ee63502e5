# SPDX-License-Identifier: Apache-2.0
"""What Search means: query, filter, order and page token compiled, one engine call, the answer built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pinakes.core.engine.documents import read_document, source_fields
from pinakes.core.engine.scope import TOTAL_HITS, TenantScope
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.mask import read_paths
from pinakes.core.query.order import compile_order
from pinakes.core.query.pages import page_size
from pinakes.core.query.text import compile_query
from pinakes.core.telemetry import metrics
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]
ALL_PATHS = frozenset({
    "title", "body", "tags", "language", "attributes", "readers", "source_uri", "create_time", "update_time",
    "expire_time", "content_hash",
})  # fmt: skip
DEFAULT_PATHS = ALL_PATHS - {"body"}


async def run(
    request: search_pb2.SearchRequest, scope: TenantScope, collection: CollectionRecord, platform: Platform
) -> search_pb2.SearchResponse:
    """Search, without `took` and `cached`, which the servicer tells."""
    limits = platform.settings.limits
    size = page_size(request.page_size, limits)
    paths = read_paths(request.read_mask.paths, DEFAULT_PATHS)
    after = platform.page_tokens.read(request, scope.owner.tenant_uid)
    body = compile_body(request, collection, limits, size, paths)
    if after is not None:
        body["search_after"] = after
    page = await scope.search(body, limits.search_seconds)
    metrics.SEARCHES.labels("results" if page.hits else "empty").inc()
    answer = search_pb2.SearchResponse(total_size=page.total, total_size_capped=page.capped)
    for hit in page.hits[:size]:
        etag = platform.etags.make(hit.source["revision"], hit.source.get("hash", ""))
        answer.results.add(document=read_document(hit.source, scope.owner, paths, etag), score=hit.score)
    if len(page.hits) > size:
        answer.next_page_token = platform.page_tokens.make(request, scope.owner.tenant_uid, page.hits[size - 1].sort)
    return answer


def compile_body(
    request: search_pb2.SearchRequest, collection: CollectionRecord, limits: Any, size: int, paths: frozenset[str]
) -> Json:
    """Return what the scope is asked: one result more than the page has, to know whether there is a next one."""
    schema = collection.schema()
    query = compile_query(request.query, schema, limits)
    order = compile_order(request.order_by, schema, query is not None)
    body: Json = {
        "size": size + 1,
        "sort": order.sort,
        "track_total_hits": TOTAL_HITS,
        "_source": source_fields(paths),
    }
    if query is not None:
        body["query"] = query
    if request.filter.strip():
        body["filter"] = compile_filter(parse_filter(request.filter, limits), schema)
    return body
