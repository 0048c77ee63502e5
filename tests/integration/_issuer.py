# SPDX-License-Identifier: Apache-2.0
"""An issuer of JWTs: keys, a real endpoint that publishes them, tokens, and what tokens come to."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from pinakes.core.faults import Fault
from pinakes.core.identity.jwt import JwtVerifier
from pinakes.core.settings import Settings

AUDIENCE = "pinakes"
ISSUER = "https://issuer.example"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_TO_JWK: dict[str, Callable[..., Any]] = {
    "RS256": jwt.algorithms.RSAAlgorithm.to_jwk,
    "ES256": jwt.algorithms.ECAlgorithm.to_jwk,
    "EdDSA": jwt.algorithms.OKPAlgorithm.to_jwk,
}


def new_key(algorithm: str) -> PrivateKey:
    """Make a key that fits an algorithm."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


@dataclass(slots=True)
class Issuer:
    """An identity provider: keys, an endpoint that publishes them, and tokens."""

    keys: dict[str, tuple[str, PrivateKey]] = field(default_factory=dict)
    fetches: int = 0
    discoveries: int = 0
    broken: bool = False
    url: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    more: list[Any] = field(default_factory=list)
    """What is published before the keys."""
    wrong: Callable[[web.Request], Awaitable[web.Response]] | None = None
    """Answers in place of the keys."""

    def rotate(self, key_id: str, algorithm: str = "ES256") -> None:
        """Publish one new key in place of all others."""
        self.keys = {key_id: (algorithm, new_key(algorithm))}

    def add(self, key_id: str, algorithm: str = "ES256") -> None:
        """Publish one more key."""
        self.keys[key_id] = (algorithm, new_key(algorithm))

    def token(self, key_id: str, changes: dict[str, Any] | None = None, **header: Any) -> str:
        """Sign claims that are right but for the changes; None takes a claim away."""
        algorithm, key = self.keys[key_id]
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300, "iat": now, "sub": "someone", "tenant_id": "acme"}
        claims = {name: value for name, value in {**claims, **(changes or {})}.items() if value is not None}
        named = {name: value for name, value in {"kid": key_id, **header}.items() if name != "kid" or value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers=named)

    async def discover(self, _request: web.Request) -> web.Response:
        """Say where the keys are."""
        self.discoveries += 1
        return web.json_response({"issuer": self.base, "jwks_uri": self.url, **self.said})

    @property
    def base(self) -> str:
        """The address that discovery begins with."""
        return self.url.rpartition("/")[0] + "/realms/acme"

    async def answer(self, request: web.Request) -> web.Response:
        """Publish the keys."""
        self.fetches += 1
        if self.broken:
            return web.Response(status=503)
        if self.wrong is not None:
            return await self.wrong(request)
        return web.json_response({"keys": self.published})

    @property
    def published(self) -> list[Any]:
        """What the endpoint publishes."""
        published = [*self.more]
        for key_id, (algorithm, key) in self.keys.items():
            jwk = _TO_JWK[algorithm](key.public_key(), as_dict=True)
            published.append({**jwk, "kid": key_id, "use": "sig", "alg": algorithm})
        return published


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Give an issuer that listens on a free port."""
    made = Issuer()
    made.rotate("k1")
    application = web.Application()
    application.router.add_get("/jwks", made.answer)
    application.router.add_get("/moved", made.answer)
    application.router.add_get("/realms/acme/.well-known/openid-configuration", made.discover)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield made
    await runner.cleanup()


@pytest.fixture
def clock() -> Clock:
    """Give a clock that only the test turns."""
    return Clock()


@pytest.fixture
async def verifier(issuer: Issuer, clock: Clock) -> AsyncIterator[JwtVerifier]:
    """Give a verifier of that issuer's tokens."""
    made = JwtVerifier(
        Settings(
            secret_key=SecretStr("s" * 32),
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
            jwt_jwks_url=issuer.url,
            identity_hold_seconds=3600,
        ),
        clock,
    )
    yield made
    await made.close()


@pytest.fixture
async def discovering(issuer: Issuer, clock: Clock) -> AsyncIterator[JwtVerifier]:
    """Give a verifier that knows nothing but the issuer's address."""
    settings = Settings(secret_key=SecretStr("s" * 32), jwt_issuer=issuer.base, jwt_audience=AUDIENCE)
    made = JwtVerifier(settings, clock)
    yield made
    await made.close()


def encode(data: bytes) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def refusal(verifier: JwtVerifier, token: str) -> Fault:
    """Return the fault that a token causes, which must show nothing of the token."""
    with pytest.raises(Fault) as caught:
        await verifier.verify(token)
    fault = caught.value
    for part in token.split("."):
        assert len(part) < 8 or part not in fault.message
    return fault
