# SPDX-License-Identifier: Apache-2.0
"""Writers that go on through every fault, each with documents of its own, and note what they were promised."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from dataclasses import dataclass

from pinakes.client import AsyncClient, PinakesError, Written, deletion
from pinakes.v1 import index_pb2, resources_pb2
from tests.faults._ledger import Attempt, Key, Ledger, content
from tests.integration._servers import Tenant

MODES = ("accepted", "applied", "searchable")
DOCUMENTS = 12
"""Documents of one writer: few, so that each is written again and again."""
CALL_SECONDS = 8.0
PATIENCE_SECONDS = 15.0
BATCH = 10
SETTLED = frozenset({"CREATED", "UPDATED", "UNCHANGED", "SUPERSEDED", "DELETED", "NOT_FOUND", "ACCEPTED", "REPEATED"})
"""Outcomes that promise something; NOT_FOUND promises that a document to be deleted isn't there."""
TROUBLE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"})
"""What callers may be told while parts of the platform are away."""

Work = Callable[["Writer"], Awaitable[None]]


@dataclass(slots=True)
class Writer:
    """One writer of one tenant."""

    name: str
    tenant: Tenant
    client: AsyncClient
    ledger: Ledger
    dice: random.Random
    stop: asyncio.Event

    def keys(self, count: int = 1) -> list[Key]:
        """Return some of its documents, each once."""
        numbers = self.dice.sample(range(DOCUMENTS), count)
        return [Key(self.tenant.tenant_id, f"{self.name}-{number}") for number in numbers]

    def attempt(self, key: Key, mode: str, *, once: bool = False) -> Attempt:
        """Begin to write or, now and then, to delete a document."""
        return self.ledger.attempt(key, mode, deletion=self.dice.random() < 0.2, once=once)

    def failed(self, error: PinakesError) -> None:
        """Note what a call was told."""
        self.ledger.errors[f"{error.code} {error.reason}"] += 1
        # Without a request id it isn't the platform's word, but what a broken connection or its proxy left.
        if error.code not in TROUBLE and error.request_id:
            self.ledger.strange.append(f"{self.name}: {error}")

    async def run(self, work: Work) -> None:
        """Work until the run is over; failed calls are what the run is about."""
        while not self.stop.is_set():
            try:
                await work(self)
            except PinakesError as error:
                self.failed(error)
                await asyncio.sleep(min(error.retry_after or 0.1, 0.5))
            await asyncio.sleep(self.dice.uniform(0.0, 0.05))


async def single(writer: Writer) -> None:
    """Put or delete one document."""
    mode = writer.dice.choice(MODES)
    attempt = writer.attempt(writer.keys()[0], mode)
    if attempt.deletion:
        await writer.client.delete_document(attempt.key.document, mode=mode, allow_missing=True, timeout=CALL_SECONDS)
        writer.ledger.acknowledge(attempt)
    else:
        made = await writer.client.put_document(content(attempt.key, attempt.number), mode=mode, timeout=CALL_SECONDS)
        writer.ledger.acknowledge(attempt, etag=made.etag)


async def batch(writer: Writer) -> None:
    """Write several documents in one call."""
    mode = writer.dice.choice(MODES)
    attempts = [writer.attempt(key, mode) for key in writer.keys(writer.dice.randrange(2, BATCH))]
    answer = await writer.client.batch_write(list(map(_write, attempts)), mode=mode, timeout=CALL_SECONDS)
    _answered(writer.ledger, attempts, answer)


async def once(writer: Writer) -> None:
    """Write several documents in one call, and send it again with its request id until there is an answer."""
    mode, request_id = writer.dice.choice(MODES), f"{writer.dice.getrandbits(64):x}"
    attempts = [writer.attempt(key, mode, once=True) for key in writer.keys(writer.dice.randrange(2, BATCH))]
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = await writer.client.batch_write(
                list(map(_write, attempts)), mode=mode, request_id=request_id, timeout=CALL_SECONDS
            )
        except PinakesError as error:
            if time.monotonic() > end:
                raise
            writer.failed(error)
            await asyncio.sleep(min(error.retry_after or 0.1, 1.0))
        else:
            _answered(writer.ledger, attempts, answer)
            return


def _answered(ledger: Ledger, attempts: Sequence[Attempt], answer: index_pb2.BatchWriteDocumentsResponse) -> None:
    for attempt, result in zip(attempts, answer.results, strict=True):
        outcome = index_pb2.WriteResult.Outcome.Name(result.outcome).removeprefix("OUTCOME_")
        if outcome in SETTLED:
            ledger.acknowledge(attempt, revision=result.revision, etag=result.etag)
        else:
            ledger.errors[f"{outcome} {result.status.code}"] += 1


async def many(writer: Writer) -> None:
    """Write through the SDK's own patience: the same batch may be sent several times."""
    mode = writer.dice.choice(MODES)
    attempts = [writer.attempt(key, mode) for key in writer.keys(writer.dice.randrange(2, BATCH))]
    results = writer.client.write_many(
        list(map(_write, attempts)), mode=mode, timeout=CALL_SECONDS, patience=PATIENCE_SECONDS
    )
    await _take(writer.ledger, attempts, results)


async def stream(writer: Writer) -> None:
    """Write the same documents several times by one stream, which goes on by itself where it breaks."""
    mode = writer.dice.choice(MODES)
    attempts = [writer.attempt(key, mode) for _ in range(writer.dice.randrange(2, 8)) for key in writer.keys(BATCH)]
    results = writer.client.stream_write(list(map(_write, attempts)), mode=mode, patience=PATIENCE_SECONDS)
    await _take(writer.ledger, attempts, results)


async def _take(ledger: Ledger, attempts: Sequence[Attempt], results: AsyncIterable[Written]) -> None:
    """Note results as they come: what follows a failure of the whole has no outcome that anybody knows."""
    place = 0
    async for written in results:
        attempt, place = attempts[place], place + 1
        assert written.id == attempt.key.document, "results come in the order of the writes"
        if written.outcome in SETTLED:
            ledger.acknowledge(attempt, revision=written.revision, etag=written.etag)
        else:
            ledger.errors[f"{written.outcome} {written.error and written.error.reason}"] += 1
    assert place == len(attempts), "every write has a result"


def _write(attempt: Attempt) -> resources_pb2.Document | index_pb2.DocumentDeletion:
    return deletion(attempt.key.document) if attempt.deletion else content(attempt.key, attempt.number)
