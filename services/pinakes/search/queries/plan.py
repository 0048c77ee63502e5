# SPDX-License-Identifier: Apache-2.0
"""What a search asks the engine: query, filter, order, facets and highlights of a request, compiled into one body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from pinakes.core.engine.documents import source_fields
from pinakes.core.engine.scope import TOTAL_HITS, TenantScope
from pinakes.core.faults import invalid
from pinakes.core.query import curation
from pinakes.core.query.collapse import WINDOW, collapse_slot, collapsed_page
from pinakes.core.query.curation import Curated, curated_query
from pinakes.core.query.facets import Facets, compile_facets
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.mask import read_paths
from pinakes.core.query.options import Options, options_of
from pinakes.core.query.order import RELEVANCE, Order, compile_order
from pinakes.core.query.pages import page_size
from pinakes.core.query.ranking import has_functions, ranked
from pinakes.core.query.text import Query, compile_query, parse_query
from pinakes.core.query.weights import NOTHING, UNKNOWN, Weights
from pinakes.core.tenancy.models import now_ms
from pinakes.search.queries.highlights import Highlights, compile_highlights

if TYPE_CHECKING:
    from pinakes.core.query.expression import Expression
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts
    from pinakes.v1 import search_pb2

Json = dict[str, Any]
ALL_PATHS = frozenset({
    "title", "body", "tags", "language", "attributes", "readers", "source_uri", "create_time", "update_time",
    "expire_time", "content_hash",
})  # fmt: skip
DEFAULT_PATHS = ALL_PATHS - {"body"}


@dataclass(frozen=True, slots=True)
class Plan:
    """One search, compiled: what the engine is asked, and what reading its answer takes.

    `now_ms` is the time that the first page was asked for; `cheap` searches may share a call of the engine.
    """

    request: search_pb2.SearchRequest
    query: Query
    options: Options
    weights: Weights
    now_ms: int
    size: int
    paths: frozenset[str]
    body: Json
    cheap: bool
    curated: Curated
    facets: Facets | None = None
    highlights: Highlights | None = None

    def goes_on(self, found: int) -> bool:
        """Tell whether a page for which the engine found so many may have another behind it."""
        return found > self.size or ("collapse" in self.body and self.body.get("from", 0) + found >= WINDOW)


async def make_plan(
    request: search_pb2.SearchRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> Plan:
    """Compile a request. Raises a `Fault` of kind INVALID with what is wrong and where.

    A page token carries the time and the weights of the first page, so that the order can't change between pages.
    """
    limits = parts.platform.settings.limits
    schema = collection.schema()
    size = page_size(request.page_size, limits)
    paths = read_paths(request.read_mask.paths, DEFAULT_PATHS)
    kept = parts.platform.page_tokens.read(request, scope.owner.tenant_uid)
    options = options_of(
        collection, matching=request.matching, typos=request.typos, languages=request.languages,
        ranking=request.ranking if request.HasField("ranking") else None,
    )  # fmt: skip
    query = parse_query(request.query, options, limits)
    # Without a query, documents can still be ranked by what else counts; who wants that says so.
    scored = not query.empty or (has_functions(options) and RELEVANCE in request.order_by)
    order = compile_order(request.order_by, schema, scored)
    condition: Expression | None = parse_filter(request.filter, limits) if request.filter.strip() else None
    if kept is not None and kept.get("o") != _sign(order.sort):
        description = "the collection has been changed since, and what it is ordered by with it; start anew"
        raise invalid("page_token", description, "PAGE_TOKEN_MISMATCH")
    body: Json = {"size": size + 1, "sort": order.sort, "track_total_hits": TOTAL_HITS, "_source": source_fields(paths)}
    facets = compile_facets(request.facets, condition, schema, limits) if request.facets and kept is None else None
    if facets is not None:
        condition = facets.condition
        body["aggs"] = facets.aggregations
        if facets.post_filter is not None:
            body["post_filter"] = facets.post_filter
    if condition is not None:
        body["filter"] = compile_filter(condition, schema)
    if request.collapse:
        body["collapse"] = {"field": collapse_slot(request.collapse, schema)}
    if kept is not None:
        now, weights = kept["n"], UNKNOWN if "u" in kept else Weights.from_json(kept["w"]) if "w" in kept else NOTHING
        if "f" in kept:
            body |= collapsed_page(kept["f"], size + 1)
        else:
            body["search_after"] = kept["a"]
    else:
        now = now_ms()
        weights = NOTHING if query.empty else await parts.vocabulary.weights(scope, query, options)
    curated = _curated(request, collection, order, now, kept)
    words = compile_query(query, options, weights, named=request.explain, owner=scope.owner)
    ranking = ranked(words, options, schema, limits, now_ms=now)
    compiled = curated_query(ranking if order.by_score else words, curated)
    if compiled is not None:
        body["query"] = compiled
    highlights = None
    if request.HasField("highlight"):
        highlights = compile_highlights(request.highlight, options, schema, words, filtered=condition is not None)
        if highlights.body is not None:
            body["highlight"] = highlights.body
    cheap = _cheap(query, facets, highlights, body)
    return Plan(request, query, options, weights, now, size, paths, body, cheap, curated, facets, highlights)


def _cheap(query: Query, facets: Facets | None, highlights: Highlights | None, body: Json) -> bool:
    """Tell whether a search may share a round trip: it must not make those wait that go with it (design §6)."""
    if "collapse" in body or (facets is not None and not facets.cheap):
        return False
    # Titles are short; other texts are analysed anew, however long they are.
    if highlights is not None and highlights.fields.keys() != {"title"}:
        return False
    return not any(term.prefix for term in query.terms)


def _curated(
    request: search_pb2.SearchRequest, collection: CollectionRecord, order: Order, now: int, kept: Json | None
) -> Curated:
    """Return what is shown first or not at all. What the first page had pinned stays pinned on the others."""
    if request.without_curation:
        return curation.NOTHING
    curated = curation.applied(collection, request.query, now)
    if "_score" not in order.sort[0]:
        return curated.without_pins()
    return Curated(tuple(kept.get("p", ())), curated.hides) if kept is not None else curated


def _sign(sort: Any) -> int:
    """Return a number that tells an order from others: values of one are of no use in another."""
    return crc32(orjson.dumps(sort))


def page_token(plan: Plan, scope: TenantScope, parts: Parts, after: list[Any]) -> str:
    """Return the token of the page that follows a result with these sort values."""
    kept: Json = {"n": plan.now_ms, "o": _sign(plan.body["sort"])}
    if "collapse" in plan.body:
        # The engine can't go on after a result where it collapses: it counts from the first.
        kept["f"] = plan.body.get("from", 0) + plan.size
    else:
        kept["a"] = after
    if plan.weights is UNKNOWN:
        kept["u"] = True
    elif plan.weights is not NOTHING:
        kept["w"] = plan.weights.to_json()
    if plan.curated.pins:
        kept["p"] = plan.curated.pins
    return parts.platform.page_tokens.make(plan.request, scope.owner.tenant_uid, kept)
