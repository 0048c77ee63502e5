# SPDX-License-Identifier: Apache-2.0
"""What Suggest means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts
    from pinakes.v1 import suggest_pb2


async def run(
    request: suggest_pb2.SuggestRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> suggest_pb2.SuggestResponse:
    """Suggest, without `took`, which the servicer tells."""
    raise Fault(Kind.UNIMPLEMENTED, "UNIMPLEMENTED", "not yet")
