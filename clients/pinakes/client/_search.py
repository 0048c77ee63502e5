# SPDX-License-Identifier: Apache-2.0
"""Calls of SearchService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Unpack

from pinakes.client import _names
from pinakes.client._asking import SearchOptions, matching_number, search_request, typos_number
from pinakes.client._calls import LARGEST_PAGE, Calls, paged
from pinakes.client._documents import Time, timestamp
from pinakes.client._errors import PinakesError, from_status
from pinakes.client._pages import Pages
from pinakes.v1 import insights_pb2, search_pb2, suggest_pb2
from pinakes.v1.search_pb2 import SearchRequest, SearchResponse, SearchResult

_KINDS = {
    name.removeprefix("KIND_").lower(): number for name, number in suggest_pb2.SuggestRequest.Kind.items() if number
}
_EVENTS = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in insights_pb2.RecordEventRequest.Type.items()
    if number
}


class SearchCalls(Calls):
    """Search, one page at a time or through to the end; count, suggest, explain; and what was searched for."""

    async def search(
        self,
        query: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResponse:
        """Find documents by words, filter or both: one page.

        Args:
            query: words, `"phrases"`, `-exclusions`, `beginnings*`, `title:words`; empty finds every document.
            collection: where.
            tenant: whose; `-` is the key's own.
            page_size: at most 50; 0 means 10.
            page_token: `next_page_token` of the page before.
            timeout: seconds; the client's if None.
            options: what `SearchOptions` lists: filter, order_by, read_mask, matching, typos, ranking, languages,
                facets, highlight, collapse, explain, without_curation.

        Raises:
            InvalidArgument: `violations` say where a query, filter, order, facet, mask or token can't be read.
        """
        request = search_request(
            query, collection=collection, tenant=tenant, page_size=page_size, page_token=page_token, **options
        )
        return await self._channel.call("SearchService/Search", request, SearchResponse, timeout)

    def search_all(
        self,
        query: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        limit: int | None = None,
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> Pages[SearchResult]:
        """Find documents as `search` does and go on through the pages: all results, or the first `limit`."""
        size = LARGEST_PAGE if limit is None else max(1, min(limit, LARGEST_PAGE))
        request = search_request(query, collection=collection, tenant=tenant, page_size=size, **options)

        async def ask(token: str) -> SearchResponse:
            request.page_token = token
            return await self._channel.call("SearchService/Search", request, SearchResponse, timeout)

        return Pages(_first(paged(ask, lambda answer: answer.results), limit))

    async def batch_search(
        self,
        requests: Iterable[SearchRequest | Mapping[str, Any]],
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> list[SearchResponse | PinakesError]:
        """Do up to 20 searches in one collection at once: for each its answer, or the exception that it would raise.

        A search is a mapping with the arguments of `search`, such as `{"query": "loop", "page_size": 3}`, or a
        `search_request`.
        """
        request = search_pb2.BatchSearchRequest(
            parent=_names.collection(collection, tenant),
            requests=[given if isinstance(given, SearchRequest) else search_request(**given) for given in requests],
        )
        answer = await self._channel.call("SearchService/BatchSearch", request, search_pb2.BatchSearchResponse, timeout)
        return [
            outcome.response if outcome.HasField("response") else from_status(outcome.error)
            for outcome in answer.outcomes
        ]

    async def suggest(
        self,
        query: str,
        *,
        kinds: Iterable[str] = (),
        limit: int = 0,
        filter: str = "",
        typos: bool | None = None,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> suggest_pb2.SuggestResponse:
        """Suggest titles, queries and corrections for what was typed so far.

        Args:
            query: what was typed; its last word is taken as the beginning of one, unless a space follows.
            kinds: of `title`, `term`, `correction` and `related`; titles and terms if empty.
            limit: at most so many of each kind, 1 to 20; 5 if 0.
            filter: AIP-160: only from documents that it finds.
            typos: whether typing errors are tolerated; the collection's setting if None.
            collection: where.
            tenant: whose; `-` is the key's own.
            timeout: seconds; the client's if None.
        """
        request = suggest_pb2.SuggestRequest(
            parent=_names.collection(collection, tenant),
            query=query,
            kinds=[_number(kind, "a suggestion", _KINDS) for kind in kinds],
            limit=limit,
            filter=filter,
            typos=typos_number(typos),
        )
        return await self._channel.call("SearchService/Suggest", request, suggest_pb2.SuggestResponse, timeout)

    async def count_documents(
        self,
        query: str = "",
        *,
        filter: str = "",
        matching: str = "",
        typos: bool | None = None,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> search_pb2.CountDocumentsResponse:
        """Count the documents that a search finds, all of them. `matching` is `most`, `all` or `any`."""
        request = search_pb2.CountDocumentsRequest(
            parent=_names.collection(collection, tenant),
            query=query,
            filter=filter,
            matching=matching_number(matching),
            typos=typos_number(typos),
        )
        return await self._channel.call(
            "SearchService/CountDocuments", request, search_pb2.CountDocumentsResponse, timeout
        )

    async def explain_document(
        self,
        document: str,
        query: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
        **options: Unpack[SearchOptions],
    ) -> search_pb2.ExplainDocumentResponse:
        """Say why a document is in the result of a search, or why it isn't. Options are those of `search`."""
        name = _names.document(document, collection, tenant)
        request = search_pb2.ExplainDocumentRequest(name=name, search=search_request(query, **options))
        return await self._channel.call(
            "SearchService/ExplainDocument", request, search_pb2.ExplainDocumentResponse, timeout
        )

    async def record_event(
        self,
        search_id: str,
        document: str,
        *,
        event: str = "click",
        position: int = 0,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> bool:
        """Record that a result was opened (`click`), or was what was looked for (`conversion`); whether it was kept.

        Args:
            search_id: of the answer that led to it, at most a day old.
            document: id or name of the result.
            event: `click` or `conversion`.
            position: its place among the results, from 1; 0 if it isn't known.
            collection: where was searched.
            tenant: whose; `-` is the key's own.
            timeout: seconds; the client's if None.
        """
        request = insights_pb2.RecordEventRequest(
            parent=_names.collection(collection, tenant),
            search_id=search_id,
            type=_number(event, "an event", _EVENTS),
            document=_names.last(document),
            position=position,
        )
        answer = await self._channel.call(
            "SearchService/RecordEvent", request, insights_pb2.RecordEventResponse, timeout
        )
        return answer.kept

    async def get_search_insights(
        self,
        *,
        start_time: Time | None = None,
        end_time: Time | None = None,
        limit: int = 0,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> insights_pb2.GetSearchInsightsResponse:
        """Tell what is looked for in a collection, what isn't found and what is slow; lists of `limit` queries, 10 if 0."""
        request = insights_pb2.GetSearchInsightsRequest(
            parent=_names.collection(collection, tenant),
            start_time=None if start_time is None else timestamp(start_time),
            end_time=None if end_time is None else timestamp(end_time),
            limit=limit,
        )
        return await self._channel.call(
            "SearchService/GetSearchInsights", request, insights_pb2.GetSearchInsightsResponse, timeout
        )


def _number(name: str, what: str, known: Mapping[str, Any]) -> Any:
    if name not in known:
        message = f"{what} is {', '.join(known)}, not {name!r}"
        raise ValueError(message)
    return known[name]


async def _first(pages: AsyncIterator[list[SearchResult]], limit: int | None) -> AsyncIterator[list[SearchResult]]:
    """Stop after so many results, without asking for a page that nobody will see."""
    if limit is not None and limit <= 0:
        return
    left = limit
    async for page in pages:
        yield page if left is None else page[:left]
        if left is not None:
            left -= len(page)
            if left <= 0:
                return
