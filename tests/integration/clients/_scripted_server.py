# SPDX-License-Identifier: Apache-2.0
"""A gRPC server on a Unix socket that answers as a test says: for how the client calls, not what is answered."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from pinakes.v1 import failures_pb2, index_pb2, lifecycle_pb2, search_pb2, tenant_pb2

REQUESTS: dict[str, type[Message]] = {
    "SearchService/Search": search_pb2.SearchRequest,
    "IndexService/GetDocument": index_pb2.GetDocumentRequest,
    "IndexService/UpdateDocument": index_pb2.UpdateDocumentRequest,
    "IndexService/BatchWriteDocuments": index_pb2.BatchWriteDocumentsRequest,
    "IndexService/UndeleteDocument": index_pb2.UndeleteDocumentRequest,
    "IndexService/ListFailedWrites": failures_pb2.ListFailedWritesRequest,
    "IndexService/RetryFailedWrites": failures_pb2.RetryFailedWritesRequest,
    "IndexService/DiscardFailedWrites": failures_pb2.DiscardFailedWritesRequest,
    "IndexService/CreateCollection": index_pb2.CreateCollectionRequest,
    "IndexService/UpdateCollection": index_pb2.UpdateCollectionRequest,
    "IndexService/DeleteCollection": index_pb2.DeleteCollectionRequest,
    "TenantService/ListTenants": tenant_pb2.ListTenantsRequest,
    "TenantService/CreateTenant": tenant_pb2.CreateTenantRequest,
    "TenantService/UpdateTenant": tenant_pb2.UpdateTenantRequest,
    "TenantService/DeleteTenant": tenant_pb2.DeleteTenantRequest,
    "TenantService/UndeleteTenant": lifecycle_pb2.UndeleteTenantRequest,
    "TenantService/SuspendTenant": lifecycle_pb2.SuspendTenantRequest,
    "TenantService/ResumeTenant": lifecycle_pb2.ResumeTenantRequest,
    "TenantService/CreateApiKey": tenant_pb2.CreateApiKeyRequest,
    "TenantService/RevokeApiKey": tenant_pb2.RevokeApiKeyRequest,
}
Answer = Callable[[Any, grpc.ServicerContext], Message]
StreamRequest = index_pb2.StreamWriteDocumentsRequest
StreamResponse = index_pb2.StreamWriteDocumentsResponse
Converse = Callable[[Iterator[StreamRequest], grpc.ServicerContext], Iterator[StreamResponse]]
STREAM = "IndexService/StreamWriteDocuments"


class Scripted(grpc.GenericRpcHandler):
    """Answers calls by functions that a test sets, and keeps the requests."""

    def __init__(self) -> None:
        """Know no answer yet."""
        self.answers: dict[str, Answer] = {}
        self.converse: Converse | None = None
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.endpoint = ""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Find the handler of a call."""
        name = handler_call_details.method.removeprefix("/pinakes.v1.")
        if name == STREAM and self.converse is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream, StreamRequest.FromString, lambda m: m.SerializeToString()
            )
        if name not in self.answers:
            return None

        def handle(request: Message, context: grpc.ServicerContext) -> Message:
            self.requests.append(request)
            self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
            return self.answers[name](request, context)

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=REQUESTS[name].FromString, response_serializer=lambda m: m.SerializeToString()
        )

    def _stream(self, messages: Iterator[StreamRequest], context: grpc.ServicerContext) -> Iterator[StreamResponse]:
        assert self.converse is not None

        def kept() -> Iterator[StreamRequest]:
            for message in messages:
                self.requests.append(message)
                yield message

        yield from self.converse(kept(), context)


def status(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    *,
    violations: dict[str, str] | None = None,
    retry: float | None = None,
) -> status_pb2.Status:
    """Make a status with the details that the platform sends."""
    made = status_pb2.Status(code=code.value[0], message=message)
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain="pinakes", metadata={"limit": "1"})]
    details.append(error_details_pb2.RequestInfo(request_id="r-1"))
    for field, description in (violations or {}).items():
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if retry is not None:
        delay = Duration()
        delay.FromMilliseconds(round(retry * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        packed = PackedAny()
        packed.Pack(detail)
        made.details.append(packed)
    return made


def refuse(context: grpc.ServicerContext, made: status_pb2.Status) -> None:
    """End a call with a status."""
    context.abort_with_status(rpc_status.to_status(made))


def write_all(request: index_pb2.BatchWriteDocumentsRequest, _: grpc.ServicerContext) -> Message:
    """Answer a batch as if every write had been done."""
    results = [
        index_pb2.WriteResult(
            name=write.put.name or write.delete.name,
            outcome="OUTCOME_CREATED" if write.HasField("put") else "OUTCOME_DELETED",
            revision=number + 1,
        )
        for number, write in enumerate(request.writes)
    ]
    return index_pb2.BatchWriteDocumentsResponse(results=results, mode=index_pb2.WRITE_MODE_APPLIED)


def opened(resume_after: int = 0, window: int = 4) -> StreamResponse:
    """Make the first answer of a stream."""
    event = index_pb2.StreamOpened(resume_after=resume_after, window=window, max_message_bytes=4 << 20)
    return StreamResponse(opened=event)


def acknowledge(message: StreamRequest) -> StreamResponse:
    """Answer a message as if every write had been accepted."""
    outcome = index_pb2.WriteResult.OUTCOME_ACCEPTED
    places = range(len(message.writes))
    event = index_pb2.StreamAcknowledgement(
        sequence=message.sequence, outcomes=[outcome for _ in places], revisions=[place + 1 for place in places]
    )
    return StreamResponse(acknowledgement=event)


def accept_all(messages: Iterator[StreamRequest], _: grpc.ServicerContext) -> Iterator[StreamResponse]:
    """Serve a stream whose every write is accepted."""
    next(messages)
    yield opened()
    for message in messages:
        yield acknowledge(message)


def refuses_after(count: int, made: status_pb2.Status) -> Converse:
    """Serve streams whose first messages are accepted, and every later one ends its stream."""
    done = 0

    def converse(messages: Iterator[StreamRequest], context: grpc.ServicerContext) -> Iterator[StreamResponse]:
        nonlocal done
        next(messages)
        yield opened(resume_after=done)
        for message in messages:
            if done == count:
                refuse(context, made)
            done += 1
            yield acknowledge(message)

    return converse


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Run the server for one test."""
    handler = Scripted()
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((handler,))
    with tempfile.TemporaryDirectory() as folder:
        handler.endpoint = f"unix:{Path(folder) / 'pinakes.sock'}"
        server.add_insecure_port(handler.endpoint)
        server.start()
        yield handler
        server.stop(None).wait()
