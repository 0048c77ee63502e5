# SPDX-License-Identifier: Apache-2.0
"""The contract from outside: any RPC by its name, with any credential, and a refusal with all its details."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.longrunning import operations_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2

METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in (search_pb2.DESCRIPTOR, index_pb2.DESCRIPTOR, tenant_pb2.DESCRIPTOR, operations_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
}
INDEX, SEARCH, TENANT = (f"/pinakes.v1.{name}Service/" for name in ("Index", "Search", "Tenant"))
OPERATIONS = "/google.longrunning.Operations/"
ROLES = resources_pb2.ApiKey.Role
# What no caller may ever read: engine, indices, Python and the machine.
INTERNAL_WORDS = (
    "opensearch", "lucene", "elastic", "redis", "pinakes-pool", "pinakes-sys", "exception", "traceback", "shard",
    "seq_no", "_source", "mapping", ".py", "127.0.0.1", "kw_0", "num_0", "query_shard",
)  # fmt: skip
_MESSAGE_BYTES = 64 << 20
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status other than OK. `details` are all but the request id, which is another each time."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    violations: tuple[tuple[str, str], ...]
    details: tuple[bytes, ...]
    request_id: str

    @property
    def fields(self) -> set[str]:
        """The fields that are at fault."""
        return {field for field, _ in self.violations}


def read_status(status: status_pb2.Status) -> Refusal:
    """Read a status message, of a failed call or of an item in a batch."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    info, bad, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RequestInfo()
    details: list[bytes] = []
    for detail in status.details:
        if not detail.Unpack(request):
            details.append(detail.SerializeToString())
            detail.Unpack(info)
            detail.Unpack(bad)
    violations = tuple((violation.field, violation.description) for violation in bad.field_violations)
    for text in (status.message, info.reason, *(part for violation in violations for part in violation)):
        assert not [word for word in INTERNAL_WORDS if word in text.lower()], text
    return Refusal(code, status.message, info.reason, info.domain, violations, tuple(details), request.request_id)


@dataclass(frozen=True, slots=True)
class Stream:
    """An open stream: `answers` yields what comes until it ends, and raises grpc.RpcError if that isn't well."""

    sent: queue.Queue[bytes | None]
    answers: Any

    def send(self, message: bytes) -> None:
        """Send a message."""
        self.sent.put(message)

    def close(self) -> None:
        """Say that there is no more."""
        self.sent.put(None)


class Door:
    """The platform's front door."""

    def __init__(self, endpoint: str) -> None:
        """Connect at the first call."""
        options = [
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ]
        self._channel = grpc.insecure_channel(endpoint, options=options)

    def __enter__(self) -> Self:
        """Return the door itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._channel.close()

    def raw(self, method: str, request: bytes, key: str | None, timeout: float = 15.0, *, more: Metadata = ()) -> bytes:
        """Send bytes and return the answer's; of a stream, the last answer to these bytes alone. Raises grpc.RpcError.

        `more` is metadata beside the key.
        """
        if METHODS[method].client_streaming:
            return self.raw_stream(method, [request], key, timeout, more=more)[-1]
        call = self._channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        answer: bytes = call(request, metadata=_metadata(key) + more, timeout=timeout)
        return answer

    def raw_stream(
        self, method: str, messages: Iterable[bytes], key: str | None, timeout: float = 15.0, *, more: Metadata = ()
    ) -> list[bytes]:
        """Send messages, close, and return all answers. Raises grpc.RpcError."""
        call = self._channel.stream_stream(method, request_serializer=None, response_deserializer=None)
        return list(call(iter(messages), metadata=_metadata(key) + more, timeout=timeout))

    def open_stream(self, method: str, key: str | None, timeout: float = 15.0) -> Stream:
        """Open a stream to send on bit by bit."""
        call = self._channel.stream_stream(method, request_serializer=None, response_deserializer=None)
        sent: queue.Queue[bytes | None] = queue.Queue()
        return Stream(sent, call(iter(sent.get, None), metadata=_metadata(key), timeout=timeout))

    def call(
        self, method: str, request: Message, key: str | None, timeout: float = 15.0, *, more: Metadata = ()
    ) -> Any:
        """Call an RPC. Raises grpc.RpcError."""
        answer = message_factory.GetMessageClass(METHODS[method].output_type)
        return answer.FromString(self.raw(method, request.SerializeToString(), key, timeout, more=more))

    def stream(self, messages: Iterable[index_pb2.StreamWriteDocumentsRequest], key: str | None) -> list[Any]:
        """Write by a stream, and return all answers. Raises grpc.RpcError."""
        sent = (message.SerializeToString() for message in messages)
        answers = self.raw_stream(INDEX + "StreamWriteDocuments", sent, key)
        return [index_pb2.StreamWriteDocumentsResponse.FromString(answer) for answer in answers]

    def refusal(self, method: str, request: Message | bytes, key: str | None) -> Refusal:
        """Call an RPC that must be refused, and check what holds for every refusal."""
        found = self.tried(method, request, key)
        assert found is not None, f"{method} wasn't refused"
        return found

    def tried(self, method: str, request: Message | bytes, key: str | None) -> Refusal | None:
        """Call an RPC that may be refused, and check what holds for every refusal; None if it wasn't."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        try:
            self.raw(method, data, key)
        except grpc.RpcError as error:
            found = _refusal(error)
        else:
            return None
        assert found.domain == "pinakes", found
        assert found.reason, found
        assert found.reason.upper() == found.reason, found
        assert found.request_id, found
        return found


def _metadata(key: str | None) -> Metadata:
    return () if key is None else (("authorization", f"Bearer {key}"),)


def _refusal(error: grpc.RpcError) -> Refusal:
    trailing = dict(error.trailing_metadata() or ())  # type: ignore[attr-defined]  # a failed call is a call too
    packed = trailing.get("grpc-status-details-bin")
    assert packed is not None, f"no details: {error}"
    status = status_pb2.Status.FromString(packed)
    assert status.code == error.code().value[0]  # type: ignore[attr-defined]  # as above
    assert status.message == error.details()  # type: ignore[attr-defined]  # as above
    return read_status(status)


@dataclass(frozen=True, slots=True)
class Home:
    """A tenant made for a test, with a key of each role."""

    tenant_id: str
    admin: str
    service: str
    user: str

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"tenants/{self.tenant_id}"

    @property
    def default(self) -> str:
        """The name of its first collection."""
        return f"{self.name}/collections/default"

    def document(self, document_id: str, collection: str = "default") -> str:
        """Return the name of a document."""
        return f"{self.name}/collections/{collection}/documents/{document_id}"


@contextmanager
def home(door: Door, admin_key: str, label: str) -> Iterator[Home]:
    """Make a tenant with keys, and delete it afterwards."""
    tenant_id = f"{label}-{secrets.token_hex(4)}"
    request = tenant_pb2.CreateTenantRequest(tenant_id=tenant_id, tenant=resources_pb2.Tenant())
    door.call(TENANT + "CreateTenant", request, admin_key)
    try:
        yield Home(tenant_id, *(new_key(door, admin_key, tenant_id, role).secret for role in (
            ROLES.ROLE_TENANT_ADMIN, ROLES.ROLE_SERVICE, ROLES.ROLE_TENANT_USER
        )))  # fmt: skip
    finally:
        door.call(TENANT + "DeleteTenant", tenant_pb2.DeleteTenantRequest(name=f"tenants/{tenant_id}"), admin_key)


def new_key(
    door: Door, admin_key: str, tenant_id: str, role: resources_pb2.ApiKey.Role, readers: tuple[str, ...] = ()
) -> tenant_pb2.CreateApiKeyResponse:
    """Create a key of a tenant."""
    request = tenant_pb2.CreateApiKeyRequest(
        parent=f"tenants/{tenant_id}", api_key=resources_pb2.ApiKey(role=role, readers=readers)
    )
    answer: tenant_pb2.CreateApiKeyResponse = door.call(TENANT + "CreateApiKey", request, admin_key)
    return answer


def put(
    door: Door, key: str, name: str, mode: index_pb2.WriteMode = index_pb2.WRITE_MODE_SEARCHABLE, **fields: Any
) -> resources_pb2.Document:
    """Write a document whole; attributes may be a mapping."""
    attributes = fields.pop("attributes", None)
    document = resources_pb2.Document(name=name, **fields)
    if attributes:
        document.attributes.update(attributes)
    request = index_pb2.UpdateDocumentRequest(document=document, allow_missing=True, mode=mode)
    request.update_mask.paths.append("*")
    written: resources_pb2.Document = door.call(INDEX + "UpdateDocument", request, key)
    return written
