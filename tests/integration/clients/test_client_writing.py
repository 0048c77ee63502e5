# SPDX-License-Identifier: Apache-2.0
"""How documents are made, and how many of them are written."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from pinakes.client import (
    AsyncClient,
    Client,
    PermissionDenied,
    Unavailable,
    deletion,
    document,
)
from pinakes.client._documents import as_document, attribute
from pinakes.v1 import index_pb2
from tests.integration.clients._scripted_server import Scripted, refuse, status, write_all

BATCH = "IndexService/BatchWriteDocuments"


def test_a_document_is_made_of_plain_values() -> None:
    made = document(
        "a",
        title="T",
        tags=["x"],
        attributes={"n": 1, "b": True, "t": datetime(2026, 1, 2, tzinfo=UTC), "l": [1, "s"], "o": {"k": None}, "e": []},
        expire_time="2027-01-01T00:00:00Z",
    )
    assert MessageToDict(made)["attributes"] == {
        "n": 1.0, "b": True, "t": "2026-01-02T00:00:00Z", "l": [1.0, "s"], "o": {"k": None}, "e": [],
    }  # fmt: skip
    assert made.expire_time.seconds == 1798761600


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"id": "a", "titel": "T"}, "no field titel"),
        ({"id": "a", "attributes": {"n": 2**53 + 1}}, r"attributes\.n: .*2\^53"),
        ({"id": "a", "attributes": {"o": {"x": object()}}}, r"attributes\.o\.x: object"),
        ({"id": "a", "tags": "one"}, "tags: a list"),
        ({"id": "a", "expire_time": "tomorrow"}, "tomorrow"),
    ],
)
def test_what_no_document_can_hold_is_refused_with_its_place(given: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        as_document(given)


def test_an_attribute_is_read_from_text() -> None:
    made = attribute("price:number:sortable")
    assert (made.name, made.type, made.sortable) == ("price", made.TYPE_NUMBER, True)
    with pytest.raises(ValueError, match="number"):
        attribute("price:money")


async def test_many_documents_leave_in_batches_and_come_back_in_order(scripted: Scripted) -> None:
    scripted.answers[BATCH] = write_all
    async with AsyncClient(scripted.endpoint) as client:
        items = ({"id": f"d{number}", "body": "x"} for number in range(2500))
        written = [result async for result in client.write_many(items)]
    assert [result.id for result in written] == [f"d{number}" for number in range(2500)]
    assert all(result.ok for result in written)
    assert sorted(len(request.writes) for request in scripted.requests) == [500, 1000, 1000]


async def test_a_batch_never_exceeds_the_limit_of_bytes(scripted: Scripted) -> None:
    scripted.answers[BATCH] = write_all
    async with AsyncClient(scripted.endpoint) as client:
        items = [{"id": f"d{number}", "body": "x" * 1_000_000} for number in range(20)] + [
            {"id": "huge", "body": "x" * (9 << 20)}
        ]
        written = [result async for result in client.write_many(items)]
    assert max(request.ByteSize() for request in scripted.requests) <= 8 << 20
    assert written[-1].outcome == "REJECTED"
    assert written[-1].error is not None
    assert written[-1].error.reason == "DOCUMENT_TOO_LARGE"
    assert sum(result.ok for result in written) == 20


async def test_an_item_that_cannot_be_sent_is_rejected_in_its_place(scripted: Scripted) -> None:
    scripted.answers[BATCH] = write_all
    async with AsyncClient(scripted.endpoint) as client:
        items: list[Any] = [{"id": "a"}, {"id": "b", "bogus": 1}, deletion("c"), {"title": "no id"}]
        written = [result async for result in client.write_many(items)]
    assert [result.outcome for result in written] == ["CREATED", "REJECTED", "DELETED", "REJECTED"]


async def test_two_writes_of_one_document_are_never_under_way_at_once(scripted: Scripted) -> None:
    under_way, lock = 0, threading.Lock()
    most = 0

    def answer(request: index_pb2.BatchWriteDocumentsRequest, context: grpc.ServicerContext) -> Any:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        threading.Event().wait(0.02)
        with lock:
            under_way -= 1
        return write_all(request, context)

    scripted.answers[BATCH] = answer
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.write_many([{"id": "same", "title": str(n)} for n in range(4)])]
    assert len(written) == 4
    assert most == 1
    assert [request.writes[0].put.title for request in scripted.requests] == ["0", "1", "2", "3"]


async def test_a_busy_platform_is_waited_for_as_long_as_it_asks(scripted: Scripted) -> None:
    calls = itertools.count()

    def answer(request: index_pb2.BatchWriteDocumentsRequest, context: grpc.ServicerContext) -> Any:
        match next(calls):
            case 0:
                refuse(context, status(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT", "slow down", retry=0.05))
            case 1:
                response: Any = write_all(request, context)
                failed = status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", retry=0.05)
                response.results[1].CopyFrom(
                    index_pb2.WriteResult(name=request.writes[1].put.name, outcome="OUTCOME_FAILED", status=failed)
                )
                return response
        return write_all(request, context)

    scripted.answers[BATCH] = answer
    async with AsyncClient(scripted.endpoint) as client:
        written = [result async for result in client.write_many([{"id": name} for name in "abc"])]
    assert [(result.id, result.outcome) for result in written] == [("a", "CREATED"), ("b", "CREATED"), ("c", "CREATED")]
    assert [len(request.writes) for request in scripted.requests] == [3, 3, 1]


async def test_patience_runs_out_with_the_platforms_error(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", retry=0.02)
    scripted.answers[BATCH] = lambda request, context: refuse(context, told) or write_all(request, context)
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(Unavailable):
            [result async for result in client.write_many([{"id": "a"}], patience=0.1)]
    assert len(scripted.requests) > 1


def test_a_refusal_for_good_is_raised_at_once(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "read only")
    scripted.answers[BATCH] = lambda request, context: refuse(context, told) or write_all(request, context)
    with Client(scripted.endpoint) as client, pytest.raises(PermissionDenied):
        list(client.write_many([{"id": "a"}]))
    assert len(scripted.requests) == 1
