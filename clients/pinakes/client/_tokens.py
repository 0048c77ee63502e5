# SPDX-License-Identifier: Apache-2.0
"""Scoped tokens: made of an API key by whoever holds it, without asking the platform."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal

from pinakes.client._documents import Time, timestamp

_KEY = re.compile(r"pk_([a-z0-9]{16})_([A-Za-z0-9_-]{43})")
_COLLECTION = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SIGNED = b"pinakes scoped token 1\n"
_LEAST_RATE = 0.001
_ROLES = {"user": "tenant-user", "service": "service"}


def scoped_token(
    key: str,
    *,
    expire: float | timedelta | Time,
    collections: Iterable[str] | None = None,
    filter: str = "",  # what it is in requests
    readers: Iterable[str] | None = None,
    role: Literal["user", "service"] = "user",
    rate: float | None = None,
) -> str:
    """Make a token of an API key that may do a part of what the key may; it is sent in the key's place.

    Nothing is sent to the platform. The token dies with the key, and with the secret that it was made with.

        token = scoped_token("pk_…", expire=timedelta(hours=1), collections=["news"], filter='tags = "public"')
        async with AsyncClient("localhost:7300", key=token) as client: ...

    Args:
        key: a key of a tenant (`pk_…`), not the deployment's first administrator's.
        expire: when it ends: in so many seconds or after a timedelta from now, or at a time; no later than the key.
        collections: ids of the collections that it reaches; None for all.
        filter: an AIP-160 filter that all it reads must match. With one it can't write.
        readers: whom it reads documents as, such as `user:ann`; of a key that has readers, some of them. None: as the
            key's, and of a key that sees everything, documents without readers only.
        role: `user` reads; `service` writes too, and sees documents whoever their readers are. No token keeps keys.
        rate: requests a second at most, 0.001 or more, besides the limits of the key and of the tenant.

    Raises:
        ValueError: for a key or a narrowing that can't be meant.
        ImportError: without the package `cryptography` (`pip install cryptography`).
    """
    found = _KEY.fullmatch(key)
    if found is None:
        message = "key isn't an API key of a tenant, pk_<id>_<secret>"
        raise ValueError(message)
    claims: dict[str, Any] = {"v": 1, "iat": int(time.time()), "exp": _expiry(expire)}
    if role not in _ROLES:
        message = f"role is user or service, not {role!r}"
        raise ValueError(message)
    claims["role"] = _ROLES[role]
    if collections is not None:
        claims["collections"] = _collections(collections)
    if filter.strip():
        claims["filter"] = filter
    if readers is not None:
        if role == "service":
            message = "readers are for the role user: a service sees every document"
            raise ValueError(message)
        claims["readers"] = list(readers)
    if rate is not None:
        if not rate >= _LEAST_RATE:
            message = f"rate must be {_LEAST_RATE:g} or more"
            raise ValueError(message)
        claims["rate"] = rate
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    text = f"pt_{found[1]}.{_encode(payload)}"
    return f"{text}.{_encode(_sign(found[2], _SIGNED + text.encode()))}"


def _sign(secret: str, message: bytes) -> bytes:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:  # the light install has nothing that signs
        text = "scoped tokens need the package cryptography: pip install cryptography"
        raise ImportError(text) from error
    seed = base64.urlsafe_b64decode(secret + "=")
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def _expiry(expire: float | timedelta | Time) -> int:
    """Return a time in whole seconds since 1970, rounded down: a token must not outlive what was asked for."""
    now = time.time()
    if isinstance(expire, timedelta):
        expire = expire.total_seconds()
    end = int(now + expire) if isinstance(expire, int | float) else timestamp(expire).ToMilliseconds() // 1000
    if end <= now:
        message = "expire is in the past"
        raise ValueError(message)
    return end


def _collections(given: Iterable[str]) -> list[str]:
    if isinstance(given, str):
        message = "collections is a list of ids"
        raise ValueError(message)  # noqa: TRY004  # as everything else that can't be meant
    ids = list(given)
    if not ids or not all(_COLLECTION.fullmatch(one) for one in ids):
        message = "collections must be ids, one at least"
        raise ValueError(message)
    return ids


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
