# SPDX-License-Identifier: Apache-2.0
"""Writing by stream: a window of messages under way, and another stream where one breaks, without gap or repetition."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from pinakes.client._channel import Channel
from pinakes.client._errors import (
    DeadlineExceeded,
    PinakesError,
    RateLimited,
    Unavailable,
    from_rpc_error,
    from_status,
)
from pinakes.client._writing import FIRST_PAUSE, LONGEST_PAUSE, Batch, Bounds, Writable, Written, batches, outcome_name
from pinakes.v1 import index_pb2

Request = index_pb2.StreamWriteDocumentsRequest
Response = index_pb2.StreamWriteDocumentsResponse
Acknowledged = Callable[[str, int], None]

_METHOD = "IndexService/StreamWriteDocuments"
# A message is at most 4 MiB; smaller ones let the server begin sooner and the window be of use. Who goes on with a stream
# must cut it in the same places: a change here needs another FORMAT in cli/_checkpoint.py.
_MESSAGE = Bounds(documents=500, bytes=1 << 20, write_bytes=(4 << 20) - (64 << 10))
_OPEN_SECONDS = 15.0
# A server that has something to do says at least every few seconds that it is still there.
_SILENT_SECONDS = 45.0
_LOOK_SECONDS = 5.0
# What a proxy or a dying connection leaves of a stream, when the platform itself had no say. gRPC also calls it INTERNAL
# when a message was on its way as the stream ended; if that was for good, the next stream ends in the same way.
_BROKEN = frozenset({"UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class Place:
    """Which stream, and the last of its messages that is done."""

    stream_id: str
    sequence: int = 0


@dataclass(slots=True)
class _Message:
    """A batch and its number in its stream; 0 if nothing of it can be sent."""

    batch: Batch
    stream_id: str = ""
    sequence: int = 0
    done: bool = False


class StreamWriter:
    """Writes items by as many streams, one after the other, as it takes."""

    def __init__(
        self,
        channel: Channel,
        items: Iterable[Writable] | AsyncIterable[Writable],
        parent: str,
        mode: index_pb2.WriteMode,
        place: Place,
        *,
        patience: float,
        on_acknowledged: Acknowledged | None = None,
    ) -> None:
        """Prepare; nothing is read or sent before `pages` is iterated. `patience` is in seconds."""
        self._channel = channel
        self._items = items
        self._parent = parent
        self._mode = mode
        self._patience = patience
        self._on_acknowledged = on_acknowledged
        self._stream_id = place.stream_id or uuid.uuid4().hex
        self._acknowledged = self._numbered = place.sequence
        self._window = 1
        self._order: deque[_Message] = deque()  # all that weren't yielded yet
        self._unsent: deque[_Message] = deque()
        self._sent: deque[_Message] = deque()  # by the present stream, and not acknowledged
        self._pages: asyncio.Queue[_Message | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        self._fed = False
        self._ending = False
        self._paused_until = 0.0
        self._progress = self._heard = time.monotonic()

    async def pages(self) -> AsyncGenerator[list[Written]]:
        """Yield the results of each message, in the order of the items."""
        work = asyncio.create_task(self._work())
        work.add_done_callback(lambda _: self._pages.put_nowait(None))
        try:
            while (message := await self._pages.get()) is not None:
                self._changed.set()
                if message.sequence and self._on_acknowledged is not None:
                    self._on_acknowledged(message.stream_id, message.sequence)
                yield [result for result in message.batch.results if result is not None]
            await work
        finally:
            await _stop(work)

    async def _work(self) -> None:
        """Read items and write them. What was read before the items raised an error is written first."""
        feeding = asyncio.create_task(self._feed())
        try:
            await self._talk()
            await feeding
        finally:
            await _stop(feeding)

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    # ---- what is to be written

    async def _feed(self) -> None:
        """Cut the items into messages, no further ahead than the window and the caller's own pace allow."""
        try:
            async for batch in batches(self._items, self._parent, _MESSAGE):
                await self._until(lambda: len(self._order) < 2 * self._window and self._pages.qsize() < self._window)
                message = _Message(batch, done=not batch.writes)
                self._order.append(message)
                if batch.writes:
                    if not self._sent and not self._unsent:
                        self._progress = time.monotonic()
                    self._numbered += 1
                    message.stream_id, message.sequence = self._stream_id, self._numbered
                    self._unsent.append(message)
                self._flush()
        finally:
            self._fed = True
            self._changed.set()

    def _flush(self) -> None:
        """Pass on what is done, in order."""
        while self._order and self._order[0].done:
            self._pages.put_nowait(self._order.popleft())
        self._changed.set()

    @property
    def _finished(self) -> bool:
        return self._fed and not self._sent and not self._unsent

    # ---- streams

    async def _talk(self) -> None:
        """Open stream after stream until everything is acknowledged."""
        pause = FIRST_PAUSE
        while True:
            await self._until(lambda: self._unsent or self._fed)
            if self._finished:
                return
            before, retry_after = self._progress, None
            try:
                await self._converse()
            except PinakesError as error:
                if not _passes(error):
                    raise
                retry_after = error.retry_after
                if self._out_of_patience(retry_after or pause):
                    raise
            pause = FIRST_PAUSE if self._progress > before else min(pause * 2, LONGEST_PAUSE)
            if not self._finished:
                # Jitter keeps clients that were turned away together from coming back together.
                await asyncio.sleep((retry_after or pause) * random.uniform(1.0, 1.3))

    async def _converse(self) -> None:
        """Write by one stream until it ends. Raises the exception of its status if that isn't OK."""
        call = self._channel.stream(_METHOD, Request, Response)
        sending: asyncio.Task[None] | None = None
        self._ending, self._heard = False, time.monotonic()
        try:
            await call.write(Request(parent=self._parent, mode=self._mode, stream_id=self._stream_id))
            # Unlike `read`, the iterator gives what came before the end also when the end is known already.
            answers = aiter(call)
            while (answer := await self._hear(answers, opened=sending is not None)) is not None:
                if answer.HasField("opened"):
                    self._begin(answer.opened)
                    sending = asyncio.create_task(self._send(call))
                else:
                    self._take(answer)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        except (asyncio.InvalidStateError, grpc.aio.UsageError):  # it ended while it was written to
            raise Unavailable("the stream has ended", code="UNAVAILABLE") from None
        finally:
            call.cancel()
            await _stop(sending)
            self._unsent.extendleft(reversed(self._sent))
            self._sent.clear()

    async def _hear(self, answers: AsyncIterator[Response], *, opened: bool) -> Response | None:
        """Return the next answer, or None at the end. Raises when the server is silent though it owes an answer."""
        reading = asyncio.ensure_future(anext(answers, None))
        try:
            while not (await asyncio.wait({reading}, timeout=_LOOK_SECONDS))[0]:
                silent = time.monotonic() - self._heard
                if silent > (_SILENT_SECONDS if opened else _OPEN_SECONDS) and (self._sent or not opened):
                    raise Unavailable("the stream is silent", code="UNAVAILABLE")
            self._heard = time.monotonic()
            return reading.result()
        finally:
            await _stop(reading)

    def _begin(self, opened: index_pb2.StreamOpened) -> None:
        """Go on where the server is; if it has forgotten what it had acknowledged, under another id."""
        self._window = max(1, opened.window)
        self._changed.set()
        if opened.resume_after >= self._acknowledged:
            return
        self._stream_id, self._acknowledged = uuid.uuid4().hex, 0
        for number, message in enumerate(self._unsent, 1):
            message.stream_id, message.sequence = self._stream_id, number
        self._numbered = len(self._unsent)
        raise Unavailable("the stream's position is no longer known", code="UNAVAILABLE", retry_after=0.001)

    async def _send(self, call: Any) -> None:
        """Send what the window allows; a failure is told by the reading side."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            while True:
                await self._until(
                    lambda: self._ending or self._finished or (self._unsent and len(self._sent) < self._window)
                )
                if self._ending:
                    return
                if self._finished:
                    await call.done_writing()
                    return
                if (left := self._paused_until - time.monotonic()) > 0:
                    await asyncio.sleep(left)
                    continue
                message = self._unsent.popleft()
                if not self._sent:
                    self._heard = time.monotonic()
                self._sent.append(message)
                await call.write(Request(sequence=message.sequence, writes=message.batch.writes))

    # ---- answers

    def _take(self, answer: Response) -> None:
        match answer.WhichOneof("event"):
            case "acknowledgement":
                self._settle(answer.acknowledgement)
            case "backoff":
                delay = answer.backoff.retry_delay.ToTimedelta().total_seconds()
                self._paused_until = time.monotonic() + delay
                if self._out_of_patience(delay):
                    raise Unavailable(answer.backoff.reason, code="UNAVAILABLE", retry_after=delay)
            case "shutdown":
                self._ending = True
                self._changed.set()

    def _settle(self, acknowledgement: index_pb2.StreamAcknowledgement) -> None:
        """Give the writes of a message their results."""
        self._progress = time.monotonic()
        while self._sent and self._sent[0].sequence <= acknowledgement.sequence:
            message = self._sent.popleft()
            _fill(message.batch, acknowledgement)
            message.done = True
            self._acknowledged = message.sequence
        self._flush()

    def _out_of_patience(self, delay: float) -> bool:
        """Tell whether something would wait for too long after another pause."""
        waiting = self._sent or self._unsent
        return bool(waiting) and time.monotonic() + delay - self._progress > self._patience


def _fill(batch: Batch, acknowledgement: index_pb2.StreamAcknowledgement) -> None:
    faults = {fault.index: from_status(fault.status) for fault in acknowledgement.faults}
    outcomes, revisions = acknowledgement.outcomes, acknowledgement.revisions
    for number, (place, write) in enumerate(zip(batch.places, batch.writes, strict=True)):
        error = faults.get(number)
        if outcomes:
            outcome, revision = outcome_name(outcomes[number]), revisions[number]
        else:
            outcome, revision = ("REJECTED" if error else "REPEATED"), 0
        batch.results[place] = Written(write.put.name or write.delete.name, outcome, "", revision, error)


def _passes(error: PinakesError) -> bool:
    """Whether another stream may succeed where this one didn't."""
    if isinstance(error, RateLimited):
        return error.retry_after is not None
    if isinstance(error, Unavailable | DeadlineExceeded):
        return True
    return error.reason == error.code and error.code in _BROKEN


async def _stop(task: asyncio.Future[Any] | None) -> None:
    """Cancel a task and wait for its end; what it raised was told elsewhere."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
