# SPDX-License-Identifier: Apache-2.0
"""A client of Redis whose callers share one connection: commands leave as they come, answers return in their order.

A pool gives each command a connection of its own, which costs this process more than Redis's work on the usual command
does. Here a command is packed, written and waited for; those of concurrent callers go together in one packet.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as LateError

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection, ConnectionPool

_ALONE = frozenset({
    "BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "EXEC", "MONITOR", "MULTI", "PSUBSCRIBE", "SELECT",
    "SUBSCRIBE", "WAIT", "WAITAOF", "WATCH", "XREAD", "XREADGROUP",
})  # fmt: skip
"""Commands that may block, or mean their connection."""


class Multiplexed(Redis):
    """`redis.asyncio.Redis` over one connection, opened at the first command and again after it was lost.

    A command raises what Redis says, `redis.exceptions.ConnectionError` when the connection can't be had or is lost, and
    `redis.exceptions.TimeoutError` when no answer comes in time: then it may have been done or not. A caller that is
    cancelled takes nobody's answer along. Commands that block, or mean their connection, are refused: they need one of their
    own (`client()`, `pipeline()`).
    """

    def __init__(self, pool: ConnectionPool, seconds: float) -> None:
        """Make connections as `pool` does; an answer may take `seconds`."""
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self._seconds = seconds
        self._line: _Line | None = None
        self._opening: asyncio.Task[_Line] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its answer, as the method of the command gives it."""
        if args[0] in _ALONE:
            message = f"{args[0]} needs a connection of its own"
            raise ValueError(message)
        line = self._line
        if line is None or line.lost:
            line = await self._opened()
        answer = await line.ask(args)
        options.pop("keys", None)
        read = self.response_callbacks.get(args[0])
        return answer if read is None else read(answer, **options)

    def client(self) -> Redis:
        """Return a client of a connection of its own."""
        return Redis(connection_pool=self.connection_pool, single_connection_client=True)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._line is not None:
            await self._line.close()
        await super().aclose(close_connection_pool)

    async def _opened(self) -> _Line:
        """Return the connection; all that come while it is being opened wait for the same one."""
        if self._opening is None or self._opening.done():
            # A context and a task of its own: it belongs to no caller, and goes on when the first one leaves.
            self._opening = asyncio.get_running_loop().create_task(self._open(), context=contextvars.Context())
            self._opening.add_done_callback(_heard)
        return await asyncio.shield(self._opening)

    async def _open(self) -> _Line:
        if self._line is not None:
            await self._line.close()
        connection = cast("AbstractConnection", self.connection_pool.make_connection())  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        self._line = _Line(connection, self._seconds)
        return self._line


class _Line(asyncio.Protocol):
    """One connection, and what waits for its answers, in order."""

    def __init__(self, connection: AbstractConnection, seconds: float) -> None:
        """Take over a connection of the client library's, which has said who we are and what we want."""
        self._connection, self._seconds = connection, seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error)
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.lost = False
        writer = connection._writer  # noqa: SLF001  # it gives nobody its transport otherwise
        if writer is None:
            message = "the connection was closed while it was opened"
            raise LostError(message)
        self._transport = writer.transport
        self._former = cast("asyncio.Protocol", self._transport.get_protocol())
        self._transport.set_protocol(self)

    def ask(self, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Send a command; the future has its answer, or raises."""
        self._transport.write(self._packed(args))
        answer: asyncio.Future[Any] = self._loop.create_future()
        due = self._loop.time() + self._seconds
        self._waiting.append((due, answer))
        if self._watch is None:
            self._watch = self._loop.call_at(due, self._look)
        return answer

    def _packed(self, args: tuple[Any, ...]) -> bytes:
        """Return a command as it is sent."""
        if " " not in args[0]:
            with suppress(TypeError):
                packed: bytes = hiredis.pack_command(args)
                return packed
        # Of two words, or with values that only the client library knows how to send.
        return b"".join(self._connection.pack_command(*args))

    def data_received(self, data: bytes) -> None:
        """Give answers to who waits for them."""
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:  # there is no `false` in this protocol
                _, waiting = self._waiting.popleft()
                if waiting.done():
                    continue  # its caller has gone
                if isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except (InvalidResponse, IndexError):
            self._fail(LostError("Redis answered with something else than its protocol"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that no answer will come."""
        self._fail(LostError(f"the connection to Redis was lost{f': {exc}' if exc else ''}"))
        self._former.connection_lost(exc)

    async def close(self) -> None:
        """Close it; what waits is told so."""
        self._fail(LostError("the connection to Redis was closed"))
        with suppress(Exception):  # it is closed however this ends
            await self._connection.disconnect(nowait=True)

    def _look(self) -> None:
        """Look at who has waited longest when its time is up."""
        self._watch = None
        if not self._waiting:
            return
        due = self._waiting[0][0]
        if due > self._loop.time():
            self._watch = self._loop.call_at(due, self._look)
        else:
            # What has come while this process had no time for it is read first.
            self._watch = self._loop.call_later(0.0, self._judge, due)

    def _judge(self, due: float) -> None:
        self._watch = None
        if self._waiting and self._waiting[0][0] <= due:
            # Redis answers in order: behind an answer that doesn't come, none does.
            self._fail(LateError("Redis hasn't answered in time"))
        else:
            self._look()

    def _fail(self, error: Exception) -> None:
        """Give up the connection, and tell all who wait why."""
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, answer in waiting:
            if not answer.done():
                answer.set_exception(error)


def _heard(opening: asyncio.Task[_Line]) -> None:
    """Mark what went wrong as heard, though every caller may have gone."""
    if not opening.cancelled():
        opening.exception()
