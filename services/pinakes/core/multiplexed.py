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
from redis.exceptions import InvalidResponse, MasterDownError, ReadOnlyError
from redis.exceptions import TimeoutError as LateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection, ConnectionPool

_ALONE = frozenset({
    "BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "EXEC", "MONITOR", "MULTI", "PSUBSCRIBE", "SELECT",
    "SUBSCRIBE", "WAIT", "WAITAOF", "WATCH", "XREAD", "XREADGROUP",
})  # fmt: skip
"""Commands that may block, or mean their connection."""
_ELSEWHERE = (LostError, MasterDownError, ReadOnlyError)
"""Answers of a Redis that isn't ready, or isn't the one to be asked any more."""
# A loop may look at its timers before it reads and writes; what waits there for this process isn't late.
_READ_SECONDS = 0.005
_CLOSED, _LOST = "the connection to Redis was closed", "the connection to Redis was lost"
_LATE = "Redis hasn't answered in time"


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
        self._closed = False

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its answer, as the method of the command gives it."""
        if args[0] in _ALONE:
            message = f"{args[0]} needs a connection of its own"
            raise ValueError(message)
        line = self._line
        if line is None or not line.usable:
            line = await self._opened()
        answer = await line.ask(args)
        options.pop("keys", None)
        read = self.response_callbacks.get(args[0])
        return answer if read is None else read(answer, **options)

    def client(self) -> Redis:
        """Return a client of a connection of its own."""
        return Redis(connection_pool=self.connection_pool, single_connection_client=True)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection, for good."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._line is not None:
            await self._line.close()
        await super().aclose(close_connection_pool)

    async def _opened(self) -> _Line:
        """Return the connection; all that come while it is being opened wait for the same one."""
        if self._closed:
            raise LostError(_CLOSED)
        if self._opening is None or self._opening.done():
            # A context and a task of its own: it belongs to no caller, and goes on when the first one leaves.
            self._opening = asyncio.get_running_loop().create_task(self._open(), context=contextvars.Context())
            self._opening.add_done_callback(_heard)
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise LostError(_CLOSED) from None
            raise

    async def _open(self) -> _Line:
        if self._line is not None and self._line.lost:
            await self._line.close()  # one that was retired ends by itself
        connection = cast("AbstractConnection", self.connection_pool.make_connection())  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        self._line = _Line(connection, self._seconds)
        return self._line


class _Line(asyncio.Protocol):
    """One connection, and what waits for its answers, in order.

    Who has waited for too long is told so, and keeps its place. The connection itself is given up when nothing at all has
    come for that long.
    """

    def __init__(self, connection: AbstractConnection, seconds: float) -> None:
        """Take over a connection of the client library's, which has said who we are and what we want."""
        self._connection, self._seconds = connection, seconds
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error)
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._heard = self._loop.time()
        self.lost = self._retired = False
        writer = connection._writer  # noqa: SLF001  # it gives nobody its transport otherwise
        if writer is None:
            raise LostError(_LOST)
        self._transport = writer.transport
        if self._transport.is_closing():
            raise LostError(_LOST)
        self._former = cast("asyncio.Protocol", self._transport.get_protocol())
        self._transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether commands may be sent."""
        return not (self.lost or self._retired)

    def ask(self, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Send a command; the future has its answer, or raises."""
        packed = self._packed(args)
        answer: asyncio.Future[Any] = self._loop.create_future()
        now = self._loop.time()
        if self.lost or self._transport.is_closing():
            self._fail(_LOST)
            answer.set_exception(LostError(_LOST))
            return answer
        self._transport.write(packed)
        if not self._waiting:
            self._heard = now  # it had nothing to say
        due = now + self._seconds
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
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (answer := self._reader.gets()) is not False:  # there is no `false` in this protocol
                _, waiting = self._waiting.popleft()
                if isinstance(answer, _ELSEWHERE):
                    self._retired = True
                if waiting.done():
                    continue  # its caller has gone, or was told that it is late
                if isinstance(answer, Exception):
                    waiting.set_exception(answer)
                else:
                    waiting.set_result(answer)
        except (InvalidResponse, IndexError):
            self._fail("Redis answered with something else than its protocol")
        if self._retired and not self._waiting:
            self._fail(_CLOSED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that no answer will come."""
        self._fail(f"{_LOST}{f': {exc}' if exc else ''}")
        self._former.connection_lost(exc)

    async def close(self) -> None:
        """Close it; what waits is told so."""
        self._fail(_CLOSED)
        with suppress(Exception):  # it is closed however this ends
            await self._connection.disconnect(nowait=True)

    def _look(self) -> None:
        """Look at who has waited longest when its time is up."""
        self._watch = None
        if self._waiting:
            due, now = self._waiting[0][0], self._loop.time()
            if due > now:
                self._watch = self._loop.call_at(due, self._look)
            else:
                # What has come while this process had no time for it is read first.
                self._watch = self._loop.call_later(_READ_SECONDS, self._judge, now)

    def _judge(self, now: float) -> None:
        """Tell those whose time was up `now`, a moment ago; give the connection up if nothing comes."""
        self._watch = None
        if self._waiting and self._waiting[0][0] <= now and self._heard <= now - self._seconds:
            self._fail(_LATE, LateError)
            return
        late = [answer for due, answer in self._waiting if due <= now]
        _tell(late, LateError, _LATE)
        if len(late) < len(self._waiting):
            self._watch = self._loop.call_at(self._waiting[len(late)][0], self._look)
        elif late:
            self._watch = self._loop.call_later(self._seconds, self._look)

    def _fail(self, why: str, kind: type[Exception] = LostError) -> None:
        """Give up the connection, and tell all who wait why."""
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        _tell([answer for _, answer in waiting], kind, why)


def _tell(waiting: Sequence[asyncio.Future[Any]], kind: type[Exception], why: str) -> None:
    """Tell those who still wait what went wrong; all but the first that it is nothing new (`core.redis.failed`)."""
    first = True
    for answer in waiting:
        if not answer.done():
            error = kind(why)
            error.together = not first  # type: ignore[attr-defined]  # of this module's own
            answer.set_exception(error)
            first = False


def _heard(opening: asyncio.Task[_Line]) -> None:
    """Mark what went wrong as heard, though every caller may have gone."""
    if not opening.cancelled():
        opening.exception()
