# SPDX-License-Identifier: Apache-2.0
"""Operations as the messages that callers see."""

from __future__ import annotations

from typing import Any

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, json_format, timestamp_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2

from pinakes.core.faults import Fault, Kind
from pinakes.core.operations.records import CANCELLED, FAILED, MOVE, SUCCEEDED, OperationRecord, fault_from_json
from pinakes.core.rpc import names
from pinakes.core.rpc.errors import status_of
from pinakes.v1 import index_pb2, lifecycle_pb2, placement_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2

Json = dict[str, Any]
# Its answers are read by their names out of the pool of descriptors, where importing has put them.
_KNOWN = (index_pb2.DESCRIPTOR, verbs_pb2.DESCRIPTOR, lifecycle_pb2.DESCRIPTOR, placement_pb2.DESCRIPTOR)


def operation_message(record: OperationRecord) -> operations_pb2.Operation:
    """Return the operation with its metadata, and with response or error once it is done."""
    operation = operations_pb2.Operation(
        name=names.operation(record.tenant_id, record.operation_id), done=record.finished
    )
    operation.metadata.Pack(metadata_message(record))
    if record.state == SUCCEEDED and record.response is not None:
        operation.response.CopyFrom(unpacked(record.response))
    elif record.state == CANCELLED:
        left = "it was rolled back" if record.verb == MOVE else "what it had done by then stands"
        stopped = Fault(Kind.CONFLICT, "OPERATION_CANCELLED", f"the operation was cancelled; {left}")
        operation.error.CopyFrom(status_of(stopped))
        operation.error.code = code_pb2.CANCELLED
    elif record.state == FAILED and record.error is not None:
        operation.error.CopyFrom(status_of(fault_from_json(record.error)))
    return operation


def metadata_message(record: OperationRecord) -> verbs_pb2.OperationMetadata:
    """Return what is told of an operation while it goes on and afterwards."""
    progress = record.progress
    metadata = verbs_pb2.OperationMetadata(
        verb=record.verb,
        target=_target(record),
        state=f"STATE_{record.state.upper()}",
        total=progress.total, done=progress.done, failed=progress.failed,
        total_bytes=progress.total_bytes, done_bytes=progress.done_bytes,
        failures=[verbs_pb2.RowFailure(line=r.line, reason=r.reason, message=r.message) for r in record.failures],
    )  # fmt: skip
    _set(metadata.create_time, record.create_ms)
    _set(metadata.start_time, record.start_ms)
    _set(metadata.end_time, record.end_ms)
    return metadata


def packed_json(message: Message) -> Json:
    """Return a response as it is kept in a record."""
    packed = any_pb2.Any()
    packed.Pack(message)
    kept: Json = json_format.MessageToDict(packed, preserving_proto_field_name=True)
    return kept


def unpacked(kept: Json) -> any_pb2.Any:
    """Return the response that was kept."""
    return json_format.ParseDict(kept, any_pb2.Any(), ignore_unknown_fields=True)


def _target(record: OperationRecord) -> str:
    """Return the name of the collection that an operation is done to, or of the tenant."""
    if not record.collection_id:
        return names.tenant(record.tenant_id)
    return names.collection(record.tenant_id, record.collection_id)


def _set(time: timestamp_pb2.Timestamp, milliseconds: int) -> None:
    if milliseconds:
        time.FromMilliseconds(milliseconds)
