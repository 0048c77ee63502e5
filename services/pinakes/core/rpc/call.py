# SPDX-License-Identifier: Apache-2.0
"""One call in flight: what the links of the chain learn about it and the servicers read."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from pinakes.core.faults import Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.identity.principal import Principal
    from pinakes.core.tenancy.models import TenantRecord


@dataclass(slots=True)
class Call:
    """A call: `method` is `/package.Service/Rpc`, `raw` the request as it came, `code` the status once it is known."""

    method: str
    context: grpc.aio.ServicerContext[Any, Any]
    raw: bytes
    message_type: type[Message]
    started: float = field(default_factory=time.perf_counter)
    request_id: str = ""
    request: Any = None
    item_violations: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    caller: Principal | None = None
    target: TenantRecord | None = None

    @property
    def service(self) -> str:
        """Full name of the service, `pinakes.v1.SearchService`."""
        return self.method[1:].rpartition("/")[0]

    @property
    def rpc(self) -> str:
        """Name of the method, `Search`."""
        return self.method.rpartition("/")[2]

    @property
    def principal(self) -> Principal:
        """Who calls; there is none before the link `authenticate`."""
        if self.caller is None:
            message = "the call isn't authenticated"
            raise RuntimeError(message)
        return self.caller

    @property
    def tenant(self) -> TenantRecord:
        """The tenant whose things are meant; there is none before the link `authorize`."""
        if self.target is None:
            message = "the call isn't authorized for a tenant"
            raise RuntimeError(message)
        return self.target


_current: ContextVar[Call] = ContextVar("pinakes_call")


def enter(call: Call) -> None:
    """Make this the call of the running task."""
    _current.set(call)


def current() -> Call:
    """Return the call of the running task."""
    return _current.get()
