# SPDX-License-Identifier: Apache-2.0
"""One call in flight: what the links of the chain learn about it and the servicers read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from pinakes.core.faults import Fault, Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.identity.principal import Principal
    from pinakes.core.limits.budget import Budget
    from pinakes.core.tenancy.models import TenantRecord


# Envoy sets it on what it has made of JSON.
# gRPC's name for them.
_PEER_URIS = "peer_uri"
_TRANSCODED = "x-envoy-original-path"


@dataclass(slots=True)
class Call:
    """A call: `method` is `/package.Service/Rpc`, `raw` the message as it came, `code` the status once it is known.

    Of a stream, `raw`, `request` and `item_violations` are those of the message that was read last, `number` counts
    them from 1, and `name` is what the first one says the stream is about. `on_backoff` is told of every pause that the
    stream makes because its caller is over a limit. `admin_reason` is why an administrator acts in a tenant; nobody
    else's call has one. `resource` is the name of what the call made, for the audit log.
    """

    method: str
    context: grpc.aio.ServicerContext[Any, Any]
    message_type: type[Message]
    raw: bytes = b""
    streaming: bool = False
    metadata: Mapping[str, Any] = field(init=False)
    started: float = field(default_factory=time.perf_counter)
    request_id: str = ""
    request: Any = None
    item_violations: dict[int, tuple[Violation, ...]] = field(default_factory=dict)
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    caller: Principal | None = None
    authenticated: float = 0.0
    target: TenantRecord | None = None
    admin_reason: str = ""
    number: int = 0
    name: str = ""
    on_backoff: Callable[[Fault], None] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    told: tuple[tuple[str, str], ...] = ()
    budget: Budget | None = None
    entered: Budget | None = None
    resource: str = ""

    def __post_init__(self) -> None:
        """Read the metadata once."""
        self.metadata = dict(self.context.invocation_metadata() or ())

    def tell(self, **more: str) -> None:
        """Say something beside the answer, `_` in names becomes `-`: in trailing metadata, and in headers by JSON.

        Headers of their own cost a call a message more, so only those get them who see no trailers.
        """
        self.add(tuple((name.replace("_", "-"), value) for name, value in more.items()))

    def add(self, more: tuple[tuple[str, str], ...]) -> None:
        """Say something beside the answer, and beside an error too."""
        self.told += more
        if _TRANSCODED in self.metadata:
            self.headers = self.told
        else:
            self.context.set_trailing_metadata((("x-request-id", self.request_id), *self.told))

    def peer_names(self) -> tuple[str, ...]:
        """Return the URIs in the client certificate of the connection, as TLS has verified it; none without one."""
        names = (self.context.auth_context() or {}).get(_PEER_URIS, ())
        return tuple(name.decode("utf-8", "replace") for name in names)

    def leave(self) -> None:
        """Give back the places that the call has taken among those that may be under way at once."""
        if self.entered is not None:
            self.entered.leave()
            self.entered = None

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
