# SPDX-License-Identifier: Apache-2.0
"""Constraints of messages that aren't ours: the protos of `google.longrunning` have none, and name no resource of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.longrunning import operations_pb2

from pinakes.core.faults import Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message

_TENANT = r"tenants/(-|[a-z][a-z0-9-]{1,38}[a-z0-9])"
_OPERATION = re.compile(rf"{_TENANT}/operations/[A-Za-z0-9][A-Za-z0-9_-]{{0,63}}")
_PARENT = re.compile(_TENANT)
_TOKEN_CHARS = 4096
_NAMED = (
    operations_pb2.GetOperationRequest,
    operations_pb2.CancelOperationRequest,
    operations_pb2.DeleteOperationRequest,
    operations_pb2.WaitOperationRequest,
)


def violations(request: Message) -> list[Violation]:
    """Return what is wrong with a message that carries no constraints of its own; nothing for all others."""
    if isinstance(request, _NAMED):
        found = [] if _OPERATION.fullmatch(request.name) else [_wrong_name("tenants/{tenant}/operations/{operation}")]
        if isinstance(request, operations_pb2.WaitOperationRequest) and _negative(request):
            found.append(Violation("timeout", "must be 0 s or more"))
        return found
    return _of_list(request) if isinstance(request, operations_pb2.ListOperationsRequest) else []


def _of_list(request: operations_pb2.ListOperationsRequest) -> list[Violation]:
    found = [] if _PARENT.fullmatch(request.name) else [_wrong_name("tenants/{tenant}")]
    if request.page_size < 0:
        found.append(Violation("page_size", "must be 0 or more"))
    if len(request.page_token) > _TOKEN_CHARS:
        found.append(Violation("page_token", f"must have {_TOKEN_CHARS} characters or fewer"))
    if request.filter:
        found.append(Violation("filter", "operations can't be filtered; leave it empty"))
    if request.return_partial_success:
        found.append(Violation("return_partial_success", "a tenant's operations are in one place; leave it unset"))
    return found


def _wrong_name(pattern: str) -> Violation:
    return Violation("name", f"must be {pattern}")


def _negative(request: operations_pb2.WaitOperationRequest) -> bool:
    return bool(request.timeout.seconds < 0 or request.timeout.nanos < 0)
