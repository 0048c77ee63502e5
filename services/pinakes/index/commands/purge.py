# SPDX-License-Identifier: Apache-2.0
"""What PurgeDocuments means: a look at what would go, or an operation that deletes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.longrunning import operations_pb2

from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.operations.pages import condition_of, count
from pinakes.core.operations.records import Progress
from pinakes.core.operations.start import Asked
from pinakes.core.rpc.call import Call
from pinakes.v1 import operations_pb2 as verbs_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord

SAMPLE = 20


async def purge(
    request: verbs_pb2.PurgeDocumentsRequest,
    call: Call,
    scope: TenantScope,
    collection: CollectionRecord,
    platform: Platform,
) -> operations_pb2.Operation:
    """Count and sample what matches, or start to delete it."""
    asked = Asked(platform, "purge", call.tenant, collection, request, call.principal.readers, call.principal.role)
    if (earlier := await asked.repeated()) is not None:
        return earlier
    limits = platform.settings.limits
    condition = condition_of(request.filter, collection, limits)
    matching = await count(scope, condition, limits.search_seconds)
    if not request.force:
        body = {"size": SAMPLE, "sort": [{"id": "asc"}], "_source": ["id"], "track_total_hits": False}
        found = await scope.search(body if condition is None else {**body, "filter": condition}, limits.search_seconds)
        sample = [scope.owner.name(hit.source["id"]) for hit in found.hits]
        response = verbs_pb2.PurgeDocumentsResponse(purge_count=matching, purge_sample=sample)
        parameters = {"filter": request.filter, "force": False}
        return await asked.finished(parameters, response, Progress(total=matching))
    if not request.all_documents:
        everything = condition is None or (matching > 0 and matching == await count(scope, None, limits.search_seconds))
        if everything:
            raise _all_match()
    await platform.revisions.ready()
    return await asked.start({"filter": request.filter, "revision": platform.revisions.next()})


def _all_match() -> Fault:
    text = "the filter matches every document of the collection; set all_documents if all of them are to be deleted"
    return Fault(Kind.INVALID, "ALL_DOCUMENTS_MATCH", text, (Violation("all_documents", text),))
