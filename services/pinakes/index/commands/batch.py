# SPDX-License-Identifier: Apache-2.0
"""What BatchWriteDocuments means: bounded, done once per request id, each write answered for itself."""

from __future__ import annotations

from collections.abc import Mapping

from pinakes.core.faults import Violation, invalid
from pinakes.core.writing.requests import Attempt, recalled
from pinakes.index.commands.items import Given, answer_of, write_items
from pinakes.index.commands.write import Writer
from pinakes.v1 import index_pb2

Request = index_pb2.BatchWriteDocumentsRequest
Response = index_pb2.BatchWriteDocumentsResponse
Outcome = index_pb2.WriteResult


async def write(request: Request, writer: Writer, bad: Mapping[int, tuple[Violation, ...]], message: bytes) -> Response:
    """Write a batch. `bad` are the writes that break the contract's constraints, by position; `message` is it as it came."""
    given = Given(request.writes, bad, message, Request.WRITES_FIELD_NUMBER)
    _check_size(given, writer)
    etags, mode = writer.platform.etags, request.mode or index_pb2.WRITE_MODE_APPLIED
    if request.validate_only:
        return answer_of(await write_items(given, writer, mode, validate_only=True), etags)
    if mode == index_pb2.WRITE_MODE_ACCEPTED:
        return await _accept(request, given, writer)

    async def work(attempt: Attempt) -> Response:
        return answer_of(await write_items(given, writer, mode, attempt=attempt), etags)

    return await writer.platform.requests.once(
        writer.scope.owner.tenant_uid, request.request_id, request, len(request.writes), Response, work,
        lambda answer: any(result.outcome != Outcome.OUTCOME_REJECTED for result in answer.results),
    )  # fmt: skip


def _check_size(given: Given, writer: Writer) -> None:
    """Refuse a batch that is too large as a whole."""
    limits, count = writer.platform.settings.limits, len(given.writes)
    if count > limits.batch_documents:
        raise invalid("writes", f"there are {count}; at most {limits.batch_documents} are allowed", "BATCH_TOO_LARGE")
    if (size := len(given.message)) > limits.batch_bytes:
        text = f"the batch has {size} bytes; at most {limits.batch_bytes} are allowed"
        raise invalid("writes", text, "BATCH_TOO_LARGE")


async def _accept(request: Request, given: Given, writer: Writer) -> Response:
    """Queue a batch; one with a known request id is answered as it was."""
    if request.request_id:
        await writer.platform.requests.check_unused(writer.scope.owner.tenant_uid, request.request_id)
    mode = index_pb2.WRITE_MODE_ACCEPTED
    items = await write_items(given, writer, mode, once=request, track=True)
    if items.kept is not None:
        return Response.FromString(recalled(items.kept, request))
    return answer_of(items, writer.platform.etags)
