# SPDX-License-Identifier: Apache-2.0
"""A stream of writes counts as silent when its caller is, not while the caller has to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.platform import Drain
from pinakes.core.settings import Limits
from pinakes.core.writing.apply import Applied
from pinakes.index.commands import stream
from pinakes.index.commands.items import Given, Items
from pinakes.index.commands.stream import WriteStream
from pinakes.v1 import index_pb2

Request = index_pb2.StreamWriteDocumentsRequest
APPLIED = index_pb2.WRITE_MODE_APPLIED
IDLE = 0.1


async def write_items(given: Given, _writer: object, mode: index_pb2.WriteMode, **_: Any) -> Items:
    """Write all of a message."""
    return Items(given.writes, [Applied(index_pb2.WriteResult.OUTCOME_CREATED)] * len(given.writes), mode)


def message(sequence: int) -> Request:
    made = Request(sequence=sequence, mode=APPLIED)
    made.writes.add(delete=index_pb2.DocumentDeletion(name="d"))
    return made


async def acknowledged(monkeypatch: pytest.MonkeyPatch, holds: Sequence[float]) -> tuple[list[int], Fault]:
    """Send a message after each time for which the chain holds it back, then nothing; return what came of that."""
    monkeypatch.setattr(stream, "write_items", write_items)
    call: Any = SimpleNamespace(name="c", number=0, raw=b"", item_violations={}, budget=None, on_backoff=None)
    settings = SimpleNamespace(
        stream_window=4, stream_idle_seconds=IDLE, stream_seconds=60.0, drain_seconds=1.0, limits=Limits()
    )
    platform: Any = SimpleNamespace(drain=Drain(), settings=settings)

    async def messages() -> AsyncIterator[Request]:
        for number, seconds in enumerate(holds, 1):
            call.number = number
            call.on_backoff(Fault(Kind.EXHAUSTED, "INGEST_RATE_EXCEEDED", "slowly", retry_after=seconds))
            await asyncio.sleep(seconds)
            yield message(number)
        await asyncio.sleep(60)

    async def open_writer(_: str) -> Any:
        return None

    numbers: list[int] = []
    with pytest.raises(Fault) as caught:
        async for answer in WriteStream(messages(), call, open_writer, platform).answers():
            numbers += [answer.acknowledgement.sequence] if answer.HasField("acknowledgement") else []
    return numbers, caught.value


async def test_a_caller_who_has_to_wait_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(10):
        numbers, fault = await acknowledged(monkeypatch, [0.01, 6 * IDLE])
    assert numbers == [1, 2]
    assert fault.reason == "STREAM_IDLE"
