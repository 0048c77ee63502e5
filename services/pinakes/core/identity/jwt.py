# SPDX-License-Identifier: Apache-2.0
"""Verifies bearer JWTs against the keys their issuer publishes, through rotations and outages of the issuer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import jwt
import orjson
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidTokenError,
    MissingRequiredClaimError,
    PyJWKError,
)

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.settings import Settings
from pinakes.core.telemetry import logs

LEEWAY_SECONDS = 30
REFRESH_SECONDS = 600.0
RETRY_SECONDS = 10.0
FETCH_SECONDS = 5.0
LARGEST_TOKEN = 16_384
LARGEST_JWKS = 1 << 20
_PUBLIC_TYPES = frozenset({"RSA", "EC", "OKP"})

_log = logs.logger(__name__)


class JwtVerifier:
    """Checks tokens of one issuer."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Take issuer, audience, algorithms and the address of the keys from the settings; `clock` is in seconds."""
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._url = settings.jwt_jwks_url
        self._algorithms = tuple(settings.jwt_algorithms)
        self._hold = settings.identity_hold_seconds
        self._clock = clock
        self._published: list[dict[str, Any]] = []
        self._keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._lock = asyncio.Lock()
        self._refresh: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token that the issuer signed for this audience and that hasn't expired.

        Raises a fault of kind UNAUTHENTICATED, whose reason says what is wrong and which shows nothing of the token,
        or of kind UNAVAILABLE while the issuer's keys can't be had.
        """
        if not self._issuer:
            raise _refused("TOKEN_INVALID", "this platform accepts no JWT; use an API key")
        key_id, algorithm = self._header(token)
        key = await self._key(key_id, algorithm)
        return self._claims(token, key)

    async def close(self) -> None:
        """Stop refreshing and close the connection to the issuer."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _header(self, token: str) -> tuple[str | None, str]:
        """Return the key's id and the algorithm that a token names, both still unverified."""
        if len(token) > LARGEST_TOKEN:
            raise _refused("TOKEN_INVALID", f"the token is longer than {LARGEST_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (InvalidTokenError, ValueError):
            raise _refused("TOKEN_INVALID", "the token isn't a JWT") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._algorithms:
            raise _refused("TOKEN_INVALID", f"the token's algorithm isn't one of {', '.join(self._algorithms)}")
        return key_id if isinstance(key_id, str) else None, algorithm

    async def _key(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the key a token names, fetched anew when it is unknown or the known ones are too old."""
        now = self._clock()
        if self._fetched is None or now - self._fetched > self._hold:
            await self._fetch()
            if self._fetched is None or self._clock() - self._fetched > self._hold:
                raise unavailable("the token issuer", RETRY_SECONDS)
        elif now - self._fetched > REFRESH_SECONDS:
            self._refresh_behind()
        key = self._find(key_id, algorithm)
        if key is None:
            await self._fetch()
            key = self._find(key_id, algorithm)
        if key is None:
            raise _refused("TOKEN_INVALID", "the token's key isn't one of the issuer's")
        return key

    def _find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """Look a key up; a token that names none can only mean the only one there is."""
        if key := self._keys.get((key_id, algorithm)):
            return key
        fitting = [
            jwk
            for jwk in self._published
            if (key_id is None or jwk.get("kid") == key_id) and jwk.get("alg", algorithm) == algorithm
        ]
        if len(fitting) != 1:
            return None
        try:
            key = jwt.PyJWK(fitting[0], algorithm)
        except (PyJWKError, InvalidTokenError, ValueError, TypeError):
            return None  # a key of another type than the token's algorithm
        self._keys[(key_id, algorithm)] = key
        return key

    def _refresh_behind(self) -> None:
        """Fetch in the background; meanwhile the known keys serve."""
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._fetch(), name="jwks-refresh")

    async def _fetch(self) -> None:
        """Fetch the issuer's keys unless that was tried a moment ago; on failure the known ones stay."""
        asked = self._clock()
        async with self._lock:
            if self._tried is not None and (self._tried >= asked or self._clock() - self._tried < RETRY_SECONDS):
                return
            self._tried = self._clock()
            try:
                published = await self._download()
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                _log.warning("the issuer's keys can't be fetched", error=type(error).__name__)
                return
            self._published, self._keys, self._fetched = published, {}, self._clock()

    async def _download(self) -> list[dict[str, Any]]:
        """Return the public signature keys that the issuer publishes; raises ValueError when there are none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS))
        async with self._session.get(self._url, allow_redirects=False) as response:
            response.raise_for_status()
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > LARGEST_JWKS:
                    message = "the issuer's list of keys is too long"
                    raise ValueError(message)
        document = orjson.loads(body)
        keys = document.get("keys") if isinstance(document, dict) else None
        usable = [
            key
            for key in (keys if isinstance(keys, list) else [])
            if isinstance(key, dict) and key.get("kty") in _PUBLIC_TYPES and key.get("use", "sig") == "sig"
        ]
        if not usable:
            message = "the issuer publishes no signature key"
            raise ValueError(message)
        return usable

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        """Check signature and claims."""
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except ExpiredSignatureError:
            raise _refused("TOKEN_EXPIRED", "the token has expired") from None
        except ImmatureSignatureError:
            raise _refused("TOKEN_NOT_YET_VALID", "the token isn't valid yet") from None
        except InvalidIssuerError:
            raise _refused("TOKEN_ISSUER", "the token is of another issuer") from None
        except InvalidAudienceError:
            raise _refused("TOKEN_AUDIENCE", "the token is for another audience") from None
        except MissingRequiredClaimError as error:
            raise _refused("TOKEN_INVALID", f"the token has no claim {error.claim}") from None
        except (InvalidTokenError, ValueError, TypeError):
            raise _refused("TOKEN_INVALID", "the token's signature or form is wrong") from None


def _refused(reason: str, message: str) -> Fault:
    """Make the fault of a token that isn't accepted."""
    return Fault(Kind.UNAUTHENTICATED, reason, message)
