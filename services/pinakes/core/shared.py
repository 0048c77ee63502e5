# SPDX-License-Identifier: Apache-2.0
"""Calls shared by concurrent callers: what is asked while calls are under way leaves together in the next one.

Natural batching: no timer, and nothing waits while nobody else asks. Callers who have to wait do so in turn, so one who asks
for much doesn't fill the next calls alone.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pinakes.core.fair import Turns

Question = TypeVar("Question")
Answer = TypeVar("Answer")
Send = Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]]


@dataclass(slots=True)
class _Waiting(Generic[Question, Answer]):
    question: Question
    done: asyncio.Future[Answer]


class SharedCalls(Generic[Question, Answer]):
    """Asks one dependency on behalf of many callers, several questions in a call."""

    def __init__(
        self,
        send: Send[Question, Answer],
        *,
        at_once: int,
        most: int,
        caller_of: Callable[[Question], Hashable] = lambda _: None,
    ) -> None:
        """`send` asks up to `most` questions and returns an answer or exception for each; what it raises, all get.

        A question waits only while `at_once` calls are out. `caller_of` tells whose it is, where that makes a difference.
        """
        self._send, self._caller_of = send, caller_of
        self._at_once, self._most = at_once, most
        self._queue: Turns[_Waiting[Question, Answer]] = Turns()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """Ask, and return the answer. Raises its exception.

        A caller that is cancelled never takes others' calls along; one that nobody waits for any more is cancelled.
        """
        if self._running == 0:
            # Nobody to share with: the caller's own task does it, so that it ends with the caller.
            self._running += 1
            try:
                answer = (await self._send((question,)))[0]
            finally:
                self._running -= 1
                self._start()
            if isinstance(answer, Exception):
                raise answer
            return answer
        waiting: _Waiting[Question, Answer] = _Waiting(question, asyncio.get_running_loop().create_future())
        self._queue.put(self._caller_of(question), waiting)
        self._start()
        return await waiting.done

    async def close(self) -> None:
        """Finish what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self) -> None:
        while self._queue and self._running < self._at_once:
            self._running += 1
            # A context of its own: a shared call has no caller's deadline and is part of no caller's trace.
            task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            batch: list[_Waiting[Question, Answer]] = []
            while self._queue and len(batch) < self._most:
                if self._queue.first().done.done():
                    self._queue.drop()
                else:
                    batch.append(self._queue.take())
            if batch:
                await self._call(batch)
        finally:
            self._running -= 1
            self._start()

    async def _call(self, batch: list[_Waiting[Question, Answer]]) -> None:
        left, this = len(batch), asyncio.current_task()

        def gone(done: asyncio.Future[Answer]) -> None:
            nonlocal left
            left -= 1
            if left == 0 and done.cancelled() and this is not None:
                this.cancel()

        for waiting in batch:
            waiting.done.add_done_callback(gone)
        try:
            answers = await self._send([waiting.question for waiting in batch])
        except Exception as error:
            answers = [error] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.done.done():
                continue
            if isinstance(answer, Exception):
                waiting.done.set_exception(answer)
                waiting.done.exception()  # a caller that has gone needn't hear it
            else:
                waiting.done.set_result(answer)
