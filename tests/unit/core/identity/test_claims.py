# SPDX-License-Identifier: Apache-2.0
"""Which claims say tenant, role and readers: settings for the issuers that there are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.claims import ClaimMapping, claim
from pinakes.core.identity.permissions import Role
from pinakes.core.settings import Settings


def mapping(**settings: Any) -> ClaimMapping:
    """Return the mapping that these settings make."""
    return ClaimMapping(Settings(secret_key=SecretStr("s" * 32), **settings))


def refused(made: ClaimMapping, claims: dict[str, Any]) -> str:
    """Return the reason that claims are refused for."""
    with pytest.raises(Fault) as caught:
        made.principal({"iat": 1, "sub": "ann"} | claims)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    return caught.value.reason


def test_a_claim_is_found_by_its_very_name_or_where_the_dots_lead() -> None:
    claims = {
        "a.b": 1,
        "c": {"d": {"e": 2}, "f.g": 3},
        "https://example.com/t": "acme",
        "c.d": {"x": 4},
        "custom:tenant_id": 5,
    }
    assert [claim(claims, path) for path in ("a.b", "c.d.e", "c.f.g", "https://example.com/t", "c.d.x", "custom:tenant_id")] == [
        1, 2, 3, "acme", 4, 5,
    ]  # fmt: skip
    assert [claim(claims, path) for path in ("", "c.d.y", "a.b.c", "c.", ".c", "d")] == [None] * 6


def test_cognito_says_tenants_and_keycloak_says_roles_their_own_way() -> None:
    made = mapping(
        jwt_tenant_claim="custom:tenant_id",
        jwt_role_claim="realm_access.roles",
        jwt_roles=["writer=service", "boss=tenant-admin"],
    )
    roles = {"realm_access": {"roles": ["offline_access", "writer", "boss", 7]}, "custom:tenant_id": "acme"}
    found = made.principal({"iat": 1, "sub": "ann"} | roles)
    assert (found.role, found.tenants, found.readers) == (Role.TENANT_ADMIN, ("acme",), None)
    assert (found.subject, found.credential) == ("jwt:ann", "jwt:ann")
    plain = made.principal(
        {"iat": 1, "sub": "ann", "custom:tenant_id": "acme", "realm_access": {"roles": ["service", "admin"]}}
    )
    assert plain.role is Role.TENANT_USER


def test_a_token_is_of_the_second_that_its_issuer_says() -> None:
    for said in (1_700_000_000, 1_700_000_000.25):
        found = mapping().principal({"iat": said, "sub": "ann", "tenant_id": "acme"})
        assert found.issued_ms == 1_700_000_000_999


def test_groups_and_the_caller_itself_are_readers() -> None:
    found = mapping().principal({
        "iat": 1, "sub": "ann", "tenant_id": "acme", "groups": ["/staff/search", "all", 3, "user:bob"], "readers": ["board", "board"],
    })  # fmt: skip
    assert found.readers == ("user:ann", "group:staff/search", "group:all", "group:user:bob", "board")


def test_nobody_is_the_deployment_s_administrator_by_a_name_that_was_not_mapped() -> None:
    assert refused(mapping(), {"role": "admin", "tenant_id": "acme"}) == "TOKEN_ROLE_UNKNOWN"
    assert mapping().principal({"iat": 1, "sub": "a", "role": ["admin"], "tenant_id": "acme"}).role is Role.TENANT_USER
    found = mapping(jwt_roles=["platform=admin"]).principal({"iat": 1, "sub": "ann", "role": "platform"})
    assert (found.role, found.tenants) == (Role.ADMIN, None)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"tenant_id": "acme", "role": "emperor"}, "TOKEN_ROLE_UNKNOWN"),
        ({"tenant_id": "acme", "role": {"a": 1}}, "TOKEN_ROLE_UNKNOWN"),
        ({}, "TOKEN_WITHOUT_TENANT"),
        ({"tenant_id": ""}, "TOKEN_WITHOUT_TENANT"),
        ({"tenant_id": ["acme", 1]}, "TOKEN_WITHOUT_TENANT"),
        ({"tenant_id": ["acme", "other"]}, "TOKEN_WITH_TENANTS"),
        ({"tenant_id": "acme", "sub": None}, "TOKEN_INVALID"),
        ({"tenant_id": "acme", "sub": ""}, "TOKEN_INVALID"),
    ],
)
def test_claims_that_say_too_little_are_refused(claims: dict[str, Any], reason: str) -> None:
    assert refused(mapping(), claims) == reason


@pytest.mark.parametrize("pair", ["writer", "=service", "writer=emperor"])
def test_a_role_that_cannot_be_meant_stops_the_process(pair: str) -> None:
    with pytest.raises(SystemExit, match="PINAKES_JWT_ROLES"):
        mapping(jwt_roles=[pair])


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_without_a_mapping_roles_have_their_own_names(role: Role) -> None:
    assert (
        mapping().principal({"iat": 1, "sub": "ann", "tenant_id": "acme", "roles": role.value, "role": role.value}).role
        is role
    )


def test_a_service_may_be_several_tenants_and_nobody_else() -> None:
    made = mapping(jwt_role_claim="role")
    found = made.principal({"iat": 1, "sub": "sync", "tenant_id": ["acme", "other"], "role": "service"})
    assert (found.role, found.tenants, found.home) == (Role.SERVICE, ("acme", "other"), None)
    assert refused(made, {"tenant_id": ["acme", "other"], "role": "tenant-admin"}) == "TOKEN_WITH_TENANTS"


@pytest.mark.parametrize("subject", [None, "", 7, ["ann"], {"a": 1}])
def test_a_subject_is_text(subject: object) -> None:
    assert refused(mapping(), {"iat": 1, "sub": subject, "tenant_id": "acme"}) == "TOKEN_INVALID"


def test_roles_that_are_no_names_are_passed_over() -> None:
    found = mapping(jwt_role_claim="role").principal(
        {"iat": 1, "sub": "a", "tenant_id": "acme", "role": [{}, ["x"], 3, "service"]}
    )
    assert found.role is Role.SERVICE
