# SPDX-License-Identifier: Apache-2.0
"""What StreamWriteDocuments means: a window of messages under way, acknowledged in order, gone on with after a break."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.duration_pb2 import Duration

from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.queue.producer import StreamPosition
from pinakes.core.rpc.errors import status_of
from pinakes.core.telemetry import metrics
from pinakes.core.writing.apply import Applied
from pinakes.index.commands.items import Given, Items, name_of, write_items
from pinakes.v1 import index_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.rpc.call import Call
    from pinakes.index.commands.write import Writer

Request = index_pb2.StreamWriteDocumentsRequest
Response = index_pb2.StreamWriteDocumentsResponse
ACCEPTED = index_pb2.WRITE_MODE_ACCEPTED
OpenWriter = Callable[[str], Awaitable["Writer"]]
_PASSING = frozenset({Kind.EXHAUSTED, Kind.UNAVAILABLE})
_PAUSE_SECONDS = 1.0
# Some of a drain's time is left for the last answers to arrive.
_GRACE_SHARE = 0.9
_WRITTEN = metrics.STREAM_MESSAGES.labels("written")
_REPEATED = metrics.STREAM_MESSAGES.labels("repeated")
_BACKOFF = metrics.STREAM_MESSAGES.labels("backoff")


@dataclass(slots=True)
class _Message:
    """A message under way. `repeated`: an earlier one had its number."""

    sequence: int
    given: Given
    documents: frozenset[str]
    repeated: bool
    task: asyncio.Task[Items] = field(init=False)


class WriteStream:
    """One stream: reads ahead as far as the window allows, writes, and answers in the order of the messages."""

    def __init__(
        self, messages: AsyncIterator[Request], call: Call, open_writer: OpenWriter, platform: Platform
    ) -> None:
        """Begin with nothing read. `messages` have passed the chain; `call` holds what it learnt about the last one."""
        self._messages = messages
        self._call = call
        self._open_writer = open_writer
        self._platform = platform
        self._drain = platform.drain
        self._answers: asyncio.Queue[Response | None] = asyncio.Queue()
        self._order: asyncio.Queue[_Message | None] = asyncio.Queue()
        self._under_way: list[_Message] = []
        self._room = asyncio.Semaphore(platform.settings.stream_window)
        self._parent = ""
        self._stream_id = ""
        self._mode = ACCEPTED
        self._last = 0
        self._held_until = 0.0
        self._ending = asyncio.Event()
        call.on_backoff = self._back_off

    async def answers(self) -> AsyncGenerator[Response]:
        """Yield what is to be sent. Raises the fault that ends the stream, after what came before it was answered."""
        work = asyncio.create_task(self._work(), name="write-stream")
        notice = asyncio.create_task(self._give_notice(), name="write-stream-notice")
        work.add_done_callback(lambda _: self._answers.put_nowait(None))
        try:
            while (answer := await self._answers.get()) is not None:
                yield answer
                if answer.HasField("acknowledgement"):
                    self._room.release()
            await work
        finally:
            await _stop([work, notice, *(message.task for message in self._under_way)])

    async def _work(self) -> None:
        """Read and acknowledge until the stream ends."""
        reading = asyncio.create_task(self._read(), name="write-stream-read")
        try:
            while (message := await self._order.get()) is not None:
                self._say(await self._acknowledgement(message))
                self._under_way.remove(message)
            await reading
        finally:
            await _stop([reading])

    async def _give_notice(self) -> None:
        """Tell the caller that the stream ends soon: because the server does, or because the stream is old."""
        seconds = self._platform.settings.drain_seconds
        try:
            async with asyncio.timeout(self._platform.settings.stream_seconds):
                await self._drain.begun.wait()
            seconds = self._drain.seconds
        except TimeoutError:
            pass
        self._ending.set()
        self._say(Response(shutdown=index_pb2.StreamShutdown(grace=_duration(seconds * _GRACE_SHARE))))

    # ---- reading

    async def _read(self) -> None:
        """Take one message after the other, as long as there is room."""
        try:
            async with aclosing(self._incoming()) as incoming:
                async for message in incoming:
                    if not self._parent:
                        await self._open(message)
                    self._check(message)
                    if message.writes:
                        self._take(message)
                    else:
                        self._room.release()
        finally:
            self._order.put_nowait(None)

    async def _incoming(self) -> AsyncGenerator[Request]:
        """Yield messages until the caller has no more or the server ends. Raises when nothing comes for too long."""
        idle = self._platform.settings.stream_idle_seconds
        ending = asyncio.create_task(self._ending.wait())
        reading: asyncio.Task[Request | None] | None = None
        try:
            while not self._ending.is_set():
                await self._room.acquire()
                reading = asyncio.create_task(self._next())
                while not reading.done() and not ending.done():
                    done, _ = await asyncio.wait({reading, ending}, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
                    # While the caller is told to wait, it isn't the one who is silent.
                    if not done and not self._under_way and time.monotonic() - self._held_until >= idle:
                        raise _idle(idle)
                if ending.done():
                    return
                if (message := reading.result()) is None:
                    return
                yield message
        finally:
            await _stop([task for task in (ending, reading) if task is not None])

    async def _next(self) -> Request | None:
        return await anext(self._messages, None)

    async def _open(self, message: Request) -> None:
        """Begin with what the first message says, and answer where to go on."""
        self._parent = self._call.name
        self._stream_id = message.stream_id
        self._mode = message.mode or ACCEPTED
        await self._open_writer(self._parent)  # NOT_FOUND before anything is sent in vain
        self._last = await self._position(message.sequence)
        limits = self._platform.settings.limits
        opened = index_pb2.StreamOpened(
            resume_after=self._last, window=self._platform.settings.stream_window,
            max_message_bytes=limits.stream_bytes, mode=self._mode,
        )  # fmt: skip
        self._say(Response(opened=opened))

    async def _position(self, sequence: int) -> int:
        """Return the last message that was written by streams of this id."""
        if not self._stream_id:
            return 0
        try:
            return await self._platform.queue.stream_position(self._call.tenant.uid, self._stream_id)
        except Fault:
            if self._mode == ACCEPTED:
                raise
            # The queue is away, and these modes don't need it: the caller knows where it was, and what is written
            # again changes nothing.
            return max(0, sequence - 1)

    def _check(self, message: Request) -> None:
        """Refuse a message that can't be the next one of this stream."""
        limits, number, next_one = self._platform.settings.limits, message.sequence, self._last + 1
        if message.stream_id not in {"", self._stream_id}:
            raise self._fault("stream_id", f"must be empty or that of the first message, {self._stream_id!r}")
        if message.mode not in {index_pb2.WRITE_MODE_UNSPECIFIED, self._mode}:
            raise self._fault("mode", "must be unset or that of the first message")
        if not message.writes and (number or self._call.number > 1):
            raise self._fault("writes", "must not be empty; only a first message without a number may be")
        if message.writes and not 0 < number <= next_one:
            raise self._fault("sequence", f"is {number}, expected was {next_one}", "STREAM_SEQUENCE")
        if (count := len(message.writes)) > limits.stream_documents:
            text = f"there are {count}; at most {limits.stream_documents} are allowed in a message"
            raise self._fault("writes", text, "MESSAGE_TOO_LARGE")
        if (size := len(self._call.raw)) > limits.stream_bytes:
            text = f"the message has {size} bytes; at most {limits.stream_bytes} are allowed"
            raise self._fault("writes", text, "MESSAGE_TOO_LARGE")

    def _take(self, message: Request) -> None:
        """Begin to write a message."""
        # Only where messages go side by side does it matter which of them write the same document.
        documents = frozenset() if self._mode == ACCEPTED else frozenset(map(_document, message.writes))
        taken = _Message(
            message.sequence,
            Given(message.writes, self._call.item_violations, self._call.raw, Request.WRITES_FIELD_NUMBER),
            documents, repeated=message.sequence <= self._last,
        )  # fmt: skip
        if self._call.budget is not None:
            self._call.budget.sent(len(message.writes), len(self._call.raw))
        self._last = max(self._last, message.sequence)
        taken.task = asyncio.create_task(self._write(taken, self._before(taken)), name="write-message")
        self._under_way.append(taken)
        self._order.put_nowait(taken)

    def _before(self, message: _Message) -> list[asyncio.Task[Items]]:
        """Return what must be done before a message may be written.

        Queued messages move the stream's position, so each waits for the one before. Applied ones go side by side
        unless they write the same document: the later write must find the earlier one's.
        """
        if self._mode == ACCEPTED:
            return [other.task for other in self._under_way[-1:]]
        return [other.task for other in self._under_way if not message.documents.isdisjoint(other.documents)]

    # ---- writing

    async def _write(self, message: _Message, before: list[asyncio.Task[Items]]) -> Items:
        """Write a message, again and again while the platform is busy or away."""
        if before:
            await asyncio.wait(before)
            for other in before:
                other.result()  # what comes behind a message that failed isn't written
        while True:
            try:
                items = await self._attempt(message, message.given)
                await self._finish(message, items)
            except Fault as fault:
                await self._wait_for(fault)
            else:
                return items

    async def _attempt(self, message: _Message, given: Given) -> Items:
        """Write a message, or some of its writes, once."""
        writer = await self._open_writer(self._parent)
        if message.repeated:
            # Nothing is written; but what had been refused then is refused now, and its caller may not know it.
            items = await write_items(given, writer, self._mode, validate_only=True)
            items.repeated = True
            return items
        position = None
        if self._stream_id and self._mode == ACCEPTED:
            position = StreamPosition(self._stream_id, message.sequence)
        return await write_items(given, writer, self._mode, position=position)

    async def _finish(self, message: _Message, items: Items) -> None:
        """Try those writes again that the engine was too busy for, until it has taken them."""
        while busy := [place for place, outcome in enumerate(items.outcomes) if _is_busy(outcome)]:
            await self._wait_for(Fault(Kind.UNAVAILABLE, "UNAVAILABLE", "the search engine is busy"))
            try:
                part = Request(writes=[message.given.writes[place] for place in busy])
                given = Given(part.writes, {}, part.SerializeToString(), Request.WRITES_FIELD_NUMBER)
                again = await self._attempt(message, given)
            except Fault as fault:
                await self._wait_for(fault)
                continue
            for place, outcome in zip(busy, again.outcomes, strict=True):
                items.outcomes[place] = outcome

    async def _wait_for(self, fault: Fault) -> None:
        """Ask the caller for a pause, and make it. Raises the fault if waiting can't help or there is no time."""
        if fault.kind not in _PASSING or self._ending.is_set():
            raise fault
        self._back_off(fault)
        with suppress(TimeoutError):
            # Jitter keeps streams that were turned away together from coming back together.
            async with asyncio.timeout((fault.retry_after or _PAUSE_SECONDS) * random.uniform(1.0, 1.2)):
                await self._ending.wait()

    def _back_off(self, fault: Fault) -> None:
        """Tell the caller to wait; so long it may be silent."""
        _BACKOFF.inc()
        seconds = fault.retry_after or _PAUSE_SECONDS
        self._held_until = time.monotonic() + seconds
        delay = _duration(seconds)
        self._say(Response(backoff=index_pb2.StreamBackoff(retry_delay=delay, reason=fault.message)))

    # ---- answering

    async def _acknowledgement(self, message: _Message) -> Response:
        """Return the answer to a message when it is written, and remember that it is."""
        items = await message.task
        answer = index_pb2.StreamAcknowledgement(sequence=message.sequence)
        if not items.repeated:
            answer.outcomes.extend([outcome.outcome for outcome in items.outcomes])
            answer.revisions.extend([outcome.revision for outcome in items.outcomes])
        for place, outcome in enumerate(items.outcomes):
            if outcome.fault is not None:
                answer.faults.add(index=place, name=name_of(items.writes[place]), status=status_of(outcome.fault))
        (_REPEATED if items.repeated else _WRITTEN).inc()
        if self._mode != ACCEPTED and self._stream_id and not message.repeated:
            # Forgotten, it would only be written again.
            with suppress(Fault):
                position = StreamPosition(self._stream_id, message.sequence)
                await self._platform.queue.advance_position(self._call.tenant.uid, position)
        return Response(acknowledgement=answer)

    def _say(self, answer: Response) -> None:
        self._answers.put_nowait(answer)

    def _fault(self, where: str, text: str, reason: str = "INVALID_ARGUMENT") -> Fault:
        message = f"message {self._call.number}: {where}: {text}"
        return Fault(Kind.INVALID, reason, message, (Violation(where, text),))


async def _stop(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended; what they raise was told elsewhere."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _document(write: index_pb2.DocumentWrite) -> str:
    """Return the id of the document that a write means, whatever its tenant is called."""
    return (write.put.name or write.delete.name).rpartition("/")[2]


def _is_busy(applied: Applied) -> bool:
    return applied.fault is not None and applied.fault.kind is Kind.UNAVAILABLE


def _idle(seconds: float) -> Fault:
    text = f"nothing came for {seconds:g} s; go on with another stream when there is something to write"
    return Fault(Kind.DEADLINE, "STREAM_IDLE", text)


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromMilliseconds(max(1, round(seconds * 1000)))
    return made
