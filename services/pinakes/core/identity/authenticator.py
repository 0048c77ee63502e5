# SPDX-License-Identifier: Apache-2.0
"""From what a call carries to a principal: API keys, scoped tokens, the bootstrap key, JWTs, client certificates (design §7)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault
from pinakes.core.identity import keys, scoped
from pinakes.core.identity.certificates import ServiceAccounts
from pinakes.core.identity.claims import ClaimMapping
from pinakes.core.identity.jwt import JwtVerifier
from pinakes.core.identity.lookups import KeyLookups
from pinakes.core.identity.peppers import Peppers
from pinakes.core.identity.permissions import SEES_ALL, Role
from pinakes.core.identity.principal import Principal
from pinakes.core.identity.registered import refused
from pinakes.core.identity.seen import SeenCredentials, Verified
from pinakes.core.tenancy.models import KeyRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.key_uses import KeyUses

Peer = Callable[[], Sequence[str]]
_BOOTSTRAP = Principal("bootstrap", Role.ADMIN, None, None, credential="key:bootstrap")


class Authenticator:
    """Verifies credentials. Works without Redis, and for known keys without the engine for a while.

    What was verified once isn't verified again as long as nothing has changed that it hangs on.
    """

    def __init__(self, settings: Settings, directory: Directory, uses: KeyUses) -> None:
        """Read the keys from the settings; wrong ones stop the process. `uses` is told of every use of a key."""
        self._directory = directory
        self._lookups = KeyLookups(directory)
        self._uses = uses
        self._peppers = Peppers(settings)
        self._bootstrap: bytes | None = None
        if settings.bootstrap_admin_key:
            self._bootstrap = bootstrap_secret(settings.bootstrap_admin_key.get_secret_value())
        self._jwt = JwtVerifier(settings) if settings.jwt_issuer else None
        self._claims = ClaimMapping(settings)
        self._accounts = ServiceAccounts(settings)
        self._seen = SeenCredentials(directory, self._jwt)

    async def close(self) -> None:
        """Stop following the token issuer's keys."""
        if self._jwt:
            await self._jwt.close()

    async def authenticate(
        self, metadata: Mapping[str, Any], *, administration: bool, peer: Peer | None = None
    ) -> Principal:
        """Return who calls. Raises a fault of kind UNAUTHENTICATED with what is wrong.

        `administration` asks for a credential that was confirmed within the last minute. `peer` tells the names in the client
        certificate of the connection; it is asked when there is no other credential.
        """
        header = metadata.get("authorization", "")
        if not header or not isinstance(header, str):
            if peer is not None and self._accounts.any:
                principal = self._accounts.principal(peer(), metadata)
                if principal is not None:
                    return principal
            raise refused("CREDENTIAL_MISSING", "send an API key or a token: authorization: Bearer pk_…")
        name = self._seen.name(header)
        found = self._seen.get(name, administration=administration)
        if found is None:
            found = await self._verify(header, administration=administration)
            self._seen.remember(name, found)
        if found.key_id:
            self._uses.seen(found.key_id)
        return found.principal

    async def _verify(self, header: str, *, administration: bool) -> Verified:
        """Return what a credential is, as if it had never been seen."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise refused("CREDENTIAL_MALFORMED", "the authorization header must be: Bearer, a space, the key or token")
        if token.startswith(keys.PREFIX):
            return await self._by_key(token, administration=administration)
        if token.startswith(scoped.PREFIX):
            return await self._by_scoped_token(token, administration=administration)
        if self._jwt is None:
            raise refused("CREDENTIAL_MALFORMED", "this isn't an API key (pk_…), and tokens aren't accepted here")
        claims = await self._jwt.verify(token, administration=administration)
        return Verified(
            self._claims.principal(claims), self._jwt.ends_ms(claims), issuer_keys=self._jwt.generation
        )  # fmt: skip

    async def _by_key(self, text: str, *, administration: bool) -> Verified:
        parsed = keys.parse(text)
        if parsed.key_id == keys.BOOTSTRAP:
            if self._bootstrap is None or not hmac.compare_digest(parsed.secret, self._bootstrap):
                raise _unknown_key()
            return Verified(_BOOTSTRAP)
        record = await self._lookups.find(parsed.key_id, administration=administration)
        # The same refusal for an unknown key, a wrong secret and a deleted tenant: none of them tells what exists.
        if record is None:
            raise _unknown_key()
        previous = False
        if not self._peppers.matches(parsed.secret, record.pepper, record.digest):
            kept = record.previous_digest
            previous = bool(kept) and self._peppers.matches(parsed.secret, record.previous_pepper, kept)
            if not previous:
                raise _unknown_key()
        principal = await self._holder(record, _unknown_key, previous=previous, administration=administration)
        if not previous and record.pepper != self._peppers.newest:
            self._uses.rehashed(record, self._peppers.newest, self._peppers.digest(parsed.secret))
        return Verified(principal, record.until_ms(previous=previous), record.key_id, record.version)

    async def _by_scoped_token(self, text: str, *, administration: bool) -> Verified:
        token = scoped.parse(text)
        record = await self._lookups.find(token.key_id, administration=administration)
        if record is None:
            raise _unknown_token()
        previous = False
        if not token.signed_by(record.public_key):
            previous = bool(record.previous_public_key) and token.signed_by(record.previous_public_key)
            if not previous:
                raise _unknown_token()
        holder = await self._holder(record, _unknown_token, previous=previous, administration=administration)
        until = record.until_ms(previous=previous)
        if token.expire_ms <= now_ms():
            raise refused("SCOPED_TOKEN_EXPIRED", "the scoped token has expired")
        if record.expire_ms and token.expire_ms > record.expire_ms:
            raise refused("SCOPED_TOKEN_WIDER", "the scoped token expires after its key; a token can only narrow")
        principal = scoped.narrowed(holder, token)
        return Verified(principal, min(until or token.expire_ms, token.expire_ms), record.key_id, record.version)

    async def _holder(
        self, record: KeyRecord, unknown: Callable[[], Fault], *, previous: bool, administration: bool
    ) -> Principal:
        """Return who holds a key whose secret was proved. Raises a fault if the key opens nothing any more.

        `unknown` makes the one that tells nothing: that the tenant was deleted is said as if there had never been a key.
        """
        if not record.active:
            raise refused("API_KEY_REVOKED", "the API key was revoked")
        if record.expire_ms and record.expire_ms <= now_ms():
            raise refused("API_KEY_EXPIRED", "the API key has expired")
        if previous and record.previous_until_ms <= now_ms():
            raise refused("API_KEY_ROTATED", "the API key has another secret since it was rotated")
        if await self._directory.tenant_of(record, administration=administration) is None:
            raise unknown()
        role = Role(record.role)
        name = f"key:{record.key_id}"
        return Principal(
            name, role, (record.tenant_id,), None if role in SEES_ALL else record.readers, (record.tenant_uid,),
            credential=name, limits=record.own_limits,
        )  # fmt: skip


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


def _unknown_key() -> Fault:
    return refused("API_KEY_UNKNOWN", "the API key isn't known")


def _unknown_token() -> Fault:
    return refused("SCOPED_TOKEN_UNKNOWN", "the scoped token isn't of a key that is known, or was changed")
