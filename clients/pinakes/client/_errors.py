# SPDX-License-Identifier: Apache-2.0
"""Errors of the platform as exceptions, decoded from the `google.rpc` details of a failed call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Violation:
    """One fault of one field of a request: where it is, and what is wrong with it."""

    field: str
    description: str


class PinakesError(Exception):
    """A call that failed.

    `reason` is stable and in UPPER_SNAKE_CASE (`TENANT_NOT_FOUND`); `code` is the name of the gRPC status
    (`NOT_FOUND`); `message` is for people; `violations` say which fields are wrong; `retry_after` is in seconds, None
    if the server didn't say; `resource` is the name of the resource the error is about and `request_id` what operators
    find the call by (both empty if the server didn't say).
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: str = "UNKNOWN",
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        resource: str = "",
        request_id: str = "",
    ) -> None:
        """Make an error; without a reason of the platform's own, the status is the reason."""
        super().__init__(message)
        self.message = message
        self.reason = reason or code
        self.code = code
        self.violations = violations
        self.retry_after = retry_after
        self.metadata: dict[str, str] = dict(metadata or {})
        self.resource = resource
        self.request_id = request_id

    def __str__(self) -> str:
        """Reason and message."""
        return f"{self.reason}: {self.message}"


class InvalidArgument(PinakesError):
    """The request can't be right, whatever the state of the platform; `violations` say why."""


class Unauthenticated(PinakesError):
    """There is no key, or it isn't accepted."""


class PermissionDenied(PinakesError):
    """The key doesn't allow the call, or the name is of another tenant."""


class NotFound(PinakesError):
    """The resource doesn't exist, or the key may not read it."""


class AlreadyExists(PinakesError):
    """A resource of that id exists."""


class Conflict(PinakesError):
    """The resource has changed since its etag was read (ABORTED)."""


class RateLimited(PinakesError):
    """A limit is reached (RESOURCE_EXHAUSTED); `retry_after` says when to come again, if that helps."""


class Unavailable(PinakesError):
    """The platform, or a part that the call needs, can't be reached now; trying again may help."""


class DeadlineExceeded(PinakesError):
    """The answer didn't come in time. A write may have been done all the same."""


_BY_CODE: dict[str, type[PinakesError]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "ABORTED": Conflict,
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
}
_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


def from_rpc_error(error: grpc.aio.AioRpcError) -> PinakesError:
    """Turn a failed call into the exception of its status."""
    try:
        # An AioRpcError answers the three questions that `from_call` asks of a call.
        status = cast("status_pb2.Status | None", rpc_status.from_call(cast("grpc.Call", error)))
    except ValueError:  # a proxy changed the code or the message: then only those can be believed
        status = None
    if status is None:
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return from_status(status)


def from_status(status: status_pb2.Status) -> PinakesError:
    """Turn a `google.rpc.Status`, such as that of one write of a batch, into the exception of its code."""
    code = _NAMES.get(status.code, "UNKNOWN")
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, resource = error_details_pb2.RetryInfo(), error_details_pb2.ResourceInfo()
    request = error_details_pb2.RequestInfo()
    for detail in status.details:
        for known in (info, bad_request, retry, resource, request):
            detail.Unpack(known)
    return _BY_CODE.get(code, PinakesError)(
        status.message or code,
        reason=info.reason,
        code=code,
        violations=tuple(Violation(v.field, v.description) for v in bad_request.field_violations),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
        metadata=info.metadata,
        resource=resource.resource_name,
        request_id=request.request_id,
    )
