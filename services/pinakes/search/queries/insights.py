# SPDX-License-Identifier: Apache-2.0
"""What RecordEvent and GetSearchInsights mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import timestamp_pb2

from pinakes.core.engine.insights import LISTS, InsightStore, Told
from pinakes.core.faults import invalid
from pinakes.core.limits.cost import cost_of
from pinakes.core.tenancy.models import now_ms
from pinakes.v1 import insights_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts

DEFAULT_LIMIT = 10
_DAY_MS = 86_400_000


async def record_event(
    request: insights_pb2.RecordEventRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> insights_pb2.RecordEventResponse:
    """Record what happened to a result, for the query of the search that it was found by. Who and which isn't kept."""
    digest = parts.search_ids.read(request.search_id, scope.owner.tenant_uid, scope.owner.collection_uid)
    conversion = request.type == insights_pb2.RecordEventRequest.TYPE_CONVERSION
    kept = parts.insight.opened(collection, digest, request.position, conversion=conversion)
    return insights_pb2.RecordEventResponse(kept=kept)


async def read(
    request: insights_pb2.GetSearchInsightsRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> insights_pb2.GetSearchInsightsResponse:
    """Tell what is looked for in a collection."""
    del collection
    days = parts.platform.settings.insight_days
    earliest, now = now_ms() - round(days * _DAY_MS), now_ms()
    start = max(earliest, _time(request, "start_time", earliest))
    end = _time(request, "end_time", now + 1)
    if request.HasField("start_time") and request.HasField("end_time") and start >= end:
        raise invalid("end_time", "must be after start_time")
    owner = scope.owner
    store = InsightStore(parts.platform.engine)
    limit = request.limit or DEFAULT_LIMIT
    summary = await scope.charged(store.read(owner.tenant_uid, owner.collection_uid, start, end, limit))
    scope.cost += cost_of(summary.worked_ms, LISTS)
    total = summary.total
    answer = insights_pb2.GetSearchInsightsResponse(
        searches=total.searches, without_results=total.without_results, clicks=total.clicks,
        conversions=total.conversions, top_queries=map(_query, summary.top),
        queries_without_results=map(_query, summary.without_results), slow_queries=map(_query, summary.slow),
    )  # fmt: skip
    answer.retention.FromMilliseconds(round(days * _DAY_MS))
    return answer


def _query(told: Told) -> insights_pb2.QueryInsight:
    made = insights_pb2.QueryInsight(
        query=told.query, searches=told.searches, without_results=told.without_results, clicks=told.clicks,
        conversions=told.conversions, mean_click_position=told.mean_position,
    )  # fmt: skip
    made.p95_took.FromMicroseconds(round(told.took_ms * 1000))
    return made


def _time(request: insights_pb2.GetSearchInsightsRequest, field: str, unset: int) -> int:
    """Return a time of the request in ms since 1970."""
    if not request.HasField(field):
        return unset
    time: timestamp_pb2.Timestamp = getattr(request, field)
    try:
        return time.ToMilliseconds()
    except ValueError:
        raise invalid(field, "expected a time from 0001-01-01 to 9999-12-31") from None
