# SPDX-License-Identifier: Apache-2.0
"""What ExplainDocument means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts
    from pinakes.v1 import search_pb2


async def run(
    request: search_pb2.ExplainDocumentRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> search_pb2.ExplainDocumentResponse:
    """Say why a document is in the result of a search, or why it isn't."""
    raise Fault(Kind.UNIMPLEMENTED, "UNIMPLEMENTED", "not yet")
