# SPDX-License-Identifier: Apache-2.0
"""From a token's claims to a principal: which claims say tenant, role and readers is a matter of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pinakes.core.identity.permissions import SEES_ALL, Role
from pinakes.core.identity.principal import Principal
from pinakes.core.identity.registered import refused

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

USER, GROUP = "user:", "group:"
_STRENGTH = (Role.TENANT_USER, Role.SERVICE, Role.TENANT_ADMIN, Role.ADMIN)


class ClaimMapping:
    """How the claims of the deployment's issuer are read."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings. A role that isn't one of ours stops the process."""
        self._tenant, self._role = settings.jwt_tenant_claim, settings.jwt_role_claim
        self._groups, self._readers = settings.jwt_groups_claim, settings.jwt_readers_claim
        # A realm may well have a role `admin` of its own: who is the deployment's administrator has to be said.
        self._roles = _roles(settings.jwt_roles) or {role.value: role for role in Role if role is not Role.ADMIN}

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Return whom a token speaks for whose registered claims were checked. Raises a fault of kind UNAUTHENTICATED for one that doesn't say enough."""
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise refused("TOKEN_INVALID", "the token has no claim sub")
        name, role = f"jwt:{subject}", self._role_of(claims)
        if role is Role.ADMIN:
            return Principal(name, role, None, None, credential=name)
        named = claim(claims, self._tenant)
        tenants = tuple(named) if isinstance(named, list | tuple) else (named,) if isinstance(named, str) else ()
        if not tenants or not all(isinstance(tenant, str) and tenant for tenant in tenants):
            raise refused("TOKEN_WITHOUT_TENANT", "the token doesn't name a tenant")
        if len(tenants) > 1 and role is not Role.SERVICE:
            raise refused("TOKEN_WITH_TENANTS", "only a service's token may name several tenants")
        readers = None if role in SEES_ALL else self._readers_of(subject, claims)
        # `iat` is in whole seconds: the last moment that it can mean, so that a token may be as young as its tenant.
        return Principal(name, role, tenants, readers, credential=name, issued_ms=int(claims["iat"]) * 1000 + 999)

    def _role_of(self, claims: Mapping[str, Any]) -> Role:
        """Return the strongest of the roles that are known here; who has none reads."""
        given = claim(claims, self._role)
        if given is None:
            return Role.TENANT_USER
        if isinstance(given, list | tuple):
            # Issuers put roles of their own beside those that are meant for us.
            known = {self._roles[name] for name in given if isinstance(name, str) and name in self._roles}
            return max(known, key=_STRENGTH.index, default=Role.TENANT_USER)
        if isinstance(given, str) and given in self._roles:
            return self._roles[given]
        raise refused("TOKEN_ROLE_UNKNOWN", f"the token's role must be one of {', '.join(self._roles)}")

    def _readers_of(self, subject: str, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names that the caller reads documents as: its own, its groups', and what the issuer says besides."""
        groups = [f"{GROUP}{name.removeprefix('/')}" for name in _strings(claim(claims, self._groups))]
        return tuple(dict.fromkeys((USER + subject, *groups, *_strings(claim(claims, self._readers)))))


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim: the one of that very name, or what the dots lead to; None if there is none.

    Names may have dots themselves (`https://example.com/tenant`), so each of them is tried as the end of a name.
    """
    if path in claims or "." not in path:
        return claims.get(path)
    for place, character in enumerate(path):
        if character == "." and isinstance(inner := claims.get(path[:place]), Mapping):
            found = claim(inner, path[place + 1 :])
            if found is not None:
                return found
    return None


def _roles(pairs: list[str]) -> dict[str, Role]:
    found: dict[str, Role] = {}
    for pair in pairs:
        theirs, separator, ours = pair.rpartition("=")
        if not separator or not theirs or ours not in set(Role):
            message = f"pinakes: PINAKES_JWT_ROLES: {pair!r} isn't THEIRS=OURS with one of {', '.join(Role)}"
            raise SystemExit(message)
        found[theirs] = Role(ours)
    return found


def _strings(given: object) -> list[str]:
    return [name for name in given if isinstance(name, str) and name] if isinstance(given, list | tuple) else []
