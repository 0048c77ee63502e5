# SPDX-License-Identifier: Apache-2.0
"""The one translator from faults to gRPC statuses, with `google.rpc` details."""

from __future__ import annotations

import asyncio

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pinakes.core.faults import Fault, Kind, Violation

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
# Statuses travel in trailers, of which clients take 8 KiB; base64 and percent-encoding count.
_MESSAGE_BYTES = 800
_FIELD_BYTES = 200
_VIOLATIONS_BYTES = 2400


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
        details.append(_bad_request(fault.violations))
    if fault.quota:
        quota = error_details_pb2.QuotaFailure.Violation(
            subject=fault.quota, description=_cut(fault.message, _FIELD_BYTES)
        )
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
    status = status_pb2.Status(code=code, message=_cut(fault.message, _MESSAGE_BYTES))
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _bad_request(violations: tuple[Violation, ...]) -> error_details_pb2.BadRequest:
    """Return as many violations as there is room for, at least the first: paths hold callers' own keys of any length."""
    request = error_details_pb2.BadRequest()
    for violation in violations:
        field, description = _cut(violation.field, _FIELD_BYTES), _cut(violation.description, _MESSAGE_BYTES)
        request.field_violations.add(field=field, description=description)
        if request.ByteSize() > _VIOLATIONS_BYTES:
            if len(request.field_violations) > 1:
                del request.field_violations[-1]
            break
    return request


def _cut(text: str, most: int) -> str:
    """Return the beginning of a text that has at most so many bytes."""
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= most and encoded.isascii() else encoded[:most].decode("utf-8", "ignore")
