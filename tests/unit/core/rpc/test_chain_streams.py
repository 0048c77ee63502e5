# SPDX-License-Identifier: Apache-2.0
"""A stream goes through the links of every call, in their order; each of its messages is checked for itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import grpc
import pytest
from pydantic import SecretStr

from pinakes.core.audit.chain import Seal
from pinakes.core.audit.log import AuditLog
from pinakes.core.audit.spool import Packed
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.limits.figures import InForce
from pinakes.core.limits.limiter import Limiter
from pinakes.core.resilience import deadline
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import chain
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.chain import ORDER, Chain, Link, Proceed
from pinakes.core.settings import Settings
from pinakes.core.telemetry import metrics
from pinakes.core.tenancy.models import TenantRecord
from pinakes.v1 import index_pb2

METHOD = "/pinakes.v1.IndexService/StreamWriteDocuments"
PARENT = "tenants/acme/collections/default"
Request = index_pb2.StreamWriteDocumentsRequest
Response = index_pb2.StreamWriteDocumentsResponse


class Aborted(Exception):
    """What gRPC raises to end a call."""


class Context:
    """The transport's side of one call: what was sent by it, and how it ended."""

    def __init__(self, seconds: float | None = None, **metadata: str) -> None:
        """Begin a call that its caller gives so many seconds, with more metadata than the credential."""
        self.seconds = seconds
        self.metadata = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        self.trailing: dict[str, Any] = {}
        self.sent: list[Response] = []
        self.code = grpc.StatusCode.OK
        self.details = ""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", "Bearer key"), *self.metadata)

    def set_trailing_metadata(self, metadata: object) -> None:
        """Take it."""

    def time_remaining(self) -> float | None:
        return self.seconds

    def add_done_callback(self, callback: object) -> None:
        """Take it."""

    def peer(self) -> str:
        return "ipv4:192.0.2.7:4711"

    async def abort(self, code: grpc.StatusCode, details: str, trailing: object) -> None:
        self.code, self.details, self.trailing = code, details, dict(cast("Any", trailing))
        raise Aborted


class Disk:
    """Takes the audit log's events."""

    async def put(self, events: Sequence[Packed]) -> None:
        """Take all."""


class OneTenant:
    """Knows one key and one tenant, and counts how often each was looked at."""

    def __init__(self) -> None:
        """Begin."""
        self.record = TenantRecord(tenant_id="acme", uid="u-acme", state="active", create_ms=1, update_ms=1)
        self.authentications = 0
        self.revoked = False
        self.faults: list[Fault] = []
        """Those of looking for the tenant while a message is limited."""

    async def authenticate(self, metadata: Mapping[str, Any], *, administration: bool, peer: object) -> Principal:
        self.authentications += 1
        if self.revoked:
            raise Fault(Kind.UNAUTHENTICATED, "KEY_REVOKED", "revoked")
        assert metadata["authorization"] == "Bearer key"
        return Principal("key:k", Role.SERVICE, ("acme",), None, (self.record.uid,))

    async def tenant(self, tenant_id: str, *, administration: bool = False) -> TenantRecord | None:
        if self.faults and calls.current().number:
            raise self.faults.pop()
        return self.record if tenant_id == "acme" else None

    known_tenant = tenant


def built(rate: float = 1000.0, **settings: Any) -> tuple[Chain, OneTenant]:
    """Return the chain that servers have, for one tenant with a rate of this process alone."""
    world: Any = OneTenant()
    given = Settings(secret_key=SecretStr("s" * 32), **settings)
    limiter = Limiter(None, InForce(requests_per_second=rate, burst=0))
    return chain.build(given, world, world, limiter, AuditLog(cast("Any", Disk()), Seal(b"s"))), world


async def stream(
    made: Chain, context: Context, serve: Callable[..., AsyncIterator[Response]], *messages: Request | bytes
) -> list[Response]:
    """Send messages through a chain to a handler; returns what it sent."""
    handler = grpc.stream_stream_rpc_method_handler(cast("Any", serve), Request.FromString, Response.SerializeToString)

    async def received() -> AsyncIterator[bytes]:
        for message in messages:
            yield message if isinstance(message, bytes) else message.SerializeToString()

    try:
        async for data in cast("Any", made.wrap(METHOD, handler).stream_stream)(received(), context):
            context.sent.append(Response.FromString(data))
    except Aborted:
        pass
    return context.sent


async def echo(messages: AsyncIterator[Request], _context: object) -> AsyncIterator[Response]:
    """Acknowledge each message by its number."""
    async for message in messages:
        yield Response(acknowledgement=index_pb2.StreamAcknowledgement(sequence=message.sequence))


def message(sequence: int, parent: str = "") -> Request:
    """Make a message with one deletion."""
    made = Request(sequence=sequence, parent=parent)
    made.writes.add(delete=index_pb2.DocumentDeletion(name=f"{PARENT}/documents/a"))
    return made


async def test_the_links_stand_around_the_stream_and_each_message_goes_through_the_checks_in_order() -> None:
    seen: list[str] = []

    def around(name: str) -> chain.Around:
        async def pass_on(_call: Call, proceed: Proceed) -> bytes:
            seen.append(name)
            return await proceed()

        return pass_on

    def step(name: str) -> chain.Step:
        async def note(call: Call) -> None:
            seen.append(f"{name} {call.number}")
            call.request = Request.FromString(call.raw)

        return note

    outer, inner = ORDER[:5], ORDER[5:]
    links = tuple(Link(name, around=around(name)) for name in outer)
    links += tuple(Link(name, opening=step(name), stream_message=step(name)) for name in inner[:2])
    links += tuple(Link(name, message=step(name)) for name in inner[2:])
    await stream(Chain(links, 0), Context(), echo, message(1, PARENT), message(2))
    numbered = [[f"{name} {number}" for name in inner] for number in (1, 2)]
    assert seen == [*outer, *(f"{name} 0" for name in inner[:2]), *numbered[0], *numbered[1]]


async def test_messages_are_answered_and_the_credential_is_looked_at_once() -> None:
    made, world = built()
    sent = await stream(made, Context(), echo, message(1, PARENT), message(2), message(3, PARENT))
    assert [answer.acknowledgement.sequence for answer in sent] == [1, 2, 3]
    assert world.authentications == 1


async def test_a_credential_is_looked_at_again_while_the_stream_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "REAUTHENTICATE_SECONDS", 0.0)
    made, world = built()
    await stream(made, Context(), echo, message(1, PARENT), message(2))
    assert world.authentications == 3


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (b"\xff\xff not protobuf", "message 2 isn't a valid StreamWriteDocumentsRequest"),
        (Request(sequence=-1), "message 2: sequence: "),
        (Request(parent="nonsense", sequence=2), "message 2: parent: "),
        (message(2, "tenants/acme/collections/other"), "message 2: parent: must be empty or that of the first message"),
    ],
)
async def test_a_message_that_breaks_the_contract_ends_the_stream_and_is_named(bad: Request | bytes, told: str) -> None:
    made, _ = built()
    context = Context()
    sent = await stream(made, context, echo, message(1, PARENT), bad, message(3))
    assert [answer.acknowledgement.sequence for answer in sent] == [1]
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    assert told in context.details


async def test_the_first_message_must_say_what_the_stream_is_about() -> None:
    made, _ = built()
    context = Context()
    assert await stream(made, context, echo, message(1)) == []
    assert (context.code, context.details[:7]) == (grpc.StatusCode.INVALID_ARGUMENT, "parent:")


async def test_a_foreign_parent_ends_the_stream() -> None:
    made, _ = built()
    context = Context()
    assert await stream(made, context, echo, message(1, "tenants/other/collections/default")) == []
    assert context.code is grpc.StatusCode.PERMISSION_DENIED


async def test_the_faults_of_single_writes_are_those_of_their_message_and_dont_end_the_stream() -> None:
    found: list[dict[int, str]] = []

    async def note(messages: AsyncIterator[Request], _context: object) -> AsyncIterator[Response]:
        async for _ in messages:
            found.append({place: bad[0].field for place, bad in calls.current().item_violations.items()})
        yield Response()

    broken = message(1, PARENT)
    broken.writes.add(delete=index_pb2.DocumentDeletion(name="nonsense"))
    made, _ = built()
    await stream(made, Context(), note, broken, message(2))
    assert found == [{1: "writes[1].delete.name"}, {}]


def listening(heard: Callable[[Fault], None]) -> Callable[..., AsyncIterator[Response]]:
    """Return a handler that acknowledges, and hears of the pauses that the stream makes."""

    async def listen(messages: AsyncIterator[Request], context: object) -> AsyncIterator[Response]:
        calls.current().on_backoff = heard
        async for answer in echo(messages, context):
            yield answer

    return listen


async def test_over_its_rate_a_stream_waits_and_says_so() -> None:
    pauses: list[Fault] = []

    made, _ = built(rate=20.0)
    began = time.monotonic()
    later = (message(number) for number in range(2, 26))
    sent = await stream(made, Context(), listening(pauses.append), message(1, PARENT), *later)
    assert len(sent) == 25
    assert pauses
    assert pauses[0].retry_after
    # 26 units at 20 a second, one second of which may be saved up.
    assert time.monotonic() - began > 0.25


async def test_while_a_message_waits_for_its_rate_its_caller_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "REAUTHENTICATE_SECONDS", 0.0)
    monkeypatch.setattr(chain, "WAIT_SECONDS", 0.02)
    pauses: list[Fault] = []
    made, world = built(rate=2.0)
    assert len(await stream(made, Context(), listening(pauses.append), message(1, PARENT), message(2))) == 2
    assert len(pauses) == 1
    assert 3 < world.authentications < 50, "its key is looked at all the while, and its rate now and then"


async def test_who_does_not_listen_waits_all_the_same() -> None:
    made, _ = built(rate=4.0)
    assert len(await stream(made, Context(), echo, *(message(number, PARENT) for number in range(1, 6)))) == 5


@pytest.mark.parametrize(
    "fault", [Fault(Kind.UNAVAILABLE, "AWAY", "away", retry_after=0.1), Fault(Kind.EXHAUSTED, "FULL", "full")]
)
async def test_what_is_no_rate_is_not_waited_for(fault: Fault) -> None:
    made, world = built()
    world.faults = [fault]
    context = Context()
    assert await stream(made, context, echo, message(1, PARENT)) == []
    assert context.details == fault.message


async def test_a_message_that_waits_for_its_rate_goes_on_when_the_rate_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chain, "WAIT_SECONDS", 0.02)
    made, world = built(rate=0.01)

    def raise_it(_: Fault) -> None:
        world.record = replace(world.record, rate_limit=1000.0)

    async with asyncio.timeout(5):
        assert len(await stream(made, Context(), listening(raise_it), message(1, PARENT))) == 1


@pytest.mark.parametrize("pause", [0.02, 1.0])
async def test_a_key_that_is_revoked_while_a_message_waits_for_its_rate_writes_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    monkeypatch.setattr(chain, "REAUTHENTICATE_SECONDS", 0.0)
    monkeypatch.setattr(chain, "WAIT_SECONDS", pause)
    made, world = built(rate=1.5)
    context = Context()
    pauses: list[Fault] = []

    def revoke(fault: Fault) -> None:
        pauses.append(fault)
        world.revoked = True

    assert await stream(made, context, listening(revoke), message(1, PARENT)) == []
    assert context.code is grpc.StatusCode.UNAUTHENTICATED
    assert len(pauses) == 1


async def test_callers_are_told_what_is_left_of_their_rate() -> None:
    told: list[dict[str, str]] = []

    async def note(messages: AsyncIterator[Request], context: object) -> AsyncIterator[Response]:
        async for answer in echo(messages, context):
            told.append(dict(calls.current().told))
            yield answer

    made, _ = built(rate=20.0)
    await stream(made, Context(), note, message(1, PARENT))
    assert told[0]["ratelimit-limit"] == "20"


async def test_the_front_door_is_told_whom_to_turn_away_and_tells_how_many_it_has() -> None:
    made, _ = built(rate=0.5)
    await stream(made, Context(), echo, message(1, PARENT))
    refused = Context()
    await stream(made, refused, echo, message(1, PARENT))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.trailing["x-pinakes-closed"].endswith(" requests_per_second")

    counter = metrics.LIMITED.labels("requests_per_second", "refused")
    before = counter._value.get()
    made, _ = built()
    await stream(made, Context(x_pinakes_turned_away="7 requests_per_second"), echo, message(1, PARENT), message(2))
    assert counter._value.get() == before + 7


async def test_only_the_callers_deadline_ends_a_stream() -> None:
    async def slow(messages: AsyncIterator[Request], _context: object) -> AsyncIterator[Response]:
        async for _ in messages:
            pass
        await asyncio.sleep(0.1)
        yield Response(opened=index_pb2.StreamOpened(window=round(deadline.left() or 0)))

    made, _ = built(default_deadline_seconds=0.05)
    (answer,) = await stream(made, Context(), slow, message(1, PARENT))
    assert answer.opened.window == 0
    (answer,) = await stream(made, Context(seconds=30), slow, message(1, PARENT))
    assert answer.opened.window == 30
    context = Context(seconds=0.05)
    assert await stream(made, context, slow, message(1, PARENT)) == []
    assert context.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_fault_of_the_handler_ends_the_stream_after_what_it_had_sent() -> None:
    async def fail(messages: AsyncIterator[Request], context: object) -> AsyncIterator[Response]:
        async for answer in echo(messages, context):
            yield answer
            raise Fault(Kind.UNAVAILABLE, "UNAVAILABLE", "away", retry_after=1.0)

    made, _ = built()
    context = Context()
    assert len(await stream(made, context, fail, message(1, PARENT))) == 1
    assert (context.code, context.details) == (grpc.StatusCode.UNAVAILABLE, "away")


def test_a_handler_that_streams_in_one_direction_is_not_served() -> None:
    handler = grpc.unary_stream_rpc_method_handler(cast("Any", echo), Request.FromString, Response.SerializeToString)
    with pytest.raises(RuntimeError, match="one direction"):
        Chain(tuple(Link(name) for name in ORDER), 0).wrap(METHOD, handler)
