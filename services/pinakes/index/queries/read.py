# SPDX-License-Identifier: Apache-2.0
"""What reading documents by name and listing them means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.bodies import Found
from pinakes.core.engine.documents import source_fields
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import invalid, not_found
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.mask import read_paths
from pinakes.core.query.order import compile_order
from pinakes.core.query.pages import page_size
from pinakes.core.rpc import names
from pinakes.index.commands.write import ALL_PATHS
from pinakes.v1 import index_pb2, resources_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord


async def get(request: index_pb2.GetDocumentRequest, scope: TenantScope, platform: Platform) -> resources_pb2.Document:
    """Read one document; absent, deleted, expired and unreadable are the same."""
    document_id = names.parse(request.name).document
    found = (await _read([document_id], request.read_mask.paths, scope, platform))[0]
    if found is None:
        raise not_found("pinakes/Document", request.name)
    return found


async def batch_get(
    request: index_pb2.BatchGetDocumentsRequest, scope: TenantScope, platform: Platform
) -> index_pb2.BatchGetDocumentsResponse:
    """Read some documents, and name those that aren't there."""
    for i, name in enumerate(request.names):
        parsed = names.parse(name)
        if parsed.tenant not in {names.OWN, scope.owner.tenant_id} or parsed.collection != scope.owner.collection_id:
            raise invalid(f"names[{i}]", f"the document must be in {request.parent}", "DOCUMENT_OUTSIDE_PARENT")
    ids = [names.parse(name).document for name in request.names]
    found = await _read(ids, request.read_mask.paths, scope, platform)
    answer = index_pb2.BatchGetDocumentsResponse()
    for name, document in zip(request.names, found, strict=True):
        if document is None:
            answer.missing.append(name)
        else:
            answer.documents.append(document)
    return answer


async def _read(
    ids: list[str], mask: Iterable[str], scope: TenantScope, platform: Platform
) -> list[resources_pb2.Document | None]:
    paths = read_paths(mask, ALL_PATHS)
    found = await scope.mget(ids, source_fields(paths))

    def message(one: Found | None) -> resources_pb2.Document | None:
        if one is None or one.gone:
            return None
        etag = platform.etags.make(one.source["revision"], one.source.get("hash", ""))
        return scope.document(one.source, paths, etag)

    return [message(one) for one in found]


async def list_documents(
    request: index_pb2.ListDocumentsRequest, scope: TenantScope, collection: CollectionRecord, platform: Platform
) -> index_pb2.ListDocumentsResponse:
    """List documents by filter and order."""
    limits, schema = platform.settings.limits, collection.schema()
    size = page_size(request.page_size, limits)
    paths = read_paths(request.read_mask.paths, ALL_PATHS)
    order = compile_order(request.order_by or "id", schema, False)  # there is no query
    body: dict[str, Any] = {
        "size": size + 1,
        "sort": order.sort,
        "_source": source_fields(paths),
        "track_total_hits": False,
    }
    if request.filter.strip():
        body["filter"] = compile_filter(parse_filter(request.filter, limits), schema)
    after = platform.page_tokens.read(request, scope.owner.tenant_uid)
    if after is not None:
        body["search_after"] = after
    page = await scope.search(body, limits.search_seconds)
    answer = index_pb2.ListDocumentsResponse()
    for hit in page.hits[:size]:
        etag = platform.etags.make(hit.source["revision"], hit.source.get("hash", ""))
        answer.documents.append(scope.document(hit.source, paths, etag))
    if len(page.hits) > size:
        answer.next_page_token = platform.page_tokens.make(request, scope.owner.tenant_uid, page.hits[size - 1].sort)
    return answer
