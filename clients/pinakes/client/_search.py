# SPDX-License-Identifier: Apache-2.0
"""Calls of SearchService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, mask, paged
from pinakes.client._pages import Pages
from pinakes.v1.search_pb2 import SearchRequest, SearchResponse, SearchResult


class SearchCalls(Calls):
    """Search, one page at a time or through to the end."""

    async def search(
        self,
        query: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        filter: str = "",
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        read_mask: Iterable[str] = (),
        timeout: float | None = None,
    ) -> SearchResponse:
        """Find documents by words, filter or both: one page.

        Args:
            query: words, `"phrases"`, `-exclusions`; empty finds every document.
            collection: where.
            tenant: whose; `-` is the key's own.
            filter: AIP-160, `tags:asyncio AND attributes.kind = "function"`.
            order_by: `update_time desc, attributes.price`; empty means by relevance.
            page_size: at most 50; 0 means 10.
            page_token: `next_page_token` of the page before.
            read_mask: fields to return; empty means all but `body`, `*` all.
            timeout: seconds; the client's if None.

        Raises:
            InvalidArgument: `violations` say where a filter, order, mask or token can't be read.
        """
        request = SearchRequest(
            parent=_names.collection(collection, tenant),
            query=query,
            filter=filter,
            order_by=order_by,
            page_size=page_size,
            page_token=page_token,
            read_mask=mask(read_mask),
        )
        return await self._channel.call("SearchService/Search", request, SearchResponse, timeout)

    def search_all(
        self,
        query: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        filter: str = "",
        order_by: str = "",
        read_mask: Iterable[str] = (),
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Pages[SearchResult]:
        """Find documents as `search` does and go on through the pages: all results, or the first `limit`."""
        size = LARGEST_PAGE if limit is None else max(1, min(limit, LARGEST_PAGE))
        fields = tuple(read_mask)

        async def ask(token: str) -> SearchResponse:
            return await self.search(
                query,
                collection=collection,
                tenant=tenant,
                filter=filter,
                order_by=order_by,
                page_size=size,
                page_token=token,
                read_mask=fields,
                timeout=timeout,
            )

        return Pages(_first(paged(ask, lambda answer: answer.results), limit))


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
