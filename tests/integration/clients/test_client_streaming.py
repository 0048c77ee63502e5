# SPDX-License-Identifier: Apache-2.0
"""How the client writes by stream: in order, within the window, with pauses, and again after a break."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import grpc
import pytest

from pinakes.client import AsyncClient, Client, PermissionDenied, Unavailable, deletion
from pinakes.v1 import index_pb2
from tests.integration.clients._scripted_server import (
    Scripted,
    StreamRequest,
    StreamResponse,
    accept_all,
    acknowledge,
    opened,
    refuse,
    refuses_after,
    status,
)

Messages = Iterator[StreamRequest]
Context = grpc.ServicerContext
AWAY = status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", retry=0.02)


def backoff(milliseconds: int) -> StreamResponse:
    """Make a hint to pause."""
    answer = StreamResponse()
    answer.backoff.retry_delay.FromMilliseconds(milliseconds)
    answer.backoff.reason = "the queue is full"
    return answer


def ids(count: int) -> list[dict[str, str]]:
    """Make documents."""
    return [{"id": f"d{number}"} for number in range(count)]


def numbers(scripted: Scripted) -> list[int]:
    """Return the numbers of the messages that came, in order; 0 begins a stream."""
    return [request.sequence for request in scripted.requests]


async def test_documents_leave_in_messages_and_come_back_in_order(scripted: Scripted) -> None:
    scripted.converse = accept_all
    told: list[tuple[str, int]] = []
    async with AsyncClient(scripted.endpoint, key="pk_x") as client:
        items = [*ids(1200), deletion("gone"), {"id": "bad/id"}, {"bogus": 1}, {"id": "last"}]
        written = [
            result async for result in client.stream_write(items, on_acknowledged=lambda *place: told.append(place))
        ]
    assert [result.id for result in written[:1201]] == [f"d{number}" for number in range(1200)] + ["gone"]
    assert [result.outcome for result in written[1200:]] == ["ACCEPTED", "REJECTED", "REJECTED", "ACCEPTED"]
    assert numbers(scripted) == [0, 1, 2, 3]
    assert [len(request.writes) for request in scripted.requests] == [0, 500, 500, 202]
    first = scripted.requests[0]
    assert (first.parent, first.mode, len(first.stream_id)) == ("tenants/-/collections/default", 0, 32)
    assert told == [(first.stream_id, 1), (first.stream_id, 2), (first.stream_id, 3)]
    assert scripted.metadata == []


def test_the_blocking_client_writes_by_stream_too(scripted: Scripted) -> None:
    scripted.converse = accept_all
    with Client(scripted.endpoint) as client:
        assert len(list(client.stream_write(ids(3), mode="searchable"))) == 3
    assert scripted.requests[0].mode == index_pb2.WRITE_MODE_SEARCHABLE


async def test_messages_are_bounded_by_bytes_and_a_document_that_is_too_large_is_rejected(scripted: Scripted) -> None:
    scripted.converse = accept_all
    bodies = [600_000, 600_000, 3_000_000, 10, 5_000_000, 10]
    items = [{"id": f"d{number}", "body": "x" * size} for number, size in enumerate(bodies)]
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.stream_write(items)]
    assert [len(request.writes) for request in scripted.requests] == [0, 1, 1, 1, 2]
    assert [result.ok for result in written] == [True, True, True, True, False, True]
    assert written[4].error is not None
    assert written[4].error.reason == "DOCUMENT_TOO_LARGE"


async def test_no_more_is_sent_than_the_window_allows(scripted: Scripted) -> None:
    most = 0

    def slow(messages: Messages, _: Context) -> Iterator[StreamResponse]:
        nonlocal most
        next(messages)
        yield opened(window=3)
        for message in messages:
            time.sleep(0.02)
            most = max(most, scripted.requests[-1].sequence - message.sequence + 1)
            yield acknowledge(message)

    scripted.converse = slow
    async with AsyncClient(scripted.endpoint) as client:
        assert len([result async for result in client.stream_write(ids(6000))]) == 6000
    assert most <= 3
    assert numbers(scripted) == list(range(13))


async def test_items_are_read_no_faster_than_their_results_are_taken(scripted: Scripted) -> None:
    scripted.converse = accept_all
    read = itertools.count()
    async with AsyncClient(scripted.endpoint) as client:
        items = ({"id": f"d{next(read)}"} for _ in range(100_000))
        pages = client.stream_write(items).pages()
        for _ in range(3):
            await anext(pages)
        await asyncio.sleep(0.3)
        assert next(read) < 20_000
        await pages.aclose()  # type: ignore[attr-defined]  # an asynchronous generator


async def test_a_pause_is_made_as_long_as_the_platform_asks(scripted: Scripted) -> None:
    times: list[float] = []

    def busy(messages: Messages, _: Context) -> Iterator[StreamResponse]:
        next(messages)
        yield opened(window=1)
        for message in messages:
            times.append(time.monotonic())
            if message.sequence == 1:
                yield backoff(300)
            yield acknowledge(message)

    scripted.converse = busy
    async with AsyncClient(scripted.endpoint) as client:
        assert len([result async for result in client.stream_write(ids(1000))]) == 1000
    assert times[1] - times[0] > 0.28


@pytest.mark.parametrize("way", ["breaks", "is refused", "is asked to end"])
async def test_after_a_break_another_stream_takes_what_was_not_acknowledged(scripted: Scripted, way: str) -> None:
    streams = itertools.count()

    def broken(messages: Messages, context: Context) -> Iterator[StreamResponse]:
        next(messages)
        if next(streams) > 0:
            yield opened(resume_after=3)
            for message in messages:
                # The third had been written when the first stream broke; nobody had been told.
                answer = acknowledge(message)
                if message.sequence == 3:
                    answer.acknowledgement.ClearField("outcomes")
                    told = status(grpc.StatusCode.INVALID_ARGUMENT, "TITLE_TOO_LONG", "title")
                    answer.acknowledgement.faults.add(index=7, name="d1007", status=told)
                yield answer
            return
        yield opened()
        for message in messages:
            if message.sequence == 3:
                break
            yield acknowledge(message)
        if way == "breaks":
            context.abort(grpc.StatusCode.INTERNAL, "RST_STREAM")
        if way == "is refused":
            refuse(context, AWAY)
        yield StreamResponse(shutdown=index_pb2.StreamShutdown())

    scripted.converse = broken
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.stream_write(ids(3000))]
    assert [result.id for result in written] == [f"d{number}" for number in range(3000)]
    assert {result.outcome for result in written[:1000] + written[1500:]} == {"ACCEPTED"}
    assert [result.outcome for result in written[1000:1009]] == ["REPEATED"] * 7 + ["REJECTED", "REPEATED"]
    again = numbers(scripted)[numbers(scripted).index(0, 1) :]
    assert again == [0, 3, 4, 5, 6]
    openings = [request for request in scripted.requests if not request.sequence]
    assert openings[0].stream_id == openings[1].stream_id


async def test_a_position_that_was_forgotten_is_begun_anew_under_another_id(scripted: Scripted) -> None:
    streams = itertools.count()

    def forgets(messages: Messages, context: Context) -> Iterator[StreamResponse]:
        next(messages)
        yield opened(resume_after=0)
        first = next(streams) == 0
        for message in messages:
            if first and message.sequence == 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            yield acknowledge(message)

    scripted.converse = forgets
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.stream_write(ids(1500))]
    assert [result.id for result in written] == [f"d{number}" for number in range(1500)]
    openings = [request.stream_id for request in scripted.requests if not request.sequence]
    assert len(set(openings)) == 2
    last = numbers(scripted)[-2:]
    assert last == [1, 2]


async def test_another_process_goes_on_with_a_stream(scripted: Scripted) -> None:
    def goes_on(messages: Messages, _: Context) -> Iterator[StreamResponse]:
        assert next(messages).stream_id == "mine"
        yield opened(resume_after=8)
        for message in messages:
            yield acknowledge(message)

    scripted.converse = goes_on
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.stream_write(ids(600), stream_id="mine", resume_after=7)]
    assert len(written) == 600
    assert numbers(scripted) == [0, 8, 9]


async def test_silence_of_the_source_is_no_failure(scripted: Scripted) -> None:
    """The server ends a stream that sends nothing; the client opens another when there is something to send."""
    idle = status(grpc.StatusCode.DEADLINE_EXCEEDED, "STREAM_IDLE", "nothing came")
    streams = itertools.count()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def impatient(messages: Messages, context: Context) -> Iterator[StreamResponse]:
        next(messages)
        first = next(streams) == 0
        yield opened(resume_after=0 if first else 1)
        yield acknowledge(next(messages))
        if first:
            loop.call_soon_threadsafe(ended.set)
            refuse(context, idle)
        yield from map(acknowledge, messages)

    async def items() -> object:
        for number in range(500):
            yield {"id": f"d{number}"}
        yield {"id": "same"}
        yield {"id": "same"}
        await ended.wait()
        await asyncio.sleep(0.3)
        yield {"id": "after"}

    scripted.converse = impatient
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.stream_write(items(), patience=0.2)]  # type: ignore[arg-type]
    assert len(written) == 503
    assert all(result.ok for result in written)


async def test_patience_runs_out_with_the_platforms_error(scripted: Scripted) -> None:
    def away(messages: Messages, context: Context) -> Iterator[StreamResponse]:
        next(messages)
        refuse(context, AWAY)
        yield opened()

    scripted.converse = away
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(Unavailable, match="away"):
            [result async for result in client.stream_write(ids(1), patience=0.2)]
    assert len(scripted.requests) > 1


async def test_patience_runs_out_while_the_platform_only_asks_for_pauses(scripted: Scripted) -> None:
    def full(messages: Messages, _: Context) -> Iterator[StreamResponse]:
        next(messages)
        yield opened()
        next(messages)
        while True:
            yield backoff(50)
            time.sleep(0.05)

    scripted.converse = full
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(Unavailable, match="the queue is full"):
            [result async for result in client.stream_write(ids(1), patience=0.3)]


async def test_a_refusal_for_good_is_raised_after_what_was_acknowledged(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "revoked")
    scripted.converse = refuses_after(1, told)
    written = []
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(PermissionDenied):
            async for result in client.stream_write(ids(1000)):
                written.append(result)
    assert len(written) == 500


async def test_an_error_of_the_source_is_raised_after_what_it_gave_was_written(scripted: Scripted) -> None:
    def items() -> Iterator[dict[str, str]]:
        yield from ids(700)
        message = "the source is broken"
        raise OSError(message)

    scripted.converse = accept_all
    written = []
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(OSError, match="the source is broken"):
            async for result in client.stream_write(items()):
                written.append(result)
    assert len(written) == 500


async def test_a_request_id_goes_with_every_write(scripted: Scripted) -> None:
    scripted.answers["IndexService/UpdateDocument"] = lambda request, _: request.document
    scripted.answers["IndexService/BatchWriteDocuments"] = lambda *_: index_pb2.BatchWriteDocumentsResponse()
    async with AsyncClient(scripted.endpoint) as client:
        await client.put_document({"id": "a"}, request_id="r1")
        await client.batch_write([{"id": "a"}], mode="accepted", request_id="r2")
    assert [request.request_id for request in scripted.requests] == ["r1", "r2"]
    assert scripted.requests[1].mode == index_pb2.WRITE_MODE_ACCEPTED
