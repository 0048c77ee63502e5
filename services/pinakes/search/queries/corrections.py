# SPDX-License-Identifier: Apache-2.0
"""Did you mean: a query with its typing errors corrected, and how many documents that finds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault
from pinakes.core.query.curation import NOTHING as UNCURATED
from pinakes.core.query.curation import Curated, applied, curated_query
from pinakes.core.query.text import compile_query, parse_query
from pinakes.core.query.weights import NOTHING, Weights
from pinakes.search.typos import corrected_text
from pinakes.v1 import suggest_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Page
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.query.options import Options
    from pinakes.core.query.text import Query
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts
    from pinakes.search.queries.plan import Plan

Json = dict[str, Any]
LITTLE = 5
"""A query without tolerance of typing errors that finds fewer documents is looked through for errors."""


async def correction(
    plan: Plan, page: Page, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> suggest_pb2.Correction | None:
    """Return the corrected query of a first page's search, or None; it never fails a search.

    Words that the collection doesn't have are corrected where it has similar ones in titles and tags; one more engine
    call tells how many documents the corrected query finds, under the same filters, and that there are any.
    """
    if plan.request.page_token or plan.query.empty or plan.options.words_hidden:
        return None
    weights = plan.weights
    if not plan.options.typos:
        if page.total >= LITTLE:
            return None
        weights = await parts.vocabulary.weights(scope, plan.query, plan.options, corrected=True)
    text = corrected(plan.request.query, plan.query, weights)
    if not text:
        return None
    body: Json = {key: plan.body[key] for key in ("filter", "post_filter") if key in plan.body}
    # The corrected query has curations of its own.
    curated = UNCURATED if plan.request.without_curation else applied(collection, text, plan.now_ms)
    if "_score" not in plan.body["sort"][0]:
        curated = curated.without_pins()
    total = await found_by(text, plan.options, scope, parts, body, curated)
    return suggest_pb2.Correction(query=text, total_size=total) if total else None


def corrected(text: str, query: Query, weights: Weights) -> str:
    """Return a query's text with its errors corrected; empty if there are none, or nothing to correct them to."""
    if not weights.corrections:
        return ""
    better = corrected_text(text, query.terms, weights.corrections)
    return "" if better == text else better


async def found_by(text: str, options: Options, scope: TenantScope, parts: Parts, body: Json, curated: Curated) -> int:
    """Return how many documents a query finds as it is written, under the filters of a body, pins and hides counted in.

    0 if that can't be told, or if the corrected query is longer than one may be: a correction is never worth a failure.
    """
    limits = parts.platform.settings.limits
    strict = replace(options, typos=False)
    counting: Json = {"size": 0, "track_total_hits": True, **body}
    try:
        compiled = compile_query(parse_query(text, strict, limits), strict, NOTHING, owner=scope.owner)
        compiled = curated_query(compiled, curated)
        if compiled is not None:
            counting["query"] = compiled
        page = await scope.search(counting, limits.search_seconds, cheap=True, partial=True)
    except Fault:
        return 0
    return page.total
