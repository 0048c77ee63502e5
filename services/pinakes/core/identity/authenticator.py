# SPDX-License-Identifier: Apache-2.0
"""From the `authorization` metadata to a principal: API keys, the bootstrap key and JWTs (design §7)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity import keys
from pinakes.core.identity.jwt import JwtVerifier
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.directory import Directory

_SEES_ALL = {Role.ADMIN, Role.TENANT_ADMIN, Role.SERVICE}


class Authenticator:
    """Verifies credentials. Works without Redis, and for known keys without the engine for a while."""

    def __init__(self, settings: Settings, directory: Directory) -> None:
        """Read the keys from the settings; wrong ones stop the process."""
        self._directory = directory
        self._server_key = settings.secret_key.get_secret_value().encode()
        self._bootstrap: bytes | None = None
        if settings.bootstrap_admin_key:
            self._bootstrap = bootstrap_secret(settings.bootstrap_admin_key.get_secret_value())
        self._jwt = JwtVerifier(settings) if settings.jwt_issuer else None
        self._tenant_claim, self._role_claim = settings.jwt_tenant_claim, settings.jwt_role_claim

    async def close(self) -> None:
        """Stop following the token issuer's keys."""
        if self._jwt:
            await self._jwt.close()

    async def authenticate(self, metadata: Mapping[str, Any], *, administration: bool) -> Principal:
        """Return who calls. Raises a fault of kind UNAUTHENTICATED with what is wrong.

        `administration` asks for a credential that was confirmed within the last minute.
        """
        header = metadata.get("authorization", "")
        scheme, _, token = header.partition(" ") if isinstance(header, str) else ("", "", "")
        token = token.strip()
        if not header:
            raise _refused("CREDENTIAL_MISSING", "send an API key or a token: authorization: Bearer pk_…")
        if scheme.lower() != "bearer" or not token:
            raise _refused(
                "CREDENTIAL_MALFORMED", "the authorization header must be: Bearer, a space, the key or token"
            )
        if token.startswith(keys.PREFIX):
            return await self._by_key(token, administration=administration)
        if self._jwt is None:
            raise _refused("CREDENTIAL_MALFORMED", "this isn't an API key (pk_…), and tokens aren't accepted here")
        return self._by_claims(await self._jwt.verify(token))

    async def _by_key(self, text: str, *, administration: bool) -> Principal:
        parsed = keys.parse(text)
        if parsed.key_id == keys.BOOTSTRAP:
            if self._bootstrap is None or not hmac.compare_digest(parsed.secret, self._bootstrap):
                raise _refused("API_KEY_UNKNOWN", "the API key isn't known")
            return Principal("bootstrap", Role.ADMIN, None, None, credential="key:bootstrap")
        record = await self._directory.key(parsed.key_id, administration=administration)
        # The same refusal for an unknown key, a wrong secret and a deleted tenant: none of them tells what exists.
        if record is None or not keys.matches(parsed.secret, self._server_key, record.digest):
            raise _refused("API_KEY_UNKNOWN", "the API key isn't known")
        if not record.active:
            raise _refused("API_KEY_REVOKED", "the API key was revoked")
        if record.expire_ms and record.expire_ms <= now_ms():
            raise _refused("API_KEY_EXPIRED", "the API key has expired")
        if await self._directory.tenant_of(record, administration=administration) is None:
            raise _refused("API_KEY_UNKNOWN", "the API key isn't known")
        role = Role(record.role)
        readers = None if role in _SEES_ALL else record.readers
        name, limits = f"key:{record.key_id}", record.limits
        return Principal(name, role, (record.tenant_id,), readers, record.tenant_uid, credential=name, limits=limits)

    def _by_claims(self, claims: Mapping[str, Any]) -> Principal:
        subject = str(claims.get("sub", ""))
        role = _role(claims.get(self._role_claim, Role.TENANT_USER))
        if role is Role.ADMIN:
            return Principal(f"jwt:{subject}", role, None, None, credential=f"jwt:{subject}")
        named = claims.get(self._tenant_claim)
        tenants = tuple(named) if isinstance(named, list | tuple) else (named,) if isinstance(named, str) else ()
        if not tenants or not all(isinstance(name, str) and name for name in tenants):
            raise _refused("TOKEN_WITHOUT_TENANT", "the token doesn't name a tenant")
        if len(tenants) > 1 and role is not Role.SERVICE:
            raise _refused("TOKEN_WITH_TENANTS", "only a service's token may name several tenants")
        given = claims.get("readers", [])
        readers = tuple(str(name) for name in given) if isinstance(given, list) else ()
        seen = None if role in _SEES_ALL else readers
        return Principal(f"jwt:{subject}", role, tenants, seen, credential=f"jwt:{subject}")


def bootstrap_secret(text: str) -> bytes:
    """Return the secret of the bootstrap key, or stop the process with the name of the variable."""
    try:
        parsed = keys.parse(text)
    except Fault as fault:
        message = f"pinakes: PINAKES_BOOTSTRAP_ADMIN_KEY: {fault.message}"
        raise SystemExit(message) from None
    if parsed.key_id != keys.BOOTSTRAP:
        message = "pinakes: PINAKES_BOOTSTRAP_ADMIN_KEY: must begin with pk_bootstrap_"
        raise SystemExit(message)
    return parsed.secret


def _role(claim: object) -> Role:
    try:
        return Role(str(claim))
    except ValueError:
        raise _refused("TOKEN_ROLE_UNKNOWN", f"the token's role must be one of {', '.join(Role)}") from None


def _refused(reason: str, message: str) -> Fault:
    return Fault(Kind.UNAUTHENTICATED, reason, message)
