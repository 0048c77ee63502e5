# SPDX-License-Identifier: Apache-2.0
"""SearchService's transport: message in, bytes out, the cache between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf import duration_pb2

from pinakes.core.cache.responses import cache_key, generation_key, version_key
from pinakes.core.limits.cost import CACHED
from pinakes.core.privacy.sight import narrowed_blindly
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.core.rpc.scopes import open_scope, reopen_scope
from pinakes.core.rpc.searching import Searching, not_a_search
from pinakes.search.insight import finds, names_personal_data
from pinakes.search.parts import Parts
from pinakes.search.queries import batch, count, explain, insights, search, suggest
from pinakes.search.search_ids import asked
from pinakes.v1 import insights_pb2, search_pb2, search_pb2_grpc, suggest_pb2

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord

    Context = grpc.aio.ServicerContext[Any, Any]

Request = TypeVar("Request", bound="Message")
Answer = TypeVar("Answer", bound="Message")
Query = Callable[[Request, "TenantScope", "CollectionRecord", Parts], Awaitable[Answer]]


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Serves searches."""

    def __init__(self, platform: Platform) -> None:
        """Serve from these parts."""
        self._platform = platform
        self._parts = Parts.of(platform)
        self._searching = Searching(platform.usage)

    async def Search(  # type: ignore[override]  # serialised: a cached answer never becomes a message
        self, request: search_pb2.SearchRequest, context: Context
    ) -> bytes:
        """Find documents: the contract says what this means, `queries.search` how it is done."""
        del context
        started = time.perf_counter()
        answer, collection, cached = await self._answered("Search", search.run, request, request.parent)
        # What is said anew on each hit is appended as serialised fields, so a hit never builds the message.
        seconds = time.perf_counter() - started
        return answer + _told(seconds, self._noted(request, collection, seconds, finds(answer)), cached=cached)

    async def BatchSearch(
        self, request: search_pb2.BatchSearchRequest, context: Context
    ) -> search_pb2.BatchSearchResponse:
        """Search several times in one round trip."""
        del context
        started = time.perf_counter()
        scope, collection = await self._scope(request.parent)
        answer = await self._searching.ask(
            scope, lambda: batch.run(request, scope, collection, self._parts), _responses
        )
        seconds = time.perf_counter() - started
        answer.took.FromNanoseconds(round(seconds * 1e9))
        for one, outcome in zip(request.requests, answer.outcomes, strict=True):
            if outcome.HasField("response"):
                search_id = self._noted(one, collection, seconds, bool(outcome.response.results))
                outcome.response.search_id = search_id
        return answer

    async def Suggest(  # type: ignore[override]  # serialised, as an answer of Search is
        self, request: suggest_pb2.SuggestRequest, context: Context
    ) -> bytes:
        """Suggest titles, queries and corrections."""
        del context
        started = time.perf_counter()
        answer, _, _ = await self._answered("Suggest", suggest.run, request, request.parent)
        took = _duration(time.perf_counter() - started)
        return answer + suggest_pb2.SuggestResponse(took=took).SerializeToString()

    async def CountDocuments(
        self, request: search_pb2.CountDocumentsRequest, context: Context
    ) -> search_pb2.CountDocumentsResponse:
        """Count what a search finds."""
        del context
        started = time.perf_counter()
        answer = await self._asked(count.run, request, *await self._scope(request.parent))
        answer.took.FromNanoseconds(round((time.perf_counter() - started) * 1e9))
        return answer

    async def ExplainDocument(
        self, request: search_pb2.ExplainDocumentRequest, context: Context
    ) -> search_pb2.ExplainDocumentResponse:
        """Say why a document is (not) in a result."""
        del context
        return await self._asked(explain.run, request, *await self._scope(request.name))

    async def RecordEvent(
        self, request: insights_pb2.RecordEventRequest, context: Context
    ) -> insights_pb2.RecordEventResponse:
        """Record what happened to a result."""
        del context
        return await insights.record_event(request, *await self._scope(request.parent), self._parts)

    async def GetSearchInsights(
        self, request: insights_pb2.GetSearchInsightsRequest, context: Context
    ) -> insights_pb2.GetSearchInsightsResponse:
        """Tell what is looked for."""
        del context
        scope, collection = await self._scope(request.parent)
        return await self._searching.ask(
            scope, lambda: insights.read(request, scope, collection, self._parts), not_a_search
        )

    def _noted(
        self, request: search_pb2.SearchRequest, collection: CollectionRecord, seconds: float, found: bool
    ) -> str:
        """Count a search for insights, if it has a query and isn't a later page, and return its id."""
        query = asked(request.query)
        if query.text and not request.page_token and not names_personal_data(request.query, collection):
            self._parts.insight.searched(collection, query, seconds, found=found)
        return self._parts.search_ids.make(collection.tenant_uid, collection.uid, query.digest)

    async def _answered(
        self, method: str, query: Query[Request, Answer], request: Request, name: str
    ) -> tuple[bytes, CollectionRecord, bool]:
        """Answer a query out of the cache or by doing it: the serialised answer, whose it is, and whether it was there."""
        call = calls.current()
        scope, collection = await open_scope(self._platform, call, names.parse(name).collection)
        generation = generation_key(call.tenant.uid, collection.uid)
        version = version_key(call.tenant.uid, collection.uid)
        cache = self._platform.cache
        key = _key(call, collection, method, request)
        told = 0
        if not cache.likely(key):
            # Beside the engine's work, the cache is only asked whether the collection has changed.
            looking = asyncio.ensure_future(cache.told_version(version))
            try:
                answer = (await self._asked(query, request, scope, collection)).SerializeToString()
                told = await looking
            finally:
                looking.cancel()
            if told <= collection.version:
                return answer, collection, False
        found = await cache.get(key, generation, version)
        if found.token is None:  # it wasn't in time; what changed is asked for again
            told = max(told, await cache.told_version(version))
        if max(told, found.version) > collection.version:
            scope, collection = await reopen_scope(self._platform, call, collection.collection_id)
            key = _key(call, collection, method, request)
            found = await cache.get(key, generation, version)
        if found.value is not None:
            self._searching.charge(CACHED, 1)
            return found.value, collection, True
        answer = (await self._asked(query, request, scope, collection)).SerializeToString()
        cache.put_soon(key, generation, answer, found)
        return answer, collection, False

    async def _scope(self, name: str) -> tuple[TenantScope, CollectionRecord]:
        """Return what a name means, by the collection's record as it was last changed."""
        call = calls.current()
        scope, collection = await open_scope(self._platform, call, names.parse(name).collection)
        told = await self._platform.cache.told_version(version_key(call.tenant.uid, collection.uid))
        if told > collection.version:
            return await reopen_scope(self._platform, call, collection.collection_id)
        return scope, collection

    async def _asked(
        self, query: Query[Request, Answer], request: Request, scope: TenantScope, collection: CollectionRecord
    ) -> Answer:
        """Answer a query by doing it, and charge it."""
        return await self._searching.ask(scope, lambda: query(request, scope, collection, self._parts))


def _responses(answer: search_pb2.BatchSearchResponse) -> int:
    """Count the searches of a batch that were answered."""
    return sum(outcome.HasField("response") for outcome in answer.outcomes)


def _key(call: calls.Call, collection: CollectionRecord, method: str, request: Message) -> bytes:
    """Return what an answer is kept under: everything that it depends on."""
    principal = call.principal
    return cache_key(
        call.tenant.uid, collection.uid, collection.version, call.tenant.placement.epoch, principal.readers, method,
        request.SerializeToString(deterministic=True), masked=collection.masked, narrowing=principal.filter,
        blind=narrowed_blindly(principal, collection),
    )  # fmt: skip


def _told(seconds: float, search_id: str, *, cached: bool) -> bytes:
    told = search_pb2.SearchResponse(took=_duration(seconds), cached=cached, search_id=search_id)
    return told.SerializeToString()


def _duration(seconds: float) -> duration_pb2.Duration:
    found = duration_pb2.Duration()
    found.FromNanoseconds(round(seconds * 1e9))
    return found
