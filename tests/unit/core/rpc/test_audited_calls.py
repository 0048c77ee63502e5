# SPDX-License-Identifier: Apache-2.0
"""Which calls are taken down, as what, and for whom; and that a change's answer waits until it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import grpc
import pytest

from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.log import DURABLE_SECONDS, Group
from pinakes.core.faults import Fault, unavailable
from pinakes.core.faults import Kind as FaultKind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.rpc.audited import Audited
from pinakes.core.rpc.call import Call
from pinakes.core.tenancy.models import KeyRecord, TenantRecord
from pinakes.v1 import audit_pb2, index_pb2, resources_pb2, search_pb2, tenant_pb2

SEARCH, GET = "/pinakes.v1.SearchService/Search", "/pinakes.v1.IndexService/GetDocument"
CREATE, UPDATE = "/pinakes.v1.TenantService/CreateApiKey", "/pinakes.v1.IndexService/UpdateCollection"
AUDIT = "/pinakes.v1.TenantService/ListAuditEvents"
ACME, OTHER = (TenantRecord(tenant_id=name, uid=f"u-{name}") for name in ("acme", "other"))
ADMIN = Principal("key:bootstrap", Role.ADMIN, None, None, credential="key:bootstrap")
SERVICE = Principal("key:k", Role.SERVICE, ("acme",), (), ("u-acme",), credential="key:k")
KEY = "pk_abcdefgh23456789_" + "S" * 43


@dataclass(slots=True)
class Log:
    """Notes what it is told to take down."""

    stuck: bool = False
    single: list[Event] = field(default_factory=list)
    alike: list[tuple[Any, Event, Group]] = field(default_factory=list)
    waited: list[tuple[int, float]] = field(default_factory=list)

    def take(self, event: Event) -> int:
        self.single.append(event)
        return len(self.single)

    def take_alike(self, key: Any, event: Event, group: Group) -> None:
        self.alike.append((key, event, group))

    async def durable(self, number: int, seconds: float) -> bool:
        self.waited.append((number, seconds))
        return True


@dataclass(slots=True)
class Records:
    """A directory of two tenants and the keys that are given; it may be away."""

    keys: dict[str, KeyRecord] = field(default_factory=dict)
    away: bool = False

    async def tenant(self, tenant_id: str) -> TenantRecord | None:
        if self.away:
            raise unavailable("the directory")
        return {"acme": ACME, "other": OTHER}.get(tenant_id)

    async def key(self, key_id: str) -> KeyRecord | None:
        if self.away:
            raise unavailable("the directory")
        return self.keys.get(key_id)


class Context:
    """The transport's side of a call."""

    def __init__(self, authorization: str) -> None:
        self.authorization = authorization

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", self.authorization),) if self.authorization else ()

    def peer(self) -> str:
        return "ipv4:192.0.2.77:4711"


def call(method: str, request: Any, caller: Principal | None = SERVICE, authorization: str = "") -> Call:
    """Return a call that was let through to a tenant."""
    context: Any = Context(authorization)
    target = ACME if caller is not None else None
    return Call(method, context, type(request), request=request, caller=caller, target=target)


async def taken(
    one: Call, code: grpc.StatusCode = grpc.StatusCode.OK, reason: str = "", records: Records | None = None
) -> Log:
    """Return the log after a call that ended so."""
    log = Log()

    async def proceed() -> bytes:
        one.code, one.reason = code, reason
        if code is not grpc.StatusCode.OK:
            raise Fault(FaultKind.DENIED, reason, "refused")
        return b"answer"

    link = Audited(cast("Any", log), cast("Any", records or Records()))
    if code is grpc.StatusCode.OK:
        assert await link.around(one, proceed) == b"answer"
    else:
        with pytest.raises(Fault):
            await link.around(one, proceed)
    return log


def creating(**more: Any) -> tenant_pb2.CreateApiKeyRequest:
    """Return a request for a change."""
    return tenant_pb2.CreateApiKeyRequest(parent="tenants/acme", api_key=resources_pb2.ApiKey(readers=["x"]), **more)


async def test_a_change_is_taken_down_by_itself_and_its_answer_waits_for_that() -> None:
    log = await taken(call(CREATE, creating()))
    (event,) = log.single
    assert (event.kind, event.action, event.tenant_uid, event.code) == (
        Kind.CHANGE, "TenantService.CreateApiKey", "u-acme", "OK",
    )  # fmt: skip
    assert log.waited == [(1, DURABLE_SECONDS)]
    assert log.alike == []


async def test_a_change_that_failed_is_taken_down_too_and_its_error_waits_for_nothing() -> None:
    log = await taken(call(CREATE, creating()), grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_KEYS")
    assert [(event.kind, event.code, event.reason) for event in log.single] == [
        (Kind.CHANGE, "FAILED_PRECONDITION", "TOO_MANY_KEYS")
    ]
    assert log.waited == []


async def test_what_only_asks_whether_it_would_be_taken_changes_nothing() -> None:
    request = index_pb2.UpdateCollectionRequest(collection=resources_pb2.Collection(name="c"), validate_only=True)
    log = await taken(call(UPDATE, request))
    assert (log.single, log.alike) == ([], [])
    request.validate_only = False
    assert len((await taken(call(UPDATE, request))).single) == 1


@pytest.mark.parametrize(("caller", "times"), [(SERVICE, 0), (ADMIN, 1), (None, 0)])
async def test_of_reading_only_administrators_in_a_tenant_are_taken_down(caller: Principal | None, times: int) -> None:
    one = call(GET, index_pb2.GetDocumentRequest(name="tenants/acme/collections/c/documents/d"), caller)
    one.resource = "tenants/acme/collections/c/documents/d"
    log = await taken(one)
    assert (len(log.alike), log.single, log.waited) == (times, [], [])
    for key, event, group in log.alike:
        assert event.kind is Kind.ACCESS
        assert event.resource == "tenants/acme/collections/c", "documents of a collection are one thing"
        assert ("key:bootstrap" in key, event.resource in key) == (True, True)
        assert group == Group(known=True)


async def test_an_administrator_who_is_in_no_tenant_reads_nobodys_data() -> None:
    one = call(SEARCH, search_pb2.SearchRequest(), ADMIN)
    one.target = None
    assert (await taken(one)).alike == []


async def test_reading_the_log_is_taken_down_whoever_does_it() -> None:
    tenant_admin = SERVICE._replace(role=Role.TENANT_ADMIN)
    log = await taken(call(AUDIT, audit_pb2.ListAuditEventsRequest(parent="tenants/acme"), tenant_admin))
    assert [event.kind for _, event, _ in log.alike] == [Kind.ACCESS]


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED])
@pytest.mark.parametrize(("uids", "room"), [(("u-acme",), "u-acme"), (None, "acme")])
async def test_a_refusal_is_told_to_the_callers_own_tenant_never_to_the_named_one(
    code: grpc.StatusCode, uids: tuple[str, ...] | None, room: str
) -> None:
    caller = SERVICE._replace(tenant_uids=uids)
    one = call(SEARCH, search_pb2.SearchRequest(parent="tenants/other/collections/c"), caller)
    one.target = None
    log = await taken(one, code, "PERMISSION_DENIED")
    ((_, event, group),) = log.alike
    assert (event.kind, event.tenant, event.tenant_uid) == (Kind.SECURITY, "tenants/acme", "u-acme")
    assert (event.credential, event.reason) == ("key:k", "PERMISSION_DENIED")
    assert group == Group(known=True, tenant=room)
    assert log.single == []


async def test_other_failures_are_no_refusals() -> None:
    log = await taken(call(SEARCH, search_pb2.SearchRequest()), grpc.StatusCode.INVALID_ARGUMENT, "X")
    assert (log.single, log.alike) == ([], [])


@pytest.mark.parametrize(
    "caller", [SERVICE._replace(tenant_uids=("u-acme-before",)), SERVICE._replace(tenants=("acme", "other"))]
)
async def test_a_refusal_of_an_earlier_tenant_of_the_name_or_of_several_is_told_to_none(caller: Principal) -> None:
    log = await taken(call(SEARCH, search_pb2.SearchRequest(), caller), grpc.StatusCode.PERMISSION_DENIED, "X")
    assert [(event.tenant, event.tenant_uid) for _, event, _ in log.alike] == [("", "")]


KNOWN = KeyRecord(
    key_id="abcdefgh23456789", tenant_id="acme", tenant_uid="u-acme", role="service", digest="", public_key=""
)


@pytest.mark.parametrize(
    ("reason", "record", "away", "told"),
    [
        ("API_KEY_REVOKED", KNOWN, False, "u-acme"),
        ("API_KEY_UNKNOWN", KNOWN, False, ""),
        ("API_KEY_REVOKED", None, False, ""),
        ("API_KEY_REVOKED", replace(KNOWN, tenant_uid="u-acme-before"), False, ""),
        ("API_KEY_REVOKED", replace(KNOWN, tenant_id="nowhere"), False, ""),
        ("API_KEY_REVOKED", KNOWN, True, ""),
    ],
)
async def test_a_refused_key_is_told_to_its_tenant_if_its_secret_was_right(
    reason: str, record: KeyRecord | None, away: bool, told: str
) -> None:
    one = call(SEARCH, search_pb2.SearchRequest(parent="tenants/other/collections/c"), None, f"Bearer {KEY}")
    records = Records({KNOWN.key_id: record} if record is not None else {}, away)
    log = await taken(one, grpc.StatusCode.UNAUTHENTICATED, reason, records)
    ((key, event, group),) = log.alike
    assert (event.tenant_uid, event.credential, event.resource) == (told, "key:abcdefgh23456789", "")
    assert key == (reason, "key:abcdefgh23456789", "192.0.2.0/24")
    assert group == Group(known=False, tenant=told)


async def test_while_the_log_takes_nothing_nothing_is_changed_and_all_else_goes_on() -> None:
    link = Audited(cast("Any", Log(stuck=True)), cast("Any", Records()))
    with pytest.raises(Fault) as caught:
        await link.opening(call(CREATE, creating()))
    assert (caught.value.reason, caught.value.kind, caught.value.retry_after) == (
        "AUDIT_UNAVAILABLE", FaultKind.UNAVAILABLE, 5.0,
    )  # fmt: skip
    await link.opening(call(SEARCH, search_pb2.SearchRequest()))
    await Audited(cast("Any", Log()), cast("Any", Records())).opening(call(CREATE, creating()))
