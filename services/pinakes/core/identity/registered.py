# SPDX-License-Identifier: Apache-2.0
"""What every token must say of itself: the registered claims of RFC 7519, of a token whose signature was verified.

PyJWT checks the same in a general way that costs as much as the signature. A test holds the two together: what passes here
passes there, whatever the claims.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Mapping
from typing import Any

from pinakes.core.faults import Fault, Kind

_REQUIRED = ("exp", "iat", "iss", "aud")
_FROM_URL, _TO_URL = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")


def check_registered(claims: Mapping[str, Any], issuer: str, audience: str, leeway: float) -> None:
    """Refuse claims that aren't of this issuer, for this audience and for now, give or take `leeway` seconds.

    Raises a fault of kind UNAUTHENTICATED that says which claim it is and shows nothing of it.
    """
    for name in _REQUIRED:
        if claims.get(name) is None:
            raise refused("TOKEN_INVALID", f"the token has no claim {name}")
    now = time.time()
    for name in ("iat", "nbf"):
        if name in claims and _seconds(claims, name) > now + leeway:
            raise refused("TOKEN_NOT_YET_VALID", "the token isn't valid yet")
    if _seconds(claims, "exp") <= now - leeway:
        raise refused("TOKEN_EXPIRED", "the token has expired")
    if not (isinstance(claims.get("sub", ""), str) and isinstance(claims.get("jti", ""), str)):
        raise refused("TOKEN_INVALID", "the token's sub or jti isn't text")
    if claims["iss"] != issuer:
        raise refused("TOKEN_ISSUER", "the token is of another issuer")
    given = claims["aud"]
    if isinstance(given, list):
        meant = audience in given and all(isinstance(one, str) for one in given)
    else:
        meant = given == audience
    if not meant:
        raise refused("TOKEN_AUDIENCE", "the token is for another audience")


def decoded(text: str) -> bytes | None:
    """Decode base64url without padding; None for what isn't its one canonical text."""
    try:
        given = text.encode()
        data = binascii.a2b_base64(given.translate(_FROM_URL) + b"==="[: -len(given) % 4])
    except ValueError:  # binascii.Error is one, too
        return None
    return data if binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL) == given else None


def refused(reason: str, message: str) -> Fault:
    """Make the fault of a token that isn't accepted."""
    return Fault(Kind.UNAUTHENTICATED, reason, message)


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    """Return a time in whole seconds since 1970."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused("TOKEN_INVALID", f"the token's {name} isn't a number of seconds")
    return int(value)
