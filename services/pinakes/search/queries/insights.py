# SPDX-License-Identifier: Apache-2.0
"""What RecordEvent and GetSearchInsights mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts
    from pinakes.v1 import insights_pb2


async def record_event(
    request: insights_pb2.RecordEventRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> insights_pb2.RecordEventResponse:
    """Record what happened to a result."""
    raise Fault(Kind.UNIMPLEMENTED, "UNIMPLEMENTED", "not yet")


async def read(
    request: insights_pb2.GetSearchInsightsRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> insights_pb2.GetSearchInsightsResponse:
    """Tell what is looked for in a collection."""
    raise Fault(Kind.UNIMPLEMENTED, "UNIMPLEMENTED", "not yet")
