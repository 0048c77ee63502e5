# SPDX-License-Identifier: Apache-2.0
"""What ReindexCollection means: an operation. The job is the worker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.longrunning import operations_pb2

from pinakes.core.operations.start import Asked

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.rpc.call import Call
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.v1 import operations_pb2 as verbs_pb2


async def reindex(
    request: verbs_pb2.ReindexCollectionRequest, call: Call, collection: CollectionRecord, platform: Platform
) -> operations_pb2.Operation:
    """Start to index a collection anew: all of it, also what the caller may not read, or slots couldn't be freed."""
    asked = Asked(platform, "reindex", call.tenant, collection, request, call.principal.readers, call.principal.role)
    return await asked.repeated() or await asked.start({})
