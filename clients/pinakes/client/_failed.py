# SPDX-License-Identifier: Apache-2.0
"""Calls of IndexService for writes that were accepted and couldn't be applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, paged
from pinakes.client._pages import Pages
from pinakes.v1 import failures_pb2


class Retried(NamedTuple):
    """How many failed writes were queued again, and how many stay because the tenant has no room for them."""

    queued: int
    kept: int


class FailedWriteCalls(Calls):
    """Failed writes: what was ACCEPTED and couldn't be applied, kept for seven days with its reason.

    A `request_id` makes a change idempotent for a day; a random one is sent if none is given.
    """

    def list_failed_writes(
        self,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        page_size: int = LARGEST_PAGE,
        timeout: float | None = None,
    ) -> Pages[failures_pb2.FailedWrite]:
        """List the failed writes of a collection, oldest first."""
        parent = _names.collection(collection, tenant)

        async def ask(token: str) -> failures_pb2.ListFailedWritesResponse:
            request = failures_pb2.ListFailedWritesRequest(parent=parent, page_size=page_size, page_token=token)
            return await self._channel.call(
                "IndexService/ListFailedWrites", request, failures_pb2.ListFailedWritesResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.failed_writes))

    async def retry_failed_writes(
        self,
        failed_writes: Iterable[str] = (),
        *,
        all: bool = False,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Retried:
        """Queue failed writes again, at their own revisions; `all` means every one. Returns how many were.

        Raises `RateLimited` if the tenant has room for none of them.
        """
        parent = _names.collection(collection, tenant)
        names = [_names.failed_write_of(parent, name) for name in failed_writes]
        request = failures_pb2.RetryFailedWritesRequest(parent=parent, names=names, all=all, request_id=request_id)
        answer = await self._once(
            "IndexService/RetryFailedWrites", request, failures_pb2.RetryFailedWritesResponse, timeout
        )
        return Retried(answer.count, answer.kept)

    async def discard_failed_writes(
        self,
        failed_writes: Iterable[str] = (),
        *,
        all: bool = False,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> int:
        """Give failed writes up; `all` means every one. Returns how many were deleted."""
        parent = _names.collection(collection, tenant)
        names = [_names.failed_write_of(parent, name) for name in failed_writes]
        request = failures_pb2.DiscardFailedWritesRequest(parent=parent, names=names, all=all, request_id=request_id)
        answer = await self._once(
            "IndexService/DiscardFailedWrites", request, failures_pb2.DiscardFailedWritesResponse, timeout
        )
        return answer.count
