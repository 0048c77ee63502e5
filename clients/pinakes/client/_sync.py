# SPDX-License-Identifier: Apache-2.0
"""The blocking client: the asynchronous one on an event loop in a thread of its own, with the same signatures."""

from __future__ import annotations

import asyncio
import copy
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pinakes.client._channel import Tls
from pinakes.client._client import AsyncClient
from pinakes.client._pages import Pages

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_END: list[Any] = []


class _Loop:
    """The one event loop of all blocking clients of a process, in a daemon thread that the first call starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Run a coroutine to its end; if the waiting thread is interrupted, the call is cancelled."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():  # a forked child has no threads of its parent
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="pinakes-client", daemon=True).start()
            return self._loop


_LOOP = _Loop()


def _blocking(
    method: Callable[Concatenate[AsyncClient, Arguments], Coroutine[Any, Any, Answer]],
) -> Callable[Concatenate[Client, Arguments], Answer]:
    """Make the blocking method of an asynchronous one."""

    @functools.wraps(method)
    def call(self: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return _LOOP.run(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncClient, Arguments], Pages[Answer]],
) -> Callable[Concatenate[Client, Arguments], Iterator[Answer]]:
    """Make the method that returns an iterator of one that returns pages; one hop between threads a page."""

    @functools.wraps(method)
    def call(self: Client, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Answer]:
        return _items(method(self._client, *args, **kwargs))

    return call


def _items(listing: Pages[Answer]) -> Iterator[Answer]:
    pages = listing.pages()

    async def following() -> list[Answer]:
        return await anext(pages, _END)

    async def stop() -> None:
        if (close := getattr(pages, "aclose", None)) is not None:
            await close()

    try:
        while (page := _LOOP.run(following())) is not _END:
            yield from page
    finally:
        _LOOP.run(stop())  # so that batches under way are not left alone when the caller stops early


class Client:
    """A client of the platform that blocks: `AsyncClient`'s methods, and iterators where that has asynchronous ones.

    It may be used by several threads. What is given to `write_many` and `stream_write` is iterated in the
    client's own thread.

        with Client("localhost:7300", key="pk_…") as client:
            for result in client.search_all("event loop", limit=20):
                print(result.document.title)
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
        """Make a client; arguments and errors are those of `AsyncClient`."""
        self._client = AsyncClient(endpoint, key=key, tls=tls, timeout=timeout, admin_reason=admin_reason)

    def with_admin_reason(self, reason: str) -> Self:
        """Return a client whose calls give this reason, on the same connection. Raises ValueError for what isn't one."""
        made = copy.copy(self)
        made._client = self._client.with_admin_reason(reason)  # noqa: SLF001  # of this class
        return made

    @property
    def endpoint(self) -> str:
        """The endpoint, as it was given."""
        return self._client.endpoint

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self.close()

    close = _blocking(AsyncClient.close)

    create_tenant = _blocking(AsyncClient.create_tenant)
    get_tenant = _blocking(AsyncClient.get_tenant)
    list_tenants = _iterating(AsyncClient.list_tenants)
    get_placement_plan = _blocking(AsyncClient.get_placement_plan)
    update_tenant = _blocking(AsyncClient.update_tenant)
    set_limits = _blocking(AsyncClient.set_limits)
    delete_tenant = _blocking(AsyncClient.delete_tenant)
    undelete_tenant = _blocking(AsyncClient.undelete_tenant)
    suspend_tenant = _blocking(AsyncClient.suspend_tenant)
    resume_tenant = _blocking(AsyncClient.resume_tenant)
    erase_tenant = _blocking(AsyncClient.erase_tenant)
    get_erasure_receipt = _blocking(AsyncClient.get_erasure_receipt)
    get_receipt_key = _blocking(AsyncClient.get_receipt_key)
    export_tenant = _blocking(AsyncClient.export_tenant)

    create_key = _blocking(AsyncClient.create_key)
    list_keys = _iterating(AsyncClient.list_keys)
    update_key = _blocking(AsyncClient.update_key)
    rotate_key = _blocking(AsyncClient.rotate_key)
    revoke_key = _blocking(AsyncClient.revoke_key)
    get_usage = _blocking(AsyncClient.get_usage)
    list_audit_events = _iterating(AsyncClient.list_audit_events)
    list_platform_audit_events = _iterating(AsyncClient.list_platform_audit_events)

    create_collection = _blocking(AsyncClient.create_collection)
    get_collection = _blocking(AsyncClient.get_collection)
    list_collections = _iterating(AsyncClient.list_collections)
    update_collection = _blocking(AsyncClient.update_collection)
    delete_collection = _blocking(AsyncClient.delete_collection)

    create_document = _blocking(AsyncClient.create_document)
    get_document = _blocking(AsyncClient.get_document)
    get_documents = _blocking(AsyncClient.get_documents)
    put_document = _blocking(AsyncClient.put_document)
    update_document = _blocking(AsyncClient.update_document)
    delete_document = _blocking(AsyncClient.delete_document)
    undelete_document = _blocking(AsyncClient.undelete_document)
    list_documents = _iterating(AsyncClient.list_documents)
    batch_write = _blocking(AsyncClient.batch_write)
    write_many = _iterating(AsyncClient.write_many)
    stream_write = _iterating(AsyncClient.stream_write)

    list_failed_writes = _iterating(AsyncClient.list_failed_writes)
    retry_failed_writes = _blocking(AsyncClient.retry_failed_writes)
    discard_failed_writes = _blocking(AsyncClient.discard_failed_writes)

    purge_documents = _blocking(AsyncClient.purge_documents)
    reindex_collection = _blocking(AsyncClient.reindex_collection)
    move_tenant = _blocking(AsyncClient.move_tenant)
    import_documents = _blocking(AsyncClient.import_documents)
    export_documents = _blocking(AsyncClient.export_documents)
    get_operation = _blocking(AsyncClient.get_operation)
    list_operations = _iterating(AsyncClient.list_operations)
    cancel_operation = _blocking(AsyncClient.cancel_operation)
    delete_operation = _blocking(AsyncClient.delete_operation)
    wait_operation = _blocking(AsyncClient.wait_operation)

    search = _blocking(AsyncClient.search)
    search_all = _iterating(AsyncClient.search_all)
    batch_search = _blocking(AsyncClient.batch_search)
    suggest = _blocking(AsyncClient.suggest)
    count_documents = _blocking(AsyncClient.count_documents)
    explain_document = _blocking(AsyncClient.explain_document)
    record_event = _blocking(AsyncClient.record_event)
    get_search_insights = _blocking(AsyncClient.get_search_insights)
