# SPDX-License-Identifier: Apache-2.0
"""What BatchSearch means: each search planned for itself, one engine call for all, an outcome each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, invalid
from pinakes.core.rpc import checks
from pinakes.core.rpc.errors import status_of
from pinakes.search.queries.plan import Plan, make_plan
from pinakes.search.queries.search import answer
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.search.parts import Parts


async def run(
    request: search_pb2.BatchSearchRequest, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> search_pb2.BatchSearchResponse:
    """Search several times, without `took`, which the servicer tells."""
    plans = await asyncio.gather(*(_planned(one, request.parent, scope, collection, parts) for one in request.requests))
    made = [plan for plan in plans if isinstance(plan, Plan)]
    seconds = parts.platform.settings.limits.search_seconds
    pages = iter(await scope.search_many([plan.body for plan in made], seconds) if made else ())
    response = search_pb2.BatchSearchResponse()
    for plan in plans:
        found = next(pages) if isinstance(plan, Plan) else plan
        outcome = response.outcomes.add()
        if isinstance(found, Fault):
            outcome.error.CopyFrom(status_of(found))
        elif isinstance(plan, Plan):
            outcome.response.CopyFrom(answer(plan, found, scope, parts))
    return response


async def _planned(
    one: search_pb2.SearchRequest, parent: str, scope: TenantScope, collection: CollectionRecord, parts: Parts
) -> Plan | Fault:
    """Return the plan of one search, or what is wrong with it."""
    try:
        if one.parent not in {"", parent}:
            raise invalid("parent", f"expected nothing, or {parent} as the batch has")
        search = search_pb2.SearchRequest()
        search.CopyFrom(one)
        search.parent = parent
        checks.check_constraints(search)
        return await make_plan(search, scope, collection, parts)
    except Fault as fault:
        return fault
