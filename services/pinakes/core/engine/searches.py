# SPDX-License-Identifier: Apache-2.0
"""Searches that share round trips: what arrives while calls are under way leaves together in the next one (design §6).

Natural batching: no timer, and nothing waits while the engine is idle. A batch answers when its slowest member does, so
only searches that are cheap by their making share calls, each with a short time of its own; one that needs longer runs
again alone, on connections and with a number of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from pinakes.core.faults import Fault, unavailable
from pinakes.core.resilience import deadline
from pinakes.core.telemetry import metrics

Json = dict[str, Any]
# A search waits only while so many shared calls are out.
AT_ONCE = 2
MEMBERS = 16
# Time of a member of a shared call; the usual search takes a few milliseconds.
SHARED_SECONDS = 0.25
ALONE_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Search:
    """One search body, with its scope's filters in it and without a timeout. Only a `TenantScope` makes these."""

    index: str
    routing: str
    body: bytes
    cheap: bool

    def line(self, seconds: float) -> bytes:
        """Return header and body as two lines of `_msearch`."""
        milliseconds = max(1, round(seconds * 1000))
        return b'{"index":"%b","routing":"%b","request_cache":false}\n{"timeout":"%dms",%b\n' % (
            self.index.encode(), self.routing.encode(), milliseconds, self.body[1:],
        )  # fmt: skip


class Refused(Exception):
    """The engine answered one search with an error: its status and type, which no caller ever sees."""

    def __init__(self, status: int, error_type: str, detail: str) -> None:
        """Keep what the engine said."""
        super().__init__(f"{status} {error_type}: {detail}")
        self.status, self.error_type, self.detail = status, error_type, detail


Send = Callable[[bytes], Awaitable[Json]]


@dataclass(slots=True)
class _Waiting:
    search: Search
    done: asyncio.Future[Json]


class Searches:
    """Sends searches to the engine, several in a call where they are cheap."""

    def __init__(self, send: Send) -> None:
        """`send(payload)` makes one guarded `_msearch` call and returns its answer."""
        self._send = send
        self._queue: deque[_Waiting] = deque()
        self._running = 0
        self._alone = asyncio.Semaphore(ALONE_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, search: Search, seconds: float) -> Json:
        """Search, and return the engine's answer, which may say that it timed out after `seconds`.

        Raises `Refused`, or what `send` raises.
        """
        if search.cheap:
            short = deadline.remaining(min(seconds, SHARED_SECONDS))
            answer = await self._shared(search, short)
            if not answer.get("timed_out") or short >= seconds:
                return answer
        async with self._alone:
            left = deadline.remaining(seconds)
            return checked((await self._send(search.line(left)))["responses"][0])

    async def run_all(self, searches: list[Search], seconds: float) -> list[Json | Refused]:
        """Do searches of one caller in one call of their own; each has an answer or a refusal."""
        async with self._alone:
            left = deadline.remaining(seconds)
            answer = await self._send(b"".join(search.line(left) for search in searches))
        outcomes: list[Json | Refused] = []
        for one in answer["responses"]:
            try:
                outcomes.append(checked(one))
            except Refused as refused:
                outcomes.append(refused)
        return outcomes

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _shared(self, search: Search, seconds: float) -> Json:
        if self._running == 0 and not self._queue:
            # Nobody to share with: the caller's own task does it, so that a caller who goes takes the call along.
            self._running += 1
            try:
                metrics.SHARED_SEARCHES.observe(1)
                return checked((await self._send(search.line(seconds)))["responses"][0])
            finally:
                self._running -= 1
                self._start()
        waiting = _Waiting(search, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start()
        return await waiting.done

    def _start(self) -> None:
        while self._queue and self._running < AT_ONCE:
            self._running += 1
            # A context of its own: a shared call has no caller's deadline and is part of no caller's trace.
            task = asyncio.get_running_loop().create_task(self._batch(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _batch(self) -> None:
        try:
            await asyncio.sleep(0)  # callers that are ready at the same moment go together
            batch: list[_Waiting] = []
            while self._queue and len(batch) < MEMBERS:
                waiting = self._queue.popleft()
                if not waiting.done.done():
                    batch.append(waiting)
            if batch:
                await self._call(batch)
        finally:
            self._running -= 1
            self._start()

    async def _call(self, batch: list[_Waiting]) -> None:
        metrics.SHARED_SEARCHES.observe(len(batch))
        left = len(batch)
        this = asyncio.current_task()

        def gone(done: asyncio.Future[Json]) -> None:
            nonlocal left
            left -= 1
            if left == 0 and done.cancelled() and this is not None:
                this.cancel()  # nothing works for callers who have gone

        for waiting in batch:
            waiting.done.add_done_callback(gone)
        try:
            answer = await self._send(b"".join(waiting.search.line(SHARED_SECONDS) for waiting in batch))
            responses = answer["responses"]
        except Exception as error:
            if len(batch) == 1 or isinstance(error, Fault):
                for waiting in batch:
                    _settle(waiting.done, error)
                return
            # One malformed member fails the whole call: each has its own answer then.
            await asyncio.gather(*(self._each(waiting) for waiting in batch))
            return
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.done.cancel()
            if this is not None and left == 0:
                return
            raise
        for waiting, response in zip(batch, responses, strict=True):
            try:
                _settle(waiting.done, checked(response))
            except (Refused, Fault) as error:
                _settle(waiting.done, error)

    async def _each(self, waiting: _Waiting) -> None:
        if waiting.done.done():
            return
        try:
            answer = await self._send(waiting.search.line(SHARED_SECONDS))
            _settle(waiting.done, checked(answer["responses"][0]))
        except Exception as error:
            _settle(waiting.done, error)


def checked(response: Json) -> Json:
    """Return the answer of one search. Raises `Refused` for a 4xx, and a fault if the engine couldn't do it."""
    error = response.get("error")
    if error is None:
        return response
    status = int(response.get("status", 500))
    if status >= 500 or status == 429:
        raise unavailable("the search engine")
    raise Refused(status, str(error.get("type", "")), orjson.dumps(error).decode()[:500])


def _settle(done: asyncio.Future[Json], outcome: Json | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
        done.exception()  # a caller that has gone needn't hear it
    else:
        done.set_result(outcome)
