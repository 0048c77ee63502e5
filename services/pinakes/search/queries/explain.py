# SPDX-License-Identifier: Apache-2.0
"""What ExplainDocument means: the search is done on the one document, whole and part by part.

The engine's own explanation isn't used: it tells of clauses and statistics that aren't the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind, Violation, invalid, not_found
from pinakes.core.query.collapse import WINDOW
from pinakes.core.query.conjuncts import conjuncts, field_of
from pinakes.core.query.expression import Expression, canonical
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.readable import NOT_READABLE
from pinakes.core.query.text import counting_clause, unnamed
from pinakes.core.rpc import checks, names
from pinakes.search.queries.plan import Plan, make_plan
from pinakes.search.queries.reasons import reasons, term_text
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinakes.core.engine.bodies import Hit, Page
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.query.schema import Schema
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts

Json = dict[str, Any]
Answer = search_pb2.ExplainDocumentResponse
# What says nothing of a single document.
_IGNORED = ("page_size", "page_token", "read_mask", "facets", "highlight")


@dataclass(frozen=True, slots=True)
class _Looked:
    """What looking gave: the document as searches see it, itself in the result, and the best of those it collapses with."""

    visible: Hit | None
    parts: Json
    found: Hit | None
    best: str
    stale: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """What there is to say of the words of the query, of those it excludes, and of the conditions of the filter."""

    words: Sequence[search_pb2.Reason] = ()
    excluded: Sequence[search_pb2.Reason] = ()
    conditions: Sequence[search_pb2.Reason] = ()


async def run(
    request: search_pb2.ExplainDocumentRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> search_pb2.ExplainDocumentResponse:
    """Say why a document is in the result of a search, or why it isn't.

    Raises a fault of kind NOT_FOUND for a document that is absent, deleted, expired or unreadable, and of kind INVALID
    for a search that can't be read, with its place in the request.
    """
    document_id = names.parse(request.name).document
    limits, schema = parts.platform.settings.limits, collection.schema()
    try:
        search = _search(request, scope)
        plan = await make_plan(search, scope, collection, parts)
    except Fault as fault:
        raise _placed(fault) from None
    conditions = conjuncts(parse_filter(search.filter, limits) if search.filter.strip() else None)
    seconds = limits.search_seconds
    looked = await _look(document_id, request.name, plan, conditions, schema, scope, seconds)
    verdict = _verdict(document_id, plan, looked)
    told = _told(plan, conditions, schema, looked)
    answer = Answer(verdict=verdict, reasons=[*told.words, *told.excluded, *told.conditions])
    if verdict != Answer.VERDICT_FOUND or looked.found is None:
        answer.text = _text(verdict, told, looked)
        return answer
    pinned = document_id in plan.curated.pins
    answer.score = 0.0 if pinned else looked.found.score
    (page,) = _pages(await scope.search_many([_window(plan)], seconds))
    answer.position = next((n for n, hit in enumerate(page.hits, 1) if hit.sort[-1] == document_id), 0)
    answer.text = _found_text(answer.position, page, plan, pinned=pinned)
    return answer


def _search(request: search_pb2.ExplainDocumentRequest, scope: TenantScope) -> search_pb2.SearchRequest:
    """Return the search in a collection of the document's, checked."""
    search = search_pb2.SearchRequest()
    search.CopyFrom(request.search)
    owner = scope.owner
    wanted = names.collection(owner.tenant_id, owner.collection_id)
    if search.parent not in {"", wanted, names.collection(names.OWN, owner.collection_id)}:
        raise invalid("parent", f"expected nothing, or the document's collection, {wanted}")
    search.parent = wanted
    for field in _IGNORED:
        search.ClearField(field)
    search.explain = True
    checks.check_constraints(search)
    return search


def _placed(fault: Fault) -> Fault:
    """Return a fault of the search with its place in the whole request."""
    if fault.kind is not Kind.INVALID and fault.reason != NOT_READABLE:
        return fault
    violations = tuple(Violation(f"search.{one.field}", one.description) for one in fault.violations)
    return Fault(fault.kind, fault.reason, f"search.{fault.message}", violations, fault.metadata)


async def _look(
    document_id: str,
    name: str,
    plan: Plan,
    conditions: Sequence[Expression],
    schema: Schema,
    scope: TenantScope,
    seconds: float,
) -> _Looked:
    """Look at a document as it was written last, then, in one round trip, as searches see it."""
    slot = plan.body.get("collapse", {}).get("field")
    written = await scope.get(document_id, [slot] if slot else [])
    if written is None or written.gone:
        raise not_found("pinakes/Document", name)
    itself: Json = {"term": {"id": document_id}}
    bodies = [_alone(itself, plan, conditions, schema, scope), _within(plan, itself)]
    if slot:
        value = written.source.get(slot)
        same: Json = (
            {"term": {slot: value}} if value is not None else {"bool": {"must_not": [{"exists": {"field": slot}}]}}
        )
        if isinstance(value, list):
            same = {"terms": {slot: value}}
        bodies.append(_within(plan, same))
    alone, found, *best = _pages(await scope.search_many(bodies, seconds))
    visible = alone.hits[0] if alone.hits else None
    return _Looked(
        visible=visible,
        parts={part: count["doc_count"] > 0 for part, count in alone.aggregations.items()},
        found=found.hits[0] if found.hits else None,
        best=best[0].hits[0].sort[-1] if best and best[0].hits else document_id,
        stale=visible is not None and visible.source["revision"] != written.revision,
    )


def _alone(itself: Json, plan: Plan, conditions: Sequence[Expression], schema: Schema, scope: TenantScope) -> Json:
    """Return a search that finds the document whatever the query says, and tells which parts of the query it matches."""
    parts: Json = {f"c{n}": {"filter": compile_filter(one, schema)} for n, one in enumerate(conditions)}
    for n, term in enumerate(plan.query.terms):
        if term.excluded:
            parts[f"x{n}"] = {"filter": counting_clause(term, plan.options, scope.owner)}
    body: Json = {"size": 1, "filter": itself, "_source": ["id", "revision"], "track_total_hits": False}
    if (query := plan.body.get("query")) is not None:
        parts["query"] = {"filter": query}
        body["query"] = {"bool": {"must": [{"match_all": {}}], "should": [query]}}
    return body | {"aggs": parts}


def _within(plan: Plan, condition: Json) -> Json:
    """Return the search for its first result under one more condition, not collapsed."""
    body = {name: part for name, part in plan.body.items() if name not in {"collapse", "highlight"}}
    filters = [body["filter"], condition] if "filter" in body else [condition]
    return body | {"size": 1, "filter": {"bool": {"filter": filters}}, "_source": False}


def _window(plan: Plan) -> Json:
    """Return the search for as many results as have a position; their ids are among what they are sorted by."""
    body = plan.body | {"size": WINDOW, "_source": False}
    # Names would be looked up for each result.
    return body | {"query": unnamed(body["query"])} if "query" in body else body


def _pages(outcomes: Sequence[Page | Fault]) -> list[Page]:
    pages = []
    for outcome in outcomes:
        if isinstance(outcome, Fault):
            raise outcome
        pages.append(outcome)
    return pages


def _verdict(document_id: str, plan: Plan, looked: _Looked) -> Answer.Verdict:
    if looked.visible is None:
        return Answer.VERDICT_NOT_YET
    if document_id in plan.curated.hides:
        return Answer.VERDICT_HIDDEN
    if looked.found is not None:
        return Answer.VERDICT_FOUND if looked.best == document_id else Answer.VERDICT_COLLAPSED
    if looked.stale:
        return Answer.VERDICT_NOT_YET
    return Answer.VERDICT_FILTER if looked.parts.get("query", True) else Answer.VERDICT_QUERY


def _told(plan: Plan, conditions: Sequence[Expression], schema: Schema, looked: _Looked) -> _Told:
    """Say of each part of the search whether the document that searches see matches it."""
    if looked.visible is None:
        return _Told()
    excluded, held = [], []
    for n, term in enumerate(plan.query.terms):
        if term.excluded:
            shown, has = term_text(term), looked.parts[f"x{n}"]
            text = f'it has "{shown}", which the query excludes' if has else f'it doesn\'t have the excluded "{shown}"'
            excluded.append(search_pb2.Reason(text=text, term=shown, matches=has))
    for n, condition in enumerate(conditions):
        shown, holds = canonical(condition), looked.parts[f"c{n}"]
        text = f"{shown} holds" if holds else f"{shown} doesn't hold"
        field = (field_of(condition, schema) or "") if holds else ""
        held.append(search_pb2.Reason(text=text, term=shown, field=field, matches=holds))
    return _Told(reasons(plan.query, looked.visible.matched), excluded, held)


def _found_text(position: int, page: Page, plan: Plan, *, pinned: bool) -> str:
    why = "; a curation pins it" if pinned else ""
    if not position:
        return f"it is in the result, beyond the {WINDOW:,}th{why}"
    if "collapse" in plan.body:
        return f"it is result {position:,}{why}"
    return f"it is result {position:,} of {'more than ' if page.capped else ''}{page.total:,}{why}"


def _text(verdict: Answer.Verdict, told: _Told, looked: _Looked) -> str:
    """Return why a document isn't in the result."""
    match verdict:
        case Answer.VERDICT_FILTER:
            failed = [reason.text for reason in told.conditions if not reason.matches]
            return f"the filter leaves it out: {'; '.join(failed)}"
        case Answer.VERDICT_QUERY:
            barred = [reason.text for reason in told.excluded if reason.matches]
            missing = [reason.text for reason in told.words if not reason.matches]
            if barred:
                return "; ".join(barred)
            return f"it hasn't enough of the query's words: {'; '.join(missing) or 'the query has none'}"
        case Answer.VERDICT_HIDDEN:
            return "a curation of the collection hides it for this query"
        case Answer.VERDICT_COLLAPSED:
            return f"the document {looked.best} has the same value of the field to collapse by and is better"
    if looked.visible is None:
        return "it was written so lately that searches don't see it yet"
    return "it was changed so lately that searches still see it as it was before, and so it isn't found"
