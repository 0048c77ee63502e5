# SPDX-License-Identifier: Apache-2.0
"""The interceptor chain: named links around every call, in an order that is asserted before a port opens.

A call with one message goes through all links once. A stream goes through the same links in the same order: those
around the call stand around the whole of it, and each of its messages is decoded, validated and authorized for itself.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import ADMINISTRATION, RULES
from pinakes.core.resilience import deadline
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import checks
from pinakes.core.rpc.audited import Audited
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.errors import CODES, fault_of, status_of
from pinakes.core.rpc.turned_away import closing, count_turned_away, unproved
from pinakes.core.telemetry import logs, metrics, tracing

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Handler = grpc.RpcMethodHandler[Any, Any]

    from pinakes.core.audit.log import AuditLog
    from pinakes.core.identity.authenticator import Authenticator
    from pinakes.core.identity.principal import Principal
    from pinakes.core.limits.limiter import Limiter
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.models import TenantRecord

Proceed = Callable[[], Awaitable[bytes]]
Around = Callable[[Call, Proceed], Awaitable[bytes]]
Step = Callable[[Call], Awaitable[None]]
# Outermost first. `errors` stands inside what reports the outcome and outside what can refuse; limits come before a
# message is parsed, because parsing costs; names are judged last, because they stand in the message.
ORDER = (
    "request_id",
    "log",
    "metrics",
    "audit",
    "errors",
    "deadline",
    "authenticate",
    "limit",
    "decode",
    "validate",
    "authorize",
)
# A stream outlives its credential's check: it is checked again with a message, so often at most.
REAUTHENTICATE_SECONDS = 1.0
# Who waits for a rate looks so often whether the limit is another by now, and whether the credential still holds.
WAIT_SECONDS = 1.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_log = logs.logger("pinakes.rpc")


@dataclass(frozen=True, slots=True)
class Link:
    """A link of the chain: its name, and what it does where.

    `around` stands around the whole call; `opening` comes once, before a message is looked at; `message` comes for every
    message; `stream_message` comes for every message of a stream alone. All of them raise a `Fault` to refuse.
    """

    name: str
    around: Around | None = None
    opening: Step | None = None
    message: Step | None = None
    stream_message: Step | None = None


class Chain:
    """Wraps every handler once in the links, outermost first."""

    def __init__(self, links: tuple[Link, ...], gzip_over_bytes: int) -> None:
        """Refuse an order other than `ORDER`."""
        found = tuple(link.name for link in links)
        if found != ORDER:
            message = f"the interceptor chain is {', '.join(found)}; it must be {', '.join(ORDER)}"
            raise RuntimeError(message)
        self._arounds = tuple(link.around for link in links if link.around)
        if [link.name for link in links if link.around] != list(found[: len(self._arounds)]):
            message = "the links around a call must be the outermost of the chain"
            raise RuntimeError(message)
        self._openings = tuple(link.opening for link in links if link.opening)
        self._unary = tuple(step for link in links for step in (link.opening, link.message) if step)
        self._messages = tuple(step for link in links for step in (link.stream_message, link.message) if step)
        self._gzip_over = gzip_over_bytes

    def guarding(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """Return what services add themselves to as to the server: each of their handlers gets the links.

        As an interceptor of grpc.aio the chain would cost every call two more rounds of the event loop.
        """
        return cast("grpc.aio.Server", Guarding(self, server))

    def wrap(self, method: str, handler: Handler) -> Handler:
        """Return the handler with the links around it, bytes in and bytes out: the links decode and encode.

        Raises RuntimeError for a handler that is neither unary nor a stream in both directions.
        """
        if handler.request_deserializer is None or handler.response_serializer is None:
            message = f"{method} has no messages of the contract"
            raise RuntimeError(message)
        message_type: type[Message] = handler.request_deserializer.__self__  # type: ignore[attr-defined]  # Message.FromString
        if handler.unary_unary is not None:
            run: Any = self._unary_of(method, handler, message_type)
            return grpc.unary_unary_rpc_method_handler(run)
        if handler.stream_stream is not None:
            run = self._stream_of(method, handler, message_type)
            return grpc.stream_stream_rpc_method_handler(run)
        message = f"{method} is a stream in one direction, and the chain knows none"
        raise RuntimeError(message)

    def _unary_of(self, method: str, handler: Handler, message_type: type[Message]) -> Any:
        behaviour: Any = handler.unary_unary
        serialize: Any = handler.response_serializer

        async def run(raw: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            call = Call(method, context, message_type, raw)
            calls.enter(call)

            async def serve() -> bytes:
                for step in self._unary:
                    await step(call)
                answer = await behaviour(call.request, context)
                return answer if isinstance(answer, bytes) else serialize(answer)

            try:
                answer = await _through(call, self._arounds, serve)
            finally:
                call.leave()
            large = 0 < self._gzip_over < len(answer)
            if large:
                context.set_compression(grpc.Compression.Gzip)
            if large or call.headers:
                # grpc.aio takes the compression over only with metadata that are sent by hand.
                await context.send_initial_metadata(call.headers)
            return answer

        return run

    def _stream_of(self, method: str, handler: Handler, message_type: type[Message]) -> Any:
        behaviour: Any = handler.stream_stream
        serialize: Any = handler.response_serializer

        async def run(
            received: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]
        ) -> AsyncGenerator[bytes]:
            call = Call(method, context, message_type, streaming=True)
            calls.enter(call)
            answers: asyncio.Queue[bytes | None] = asyncio.Queue()

            async def serve() -> bytes:
                for step in self._openings:
                    await step(call)
                async with aclosing(behaviour(self._checked(call, received), context)) as made:
                    async for answer in made:
                        answers.put_nowait(serialize(answer))
                        await answers.join()  # the next one when this one is on its way
                return b""

            # The links return when the call is over, a generator has to yield before: so they run beside it.
            work = asyncio.create_task(_work(call, self._arounds, serve, answers), name="stream")
            # Nothing works for a caller who has gone.
            context.add_done_callback(lambda _: work.cancel())  # type: ignore[arg-type]  # the stubs have a class there
            try:
                while (ready := await answers.get()) is not None:
                    yield ready
                    answers.task_done()
                await work
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

        return run

    async def _checked(self, call: Call, received: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the messages of a stream, each after it has passed the links.

        Until the next one is asked for, `call` holds what was learnt about this one.
        """
        async for raw in received:
            call.raw = raw
            call.number += 1
            for step in self._messages:
                await step(call)
            yield call.request


class Guarding:
    """Takes a service's handlers as a server does, and adds them to the server with the links around them."""

    def __init__(self, chain: Chain, server: grpc.aio.Server) -> None:
        """Add to this server."""
        self._chain, self._server = chain, server

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Add the handlers of a service."""
        self._server.add_generic_rpc_handlers(tuple(_Guarded(self._chain, handler) for handler in handlers))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Add nothing: generated code adds the same handlers as generic ones, too, and grpc.aio looks at those."""


class _Guarded(grpc.GenericRpcHandler):
    """The handlers of a service with the links around them, each wrapped once."""

    def __init__(self, chain: Chain, handlers: grpc.GenericRpcHandler) -> None:
        self._chain, self._handlers = chain, handlers
        self._wrapped: dict[str, Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the handler of a method, or None if it isn't of this service."""
        method = handler_call_details.method
        if (known := self._wrapped.get(method)) is not None:
            return known
        handler = self._handlers.service(handler_call_details)
        if handler is not None:
            self._wrapped[method] = handler = self._chain.wrap(method, handler)
        return handler


async def _work(call: Call, arounds: tuple[Around, ...], serve: Proceed, answers: asyncio.Queue[bytes | None]) -> None:
    """Run a stream's links; None says that there are no more answers."""
    try:
        await _through(call, arounds, serve)
    finally:
        call.leave()
        answers.put_nowait(None)


def _through(call: Call, arounds: tuple[Around, ...], serve: Proceed) -> Awaitable[bytes]:
    """Run the first link around the rest."""
    if not arounds:
        return serve()
    return arounds[0](call, lambda: _through(call, arounds[1:], serve))


def build(
    settings: Settings, authenticator: Authenticator, directory: Directory, limiter: Limiter, audit: AuditLog
) -> Chain:
    """Make the chain of a server."""
    audited = Audited(audit, directory)

    async def limit_by_time(call: Call, proceed: Proceed) -> bytes:
        left: float | None = call.context.time_remaining()
        if call.streaming:
            seconds = left  # a stream lasts as long as its caller wants
        else:
            seconds = (
                settings.default_deadline_seconds if left is None else min(left, settings.default_deadline_seconds)
            )
        token = None if seconds is None else deadline.set_deadline(seconds)
        try:
            async with asyncio.timeout(seconds):
                return await proceed()
        finally:
            if token is not None:
                deadline.reset_deadline(token)

    authenticate = partial(_authenticate, authenticator)

    async def authenticate_again(call: Call) -> None:
        if time.monotonic() - call.authenticated >= REAUTHENTICATE_SECONDS:
            await authenticate(call)

    async def take(call: Call) -> None:
        count_turned_away(call)
        tenant = await _home(call.principal, directory)
        call.budget = budget = limiter.budget(call.principal, tenant, call.method)
        opening = call.number == 0  # later messages of a stream have its place, and no metadata go with them
        try:
            await budget.take(enter=opening)
            if opening and budget.rooms:
                call.entered = budget
        except Fault as fault:
            call.add(closing(call, fault))
            raise
        finally:
            if opening:
                call.add(budget.told())

    async def wait_and_take(call: Call) -> None:
        told_until = 0.0
        while True:
            try:
                return await take(call)
            except Fault as fault:
                if fault.kind is not Kind.EXHAUSTED or fault.retry_after is None:
                    raise
                now, seconds = time.monotonic(), fault.retry_after
                if call.on_backoff is not None and now >= told_until:
                    call.on_backoff(fault)
                    told_until = now + seconds
            await asyncio.sleep(min(seconds, WAIT_SECONDS))
            await authenticate_again(call)

    async def authorize(call: Call) -> None:
        await checks.authorize(call, RULES[call.method], directory)

    return Chain(
        (
            Link("request_id", around=name_call),
            Link("log", around=log),
            Link("metrics", around=measure),
            Link("audit", around=audited.around, opening=audited.opening),
            Link("errors", around=errors),
            Link("deadline", around=limit_by_time),
            Link("authenticate", opening=authenticate, stream_message=authenticate_again),
            Link("limit", opening=take, stream_message=wait_and_take),
            Link("decode", message=checks.decode),
            Link("validate", message=checks.validate),
            Link("authorize", message=authorize),
        ),
        settings.gzip_over_bytes,
    )


async def _authenticate(authenticator: Authenticator, call: Call) -> None:
    """Find out who calls. Raises the faults of `Authenticator.authenticate`; the front door is told of what it counts."""
    administration = RULES[call.method].permission in ADMINISTRATION
    try:
        call.caller = await authenticator.authenticate(
            call.metadata, administration=administration, peer=call.peer_names
        )
    except Fault as fault:
        if not call.number:  # no metadata go with later messages of a stream
            call.add(unproved(fault))
        raise
    call.authenticated = time.monotonic()


async def _home(principal: Principal, directory: Directory) -> TenantRecord | None:
    """Return the one tenant that a caller is of, if it is active: a later one of the name isn't charged for it."""
    home = principal.home
    tenant = await directory.tenant(home) if home else None
    return tenant if tenant is not None and principal.belongs_to(tenant) else None


async def name_call(call: Call, proceed: Proceed) -> bytes:
    """Give the call the id that its caller gave, or a new one."""
    given = call.metadata.get("x-request-id", "")
    call.request_id = given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
    call.context.set_trailing_metadata((("x-request-id", call.request_id),))
    return await proceed()


async def log(call: Call, proceed: Proceed) -> bytes:
    """Log the call when it has ended, behind its answer: no caller waits for the line."""
    logs.bind(request_id=call.request_id, trace_id=tracing.trace_id())
    try:
        return await proceed()
    finally:
        write = _log.error if call.code is grpc.StatusCode.INTERNAL else _log.info
        line = partial(
            write, "call", method=call.method, code=call.code.name, reason=call.reason or None,
            tenant=call.target.tenant_id if call.target else None,
            caller=call.caller.subject if call.caller else None,
            messages=call.number if call.streaming else None,
            duration_ms=round((time.perf_counter() - call.started) * 1000, 3),
        )  # fmt: skip
        asyncio.get_running_loop().call_soon(line)


async def measure(call: Call, proceed: Proceed) -> bytes:
    """Count the call while it is under way, and its time when it has ended."""
    in_flight = metrics.rpc_in_flight(call.service)
    in_flight.inc()
    try:
        return await proceed()
    finally:
        in_flight.dec()
        metrics.rpc_seconds(call.service, call.rpc, call.code.name).observe(time.perf_counter() - call.started)


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
        call.code, call.reason = CODES[fault.kind], fault.reason
        if fault.kind is Kind.INTERNAL:
            _log.exception("call failed", method=call.method)
        trailing = (
            ("x-request-id", call.request_id),
            ("grpc-status-details-bin", status.SerializeToString()),
            *call.told,
        )
        await call.context.abort(call.code, status.message, trailing)
        raise
