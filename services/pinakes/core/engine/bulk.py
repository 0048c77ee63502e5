# SPDX-License-Identifier: Apache-2.0
"""Bulk calls shared by concurrent callers: what arrives while calls are under way leaves together in the next one.

Natural batching: no timer, and nothing waits while the engine is idle. Bodies of several tenants may share a call; each
line carries the id, routing and revision that its own `TenantScope` gave it.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NewType

from pinakes.core.engine.refusals import told
from pinakes.core.fair import Turns
from pinakes.core.faults import Fault
from pinakes.core.telemetry import metrics

Json = dict[str, Any]
BYTES = 1 << 20
LINES = 2000
# Two: the engine works on one while the next is put together; more only wait in the engine's own queue.
AT_ONCE = 2
BUSY = frozenset({429, 502, 503, 504})
"""Statuses by which the engine or what is before it says that the same may succeed later."""
CLOSED = "index_closed_exception"
"""The error of an index that is being brought up to this version; it opens again within seconds."""

# Nothing else of an item is looked at, and unfiltered answers are ten times as long.
FILTER = "items.*.status,items.*.result,items.*.error.type,items.*.error.reason"


Line = NewType("Line", bytes)
"""One body at its revision as it stands in a bulk call: its action, its body, each with the end of its line."""


def line(action: bytes, body: bytes) -> Line:
    """Return a body as a line. For documents only a `TenantScope` and the jobs that move whole indices do so."""
    return Line(b'{"index":%b}\n%b\n' % (action, body))


class Item(NamedTuple):
    """What the engine did with a line: an HTTP status, whether the document is new, and the type of an error."""

    status: int
    created: bool = False
    error: str = ""
    detail: str = ""
    """What may be logged of the engine's words."""

    @property
    def busy(self) -> bool:
        """Whether the engine had no room; the same line may succeed later."""
        return self.status in BUSY or self.error == CLOSED


class Stale(Exception):
    """Lines weren't sent before the time until which they may be."""


Send = Callable[[bytes, bool, float], Awaitable[Json]]


@dataclass(slots=True)
class _Waiting:
    lines: Sequence[Line]
    size: int
    done: asyncio.Future[list[Item]]
    until: float


@dataclass(slots=True)
class _Lane:
    """Calls of one kind: those that wait for the refresh mustn't hold up those that don't."""

    searchable: bool
    at_once: int
    queue: Turns[_Waiting] = field(default_factory=Turns)
    running: int = 0


class BulkWriter:
    """Sends lines in shared bulk calls."""

    def __init__(self, send: Send) -> None:
        """`send(payload, searchable, until)` makes one guarded call of the engine and returns its answer.

        It doesn't begin it later than `until` (monotonic).
        """
        self._send = send
        # A call that waits for the refresh takes up to a second, so many may wait at once.
        self._lanes = {False: _Lane(searchable=False, at_once=AT_ONCE), True: _Lane(searchable=True, at_once=16)}
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(
        self, lines: Sequence[Line], *, searchable: bool, until: float = math.inf, caller: str = ""
    ) -> list[Item]:
        """Write lines and return what became of each, in order. Raises what `send` raises.

        Raises `Stale` if they couldn't leave before `until` (monotonic). Callers wait in turn: tenants by their uids, and the
        platform's own work as one.

        Replays and reordering are harmless, so a caller that is cancelled needs no answer: its lines are sent all the same.
        """
        if not lines:
            return []
        lane = self._lanes[searchable]
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(lines, sum(map(len, lines)), done, until)
        lane.queue.put(caller, waiting)
        self._start(lane)
        return await asyncio.shield(waiting.done)

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, lane: _Lane) -> None:
        while lane.queue and lane.running < lane.at_once:
            lane.running += 1
            # A context of its own: a shared call has no caller's deadline and is part of no caller's trace.
            task = asyncio.get_running_loop().create_task(self._run(lane), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: _Lane) -> None:
        try:
            # Callers that are ready at the same moment go together.
            await asyncio.sleep(0)
            batch = _next(lane.queue)
            if batch:
                await self._call(batch, searchable=lane.searchable)
        finally:
            lane.running -= 1
            self._start(lane)

    async def _call(self, batch: list[_Waiting], *, searchable: bool) -> None:
        payload = b"".join([one for waiting in batch for one in waiting.lines])
        metrics.BULK_LINES.observe(sum(len(waiting.lines) for waiting in batch))
        try:
            answer = await self._send(payload, searchable, min(waiting.until for waiting in batch))
            items = [_item(next(iter(entry.values()))) for entry in answer["items"]]
        except Fault as fault:  # the engine is away for all of them
            for waiting in batch:
                _settle(waiting.done, fault)
            return
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0].done, error)
                return
            # One caller's lines may be what the engine refuses: each has its own answer then.
            for waiting in batch:
                await self._call([waiting], searchable=searchable)
            return
        first = 0
        for waiting in batch:
            _settle(waiting.done, items[first : first + len(waiting.lines)])
            first += len(waiting.lines)


def _next(queue: Turns[_Waiting]) -> list[_Waiting]:
    """Take as many callers as fit into one call, at least one."""
    batch: list[_Waiting] = []
    size = count = 0
    now = time.monotonic()
    while queue:
        waiting = queue.first()
        if waiting.done.cancelled() or waiting.until < now:
            queue.drop()
            _settle(waiting.done, Stale())
            continue
        if batch and (size + waiting.size > BYTES or count + len(waiting.lines) > LINES):
            break
        batch.append(queue.take())
        size, count = size + waiting.size, count + len(waiting.lines)
    return batch


def _item(answer: Json) -> Item:
    error = answer.get("error")
    if not error:
        return Item(answer["status"], answer.get("result") == "created")
    return Item(answer["status"], error=error.get("type", ""), detail=told(error))


def _settle(done: asyncio.Future[list[Item]], outcome: list[Item] | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
        done.exception()  # a caller that has gone needn't hear it
    else:
        done.set_result(outcome)
