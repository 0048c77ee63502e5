# SPDX-License-Identifier: Apache-2.0
"""What is told of a call in the audit log: never a secret, never more of an address than its block."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message

from pinakes.core.audit.chain import Seal
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.log import ALIKE, AuditLog
from pinakes.core.faults import Fault
from pinakes.core.identity.permissions import RULES, Audit, Role
from pinakes.core.identity.principal import Principal
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_fields
from pinakes.core.rpc import audited
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import TenantRecord
from pinakes.v1 import audit_pb2, resources_pb2, tenant_pb2

FIELDS = {"time": "time", "kind": "keyword", "action": "keyword"}


def call(peer: str = "ipv4:192.0.2.77:4711", **metadata: str) -> Any:
    """Return a call with this metadata."""
    given = {name.replace("_", "-"): value for name, value in metadata.items()}
    return cast("Any", SimpleNamespace(metadata=given, context=SimpleNamespace(peer=lambda: peer)))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (call(), "192.0.2.0/24"),
        (call("ipv6:%5B2001:db8:1:2:3::4%5D:4711"), "2001:db8:1::/48"),
        (call("ipv6:[2001:db8:1:2:3::4]:4711"), "2001:db8:1::/48"),
        (call("unix:/tmp/x"), ""),
        (call(x_forwarded_for="10.0.0.1, 198.51.100.9"), "198.51.100.0/24"),
        (call(x_forwarded_for="nonsense"), ""),
    ],
)
def test_an_address_is_told_by_its_block_as_the_proxy_saw_it(given: Any, told: str) -> None:
    assert audited._network(given) == told


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (f"Bearer pk_{'a' * 16}_{'S' * 43}", f"key:{'a' * 16}"),
        ("Bearer eyJ.abc.def", "token"),
        ("Bearer secret-of-another-system", "unknown"),
        ("Basic secret", "unknown"),
        ("", ""),
    ],
)
def test_of_a_credential_only_what_is_public_is_told(header: str, told: str) -> None:
    assert audited._shown(call(authorization=header)) == told


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (tenant_pb2.CreateApiKeyRequest(parent="tenants/a", api_key=resources_pb2.ApiKey(readers=["x"])), ("readers",)),
        (tenant_pb2.UpdateTenantRequest(tenant=resources_pb2.Tenant(name="n", display_name="d", etag="e")), ("display_name",)),
        (tenant_pb2.DeleteTenantRequest(name="tenants/a"), ()),
    ],
)  # fmt: skip
def test_of_a_change_the_fields_are_told_and_not_their_values(request_: Message, fields: tuple[str, ...]) -> None:
    assert audited._fields(request_) == fields


async def test_made_up_keys_make_nobody_else_anonymous() -> None:
    taken: list[Event] = []
    log = AuditLog(cast("Any", None), Seal(b"s"))
    log.take = lambda event: len(taken.append(event) or taken)  # type: ignore[method-assign, func-returns-value]
    link = audited.Audited(log, cast("Any", None))
    method, tenant = "/pinakes.v1.IndexService/GetDocument", TenantRecord(tenant_id="acme", uid="u1")
    service, rpc = method[1:].split("/")

    async def made(code: grpc.StatusCode, caller: Principal | None, key: str) -> None:
        given = vars(call(authorization=f"Bearer pk_{key}_x"))
        known = caller is not None
        seen = SimpleNamespace(
            **given, method=method, service=service, rpc=rpc, caller=caller, code=code, reason="" if known else "API_KEY_UNKNOWN",
            target=tenant if known else None, request=None, resource="", name="tenants/acme/documents/d" if known else "",
            request_id="r", admin_reason="a look",
        )  # fmt: skip

        async def proceed() -> bytes:
            if not known:
                raise ValueError
            return b""

        with suppress(ValueError):
            await link.around(cast("Any", seen), proceed)

    for number in range(ALIKE + 1):
        await made(grpc.StatusCode.UNAUTHENTICATED, None, f"{number:016}")
    await made(grpc.StatusCode.OK, Principal("ann", Role.ADMIN, None, None, credential="key:ann"), "a" * 16)
    assert (taken[0].kind, taken[0].credential) == (Kind.SECURITY, f"key:{0:016}")
    told = taken[-1]
    assert (told.kind, told.subject, told.credential) == (Kind.ACCESS, "ann", "key:ann")
    assert (told.tenant_uid, told.resource) == ("u1", "tenants/acme")
    log._timer.cancel()  # type: ignore[union-attr]


def test_a_mask_says_what_is_changed() -> None:
    request = tenant_pb2.UpdateTenantRequest(tenant=resources_pb2.Tenant(name="n", display_name="d"))
    request.update_mask.paths.append("labels")
    assert audited._fields(request) == ("labels",)


def test_what_changes_something_for_good_is_audited_as_a_change() -> None:
    """Reads are named so; all else but writing documents and asking questions is a change."""
    for method, rule in RULES.items():
        verb = method.rpartition("/")[2]
        if verb.startswith(
            ("Create", "Update", "Delete", "Revoke", "Rotate", "Suspend", "Resume", "Undelete", "Move", "Erase")
        ):
            assert (rule.audit is Audit.CHANGE) == (not verb.endswith("Document")), method
        if verb.startswith(("Get", "List", "Search", "BatchGet")):
            assert rule.audit is not Audit.CHANGE, method


def test_events_are_found_by_a_fixed_set_of_fields() -> None:
    condition = compile_fields(parse_filter('kind = "CHANGE" AND NOT action = "Tenant*"', Limits()), FIELDS)
    assert condition["bool"]["filter"] == [{"term": {"kind": "CHANGE"}}]
    assert condition["bool"]["must_not"] == [{"prefix": {"action": {"value": "Tenant"}}}]
    assert compile_fields(parse_filter("", Limits()), FIELDS) == {"match_all": {}}
    for wrong, reason in (
        ("knid = 1", "FILTER_UNKNOWN_FIELD"), ("words", "FILTER_SYNTAX"), ("f(x)", "FILTER_UNKNOWN_FUNCTION"),
        ("time > soon", "FILTER_WRONG_TYPE"), ("attributes.x = 1", "FILTER_UNKNOWN_FIELD"),
    ):  # fmt: skip
        with pytest.raises(Fault) as caught:
            compile_fields(parse_filter(wrong, Limits()), FIELDS)
        assert caught.value.reason == reason, wrong


def test_an_event_s_own_fields_are_those_of_the_contract() -> None:
    body = Event(kind=Kind.SECURITY, action="a").to_json()
    told = {field.name for field in audit_pb2.AuditEvent.DESCRIPTOR.fields}
    assert set(body) - {"v", "last", "tenant_uid"} <= told
