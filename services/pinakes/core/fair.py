# SPDX-License-Identifier: Apache-2.0
"""Waiting in turn: of a caller with much to do, one thing is done, and then one of each other caller's."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """A queue from which callers are served in turn; what one caller has put in keeps its order."""

    def __init__(self) -> None:
        """Begin empty."""
        self._of: OrderedDict[Hashable, deque[Item]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._of)

    def put(self, caller: Hashable, item: Item) -> None:
        """Put in an item of a caller."""
        queue = self._of.get(caller)
        if queue is None:
            queue = self._of[caller] = deque()
        queue.append(item)

    def first(self) -> Item:
        """Return what `take` would take. Raises StopIteration when nothing waits."""
        return next(iter(self._of.values()))[0]

    def take(self) -> Item:
        """Take out what is next. Raises KeyError when nothing waits."""
        caller, queue = self._of.popitem(last=False)
        item = queue.popleft()
        if queue:
            self._of[caller] = queue
        return item

    def drop(self) -> None:
        """Take out what is next without its being done: its caller keeps its turn. Raises KeyError when nothing waits."""
        caller, queue = self._of.popitem(last=False)
        queue.popleft()
        if queue:
            self._of[caller] = queue
            self._of.move_to_end(caller, last=False)


class Gate:
    """Lets so many pass at once; who has to wait does so in turn."""

    def __init__(self, places: int) -> None:
        """Begin with this many places, all free."""
        self._free = places
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    @asynccontextmanager
    async def passing(self, caller: Hashable) -> AsyncIterator[None]:
        """Have one of the places for as long as the block lasts."""
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, caller: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.put(caller, place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given one at the same moment
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            if self._waiting.first().done():
                self._waiting.drop()
                continue
            self._waiting.take().set_result(None)
            return
        self._free += 1


class Way:
    """Keeps a narrow way free: who should give way lets others pass first, for a moment at most."""

    def __init__(self, seconds: float) -> None:
        """Begin with nobody on it; nobody waits for longer than `seconds`."""
        self._seconds = seconds
        # Of those who don't give way: those who do never wait for one another.
        self._passing: Counter[Hashable] = Counter()
        self._left: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def passing(self, caller: Hashable, *, gives_way: bool) -> AsyncIterator[None]:
        """Be on the way for as long as the block lasts; with `gives_way` not before all others have left it, or time is up."""
        if gives_way:
            if self._others(caller):
                await self._others_left(caller)
            yield
            return
        self._passing[caller] += 1
        try:
            yield
        finally:
            self._passing[caller] -= 1
            if not self._passing[caller]:
                del self._passing[caller]
                # Only then can there be somebody who waits for nobody else.
                if self._left is not None and len(self._passing) <= 1:
                    self._left.set_result(None)
                    self._left = None

    def _others(self, caller: Hashable) -> bool:
        return len(self._passing) > (caller in self._passing)

    async def _others_left(self, caller: Hashable) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while self._others(caller):
                    if self._left is None:
                        self._left = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._left)
