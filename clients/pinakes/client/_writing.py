# SPDX-License-Identifier: Apache-2.0
"""Writing any number of documents: batches by count and size, a few in flight, patience with a busy platform."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

from pinakes.client import _names
from pinakes.client._documents import DocumentLike, as_write
from pinakes.client._errors import (
    DeadlineExceeded,
    InvalidArgument,
    PinakesError,
    RateLimited,
    Unavailable,
    from_status,
)
from pinakes.v1 import index_pb2

Writable = DocumentLike | index_pb2.DocumentDeletion | index_pb2.DocumentWrite
Send = Callable[[list[index_pb2.DocumentWrite]], Awaitable[index_pb2.BatchWriteDocumentsResponse]]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
_STANDS = frozenset({"CREATED", "UPDATED", "UNCHANGED", "DELETED", "SUPERSEDED", "ACCEPTED", "REPEATED"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much leaves together: so many writes or bytes, and how large a write alone may be."""

    documents: int
    bytes: int
    write_bytes: int


# The limit is 8 MiB of writes; the rest is for the request around them.
_BATCH = Bounds(documents=1000, bytes=(8 << 20) - (64 << 10), write_bytes=(8 << 20) - (64 << 10))


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one write.

    `outcome` is CREATED, UPDATED, UNCHANGED, DELETED, SUPERSEDED (a later write had arrived: success all the same),
    ACCEPTED (queued; it will be applied) or REPEATED (done by a stream that broke before it could say how), or
    NOT_FOUND, CONFLICT, REJECTED or FAILED, and then `error` says why. `revision` and `etag` are empty where nothing
    was written; streams don't tell etags.
    """

    name: str
    outcome: str
    etag: str = ""
    revision: int = 0
    error: PinakesError | None = None

    @property
    def id(self) -> str:
        """Id of the document."""
        return _names.last(self.name)

    @property
    def ok(self) -> bool:
        """Whether the platform holds what was asked for."""
        return self.outcome in _STANDS


@dataclass(slots=True)
class Batch:
    """Writes that leave together, between the results of items that can't be sent at all."""

    results: list[Written | None]
    writes: list[index_pb2.DocumentWrite]
    places: list[int]
    names: set[str]
    size: int = 0

    def add(self, write: index_pb2.DocumentWrite, name: str, size: int) -> None:
        """Add a write; its result will take the next place."""
        self.places.append(len(self.results))
        self.results.append(None)
        self.writes.append(write)
        self.names.add(name)
        self.size += size


async def batches(
    items: Iterable[Writable] | AsyncIterable[Writable], parent: str, bounds: Bounds = _BATCH
) -> AsyncIterator[Batch]:
    """Cut items into batches of other documents each; what can't be sent has its result already.

    The same items are cut in the same places again, from any such place on.
    """
    batch = Batch([], [], [], set())
    async for item in _each(items):
        try:
            write = as_write(item, parent)
        except (ValueError, TypeError) as error:
            batch.results.append(_refused(_name_of(item), str(error)))
            write = None
        if write is not None:
            name = write.put.name or write.delete.name
            size = write.ByteSize() + 5  # and the field's own header
            if size > bounds.write_bytes:
                batch.results.append(
                    _refused(name, f"{size} bytes are more than a batch may have", "DOCUMENT_TOO_LARGE")
                )
                write = None
        if write is not None:
            full = len(batch.writes) >= bounds.documents or batch.size + size > bounds.bytes
            if batch.results and (full or name in batch.names):
                yield batch
                batch = Batch([], [], [], set())
            batch.add(write, name, size)
        elif len(batch.results) >= bounds.documents:
            yield batch
            batch = Batch([], [], [], set())
    if batch.results:
        yield batch


async def write_batches(
    items: Iterable[Writable] | AsyncIterable[Writable], parent: str, send: Send, in_flight: int, patience: float
) -> AsyncIterator[list[Written]]:
    """Write all items, `in_flight` batches at a time; yield the results of each batch in the order of the items.

    Two writes of one document are never under way at once, so the later one stands.
    """
    under_way: deque[tuple[set[str], asyncio.Task[list[Written]]]] = deque()
    try:
        async for batch in batches(items, parent):
            while under_way and (
                len(under_way) >= in_flight or any(not batch.names.isdisjoint(names) for names, _ in under_way)
            ):
                yield await under_way[0][1]
                under_way.popleft()
            under_way.append((batch.names, asyncio.create_task(_write(batch, send, patience))))
            await asyncio.sleep(0)  # let it leave before the next batch is read
            while under_way and under_way[0][1].done():
                yield under_way[0][1].result()
                under_way.popleft()
        while under_way:
            yield await under_way[0][1]
            under_way.popleft()
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


async def _write(batch: Batch, send: Send, patience: float) -> list[Written]:
    """Send a batch until every write has an outcome that trying again won't change, or patience has run out.

    A call that fails for good raises its error; a write that does is a result like any other.
    """
    give_up = time.monotonic() + patience
    pause = FIRST_PAUSE
    left = list(zip(batch.places, batch.writes, strict=True))
    while left:
        retry_after: float | None = None
        try:
            response = await send([write for _, write in left])
        except (RateLimited, Unavailable, DeadlineExceeded) as error:
            if not _worth_trying(error) or time.monotonic() + (error.retry_after or pause) >= give_up:
                raise
            retry_after = error.retry_after
        else:
            again = []
            for (place, write), result in zip(left, response.results, strict=True):
                written = _written(result)
                batch.results[place] = written
                if written.outcome == "FAILED":
                    again.append((place, write))
                    retry_after = max(retry_after or 0.0, (written.error and written.error.retry_after) or 0.0) or None
            left = again
            if not left or time.monotonic() + (retry_after or pause) >= give_up:
                break
        # Jitter keeps clients that were turned away together from coming back together.
        await asyncio.sleep((retry_after or pause) * random.uniform(1.0, 1.3))
        pause = min(pause * 2, LONGEST_PAUSE)
    return [result for result in batch.results if result is not None]


def _worth_trying(error: PinakesError) -> bool:
    """Whether the same batch may be taken later: a limit without a time to come back at is of the batch itself."""
    return not isinstance(error, RateLimited) or error.retry_after is not None


def outcome_name(outcome: index_pb2.WriteResult.Outcome) -> str:
    """Return how an outcome is called here."""
    return index_pb2.WriteResult.Outcome.Name(outcome).removeprefix("OUTCOME_")


def _written(result: index_pb2.WriteResult) -> Written:
    outcome = outcome_name(result.outcome)
    error = from_status(result.status) if result.HasField("status") and result.status.code else None
    return Written(result.name, outcome, result.etag, result.revision, error)


def _refused(name: str, message: str, reason: str = "INVALID_DOCUMENT") -> Written:
    return Written(name, "REJECTED", error=InvalidArgument(message, reason=reason, code="INVALID_ARGUMENT"))


def _name_of(item: object) -> str:
    if isinstance(item, dict):
        return str(item.get("id") or item.get("name") or "")
    return str(getattr(item, "name", ""))


async def _each(items: Iterable[Writable] | AsyncIterable[Writable]) -> AsyncIterator[Writable]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
