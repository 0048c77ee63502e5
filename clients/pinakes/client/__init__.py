# SPDX-License-Identifier: Apache-2.0
"""Client of the platform: `AsyncClient` for asyncio, `Client` for everything else."""

from pinakes.client._asking import SearchOptions, search_request
from pinakes.client._channel import Tls
from pinakes.client._client import AsyncClient
from pinakes.client._documents import deletion, document
from pinakes.client._errors import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PinakesError,
    RateLimited,
    Unauthenticated,
    Unavailable,
    Violation,
)
from pinakes.client._failed import Retried
from pinakes.client._operations import Operation
from pinakes.client._receipts import read_receipt, verify_receipt, write_receipt
from pinakes.client._sync import Client
from pinakes.client._tokens import scoped_token
from pinakes.client._writing import Written

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "InvalidArgument",
    "NotFound",
    "Operation",
    "PermissionDenied",
    "PinakesError",
    "RateLimited",
    "Retried",
    "SearchOptions",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "Written",
    "deletion",
    "document",
    "read_receipt",
    "scoped_token",
    "search_request",
    "verify_receipt",
    "write_receipt",
]
