# SPDX-License-Identifier: Apache-2.0
"""Scoped tokens: `pt_<key id>.<claims>.<signature>`, made of an API key by whoever holds it, without asking the platform.

The claims are JSON in base64url, the signature is Ed25519 with the key's secret as its seed, over `SIGNED` and all that
stands before it. There is one algorithm and no header, so there is nothing to be confused about (decision 0014).
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.identity.registered import decoded

PREFIX = "pt_"
SIGNED = b"pinakes scoped token 1\n"
FORMAT = 1
LARGEST = 8192
MOST_COLLECTIONS = MOST_READERS = 100
LONGEST_FILTER = 2000
LEAST_RATE, LARGEST_RATE = 0.001, 1e9
_CLAIMS = frozenset({"v", "exp", "iat", "role", "collections", "filter", "readers", "rate"})
_KEY_ID = re.compile(r"[a-z0-9]{16}")
_READER = re.compile(r".{1,128}", re.DOTALL)
_COLLECTION = re.compile(r"[a-z][a-z0-9-]{0,62}")
# A token reads unless it says otherwise. None keeps keys: a key that it made would be wider than itself, and outlive it.
_RANKS = {Role.TENANT_USER: 0, Role.SERVICE: 1, Role.TENANT_ADMIN: 2}
_ROLES = (Role.TENANT_USER, Role.SERVICE)


class ScopedToken(NamedTuple):
    """A token as a caller presented it: nothing of it counts before its signature was verified.

    `expire_s` is in seconds since 1970. None and empty values don't narrow.
    """

    key_id: str
    signed: bytes
    signature: bytes
    claims: dict[str, Any]

    @property
    def expire_ms(self) -> int:
        """When it stops working, in ms since 1970."""
        return int(self.claims["exp"]) * 1000

    def signed_by(self, public_key: str) -> bool:
        """Tell whether the secret whose public half this is has signed it."""
        try:
            _public(public_key).verify(self.signed, self.signature)
        except (BadSignatureError, ValueError):
            return False
        return True


def parse(text: str) -> ScopedToken:
    """Take a token apart. Raises a fault of kind UNAUTHENTICATED that says what is wrong and shows nothing of it."""
    if len(text) > LARGEST:
        raise malformed(f"is longer than {LARGEST} characters")
    parts = text.removeprefix(PREFIX).split(".")
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[0]):
        raise malformed("isn't pt_<key id>.<claims>.<signature>")
    payload, signature = decoded(parts[1]), decoded(parts[2])
    if payload is None or signature is None or len(signature) != 64:
        raise malformed("isn't base64url")
    try:
        claims = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise malformed("has claims that aren't JSON") from None
    signed = SIGNED + text[: text.rindex(".")].encode()
    return ScopedToken(parts[0], signed, signature, _checked(claims))


def narrowed(key: Principal, token: ScopedToken) -> Principal:
    """Return the holder of a key as a verified token of it narrows it.

    Raises a fault of kind UNAUTHENTICATED for a token that says more than its key may.
    """
    claims = token.claims
    role = Role(claims.get("role", Role.TENANT_USER))
    if _RANKS[role] > _RANKS[key.role]:
        raise _wider(f"has the role {role}, and its key {key.role}")
    given = claims.get("readers")
    if role is not Role.TENANT_USER:
        if given is not None:
            raise malformed(f"has readers and the role {role}, which sees every document")
        readers = key.readers
    elif key.readers is None:
        readers = tuple(given or ())
    else:
        if given is not None and not set(given) <= set(key.readers):
            raise _wider("has readers that its key doesn't have")
        readers = key.readers if given is None else tuple(given)
    collections = claims.get("collections")
    return Principal(
        key.subject, role, key.tenants, readers, key.tenant_uids, key.credential,
        token=base64.urlsafe_b64encode(token.signature[:12]).decode(), rate=float(claims.get("rate", 0.0)),
        collections=None if collections is None else tuple(collections), filter=claims.get("filter", ""),
        maker=key.role, limits=key.limits,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _public(text: str) -> VerifyKey:
    # libsodium's: twice as fast as OpenSSL's, and stricter.
    return VerifyKey(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _checked(claims: object) -> dict[str, Any]:
    """Refuse claims that this version doesn't know: what narrows must never be passed over."""
    if not isinstance(claims, dict) or claims.get("v") != FORMAT:
        raise malformed(f"isn't of format {FORMAT}, the only one known here")
    if unknown := sorted(claims.keys() - _CLAIMS):
        raise malformed(f"has a claim that isn't known here: {unknown[0][:40]!r}")
    if not _is_whole(claims.get("exp")):
        raise malformed("has no expiry: exp must be a time in whole seconds since 1970")
    if "iat" in claims and not _is_whole(claims["iat"]):
        raise malformed("has an iat that isn't a time in whole seconds since 1970")
    if claims.get("role", Role.TENANT_USER) not in _ROLES:
        raise malformed(f"has a role that isn't one of {', '.join(_ROLES)}")
    collections = claims.get("collections")
    if collections is not None and not _names(collections, MOST_COLLECTIONS, _COLLECTION):
        raise malformed(f"has collections that aren't 1 to {MOST_COLLECTIONS} ids")
    readers = claims.get("readers")
    if readers is not None and not (readers == [] or _names(readers, MOST_READERS, _READER)):
        raise malformed(f"has readers that aren't at most {MOST_READERS} names of up to 128 characters")
    condition = claims.get("filter", "")
    if (
        not isinstance(condition, str)
        or len(condition) > LONGEST_FILTER
        or ("filter" in claims and not condition.strip())
    ):
        raise malformed(f"has a filter that isn't text of 1 to {LONGEST_FILTER} characters")
    rate = claims.get("rate", 1)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not LEAST_RATE <= rate <= LARGEST_RATE:
        raise malformed(f"has a rate that isn't a number of {LEAST_RATE:g} to {LARGEST_RATE:g} requests a second")
    return claims


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40


def _names(value: object, most: int, form: re.Pattern[str]) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        return False
    return all(isinstance(name, str) and form.fullmatch(name) for name in value)


def malformed(what: str) -> Fault:
    """Make the fault of a text that can't be a scoped token."""
    return Fault(Kind.UNAUTHENTICATED, "SCOPED_TOKEN_MALFORMED", f"the scoped token {what}")


def _wider(what: str) -> Fault:
    return Fault(Kind.UNAUTHENTICATED, "SCOPED_TOKEN_WIDER", f"the scoped token {what}; a token can only narrow")
