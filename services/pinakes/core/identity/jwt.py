# SPDX-License-Identifier: Apache-2.0
"""Verifies bearer JWTs against the keys their issuer publishes, through rotations and outages of the issuer.

The keys are where a setting says, or else where the issuer's own `/.well-known/openid-configuration` does (OIDC discovery).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import aiohttp
import jwt
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.exceptions import InvalidTokenError, PyJWKError

from pinakes.core.faults import unavailable
from pinakes.core.identity.registered import check_registered, decoded, refused
from pinakes.core.settings import Settings
from pinakes.core.telemetry import logs
from pinakes.core.tenancy.directory import ADMINISTRATION_HOLD_SECONDS

REFRESH_SECONDS = 600.0
RETRY_SECONDS = 10.0
FETCH_SECONDS = 5.0
DISCOVERY_SECONDS = 3600.0
DISCOVERY_PATH = "/.well-known/openid-configuration"
LARGEST_TOKEN = 16_384
LARGEST_ANSWER = 1 << 20
# Access tokens say `JWT`, `at+jwt` (RFC 9068) or nothing. Other kinds, such as logout tokens, are signed with the same keys.
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_PUBLIC_TYPES = frozenset({"RSA", "EC", "OKP"})
# The curve of an algorithm, the bytes of both numbers of a signature, and what is signed.
_CURVES = {
    "ES256": (ec.SECP256R1.name, 64, ec.ECDSA(hashes.SHA256())),
    "ES384": (ec.SECP384R1.name, 96, ec.ECDSA(hashes.SHA384())),
    "ES512": (ec.SECP521R1.name, 132, ec.ECDSA(hashes.SHA512())),
}

_log = logs.logger(__name__)


class JwtVerifier:
    """Checks tokens of one issuer."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Take issuer, audience, algorithms and the address of the keys from the settings; `clock` is in seconds."""
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._url = settings.jwt_jwks_url
        self._algorithms = tuple(settings.jwt_algorithms)
        self._leeway = settings.jwt_clock_skew_seconds
        self._hold = settings.identity_hold_seconds
        self._clock = clock
        self._published: list[dict[str, Any]] = []
        self._keys: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._generation = object()
        self._discovered = ""
        self._discovered_at = 0.0
        self._fetched: float | None = None
        self._tried: float | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def verify(self, token: str, *, administration: bool = False) -> Mapping[str, Any]:
        """Return the claims of a token that the issuer signed for this audience and that hasn't expired.

        `administration` asks for a key that the issuer has published within the last minute.

        Raises a fault of kind UNAUTHENTICATED, whose reason says what is wrong and which shows nothing of the token,
        or of kind UNAVAILABLE while the issuer's keys can't be had.
        """
        if not self._issuer:
            raise refused("TOKEN_INVALID", "this platform accepts no JWT; use an API key")
        key_id, algorithm = self._header(token)
        key = await self._key(key_id, algorithm, self._hold_of(administration=administration))
        return self._claims(token, key)

    @property
    def generation(self) -> object:
        """What stands for the issuer's keys as they are known now; another object when they have changed."""
        return self._generation

    def ends_ms(self, claims: Mapping[str, Any]) -> int:
        """Return when a token with these claims stops being accepted, in ms since 1970."""
        return round((float(claims["exp"]) + self._leeway) * 1000)

    def vouches_for(self, generation: object, *, administration: bool) -> bool:
        """Tell whether what was verified by these keys still stands. Renews keys that are a little old, behind the caller.

        For `administration` the issuer must have published them within the last minute.
        """
        if self._fetched is None or generation is not self._generation:
            return False
        age = self._clock() - self._fetched
        if age > REFRESH_SECONDS:
            self._refresh_behind()
        return age <= self._hold_of(administration=administration)

    def _hold_of(self, *, administration: bool) -> float:
        """Return for how many seconds the issuer's keys are good after they were fetched."""
        return min(self._hold, ADMINISTRATION_HOLD_SECONDS) if administration else self._hold

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
            raise refused("TOKEN_INVALID", f"the token is longer than {LARGEST_TOKEN} characters")
        header = _header_of(token.partition(".")[0])
        if header is None or token.count(".") != 2:
            raise refused("TOKEN_INVALID", "the token isn't a JWT")
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if kind is not None and str(kind).lower() not in TYPES:
            raise refused("TOKEN_TYPE", "the token's typ isn't that of an access token: JWT or at+jwt")
        if "crit" in header:
            raise refused("TOKEN_INVALID", "the token's header demands what isn't known here (crit)")
        if algorithm not in self._algorithms:
            raise refused("TOKEN_INVALID", f"the token's algorithm isn't one of {', '.join(self._algorithms)}")
        return key_id if isinstance(key_id, str) else None, algorithm

    async def _key(self, key_id: str | None, algorithm: str, hold: float) -> jwt.PyJWK:
        """Return the key a token names, fetched anew when it is unknown or the known ones are too old."""
        now = self._clock()
        if self._fetched is None or now - self._fetched > hold:
            await self._refreshed()
            if self._fetched is None or self._clock() - self._fetched > hold:
                raise unavailable("the token issuer", RETRY_SECONDS)
        elif now - self._fetched > REFRESH_SECONDS:
            self._refresh_behind()
        key = self._find(key_id, algorithm)
        if key is None:
            await self._refreshed()
            key = self._find(key_id, algorithm)
        if key is None:
            raise refused("TOKEN_INVALID", "the token's key isn't one of the issuer's")
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

    def _fetching(self) -> asyncio.Task[None]:
        """Return what fetches, once for all who want it."""
        if self._refresh is not None and not self._refresh.done():
            return self._refresh
        return asyncio.create_task(self._fetch(), name="jwks-refresh")

    def _refresh_behind(self) -> None:
        """Fetch in the background; meanwhile the known keys serve."""
        self._refresh = self._fetching()

    async def _refreshed(self) -> None:
        """Wait until keys were fetched. Who leaves ends nobody's fetch: anybody may have asked, and others may not for a while."""
        self._refresh = self._fetching()
        await asyncio.shield(self._refresh)

    async def _fetch(self) -> None:
        """Fetch the issuer's keys unless that was tried a moment ago; on failure the known ones stay."""
        if self._tried is not None and self._clock() - self._tried < RETRY_SECONDS:
            return
        self._tried = self._clock()
        try:
            published = await self._download()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            _log.warning("the issuer's keys can't be fetched", error=type(error).__name__, detail=str(error)[:200])
            return
        self._fetched = self._clock()
        if published != self._published:
            self._published, self._keys, self._generation = published, {}, object()

    async def _download(self) -> list[dict[str, Any]]:
        """Return the public signature keys that the issuer publishes; raises ValueError when there are none."""
        try:
            document = await self._read(self._url or await self._discover())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            self._discovered = ""  # the issuer may have moved its keys
            raise
        keys = document.get("keys")
        usable = [
            key
            for key in (keys if isinstance(keys, list) else [])
            if isinstance(key, dict)
            and key.get("kty") in _PUBLIC_TYPES
            and key.get("use", "sig") == "sig"
            and "d" not in key  # its private half, with which anybody can sign
        ]
        if not usable:
            message = "the issuer publishes no signature key"
            raise ValueError(message)
        return usable

    async def _discover(self) -> str:
        """Return where the issuer says that its keys are. Raises ValueError if it doesn't, or is another than expected."""
        if self._discovered and self._clock() - self._discovered_at < DISCOVERY_SECONDS:
            return self._discovered
        document = await self._read(self._issuer.rstrip("/") + DISCOVERY_PATH)
        if document.get("issuer") != self._issuer:
            message = "the issuer says that it is another"
            raise ValueError(message)
        url = document.get("jwks_uri")
        # Keys that came over an open connection could be anybody's.
        if not isinstance(url, str) or not url.startswith(("https://", self._issuer.partition("://")[0] + "://")):
            message = "the issuer doesn't say where its keys are, or they are less safe than itself"
            raise ValueError(message)
        self._discovered, self._discovered_at = url, self._clock()
        return url

    async def _read(self, url: str) -> dict[str, Any]:
        """Return a JSON object of the issuer's."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS))
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                message = f"the issuer answers with status {response.status}"
                raise ValueError(message)
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    message = "the issuer's answer is too long"
                    raise ValueError(message)
        document = orjson.loads(body)
        if not isinstance(document, dict):
            message = "the issuer's answer isn't a JSON object"
            raise ValueError(message)  # noqa: TRY004  # a wrong answer, not a wrong argument
        return document

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, Any]:
        """Check signature and claims."""
        signed, _, last = token.rpartition(".")
        signature, payload = decoded(last), decoded(signed.partition(".")[2])
        claims = None
        if signature is not None and payload is not None and _signed(key, signed, signature):
            with suppress(ValueError):
                claims = orjson.loads(payload)
        if not isinstance(claims, dict):
            raise refused("TOKEN_INVALID", "the token's signature or form is wrong")
        check_registered(claims, self._issuer, self._audience, self._leeway)
        return claims


@lru_cache(maxsize=64)
def _header_of(text: str) -> dict[str, Any] | None:
    """Return what a header's text says; an issuer's tokens have few different ones. Nobody may change it."""
    with suppress(ValueError):
        header = orjson.loads(decoded(text) or b"")
        return header if isinstance(header, dict) else None
    return None


def _signed(key: jwt.PyJWK, signed: str, signature: bytes) -> bool:
    """Tell whether the holder of a key has signed a text, by the algorithm of the key."""
    try:
        if (known := _CURVES.get(key.algorithm_name)) is None:
            return bool(key.Algorithm.verify(signed.encode(), key.key, signature))
        curve, size, scheme = known
        public = key.key
        # PyJWT takes a key of any curve; each algorithm is one of its own (RFC 7518, 3.4).
        of_curve = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == curve
        if of_curve and len(signature) == size:
            public.verify(der_of(signature), signed.encode(), scheme)
            return True
    except (InvalidSignature, InvalidTokenError, ValueError, TypeError):
        pass
    return False


def der_of(signature: bytes) -> bytes:
    """Return a JWT's signature of an elliptic curve, two numbers side by side, in the form that OpenSSL takes (X.690, DER).

    PyJWT's way there, by numbers of Python, is a tenth of what checking a signature costs.
    """
    half = len(signature) // 2
    first, second = (_der_integer(part) for part in (signature[:half], signature[half:]))
    size = len(first) + len(second)
    return (b"\x30\x81%c%b%b" if size > 127 else b"\x30%c%b%b") % (size, first, second)


def _der_integer(digits: bytes) -> bytes:
    digits = digits.lstrip(b"\0")
    if not digits or digits[0] > 127:
        digits = b"\0" + digits
    return b"\x02%c%b" % (len(digits), digits)
