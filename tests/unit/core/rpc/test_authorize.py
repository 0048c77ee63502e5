# SPDX-License-Identifier: Apache-2.0
"""Who may call what: role, tenant, and an administrator's reason, judged before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import GRANTS, RULES, TENANT_DATA, Permission, Role
from pinakes.core.identity.principal import Principal
from pinakes.core.rpc import checks
from pinakes.core.rpc.call import Call
from pinakes.core.tenancy.models import ACTIVE, DELETED, ERASED, SUSPENDED, TenantRecord
from pinakes.v1 import index_pb2, search_pb2, tenant_pb2

SEARCH = "/pinakes.v1.SearchService/Search"
CREATED = 1_700_000_000_000
REASON = "x-pinakes-admin-reason"
STATES = {"acme": ACTIVE, "other": ACTIVE, "asleep": SUSPENDED, "gone": DELETED, "erased": ERASED}
ADMIN = Principal("bootstrap", Role.ADMIN, None, None)


class Context:
    """The transport's side of a call, of which only the metadata count here."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        return tuple(self.metadata.items())


class Tenants:
    """A directory with two tenants that are active, and one in each other state."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def known_tenant(self, tenant_id: str, *, administration: bool = False) -> TenantRecord | None:
        self.asked.append(tenant_id)
        state = STATES.get(tenant_id)
        if state is None:
            return None
        return TenantRecord(tenant_id=tenant_id, uid=f"u-{tenant_id}", state=state, create_ms=CREATED)


def of_tenant(role: Role, *tenants: str, uid: str | None = None) -> Principal:
    return Principal("key:k", role, tenants or ("acme",), (), None if uid is None else (uid,))


async def authorized(
    principal: Principal, method: str, request: Any, metadata: Mapping[str, Any] | None = None
) -> Call:
    """Return a call after the link `authorize`. Raises what the link raises."""
    context: Any = Context(metadata or {})
    call = Call(method, context, type(request), request=request, caller=principal)
    directory: Any = Tenants()
    await checks.authorize(call, RULES[method], directory)
    return call


async def refusal(principal: Principal, method: str, request: Any, metadata: Mapping[str, Any] | None = None) -> Fault:
    with pytest.raises(Fault) as caught:
        await authorized(principal, method, request, metadata)
    return caught.value


def search(tenant: str = "acme") -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(parent=f"tenants/{tenant}/collections/default")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
@pytest.mark.parametrize("tenant", ["acme", "-"])
async def test_a_credential_of_a_tenant_acts_in_it_by_its_name_or_as_its_own(role: Role, tenant: str) -> None:
    call = await authorized(of_tenant(role), SEARCH, search(tenant))
    assert call.tenant.tenant_id == "acme"


async def test_a_foreign_tenant_is_refused_alike_whether_it_exists_or_not() -> None:
    there, absent = [await refusal(of_tenant(Role.SERVICE), SEARCH, search(name)) for name in ("other", "nowhere")]
    assert (there.kind, there.reason, there.message) == (absent.kind, absent.reason, absent.message)
    assert there.kind is Kind.DENIED


@pytest.mark.parametrize("name", ["other", "nowhere"])
async def test_a_foreign_tenant_is_refused_before_it_is_looked_up(name: str) -> None:
    directory, context = Tenants(), Context({})
    call = Call(
        SEARCH, cast("Any", context), search_pb2.SearchRequest, request=search(name), caller=of_tenant(Role.SERVICE)
    )
    with pytest.raises(Fault):
        await checks.authorize(call, RULES[SEARCH], cast("Any", directory))
    assert directory.asked == [], "how long it takes would tell whether it is there"


async def test_a_deleted_tenant_of_ones_own_is_refused_like_a_foreign_one() -> None:
    gone = await refusal(of_tenant(Role.SERVICE, "nowhere"), SEARCH, search("nowhere"))
    foreign = await refusal(of_tenant(Role.SERVICE), SEARCH, search("other"))
    assert (gone.kind, gone.reason, gone.message) == (foreign.kind, foreign.reason, foreign.message)


async def test_a_key_of_a_tenant_opens_no_later_one_of_its_name() -> None:
    assert (await authorized(of_tenant(Role.SERVICE, uid="u-acme"), SEARCH, search())).tenant.uid == "u-acme"
    assert (await refusal(of_tenant(Role.SERVICE, uid="u-before"), SEARCH, search())).kind is Kind.DENIED


async def test_a_token_opens_no_tenant_that_is_younger_than_itself() -> None:
    for issued, opens in ((CREATED - 1, False), (CREATED, True)):
        token = of_tenant(Role.SERVICE)._replace(issued_ms=issued)
        if opens:
            assert (await authorized(token, SEARCH, search())).tenant.uid == "u-acme"
            continue
        later, foreign = await refusal(token, SEARCH, search()), await refusal(token, SEARCH, search("other"))
        assert (later.kind, later.reason, later.message) == (foreign.kind, foreign.reason, foreign.message)
    call = await authorized(ADMIN._replace(issued_ms=1), SEARCH, search(), {REASON: "what is there"})
    assert call.tenant.uid == "u-acme"


async def test_an_account_of_several_tenants_opens_no_later_one_of_a_name() -> None:
    account = of_tenant(Role.SERVICE, "acme", "other")._replace(tenant_uids=("u-acme", "u-other-before"))
    assert (await authorized(account, SEARCH, search())).tenant.uid == "u-acme"
    assert (await refusal(account, SEARCH, search("other"))).reason == "PERMISSION_DENIED"


async def test_who_has_several_tenants_names_one() -> None:
    fault = await refusal(of_tenant(Role.SERVICE, "acme", "other"), SEARCH, search("-"))
    assert (fault.kind, fault.reason, fault.violations[0].field) == (Kind.INVALID, "TENANT_AMBIGUOUS", "parent")


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
async def test_what_a_role_does_not_have_is_refused_before_a_name_is_looked_at(
    role: Role, permission: Permission
) -> None:
    if permission in GRANTS[role]:
        return
    methods = [method for method, rule in RULES.items() if rule.permission is permission]
    for method in methods:
        fault = await refusal(of_tenant(role), method, object())
        assert (fault.kind, fault.reason) == (Kind.DENIED, "PERMISSION_DENIED")
        assert permission in fault.message


@pytest.mark.parametrize(
    "given", ["", "too short", " " * 30, "nine char ", "x" * 201, "a line\nand another", b"a reason as bytes"]
)
async def test_an_administrator_says_why_before_touching_a_tenants_data(given: str | bytes) -> None:
    fault = await refusal(ADMIN, SEARCH, search(), {REASON: given} if given else {})
    assert (fault.kind, fault.reason) == (Kind.DENIED, "ADMIN_REASON_REQUIRED")
    assert REASON in fault.message
    assert "10 to 200" in fault.message


@pytest.mark.parametrize("given", ["ten chars.", "x" * 200, "  a document is missing  "])
async def test_with_a_reason_the_administrator_acts_and_the_call_keeps_it(given: str) -> None:
    call = await authorized(ADMIN, SEARCH, search(), {REASON: given})
    assert call.tenant.tenant_id == "acme"
    assert call.admin_reason == given.strip()


async def test_administration_needs_no_reason_but_keeps_one() -> None:
    request, method = tenant_pb2.ListApiKeysRequest(parent="tenants/acme"), "/pinakes.v1.TenantService/ListApiKeys"
    assert (await authorized(ADMIN, method, request)).admin_reason == ""
    assert (await authorized(ADMIN, method, request, {REASON: "asked by Ann"})).admin_reason == "asked by Ann"
    over_all = "/pinakes.v1.TenantService/ListTenants"
    call = await authorized(ADMIN, over_all, tenant_pb2.ListTenantsRequest(), {REASON: "asked by Ann"})
    assert call.admin_reason == "asked by Ann"
    # What can't be kept is told, not dropped.
    assert (await refusal(ADMIN, method, request, {REASON: "short"})).reason == "ADMIN_REASON_REQUIRED"


async def test_nobody_but_an_administrator_gains_anything_by_a_reason() -> None:
    metadata = {REASON: "let me in, please"}
    call = await authorized(of_tenant(Role.TENANT_ADMIN), SEARCH, search(), metadata)
    assert call.admin_reason == ""
    foreign = await refusal(of_tenant(Role.TENANT_ADMIN), SEARCH, search("other"), metadata)
    silent = await refusal(of_tenant(Role.TENANT_ADMIN), SEARCH, search("other"))
    assert (foreign.kind, foreign.message) == (silent.kind, silent.message)
    write = index_pb2.DeleteDocumentRequest(name="tenants/acme/collections/default/documents/a")
    fault = await refusal(of_tenant(Role.TENANT_USER), "/pinakes.v1.IndexService/DeleteDocument", write, metadata)
    assert fault.kind is Kind.DENIED


async def test_to_an_administrator_an_absent_tenant_is_not_found() -> None:
    fault = await refusal(ADMIN, SEARCH, search("nowhere"), {REASON: "looking for it"})
    assert (fault.kind, fault.reason) == (Kind.NOT_FOUND, "TENANT_NOT_FOUND")


async def test_a_suspended_tenant_says_so_to_its_own_and_to_nobody_else() -> None:
    own = await refusal(of_tenant(Role.TENANT_USER, "asleep"), SEARCH, search("asleep"))
    assert (own.kind, own.reason) == (Kind.DENIED, "TENANT_SUSPENDED")
    stranger = await refusal(of_tenant(Role.TENANT_USER), SEARCH, search("asleep"))
    absent = await refusal(of_tenant(Role.TENANT_USER), SEARCH, search("nowhere"))
    assert (stranger.kind, stranger.reason, stranger.message) == (absent.kind, absent.reason, absent.message)


@pytest.mark.parametrize("state", ["gone", "erased"])
async def test_to_its_own_a_tenant_that_is_gone_is_as_foreign_as_any(state: str) -> None:
    own = await refusal(of_tenant(Role.TENANT_ADMIN, state), SEARCH, search(state))
    absent = await refusal(of_tenant(Role.TENANT_ADMIN), SEARCH, search("nowhere"))
    assert (own.kind, own.reason, own.message) == (absent.kind, absent.reason, absent.message)


async def test_an_administrator_reaches_a_tenant_that_is_not_active_where_that_is_what_it_is_about() -> None:
    read, why = "/pinakes.v1.TenantService/GetTenant", {REASON: "is it still there"}
    for tenant, state in STATES.items():
        call = await authorized(ADMIN, read, tenant_pb2.GetTenantRequest(name=f"tenants/{tenant}"))
        assert call.tenant.state == state
        if state != ACTIVE:
            fault = await refusal(ADMIN, SEARCH, search(tenant), why)
            assert fault.reason == ("TENANT_SUSPENDED" if state == SUSPENDED else "TENANT_NOT_FOUND")
            # A tenant's own credentials don't.
            own = await refusal(
                of_tenant(Role.TENANT_ADMIN, tenant), read, tenant_pb2.GetTenantRequest(name="tenants/-")
            )
            assert own.kind is Kind.DENIED


async def test_a_token_that_is_narrowed_by_a_filter_only_reads() -> None:
    narrowed = of_tenant(Role.SERVICE)._replace(filter="tags:public")
    assert (await authorized(narrowed, SEARCH, search())).tenant.tenant_id == "acme"
    write = index_pb2.DeleteDocumentRequest(name="tenants/acme/collections/default/documents/a")
    fault = await refusal(narrowed, "/pinakes.v1.IndexService/DeleteDocument", write)
    assert (fault.kind, fault.reason) == (Kind.DENIED, "PERMISSION_DENIED")
    assert (await refusal(narrowed, SEARCH, search("other"))).kind is Kind.DENIED


async def test_a_token_that_is_narrowed_to_collections_opens_no_other() -> None:
    narrowed = of_tenant(Role.SERVICE)._replace(collections=("default",))
    assert (await authorized(narrowed, SEARCH, search())).tenant.tenant_id == "acme"
    another = search_pb2.SearchRequest(parent="tenants/acme/collections/another")
    inside, foreign = await refusal(narrowed, SEARCH, another), await refusal(narrowed, SEARCH, search("other"))
    assert (inside.kind, inside.reason, inside.message) == (foreign.kind, foreign.reason, foreign.message)
    listing = index_pb2.ListCollectionsRequest(parent="tenants/-")
    assert (await authorized(narrowed, "/pinakes.v1.IndexService/ListCollections", listing)).tenant.tenant_id == "acme"
    keys = tenant_pb2.ListApiKeysRequest(parent="tenants/-")
    keeper = narrowed._replace(role=Role.TENANT_ADMIN)
    assert (await refusal(keeper, "/pinakes.v1.TenantService/ListApiKeys", keys)).kind is Kind.DENIED


def test_every_rpc_on_documents_collections_or_operations_is_on_a_tenants_data() -> None:
    for method, rule in RULES.items():
        named = rule.permission.partition(".")[0]
        # An export of a tenant is all of its data at once.
        data = named in {"documents", "collections", "operations"} or rule.permission is Permission.TENANTS_EXPORT
        assert data == (rule.permission in TENANT_DATA), method
        assert rule.permission not in TENANT_DATA or rule.name_field
