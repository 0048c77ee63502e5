# SPDX-License-Identifier: Apache-2.0
"""StreamWriteDocuments through Envoy: outcomes, order, numbers, resuming, and what must be refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.wire import INDEX, SEARCH, TENANT, Door, Home, home, put, read_status

Request = index_pb2.StreamWriteDocumentsRequest
Response = index_pb2.StreamWriteDocumentsResponse
Outcome = index_pb2.WriteResult
METHOD = INDEX + "StreamWriteDocuments"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
APPLIED, ACCEPTED = index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_ACCEPTED
MODES = pytest.mark.parametrize("mode", [APPLIED, ACCEPTED], ids=["applied", "accepted"])


@pytest.fixture(scope="module")
def door(platform: Any) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def own(door: Door, platform: Any) -> Iterator[Home]:
    """Make a tenant."""
    with home(door, platform.admin_key, "stream") as made:
        yield made


def opening(own: Home, mode: index_pb2.WriteMode = APPLIED, stream_id: str = "") -> Request:
    """Make the first message of a stream, without writes."""
    return Request(parent=own.default, mode=mode, stream_id=stream_id)


def puts(own: Home, sequence: int, *ids: str, **fields: Any) -> Request:
    """Make a message that writes documents."""
    made = Request(sequence=sequence)
    for document_id in ids:
        made.writes.add(put=resources_pb2.Document(name=own.document(document_id), **fields))
    return made


def acknowledged(answers: Iterable[Response]) -> list[index_pb2.StreamAcknowledgement]:
    """Return the acknowledgements among answers."""
    return [answer.acknowledgement for answer in answers if answer.HasField("acknowledgement")]


def ended(door: Door, own: Home, *messages: Request | bytes) -> tuple[list[Response], Any]:
    """Send messages on a stream that must fail; returns what had been answered, and the error."""
    call = door.open_stream(METHOD, own.service)
    answers: list[Response] = []
    with pytest.raises(grpc.RpcError) as caught:
        for message in messages:
            call.send(message if isinstance(message, bytes) else message.SerializeToString())
        answers.extend(map(Response.FromString, call.answers))
    call.close()
    return answers, caught.value


def told(status: Any) -> tuple[str, str]:
    """Return reason and first field of a fault."""
    refusal = read_status(status)
    return refusal.reason, refusal.violations[0][0] if refusal.violations else ""


def test_each_message_is_answered_in_order_with_what_became_of_its_writes(door: Door, own: Home) -> None:
    mixed = puts(own, 3, "a", title="changed")
    mixed.writes.add(delete=index_pb2.DocumentDeletion(name=own.document("b")))
    mixed.writes.add(delete=index_pb2.DocumentDeletion(name=own.document("absent")))
    messages = [opening(own), puts(own, 1, "a", "b", title="T"), puts(own, 2, "a", title="T"), mixed]
    opened, *answers = door.stream(messages, own.service)
    assert (opened.opened.resume_after, opened.opened.mode) == (0, APPLIED)
    assert opened.opened.window >= 1
    assert opened.opened.max_message_bytes == 4 << 20
    first, second, third = acknowledged(answers)
    assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]
    assert list(first.outcomes) == [Outcome.OUTCOME_CREATED] * 2
    assert list(second.outcomes) == [Outcome.OUTCOME_UNCHANGED]
    assert second.revisions[0] == first.revisions[0]
    assert list(third.outcomes) == [Outcome.OUTCOME_UPDATED, Outcome.OUTCOME_DELETED, Outcome.OUTCOME_NOT_FOUND]
    assert third.revisions[0] > first.revisions[0]
    assert [(fault.index, told(fault.status)[0]) for fault in third.faults] == [(2, "DOCUMENT_NOT_FOUND")]


def test_a_stream_that_says_no_mode_is_accepted_and_soon_searchable(door: Door, own: Home) -> None:
    ids = [f"soon{number}" for number in range(200)]
    batches = [puts(own, 1 + n, *ids[n * 50 : n * 50 + 50], title="soonest") for n in range(4)]
    batches[0].parent = own.default
    opened, *answers = door.stream(batches, own.service)
    assert opened.opened.mode == ACCEPTED
    outcomes = {outcome for answer in acknowledged(answers) for outcome in answer.outcomes}
    assert outcomes == {Outcome.OUTCOME_ACCEPTED}
    search = search_pb2.SearchRequest(parent=own.default, query="soonest")
    end = time.monotonic() + 20
    while (found := door.call(SEARCH + "Search", search, own.user).total_size) < len(ids):
        assert time.monotonic() < end, f"{found} documents are searchable"
        time.sleep(0.1)


@MODES
def test_a_bad_write_is_refused_for_itself(door: Door, own: Home, mode: index_pb2.WriteMode) -> None:
    message = puts(own, 1, "fine", title="T")
    message.writes.add(put=resources_pb2.Document(name=own.document("long"), title="x" * 2000))
    message.writes.add(put=resources_pb2.Document(name="nonsense"))
    message.writes.add()
    _, answer = door.stream([opening(own, mode), message], own.service)
    assert list(answer.acknowledgement.outcomes)[1:] == [Outcome.OUTCOME_REJECTED] * 3
    assert answer.acknowledgement.outcomes[0] != Outcome.OUTCOME_REJECTED
    faults = {fault.index: told(fault.status) for fault in answer.acknowledgement.faults}
    assert faults == {
        1: ("DOCUMENT_INVALID", "writes[1].put.title"),
        2: ("DOCUMENT_INVALID", "writes[2].put"),
        3: ("DOCUMENT_INVALID", "writes[3].operation"),
    }


def test_an_etag_needs_another_mode_than_accepted(door: Door, own: Home) -> None:
    old = put(door, own.service, own.document("etag"), title="old")
    message = puts(own, 1, "etag", title="new", etag=old.etag)
    _, answer = door.stream([opening(own, ACCEPTED), message], own.service)
    assert list(answer.acknowledgement.outcomes) == [Outcome.OUTCOME_REJECTED]
    _, answer = door.stream([opening(own), message], own.service)
    assert list(answer.acknowledgement.outcomes) == [Outcome.OUTCOME_UPDATED]
    _, answer = door.stream([opening(own), message], own.service)
    assert list(answer.acknowledgement.outcomes) == [Outcome.OUTCOME_CONFLICT]


def test_two_messages_that_write_one_document_are_written_one_after_the_other(door: Door, own: Home) -> None:
    many = [puts(own, number, "same", *(f"filler{n}" for n in range(number, 40)), title=str(number))
            for number in range(1, 13)]  # fmt: skip
    door.stream([opening(own), *many], own.service)
    found = door.call(INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=own.document("same")), own.user)
    assert found.title == "12"


@MODES
def test_another_stream_goes_on_behind_the_last_message_and_repeats_none(
    door: Door, own: Home, mode: index_pb2.WriteMode
) -> None:
    begin = opening(own, mode, f"resumed-{mode}")
    second = puts(own, 2, f"r2-{mode}", title="T")
    second.writes.add(put=resources_pb2.Document(name=own.document("bad"), title="x" * 2000))
    door.stream([begin, puts(own, 1, f"r1-{mode}"), second], own.service)
    opened, *answers = door.stream([begin, second, puts(own, 3, f"r3-{mode}")], own.service)
    assert opened.opened.resume_after == 2
    repeated, new = acknowledged(answers)
    assert (repeated.sequence, list(repeated.outcomes), list(repeated.revisions)) == (2, [], [])
    # Who lost the first answer still learns what wasn't written.
    assert [(fault.index, told(fault.status)[0]) for fault in repeated.faults] == [(1, "DOCUMENT_INVALID")]
    assert (new.sequence, len(new.outcomes)) == (3, 1)


def test_a_message_sent_twice_on_one_stream_is_written_once(door: Door, own: Home) -> None:
    message = puts(own, 1, "twice", title="T")
    _, first, second = door.stream([opening(own), message, message], own.service)
    assert list(first.acknowledgement.outcomes) == [Outcome.OUTCOME_CREATED]
    assert (second.acknowledgement.sequence, list(second.acknowledgement.outcomes)) == (1, [])


def test_two_streams_of_one_id_at_once_write_each_message_once(door: Door, own: Home) -> None:
    messages = [opening(own, ACCEPTED, "raced"), *(puts(own, n, f"raced{n}", title="T") for n in range(1, 41))]

    def run(_: int) -> list[index_pb2.StreamAcknowledgement]:
        return acknowledged(door.stream(messages, own.service))

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(run, range(3)))
    for answers in runs:
        assert [answer.sequence for answer in answers] == list(range(1, 41))
    for number in range(40):
        assert sum(len(answers[number].outcomes) for answers in runs) == 1


@pytest.mark.parametrize("sequence", [0, 3, 1 << 40])
def test_a_gap_in_the_numbers_ends_the_stream_after_what_was_before(door: Door, own: Home, sequence: int) -> None:
    answers, error = ended(door, own, opening(own), puts(own, 1, "before"), puts(own, sequence, "after"))
    assert [answer.sequence for answer in acknowledged(answers)] == [1]
    assert error.code() is INVALID
    assert f"message 3: sequence: is {sequence}, expected was 2" in error.details()
    absent = index_pb2.BatchGetDocumentsRequest(parent=own.default, names=[own.document("after")])
    assert list(door.call(INDEX + "BatchGetDocuments", absent, own.user).missing) == [own.document("after")]


def test_garbage_ends_the_stream_after_what_was_before_and_the_server_serves_on(door: Door, own: Home) -> None:
    answers, error = ended(door, own, opening(own), puts(own, 1, "ungarbled"), b"\xff\xff\xff not protobuf")
    assert [answer.sequence for answer in acknowledged(answers)] == [1]
    assert error.code() is INVALID
    assert "message 3 isn't a valid StreamWriteDocumentsRequest" in error.details()
    assert len(door.stream([opening(own), puts(own, 1, "ungarbled")], own.service)) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mode": ACCEPTED}, "mode: must be unset"),
        ({"stream_id": "another"}, "stream_id: must be empty"),
        ({"parent": "tenants/-/collections/default"}, "parent: must be empty"),
    ],
)
def test_what_the_first_message_said_stands(door: Door, own: Home, change: dict[str, Any], words: str) -> None:
    second = puts(own, 1, "x")
    second.MergeFrom(Request(**change))
    _, error = ended(door, own, opening(own), second)
    assert (error.code(), words in error.details()) == (INVALID, True)


def test_a_message_without_writes_is_only_for_opening(door: Door, own: Home) -> None:
    _, error = ended(door, own, opening(own), Request())
    assert (error.code(), "message 2: writes" in error.details()) == (INVALID, True)


@pytest.mark.parametrize(
    ("count", "size", "words"), [(1001, 1, "at most 1000"), (5, 900_000, "at most 4194304")], ids=["writes", "bytes"]
)
def test_a_message_that_is_too_large_is_refused_with_the_limit(
    door: Door, own: Home, count: int, size: int, words: str
) -> None:
    message = puts(own, 1, *(f"much{number}" for number in range(count)), body="x" * size)
    answers, error = ended(door, own, opening(own), message)
    assert acknowledged(answers) == []
    assert (error.code(), words in error.details()) == (INVALID, True), error.details()


def test_a_stream_that_is_closed_at_once_is_no_error(door: Door, own: Home) -> None:
    assert door.raw_stream(METHOD, [], own.service) == []
    (opened,) = door.stream([opening(own)], own.service)
    assert opened.HasField("opened")


def test_a_stream_to_a_collection_that_is_absent_is_refused(door: Door, own: Home) -> None:
    request = Request(parent=f"{own.name}/collections/absent")
    assert door.refusal(METHOD, request, own.service).reason == "COLLECTION_NOT_FOUND"


def test_a_stream_ends_at_its_callers_deadline(door: Door, own: Home) -> None:
    call = door.open_stream(METHOD, own.service, timeout=0.5)
    call.send(opening(own).SerializeToString())
    with pytest.raises(grpc.RpcError) as caught:
        list(call.answers)
    call.close()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]  # a failed call is a call too


def test_over_its_tenants_rate_a_stream_is_slowed_down_and_loses_nothing(door: Door, platform: Any) -> None:
    with home(door, platform.admin_key, "slow") as slow:
        tenant = resources_pb2.Tenant(name=slow.name, rate_limit=10)
        door.call(TENANT + "UpdateTenant", tenant_pb2.UpdateTenantRequest(tenant=tenant), platform.admin_key)
        messages = [opening(slow), *(puts(slow, number, f"s{number}") for number in range(1, 20))]
        answers = door.stream(messages, slow.service)
    assert [answer.sequence for answer in acknowledged(answers)] == list(range(1, 20))
    hints = [answer.backoff for answer in answers if answer.HasField("backoff")]
    assert hints
    assert all(hint.retry_delay.ToMilliseconds() > 0 and "10 requests a second" in hint.reason for hint in hints)
