# SPDX-License-Identifier: Apache-2.0
"""The asynchronous client: every call of the platform on one channel."""

from __future__ import annotations

import copy
from types import TracebackType
from typing import Self

from pinakes.client._channel import Channel, Tls
from pinakes.client._collections import CollectionCalls
from pinakes.client._failed import FailedWriteCalls
from pinakes.client._indexing import DocumentCalls
from pinakes.client._lifecycle import LifecycleCalls
from pinakes.client._movement import MovementCalls
from pinakes.client._operations import OperationCalls
from pinakes.client._oversight import OversightCalls
from pinakes.client._search import SearchCalls
from pinakes.client._tenants import TenantCalls


class AsyncClient(
    SearchCalls,
    DocumentCalls,
    FailedWriteCalls,
    OperationCalls,
    MovementCalls,
    CollectionCalls,
    TenantCalls,
    LifecycleCalls,
    OversightCalls,
):
    """A client of the platform, for asyncio.

    Ids and whole names (`tenants/acme/collections/default`) are both taken wherever a resource is meant; tenant `-` is
    the one of the key. Every failed call raises a `PinakesError`. Reads are tried again while the platform can't be
    reached, within their deadline; writes only by `write_many` and `stream_write`.

        async with AsyncClient("localhost:7300", key="pk_…") as client:
            await client.put_document(document("a", title="First"), mode="searchable")
            async for result in client.search_all("first"):
                print(result.document.title, result.score)
    """

    def __init__(
        self,
        endpoint: str,
        *,
        key: str | None = None,
        tls: bool | Tls | None = None,
        timeout: float = 10.0,
        admin_reason: str = "",
    ) -> None:
        """Make a client; the first call connects.

        Args:
            endpoint: `host:port`, `https://host` or `unix:path`.
            key: an API key (`pk_…`) or a JSON Web Token.
            tls: whether and how to speak TLS. None: not to this machine, and to any other, so that a key never travels
                openly unless False says so.
            timeout: seconds each call has, if it doesn't say otherwise.
            admin_reason: why an administrator's key acts in a tenant's data, 10 to 200 printable characters of ASCII;
                it is audited. Keys of a tenant need none, and gain nothing by it.

        Raises:
            ValueError: an endpoint that can't be read, or a reason that isn't one.
            OSError: a TLS file that can't be read.
        """
        self._channel = Channel(endpoint, key=key, tls=tls, timeout=timeout, admin_reason=admin_reason)

    def with_admin_reason(self, reason: str) -> Self:
        """Return a client whose calls give this reason, on the same connection: `admin.with_admin_reason("…").search("x")`.

        Raises ValueError for what isn't a reason.
        """
        made = copy.copy(self)
        made._channel = self._channel.with_admin_reason(reason)  # noqa: SLF001  # of this class
        return made

    @property
    def endpoint(self) -> str:
        """The endpoint, as it was given."""
        return self._channel.endpoint

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()
