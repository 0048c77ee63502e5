# SPDX-License-Identifier: Apache-2.0
"""SearchService's transport: message in, bytes out, the cache between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from google.protobuf import duration_pb2

from pinakes.core.cache.responses import cache_key, generation_key
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.core.rpc.scopes import open_scope
from pinakes.search.queries import search
from pinakes.v1 import search_pb2, search_pb2_grpc

if TYPE_CHECKING:
    import grpc

    from pinakes.core.platform import Platform


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Serves searches."""

    def __init__(self, platform: Platform) -> None:
        """Serve from these parts."""
        self._platform = platform

    async def Search(  # type: ignore[override]  # serialised: a cached answer never becomes a message
        self, request: search_pb2.SearchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> bytes:
        """Find documents: the contract says what this means, `queries.search` how it is done."""
        del context
        started = time.perf_counter()
        call = calls.current()
        scope, collection = await open_scope(self._platform, call, names.parse(request.parent).collection)
        key = cache_key(
            call.tenant.uid, collection.uid, collection.version, call.tenant.epoch, call.principal.readers or (),
            # Seeing everything and reading as nobody are not the same.
            f"Search:{call.principal.readers is None}", request.SerializeToString(deterministic=True),
        )  # fmt: skip
        generation = generation_key(call.tenant.uid, collection.uid)
        cache = self._platform.cache
        found = await cache.get(key, generation)
        answer, cached = found.value, found.value is not None
        if answer is None:
            message = await search.run(request, scope, collection, self._platform)
            answer = message.SerializeToString()
            cache.put_soon(key, generation, answer, found)
        # What is said anew on each hit is appended as serialised fields, so a hit never builds the message.
        return answer + _told(time.perf_counter() - started, cached=cached)


def _told(seconds: float, *, cached: bool) -> bytes:
    took = duration_pb2.Duration()
    took.FromNanoseconds(round(seconds * 1e9))
    return search_pb2.SearchResponse(took=took, cached=cached).SerializeToString()
