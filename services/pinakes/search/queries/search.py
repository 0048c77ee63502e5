# SPDX-License-Identifier: Apache-2.0
"""What Search means: a plan made, one engine call, the answer built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.query.weights import UNKNOWN
from pinakes.core.telemetry import metrics
from pinakes.search.queries.corrections import correction
from pinakes.search.queries.facets import read_facets
from pinakes.search.queries.plan import Plan, make_plan, page_token
from pinakes.search.queries.reasons import reasons
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Page
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts


async def run(
    request: search_pb2.SearchRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> search_pb2.SearchResponse:
    """Search, without `took`, `cached` and `search_id`, which the servicer tells."""
    plan = await make_plan(request, scope, collection, parts)
    seconds = parts.platform.settings.limits.search_seconds
    page = await scope.search(plan.body, seconds, cheap=plan.cheap, partial=True)
    response = answer(plan, page, scope, parts)
    better = await correction(plan, page, scope, collection, parts)
    if better is not None:
        response.correction.CopyFrom(better)
    return response


def answer(plan: Plan, page: Page, scope: TenantScope, parts: Parts) -> search_pb2.SearchResponse:
    """Build the answer out of what the engine found."""
    metrics.SEARCHES.labels("results" if page.hits else "empty").inc()
    response = search_pb2.SearchResponse(total_size=page.total, total_size_capped=page.capped)
    for hit in page.hits[: plan.size]:
        etag = parts.platform.etags.make(hit.source["revision"], hit.source.get("hash", ""))
        pinned = hit.source["id"] in plan.curated.pins
        result = response.results.add(score=0.0 if pinned else hit.score, pinned=pinned)
        scope.document(hit.source, plan.paths, etag, into=result.document)
        if plan.highlights is not None:
            result.highlights.extend(plan.highlights.read(hit.highlights))
        if plan.request.explain:
            result.reasons.extend(reasons(plan.query, hit.matched))
    if plan.goes_on(len(page.hits)):
        response.next_page_token = page_token(plan, scope, parts, page.hits[: plan.size][-1].sort)
    if plan.facets is not None:
        response.facets.extend(read_facets(plan.facets, page.aggregations))
    response.coverage.CopyFrom(coverage(page))
    response.degraded = bool(response.coverage.reason) or plan.weights is UNKNOWN
    return response


def coverage(page: Page) -> search_pb2.Coverage:
    """Say how much of the collection was searched."""
    reason = ""
    if page.timed_out:
        reason = "the search ran out of time; there may be more"
    elif page.answered < page.shards:
        reason = "a part of the search engine isn't available now"
    return search_pb2.Coverage(shards=page.shards, answered=page.answered, reason=reason)
