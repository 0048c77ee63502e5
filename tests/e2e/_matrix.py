# SPDX-License-Identifier: Apache-2.0
"""Runs the isolation matrix: every RPC, every field with a name, every kind of foreign name, every kind of credential."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from pinakes.core.identity.permissions import BEYOND_COLLECTIONS, FILTERED, RULES, TENANT_DATA
from tests.e2e._credentials import Credential, Opens
from tests.e2e._requests import ANCHORS, NAME_FIELDS, NameField, build
from tests.wire import METHODS

IN_FLIGHT = 48
SECONDS = 60.0
THERE, NOT_THERE = "all of it exists", "the tenant is absent"
SERVERS = {"SearchService": "search", "IndexService": "index"}
_METADATA_ROOM = 64 << 10
_TIMES = {"google.protobuf.Timestamp", "google.protobuf.Duration"}
Ids = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One call: a request of an RPC with a credential. `field` is the one that holds `name`, a `variant` of what it may hold."""

    method: str
    field: NameField | None
    variant: str
    credential: Credential
    name: str = ""

    def __str__(self) -> str:
        """Return it as people write it."""
        where = self.field or self.method.rpartition("/")[2]
        return f"{where} = {self.variant or 'nothing'}, with {self.credential.label}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: a status with its message and details (without the request's id, as JSON), or answers."""

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    details: tuple[str, ...] = ()
    answers: tuple[bytes, ...] = ()
    shape: tuple[str, ...] = ()

    @property
    def told(self) -> bytes:
        """All that was said."""
        return b"\0".join((self.message.encode(), *(detail.encode() for detail in self.details), *self.answers))

    def without(self, ids: Iterable[str]) -> tuple[Any, ...]:
        """Return what can be compared with another outcome, with these ids taken out. An answer counts by its shape."""
        told = [self.message, *self.details]
        for one in sorted(ids, key=len, reverse=True):
            told = [text.replace(one, "?") for text in told]
        return self.code, self.reason, *told, self.shape


@dataclass(slots=True)
class World:
    """The caller's ids, the attacked tenant's, and names of each kind: what exists there, and what doesn't."""

    own: Ids
    theirs: Ids
    absent: Ids
    elsewhere: Ids
    deleted: str
    suspended: str
    foreign: dict[str, Ids] = field(init=False)

    def __post_init__(self) -> None:
        """Make the variants; the first three are of the attacked tenant."""
        leaf = {name: value for name, value in self.absent.items() if name not in {"tenant", "collection"}}
        self.foreign = {
            THERE: self.theirs,
            "the thing is absent": {**self.theirs, **leaf},
            "the collection is absent": {**self.theirs, "collection": self.absent["collection"]},
            NOT_THERE: self.elsewhere,
            "the tenant is deleted": {**self.theirs, "tenant": self.deleted},
            "the tenant is suspended": {**self.theirs, "tenant": self.suspended},
        }

    def variants(self, pattern: str) -> dict[str, str]:
        """Return the foreign names of a pattern that differ."""
        made: dict[str, str] = {}
        for variant, ids in self.foreign.items():
            name = pattern.format_map(ids)
            if name not in made.values():
                made[variant] = name
        return made


def absent_like(ids: Ids) -> dict[str, str]:
    """Return ids of the same form and length as others, of nothing that exists."""
    return {name: "z" + secrets.token_hex(64)[: len(value) - 1] for name, value in ids.items()}


def foreign_cases(world: World, credentials: Iterable[Credential]) -> Iterator[tuple[Case, bytes]]:
    """Yield the calls whose anchor is a foreign name, and calls over all tenants; they ask for the most they can.

    Administrators only ask for tenants' data, which is refused: the rest they may do, and it would be done. Whoever has
    a tenant to come from asks for every kind of name; all others for what is there and for what isn't.
    """
    for credential in credentials:
        at_home = credential.alive and credential.opens is not Opens.NOTHING
        for method in METHODS:
            if credential.opens is Opens.ALL and RULES[method].permission not in TENANT_DATA:
                continue
            anchor = ANCHORS.get(method)
            if anchor is None:
                yield Case(method, None, "", credential), build(method, {}, world.own, bold=True).SerializeToString()
                continue
            for variant, name in world.variants(anchor.pattern).items():
                if not at_home and variant not in {THERE, NOT_THERE}:
                    continue
                request = build(method, {anchor: name}, world.own, bold=True)
                yield Case(method, anchor, variant, credential, name), request.SerializeToString()


def nested_cases(world: World, credentials: Iterable[Credential]) -> Iterator[tuple[Case, bytes]]:
    """Yield calls in the caller's own tenant that hold a foreign name at another place."""
    for credential in credentials:
        for one in NAME_FIELDS:
            if one.anchor:
                continue
            anchor = ANCHORS.get(one.method)
            own = {} if anchor is None else {anchor: anchor.pattern.format_map(world.own)}
            for variant, name in world.variants(one.pattern).items():
                request = build(one.method, {**own, one: name}, world.own)
                yield Case(one.method, one, variant, credential, name), request.SerializeToString()


def own_cases(world: World, credentials: Iterable[Credential]) -> Iterator[tuple[Case, bytes]]:
    """Yield calls in the caller's own tenant with the ids of things that are another's, and of things that are nobody's."""
    kinds = {"an id of theirs": world.theirs, "an id of nobody's": world.absent}
    for credential in credentials:
        for one in NAME_FIELDS:
            if one.pattern.count("{") == 1:
                continue
            anchor = ANCHORS.get(one.method)
            own = {} if anchor is None or one.anchor else {anchor: anchor.pattern.format_map(world.own)}
            for variant, ids in kinds.items():
                name = one.pattern.format_map({**ids, "tenant": world.own["tenant"]})
                request = build(one.method, {**own, one: name}, world.own)
                yield Case(one.method, one, variant, credential, name), request.SerializeToString()


def home_cases(world: World, tenant_id: str, credentials: Iterable[Credential]) -> Iterator[tuple[Case, bytes]]:
    """Yield calls of every RPC in the tenant that the caller says it is of: in a collection that is there, and in none."""
    own = {**world.own, "tenant": tenant_id}
    for absent in (world.absent, {**world.absent, "collection": "default"}):
        yield from role_cases(replace(world, own=own, absent=absent), credentials)


def role_cases(world: World, credentials: Iterable[Credential]) -> Iterator[tuple[Case, bytes]]:
    """Yield calls of every RPC on absent things of the caller's own tenant, by its name and as its own."""
    for credential in credentials:
        for method, anchor in ANCHORS.items():
            names = {"own": world.own["tenant"], "-": "-"}
            for variant, tenant in names.items():
                name = anchor.pattern.format_map({**world.absent, "tenant": tenant})
                try:
                    request = build(method, {anchor: name}, world.own)
                except AssertionError:  # a rule that wants the tenant's name
                    assert tenant == "-"
                    continue
                yield Case(method, anchor, variant, credential, name), request.SerializeToString()


def may(credential: Credential, method: str, grants: Mapping[Any, Iterable[Any]]) -> bool:
    """Tell whether a credential's role has what an RPC needs, and its filter leaves it that."""
    permission = RULES[method].permission
    if credential.role is None or permission not in grants[credential.role]:
        return False
    return credential.narrowed != "filter" or permission in FILTERED


def reaches(credential: Credential, anchor: NameField) -> bool:
    """Tell whether a credential's collections leave it names that say none, or another collection."""
    if credential.narrowed != "collections":
        return True
    return "{collection}" not in anchor.pattern and RULES[anchor.method].permission in BEYOND_COLLECTIONS


@dataclass(frozen=True, slots=True)
class Tls:
    """Who has signed the servers' certificates, and key and certificate of a machine that is nobody, all as PEM."""

    authority: bytes
    machine: tuple[bytes, bytes]

    def credentials(self, certificate: tuple[bytes, bytes] | None = None) -> grpc.ChannelCredentials:
        """Return what a connection is made with: key and certificate of a caller, or else the machine's."""
        return grpc.ssl_channel_credentials(self.authority, *(certificate or self.machine))


class _Wires:
    """Connections to the servers, one with each certificate; without `tls` they are in the clear."""

    def __init__(self, addresses: Mapping[str, str], tls: Tls | None) -> None:
        self._addresses, self._tls = addresses, tls
        self._calls: dict[tuple[str, Any], grpc.aio.Channel] = {}
        self._streams: dict[tuple[str, Any], grpc.Channel] = {}

    def of(self, case: Case) -> tuple[grpc.aio.Channel, grpc.Channel]:
        """Return the connections to the server of a call's service, for calls of one message and for streams."""
        service = case.method[1:].rpartition("/")[0].rpartition(".")[2]
        server = SERVERS.get(service, "tenant")
        key = server, case.credential.certificate
        if key not in self._calls:
            self._calls[key] = self._opened(grpc.aio, *key)
            self._streams[key] = self._opened(grpc, *key)
        return self._calls[key], self._streams[key]

    async def close(self) -> None:
        """Close all."""
        await asyncio.gather(*(channel.close() for channel in self._calls.values()))
        for opened in self._streams.values():
            opened.close()

    def _opened(self, way: Any, server: str, certificate: tuple[bytes, bytes] | None) -> Any:
        # Each certificate has connections of its own: gRPC shares them between channels that it takes for the same.
        options = [("grpc.max_metadata_size", _METADATA_ROOM), ("grpc.enable_http_proxy", 0)]
        options.append(("grpc.use_local_subchannel_pool", 1))
        address = self._addresses[server]
        if self._tls is None:
            return way.insecure_channel(address, options=options)
        return way.secure_channel(address, self._tls.credentials(certificate), options=options)


async def run(
    addresses: Mapping[str, str], cases: Iterable[tuple[Case, bytes]], tls: Tls | None = None
) -> dict[Case, Outcome]:
    """Send all calls, many at a time, each to the server of its service; return what came of each.

    `tls` is None for servers, or a proxy, that speak in the clear.
    """
    wires = _Wires(addresses, tls)
    outcomes: dict[Case, Outcome] = {}
    waiting = iter(cases)

    async def work() -> None:
        for case, request in waiting:
            outcomes[case] = await _send(*wires.of(case), case, request)

    try:
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    finally:
        await wires.close()
    return outcomes


async def _send(channel: grpc.aio.Channel, streams: grpc.Channel, case: Case, request: bytes) -> Outcome:
    descriptor = METHODS[case.method]
    metadata = case.credential.metadata
    try:
        if descriptor.client_streaming:
            # Not by grpc.aio: its client calls a refusal that comes before the first message is sent an error of its own.
            answers = await asyncio.to_thread(_stream, streams, case, request)
        else:
            call: Any = channel.unary_unary(case.method)
            answers = [await call(request, metadata=metadata, timeout=SECONDS)]
    except grpc.RpcError as error:
        return _refusal(error)
    kind = message_factory.GetMessageClass(descriptor.output_type)
    return Outcome(
        grpc.StatusCode.OK, answers=tuple(answers), shape=tuple(p for a in answers for p in _shape(kind.FromString(a)))
    )


def _stream(channel: grpc.Channel, case: Case, request: bytes) -> list[bytes]:
    """Send one message on a stream of its own, and return the answers. Raises grpc.RpcError."""
    call = channel.stream_stream(case.method, request_serializer=None, response_deserializer=None)
    return list(call(iter([request]), metadata=case.credential.metadata, timeout=SECONDS))


def _refusal(error: Any) -> Outcome:
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"")
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    details = []
    for detail in status.details:
        if not detail.Unpack(request):
            details.append(json_format.MessageToJson(detail))
            detail.Unpack(info)
    return Outcome(error.code(), error.details() or "", info.reason, tuple(details))


def _shape(message: Message, path: str = "") -> Iterator[str]:
    """Yield the paths of the fields that are set in a message."""
    for one, value in message.ListFields():
        here = f"{path}.{one.name}"
        inner_type = one.message_type
        # Of a time the fraction isn't set if it happens to be a whole second.
        if inner_type is None or inner_type.GetOptions().map_entry or inner_type.full_name in _TIMES:
            yield here
            continue
        for inner in value if one.is_repeated else [value]:
            yield here
            yield from _shape(inner, here)
