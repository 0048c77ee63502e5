# SPDX-License-Identifier: Apache-2.0
"""The one translator from faults to gRPC statuses, with `google.rpc` details."""

from __future__ import annotations

import asyncio

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pinakes.core.faults import Fault, Kind

DOMAIN = "pinakes"
CODES = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.EXISTS: grpc.StatusCode.ALREADY_EXISTS,
    Kind.CONFLICT: grpc.StatusCode.ABORTED,
    Kind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
_MESSAGE_CHARS = 1000
_VIOLATIONS = 50


def fault_of(error: BaseException) -> Fault:
    """Return the fault that a caller is told about for any error: an unforeseen one says nothing of its inside."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return Fault(Kind.DEADLINE, "DEADLINE_EXCEEDED", "the call's deadline has passed")
    return Fault(
        Kind.INTERNAL, "INTERNAL", "the call failed for a reason of the platform's; tell its operators the request id"
    )


def status_of(fault: Fault, request_id: str = "") -> status_pb2.Status:
    """Translate a fault to a status with `ErrorInfo` and whatever other details fit."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=fault.reason, domain=DOMAIN, metadata=fault.metadata)]
    if fault.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
            for v in fault.violations[:_VIOLATIONS]
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if fault.quota:
        quota = error_details_pb2.QuotaFailure.Violation(subject=fault.quota, description=fault.message)
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
    if fault.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(1, round(fault.retry_after * 1000)))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if fault.resource:
        kind, name = fault.resource
        details.append(error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name))
    if request_id:
        details.append(error_details_pb2.RequestInfo(request_id=request_id))
    code: int = CODES[fault.kind].value[0]
    status = status_pb2.Status(code=code, message=fault.message[:_MESSAGE_CHARS])
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
