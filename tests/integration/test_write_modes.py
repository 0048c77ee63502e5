# SPDX-License-Identifier: Apache-2.0
"""Modes, request ids, unchanged content and undeletes, through the real servers and worker."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import grpc
import pytest
from google.longrunning import operations_pb2

from pinakes.client import AsyncClient
from pinakes.core.platform import Platform as Parts
from pinakes.core.queue.consumer import Consumer, Lease
from pinakes.core.writing.changes import Change
from pinakes.local import Platform
from pinakes.v1 import index_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.integration._caller import ACCEPTED, APPLIED, SEARCHABLE, Caller, Document, caller, refused, until
from tests.integration._engine import Direct, direct
from tests.integration._servers import bearer, new_tenant, open_channel, reason, running, stubs, until_health
from tests.integration._workers import parts

__all__ = ["caller", "direct", "parts"]

Outcome = index_pb2.WriteResult


# ---- modes


async def test_each_mode_says_what_was_reached(caller: Caller) -> None:
    told = await caller.put("a", "one", SEARCHABLE)
    assert (told["x-pinakes-write-mode"], told["x-pinakes-write-outcome"]) == ("SEARCHABLE", "CREATED")
    later = await caller.put("a", "two", APPLIED)
    assert (later["x-pinakes-write-mode"], later["x-pinakes-write-outcome"]) == ("APPLIED", "UPDATED")
    assert int(later["x-pinakes-revision"]) > int(told["x-pinakes-revision"])
    queued = await caller.put("a", "three", ACCEPTED)
    assert (queued["x-pinakes-write-mode"], queued["x-pinakes-write-outcome"]) == ("ACCEPTED", "ACCEPTED")

    async def applied() -> bool:
        found = await caller.get("a")
        return found is not None and found.title == "three"

    await until(applied)


async def test_accepted_writes_are_applied_and_their_operation_tells_what_became_of_each(caller: Caller) -> None:
    await caller.put("old", "old", APPLIED)
    await caller.put("same", "same", APPLIED)
    titles: dict[str, str | None] = {"new": "new", "old": "other", "same": "same", "gone": None}
    answer = await caller.batch(titles, ACCEPTED)
    assert answer.mode == ACCEPTED
    assert {result.outcome for result in answer.results} == {Outcome.OUTCOME_ACCEPTED}
    assert len({result.revision for result in answer.results}) == 4
    assert answer.operation.startswith(f"{caller.tenant.name}/operations/w-")

    async def done() -> operations_pb2.Operation | None:
        found = await caller.operations.GetOperation(
            operations_pb2.GetOperationRequest(name=answer.operation), metadata=caller.metadata
        )
        return found if found.done else None

    operation = await until(done)
    metadata, response = verbs_pb2.OperationMetadata(), index_pb2.BatchWriteDocumentsResponse()
    assert operation.metadata.Unpack(metadata)
    assert operation.response.Unpack(response)
    assert (metadata.verb, metadata.done, metadata.failed) == ("write", 4, 0)
    assert [result.name.rpartition("/")[2] for result in response.results] == list(titles)
    assert [result.outcome for result in response.results] == [
        Outcome.OUTCOME_CREATED, Outcome.OUTCOME_UPDATED, Outcome.OUTCOME_UNCHANGED, Outcome.OUTCOME_NOT_FOUND
    ]  # fmt: skip
    new = await caller.get("new")
    assert new is not None
    assert new.etag == response.results[0].etag == answer.results[0].etag


async def test_operations_of_batches_cannot_be_made_up_or_read_by_others(platform: Platform, caller: Caller) -> None:
    answer = await caller.batch({"a": "a"}, ACCEPTED)
    get = operations_pb2.GetOperationRequest
    other = await new_tenant(platform)
    made_up = answer.operation[:-1] + ("A" if answer.operation[-1] != "A" else "B")
    calls = caller.operations
    foreign = calls.GetOperation(get(name=answer.operation), metadata=bearer(other.key))
    assert await refused(foreign, grpc.StatusCode.PERMISSION_DENIED) == "PERMISSION_DENIED"
    mine = answer.operation.replace(caller.tenant.tenant_id, other.tenant_id)
    await refused(calls.GetOperation(get(name=mine), metadata=bearer(other.key)), grpc.StatusCode.NOT_FOUND)
    await refused(calls.GetOperation(get(name=made_up), metadata=caller.metadata), grpc.StatusCode.NOT_FOUND)


async def test_what_depends_on_the_present_cannot_be_accepted_for_later(caller: Caller) -> None:
    await caller.put("a", "a", APPLIED)
    found = await caller.get("a")
    assert found is not None
    create = index_pb2.CreateDocumentRequest(
        parent=caller.tenant.collection, document=Document(title="x"), document_id="b", mode=ACCEPTED
    )
    masked = index_pb2.UpdateDocumentRequest(
        document=Document(name=caller.tenant.document("a"), title="x"), allow_missing=True, mode=ACCEPTED
    )
    masked.update_mask.paths.append("title")
    bound = index_pb2.DocumentWrite(put=Document(name=caller.tenant.document("a"), title="x", etag=found.etag))
    calls = [
        caller.index.CreateDocument(create, metadata=caller.metadata),
        caller.index.UpdateDocument(masked, metadata=caller.metadata),
        caller.delete("a", ACCEPTED),
        caller.delete("a", ACCEPTED, etag=found.etag, allow_missing=True),
        caller.undelete("a", mode=ACCEPTED),
    ]
    for call in calls:
        assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "MODE_UNSUPPORTED"
    batch = index_pb2.BatchWriteDocumentsRequest(parent=caller.tenant.collection, mode=ACCEPTED, writes=[bound])
    (result,) = (await caller.index.BatchWriteDocuments(batch, metadata=caller.metadata)).results
    assert result.outcome == Outcome.OUTCOME_REJECTED
    assert result.status.message.startswith("writes[0].put.etag")


async def test_a_document_without_an_id_can_be_accepted(caller: Caller) -> None:
    request = index_pb2.CreateDocumentRequest(
        parent=caller.tenant.collection, document=Document(title="x"), mode=ACCEPTED, request_id="create-1"
    )
    made = await caller.index.CreateDocument(request, metadata=caller.metadata)
    again = await caller.index.CreateDocument(request, metadata=caller.metadata)
    assert again == made
    await until(lambda: caller.get(made.name.rpartition("/")[2]))


# ---- content


async def test_unchanged_content_is_not_written_again(caller: Caller) -> None:
    first = await caller.put("a", "one", APPLIED)
    same = await caller.put("a", "one", APPLIED)
    assert same["x-pinakes-write-outcome"] == "UNCHANGED"
    assert same["x-pinakes-revision"] == first["x-pinakes-revision"]
    answer = await caller.batch({"a": "one", "b": "two"}, SEARCHABLE)
    assert answer.results[1].outcome == Outcome.OUTCOME_CREATED
    await caller.delete("b")
    assert (await caller.batch({"b": "two"}, APPLIED)).results[0].outcome == Outcome.OUTCOME_CREATED


async def test_unchanged_content_is_written_while_something_older_may_still_come(
    caller: Caller, parts: Parts, direct: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older write that waits in the queue must not win over a newer one that found its content there already."""
    scope = await direct.scope(caller.tenant)
    await caller.put("a", "standing", APPLIED)
    older = parts.revisions.next()
    assert (await caller.put("a", "standing", APPLIED))["x-pinakes-write-outcome"] == "UNCHANGED"
    # A write of the tenant that no worker gets at: its partition isn't one that any worker reads.
    with monkeypatch.context() as patch:
        patch.setattr(parts.queue, "partitions", lambda _: (999,))
        packed = parts.queue.parts(scope.owner, [(0, Change("other", older, b"{}"))], 1)
        await parts.queue.enqueue(scope.owner, packed, 1)
    told = await caller.put("a", "standing", APPLIED)
    consumer, unread = Consumer(parts.settings), Lease(999, 0)
    await consumer.take_over(unread)
    assert await consumer.acknowledge(999, await consumer.read(unread, 10)) == 1
    await consumer.close()
    assert told["x-pinakes-write-outcome"] == "UPDATED"
    assert int(told["x-pinakes-revision"]) > older
    assert (await caller.put("a", "standing", APPLIED))["x-pinakes-write-outcome"] == "UNCHANGED"


# ---- request ids


async def test_a_request_with_an_id_is_done_once_and_answered_as_it_was(caller: Caller) -> None:
    for mode in (ACCEPTED, APPLIED, SEARCHABLE):
        request_id = f"batch-{mode}"
        first = await caller.batch({"a": f"mode {mode}", "b": None}, mode, request_id=request_id)
        await caller.put("a", "meanwhile", APPLIED)
        again = await caller.batch({"a": f"mode {mode}", "b": None}, mode, request_id=request_id)
        assert again == first
        assert (
            await refused(caller.batch({"a": "other"}, mode, request_id=request_id), grpc.StatusCode.INVALID_ARGUMENT)
            == "REQUEST_ID_REUSED"
        )
    found = await caller.get("a")
    assert found is not None
    assert found.title == "meanwhile"


async def test_an_id_belongs_to_one_request_whatever_its_mode(caller: Caller) -> None:
    for first, second in ((ACCEPTED, APPLIED), (APPLIED, ACCEPTED)):
        request_id = uuid.uuid4().hex
        await caller.put("a", "x", first, request_id=request_id)
        call = caller.put("a", "x", second, request_id=request_id)
        assert await refused(call, grpc.StatusCode.INVALID_ARGUMENT) == "REQUEST_ID_REUSED"


async def test_single_writes_with_an_id_are_done_once(caller: Caller) -> None:
    create = index_pb2.CreateDocumentRequest(
        parent=caller.tenant.collection, document=Document(title="x"), document_id="c", request_id="create"
    )
    made = await caller.index.CreateDocument(create, metadata=caller.metadata)
    assert await caller.index.CreateDocument(create, metadata=caller.metadata) == made
    await caller.delete("c", request_id="delete")
    await caller.delete("c", request_id="delete")
    back = await caller.undelete("c", request_id="undelete")
    assert await caller.undelete("c", request_id="undelete") == back


async def test_what_was_accepted_is_answered_as_it_was_though_the_tenant_is_full_by_it(
    platform: Platform, tmp_path: Path
) -> None:
    with running(platform, "index", tmp_path) as process:  # one, that knows what it has let in
        async with open_channel(process.address) as channel:
            await until_health(channel)
            full = Caller(await new_tenant(platform), stubs(channel), channel)
            async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
                await admin.set_limits(full.tenant.tenant_id, {"documents": 1})
            create = index_pb2.CreateDocumentRequest(
                parent=full.tenant.collection, document=Document(title="x"), mode=ACCEPTED, request_id="last"
            )
            made = await full.index.CreateDocument(create, metadata=full.metadata)
            assert await full.index.CreateDocument(create, metadata=full.metadata) == made
            create.request_id = "another"
            call = full.index.CreateDocument(create, metadata=full.metadata)
            assert await refused(call, grpc.StatusCode.RESOURCE_EXHAUSTED) == "DOCUMENTS_EXHAUSTED"


async def test_of_many_at_once_with_one_id_one_is_done(caller: Caller) -> None:
    create = index_pb2.CreateDocumentRequest(
        parent=caller.tenant.collection, document=Document(title="x"), request_id="at-once"
    )
    answers = await asyncio.gather(
        *(caller.index.CreateDocument(create, metadata=caller.metadata) for _ in range(10)), return_exceptions=True
    )
    names = {answer.name for answer in answers if isinstance(answer, Document)}
    assert len(names) == 1
    for lost in answers:
        if isinstance(lost, grpc.aio.AioRpcError):
            assert reason(lost) == "REQUEST_UNDER_WAY"
    again = await caller.index.CreateDocument(create, metadata=caller.metadata)
    assert {again.name} == names


async def test_a_refused_request_leaves_its_id_free(caller: Caller) -> None:
    bad = index_pb2.CreateDocumentRequest(
        parent=caller.tenant.collection, document=Document(title="x"), document_id="d", request_id="retry"
    )
    bad.document.attributes.update({"n": 1e300})
    await refused(caller.index.CreateDocument(bad, metadata=caller.metadata), grpc.StatusCode.INVALID_ARGUMENT)
    bad.document.ClearField("attributes")
    await caller.index.CreateDocument(bad, metadata=caller.metadata)
    for mode in (ACCEPTED, APPLIED):
        outside = index_pb2.DocumentWrite(put=Document(name=f"{caller.tenant.name}/collections/other/documents/x"))
        request = index_pb2.BatchWriteDocumentsRequest(
            parent=caller.tenant.collection, mode=mode, writes=[outside], request_id=f"rejected-{mode}"
        )
        (result,) = (await caller.index.BatchWriteDocuments(request, metadata=caller.metadata)).results
        assert result.outcome == Outcome.OUTCOME_REJECTED
        answer = await caller.batch({"e": "fine"}, mode, request_id=f"rejected-{mode}")
        assert answer.results[0].outcome != Outcome.OUTCOME_REJECTED


# ---- undelete


async def test_a_deleted_document_comes_back_as_it_was(caller: Caller) -> None:
    document = Document(
        name=caller.tenant.document("a"),
        title="Title",
        body="Body",
        tags=["x"],
        readers=["ann"],
        source_uri="https://a",
    )
    document.attributes.update({"year": 1999, "deep": {"list": [1, None]}})
    request = index_pb2.UpdateDocumentRequest(document=document, allow_missing=True)
    request.update_mask.paths.append("*")
    before = await caller.index.UpdateDocument(request, metadata=caller.metadata)
    await caller.delete("a")
    assert await caller.get("a") is None
    shown = await caller.undelete("a", validate_only=True)
    assert await caller.get("a") is None
    back = await caller.undelete("a", mode=SEARCHABLE)
    for field in ("title", "body", "tags", "readers", "source_uri", "attributes", "create_time", "content_hash"):
        assert getattr(back, field) == getattr(before, field) == getattr(shown, field), field
    assert back.etag != before.etag
    assert await caller.get("a") == back
    assert await refused(caller.undelete("a"), grpc.StatusCode.ALREADY_EXISTS) == "DOCUMENT_EXISTS"
    assert await refused(caller.undelete("never"), grpc.StatusCode.NOT_FOUND) == "DOCUMENT_NOT_FOUND"


async def test_a_document_deleted_by_the_queue_comes_back_too(caller: Caller) -> None:
    await caller.put("a", "kept", APPLIED)
    await caller.delete("a", ACCEPTED, allow_missing=True)

    async def gone() -> bool:
        return await caller.get("a") is None

    await until(gone)
    assert (await caller.undelete("a")).title == "kept"


async def test_what_was_accepted_and_deleted_before_it_was_applied_comes_back(caller: Caller) -> None:
    for number in range(5):
        await caller.put(f"d{number}", f"version {number}", ACCEPTED)
        await caller.delete(f"d{number}", ACCEPTED, allow_missing=True)
    await caller.put("last", "last", ACCEPTED)

    async def back(document_id: str) -> Document | None:
        try:
            return await caller.undelete(document_id)
        except grpc.aio.AioRpcError as error:
            assert error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS}, error
            return None

    for number in range(5):
        found: Document = await until(lambda n=number: back(f"d{n}"))  # type: ignore[misc]  # the number of this round
        assert found.title == f"version {number}"
