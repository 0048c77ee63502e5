# SPDX-License-Identifier: Apache-2.0
"""What a search asks the engine: query, filter, order, facets and highlights of a request, compiled into one body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.documents import source_fields
from pinakes.core.engine.scope import TOTAL_HITS, TenantScope
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.mask import read_paths
from pinakes.core.query.options import Options, options_of
from pinakes.core.query.order import compile_order
from pinakes.core.query.pages import page_size
from pinakes.core.query.text import Query, compile_query, parse_query
from pinakes.core.query.weights import NOTHING, Weights
from pinakes.core.tenancy.models import now_ms

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
    order = compile_order(request.order_by, schema, not query.empty)
    condition: Expression | None = parse_filter(request.filter, limits) if request.filter.strip() else None
    body: Json = {"size": size + 1, "sort": order.sort, "track_total_hits": TOTAL_HITS, "_source": source_fields(paths)}
    if condition is not None:
        body["filter"] = compile_filter(condition, schema)
    if kept is not None:
        now, weights = kept["n"], Weights.from_json(kept["w"]) if "w" in kept else NOTHING
        body["search_after"] = kept["a"]
    else:
        now = now_ms()
        weights = NOTHING if query.empty else await parts.vocabulary.weights(scope, query, options)
    compiled = compile_query(query, options, weights, now_ms=now, named=request.explain)
    if compiled is not None:
        body["query"] = compiled
    return Plan(request, query, options, weights, now, size, paths, body, cheap=True)


def page_token(plan: Plan, scope: TenantScope, parts: Parts, after: list[Any]) -> str:
    """Return the token of the page that follows a result with these sort values."""
    kept: Json = {"a": after, "n": plan.now_ms}
    if plan.weights is not NOTHING:
        kept["w"] = plan.weights.to_json()
    return parts.platform.page_tokens.make(plan.request, scope.owner.tenant_uid, kept)
