# SPDX-License-Identifier: Apache-2.0
"""The interceptor chain: named links around every call, in an order that is asserted before a port opens."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message

from pinakes.core.faults import Fault, Kind, Violation, not_found
from pinakes.core.identity.permissions import ADMINISTRATION, GRANTS, RULES, Rule
from pinakes.core.resilience import deadline
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.errors import fault_of, status_of
from pinakes.core.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]

    from pinakes.core.identity.authenticator import Authenticator
    from pinakes.core.limits.rate import TenantLimiter
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.directory import Directory

Proceed = Callable[[], Awaitable[bytes]]
Link = Callable[[Call, Proceed], Awaitable[bytes]]
# Outermost first. `errors` stands inside what reports the outcome and outside what can refuse; limits come before a
# message is parsed, because parsing costs; names are judged last, because they stand in the message.
ORDER = (
    "request_id",
    "log",
    "metrics",
    "errors",
    "deadline",
    "authenticate",
    "limit",
    "decode",
    "validate",
    "authorize",
)
# Services that need no credential: they say nothing of any tenant.
OPEN = frozenset({
    "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"
})  # fmt: skip
# Repeated fields whose items have outcomes of their own: their violations refuse the item, not the request.
ITEMS = {"/pinakes.v1.IndexService/BatchWriteDocuments": "writes"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_log = logs.logger("pinakes.rpc")


class Chain(grpc.aio.ServerInterceptor):
    """Wraps every handler once in the links, outermost first."""

    def __init__(self, links: tuple[Link, ...], gzip_over_bytes: int) -> None:
        """Refuse an order other than `ORDER`."""
        found = tuple(link.__name__ for link in links)
        if found != ORDER:
            message = f"the interceptor chain is {', '.join(found)}; it must be {', '.join(ORDER)}"
            raise RuntimeError(message)
        self._links = links
        self._gzip_over = gzip_over_bytes
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the wrapped handler of a method."""
        method = handler_call_details.method
        if (known := self._handlers.get(method)) is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or method[1:].partition("/")[0] in OPEN:
            return handler
        self._handlers[method] = wrapped = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        if handler.unary_unary is None or handler.request_deserializer is None or handler.response_serializer is None:
            message = f"{method} is a stream, and the chain knows none yet"
            raise RuntimeError(message)
        message_type: type[Message] = handler.request_deserializer.__self__  # type: ignore[attr-defined]  # Message.FromString
        behaviour: Any = handler.unary_unary
        serialize = handler.response_serializer

        async def run(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            call = Call(method, context, raw, message_type)
            calls.enter(call)

            async def serve() -> bytes:
                answer = await behaviour(call.request, context)
                return answer if isinstance(answer, bytes) else serialize(answer)

            answer = await _through(call, self._links, serve)
            if self._gzip_over and len(answer) > self._gzip_over:
                context.set_compression(grpc.Compression.Gzip)
                # grpc.aio takes the setting over only with metadata that are sent by hand.
                await context.send_initial_metadata(())
            return answer

        behaviour_of_bytes: Any = run  # bytes in, bytes out: the links decode and encode
        return grpc.unary_unary_rpc_method_handler(behaviour_of_bytes)


def _through(call: Call, links: tuple[Link, ...], serve: Proceed) -> Awaitable[bytes]:
    """Run the first link around the rest."""
    if not links:
        return serve()
    return links[0](call, lambda: _through(call, links[1:], serve))


def build(settings: Settings, authenticator: Authenticator, directory: Directory, limiter: TenantLimiter) -> Chain:
    """Make the chain of a server."""

    async def request_id(call: Call, proceed: Proceed) -> bytes:
        given = _metadata(call).get("x-request-id", "")
        call.request_id = given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
        call.context.set_trailing_metadata((("x-request-id", call.request_id),))
        return await proceed()

    async def log(call: Call, proceed: Proceed) -> bytes:
        logs.bind(request_id=call.request_id, trace_id=tracing.trace_id())
        try:
            return await proceed()
        finally:
            write = _log.error if call.code is grpc.StatusCode.INTERNAL else _log.info
            write(
                "call", method=call.method, code=call.code.name, reason=call.reason or None,
                tenant=call.target.tenant_id if call.target else None,
                caller=call.caller.subject if call.caller else None,
                duration_ms=round((time.perf_counter() - call.started) * 1000, 3),
            )  # fmt: skip

    async def metrics_(call: Call, proceed: Proceed) -> bytes:
        in_flight = metrics.RPC_IN_FLIGHT.labels(call.service)
        in_flight.inc()
        try:
            return await proceed()
        finally:
            in_flight.dec()
            metrics.RPC_SECONDS.labels(call.service, call.rpc, call.code.name).observe(
                time.perf_counter() - call.started
            )

    metrics_.__name__ = "metrics"

    async def deadline_(call: Call, proceed: Proceed) -> bytes:
        left: float | None = call.context.time_remaining()
        seconds = settings.default_deadline_seconds if left is None else min(left, settings.default_deadline_seconds)
        token = deadline.set_deadline(seconds)
        try:
            async with asyncio.timeout(seconds):
                return await proceed()
        finally:
            deadline.reset_deadline(token)

    deadline_.__name__ = "deadline"

    async def authenticate(call: Call, proceed: Proceed) -> bytes:
        administration = RULES[call.method].permission in ADMINISTRATION
        call.caller = await authenticator.authenticate(_metadata(call), administration=administration)
        return await proceed()

    async def limit(call: Call, proceed: Proceed) -> bytes:
        home = call.principal.home
        tenant = await directory.tenant(home) if home else None
        await limiter.take(tenant.uid if tenant else call.principal.subject, tenant.rate_limit if tenant else 0)
        return await proceed()

    async def authorize(call: Call, proceed: Proceed) -> bytes:
        await _authorize(call, RULES[call.method], directory)
        return await proceed()

    return Chain(
        (request_id, log, metrics_, errors, deadline_, authenticate, limit, decode, validate, authorize),
        settings.gzip_over_bytes,
    )


async def errors(call: Call, proceed: Proceed) -> bytes:
    """Turn whatever is raised into a status, in the one place that does."""
    try:
        return await proceed()
    except asyncio.CancelledError:
        call.code = grpc.StatusCode.CANCELLED
        raise
    except Exception as error:
        fault = fault_of(error)
        status = status_of(fault, call.request_id)
        call.code, call.reason = next(c for c in grpc.StatusCode if c.value[0] == status.code), fault.reason
        if fault.kind is Kind.INTERNAL:
            _log.exception("call failed", method=call.method)
        trailing = (
            ("x-request-id", call.request_id),
            ("grpc-status-details-bin", status.SerializeToString()),
        )
        await call.context.abort(call.code, status.message, trailing)
        raise


async def decode(call: Call, proceed: Proceed) -> bytes:
    """Parse the request; what isn't a message of the contract is the caller's fault, not the server's."""
    try:
        call.request = call.message_type.FromString(call.raw)
    except (DecodeError, UnicodeDecodeError) as error:
        text = "text that isn't UTF-8" if "utf" in str(error).lower() else "bytes that can't be read"
        name = call.message_type.DESCRIPTOR.name
        raise Fault(Kind.INVALID, "MALFORMED_REQUEST", f"the request isn't a valid {name}: it holds {text}") from None
    return await proceed()


async def validate(call: Call, proceed: Proceed) -> bytes:
    """Check the request against the constraints of the contract."""
    violations: list[Violation] = []
    items: dict[int, list[Violation]] = {}
    prefix = ITEMS.get(call.method)
    for found in protovalidate.collect_violations(call.request):
        path = field_path(found.proto.field.elements if found.proto.field else ())
        text = found.proto.message or found.proto.rule_id
        index = path[len(prefix) + 1 : path.index("]")] if prefix and path.startswith(prefix + "[") else ""
        if index:
            items.setdefault(int(index), []).append(Violation(path, text))
        else:
            violations.append(Violation(path, text))
    if violations:
        first = violations[0]
        raise Fault(
            Kind.INVALID, "INVALID_ARGUMENT", f"{first.field}: {first.description}" if first.field else first.description,
            tuple(violations),
        )  # fmt: skip
    call.item_violations = {index: tuple(found) for index, found in items.items()}
    return await proceed()


def field_path(elements: Any) -> str:
    """Return a violation's path as people write it: `writes[3].put.title`, `labels["a"]`."""
    parts: list[str] = []
    for element in elements:
        text = element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            text += f"[{value}]" if element.subscript.field == "index" else f'["{value}"]'
        parts.append(text)
    return ".".join(parts)


async def _authorize(call: Call, rule: Rule, directory: Directory) -> None:
    """Check role and tenant. A foreign name is the same refusal whether it exists or not."""
    principal = call.principal
    if rule.permission not in GRANTS[principal.role]:
        raise _denied(f"the role {principal.role} doesn't have the permission {rule.permission}")
    if rule.name_field is None:
        return
    value: Any = call.request
    for part in rule.name_field.split("."):
        value = getattr(value, part)
    tenant_id = names.parse(value).tenant
    if tenant_id == names.OWN:
        if principal.home is None:
            text = "tenants/- means the caller's own tenant, and the caller hasn't just one; name it"
            raise Fault(
                Kind.INVALID, "TENANT_AMBIGUOUS", f"{rule.name_field}: {text}", (Violation(rule.name_field, text),)
            )
        tenant_id = principal.home
    if principal.tenants is not None and tenant_id not in principal.tenants:
        raise _denied("the resource isn't the caller's, or doesn't exist")
    administration = rule.permission in ADMINISTRATION
    tenant = await directory.tenant(tenant_id, administration=administration)
    if tenant is not None and principal.tenant_uid not in {None, tenant.uid}:
        tenant = None
    if tenant is None:
        if principal.tenants is None:
            raise not_found("pinakes/Tenant", names.tenant(tenant_id))
        raise _denied("the resource isn't the caller's, or doesn't exist")
    call.target = tenant


def _denied(message: str) -> Fault:
    return Fault(Kind.DENIED, "PERMISSION_DENIED", message)


def _metadata(call: Call) -> Mapping[str, Any]:
    return dict(call.context.invocation_metadata() or ())
