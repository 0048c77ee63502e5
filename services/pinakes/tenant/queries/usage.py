# SPDX-License-Identifier: Apache-2.0
"""What telling a tenant's usage means: its days as they were counted, and what it has at the moment by a new count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pinakes.core.engine.usage import MOST_DAYS, Counts, Day
from pinakes.core.faults import invalid, unavailable
from pinakes.v1 import usage_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import TenantRecord

USUAL_DAYS = 30


async def read(
    request: usage_pb2.GetUsageRequest, tenant: TenantRecord, platform: Platform
) -> usage_pb2.GetUsageResponse:
    """Tell what a tenant has and did."""
    today = datetime.now(UTC).date()
    last = _day("end_day", request.end_day) or today
    first = _day("start_day", request.start_day) or last - timedelta(days=min(USUAL_DAYS - 1, (last - date.min).days))
    _check(first, last)
    store = platform.usage.store
    (counts,) = await store.count([tenant])
    if counts is None:
        raise unavailable("the search engine")
    answer = usage_pb2.GetUsageResponse(documents=counts.documents, bytes=counts.bytes)
    answer.count_time.GetCurrentTime()
    known = {day.day: day for day in await store.read(tenant.uid, first, last)}
    before = await store.counted_before(tenant.uid, first) or Counts(0, 0)
    for number in range((last - first).days + 1):
        when = first + timedelta(days=number)
        found = known.get(when, Day(when, 0, 0, 0.0, None))
        before = counts if when == today else found.counts or before
        if when > today:
            before = Counts(0, 0)
        answer.days.add(
            day=when.isoformat(), documents=before.documents, bytes=before.bytes, searches=found.searches,
            writes=found.writes, cost=found.cost,
        )  # fmt: skip
        answer.searches += found.searches
        answer.writes += found.writes
        answer.cost += found.cost
    return answer


def _day(field: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise invalid(field, f"{text} isn't a day of the calendar") from None


def _check(first: date, last: date) -> None:
    if first > last:
        raise invalid("start_day", f"{first} is after the last day, {last}")
    if (last - first).days >= MOST_DAYS:
        raise invalid("start_day", f"from {first} to {last} are more than {MOST_DAYS} days")
