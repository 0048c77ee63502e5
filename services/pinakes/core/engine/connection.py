# SPDX-License-Identifier: Apache-2.0
"""opensearch-py's connection to a node of the engine, with the HTTP of asyncio's transports and httptools under it.

aiohttp, which the library brings, costs this process several times as much for a call (docs/decisions/0025). Settings, TLS, errors and logging stay the library's.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
import ssl
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import httptools
from opensearchpy import AIOHttpConnection
from opensearchpy.exceptions import ConnectionError as EngineConnectionError
from opensearchpy.exceptions import ConnectionTimeout, SSLError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Answer = tuple[int, dict[str, str], bytes]
IDLE_SECONDS = 15.0
"""Time after which a connection isn't used again: what is between may have forgotten it."""
# What may stand in a request line: nothing that would end it.
_TARGET = re.compile(r"[!-~]+")


class EngineConnection(AIOHttpConnection):
    """Connections to one node, kept open and used again; `maxsize` of them at most, for others a caller waits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take the options of the class above."""
        super().__init__(*args, **options)
        self._places = asyncio.Semaphore(self._limit or 10)
        self._idle: list[_Wire] = []
        self._all: set[_Wire] = set()
        headers = {"host": self.host.partition("://")[2], **self.headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def perform_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        timeout: float | None = None,  # as the class above has it
        ignore: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return status, headers and body of the answer.

        Raises what the library raises: `ConnectionTimeout` after `timeout` seconds, `ConnectionError` for a lost connection
        or an answer that isn't HTTP, and by its kind for a status that is no success and isn't in `ignore`.
        """
        path = self.url_prefix + url
        target = f"{path}?{urlencode(params)}" if params else path
        if method == "HEAD" or not _TARGET.fullmatch(target):
            message = f"{method} {target!r} can't be sent"
            raise ValueError(message)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        head = f"{method} {target} HTTP/1.1\r\n{self._head}{more}content-length: {len(body or b'')}\r\n\r\n".encode()
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                status, told, data = await self._exchange(head, body or b"")
        except OSError as error:
            seconds = loop.time() - started
            self.log_request_fail(method, self.host + target, path, body, seconds, exception=error)
            if isinstance(error, TimeoutError):
                raise ConnectionTimeout("TIMEOUT", str(error), error) from error
            kind = SSLError if isinstance(error, ssl.SSLError) else EngineConnectionError
            raise kind("N/A", str(error), error) from error
        if "warning" in told:
            self._raise_warnings((told["warning"],))
        if not 200 <= status < 300 and status not in ignore:
            text = data.decode("utf-8", "replace")
            self.log_request_fail(method, self.host + target, path, body, loop.time() - started, status, text)
            self._raise_error(status, text, told.get("content-type"))
        return status, told, data

    async def _exchange(self, head: bytes, body: bytes) -> Answer:
        async with self._places:
            wire = await self._wire()
            try:
                answer = await wire.send(head, body)
            except BaseException:
                # An answer may still come; nobody else may take it for theirs.
                wire.abort()
                raise
            if wire.open:
                self._idle.append(wire)
            return answer

    async def _wire(self) -> _Wire:
        """Return a connection: the one that was used last, or a new one."""
        loop = asyncio.get_running_loop()
        old = loop.time() - IDLE_SECONDS
        while self._idle and not (self._idle[0].open and self._idle[0].used > old):
            self._idle.pop(0).abort()
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                return wire
        # A context of its own: what belongs to this caller's call mustn't live as long as the connection.
        opening = loop.create_task(self._opened(), context=contextvars.Context())
        try:
            return await opening
        except asyncio.CancelledError:
            opening.add_done_callback(_dropped)
            raise

    async def _opened(self) -> _Wire:
        name = self.hostname if self._ssl_context else None
        _, wire = await asyncio.get_running_loop().create_connection(
            lambda: _Wire(self._all), self.hostname, self.port, ssl=self._ssl_context, server_hostname=name
        )
        self._all.add(wire)
        return wire

    async def close(self) -> None:
        """Close all; requests under way fail."""
        for wire in tuple(self._all):
            wire.abort()
        await super().close()


def _dropped(opening: asyncio.Task[_Wire]) -> None:
    """Close a connection that was opened as its caller left."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()


class _Wire(asyncio.Protocol):
    """One connection: one request at a time, and the answer to it."""

    def __init__(self, everyone: set[_Wire]) -> None:
        """`everyone` holds the connections that are open; this one leaves it when it is closed."""
        self._everyone = everyone
        self.used = 0.0
        """When it was last given an answer, by the loop's clock."""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []

    @property
    def open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None

    def send(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future has the answer, or raises OSError."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            answer.set_exception(ConnectionResetError("the connection was closed"))
            return answer
        self._answer = answer
        self._transport.writelines((head, body))
        return answer

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()
            self._lost(ConnectionAbortedError("the connection was closed"))

    # ---- as the transport calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read a part of an answer."""
        try:
            self._parser.feed_data(data)
        except Exception as error:  # an upgrade, for instance, is one of its own
            self._fail(ConnectionResetError(f"the engine answered with something else than HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that no answer will come."""
        self._lost(exc or ConnectionResetError("the engine closed the connection"))

    # ---- as the parser calls it

    def on_message_begin(self) -> None:
        """Close it when somebody answers who wasn't asked: the next caller would take it for theirs."""
        if self._answer is None:
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Give the answer to who asked."""
        status = self._parser.get_status_code()
        found = status, self._headers, b"".join(self._parts)
        self._headers, self._parts = {}, []
        if status < 200:
            return  # another one follows
        answer, self._answer = self._answer, None
        self.used = asyncio.get_running_loop().time()
        if not self._parser.should_keep_alive():
            self.abort()
        if answer is not None and not answer.done():
            answer.set_result(found)

    def _fail(self, error: Exception) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._lost(error)

    def _lost(self, error: Exception) -> None:
        self._transport = None
        self._everyone.discard(self)
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
