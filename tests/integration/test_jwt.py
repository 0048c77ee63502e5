# SPDX-License-Identifier: Apache-2.0
"""JWTs checked against a real JWKS endpoint: claims, algorithms, rotation and outages of the issuer."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from pinakes.core.faults import Fault, Kind
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

    def rotate(self, key_id: str, algorithm: str = "ES256") -> None:
        """Publish one new key in place of all others."""
        self.keys = {key_id: (algorithm, new_key(algorithm))}

    def token(self, key_id: str, changes: dict[str, Any] | None = None, **header: Any) -> str:
        """Sign claims that are right but for the changes; None takes a claim away."""
        algorithm, key = self.keys[key_id]
        claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 300, "sub": "someone", "tenant_id": "acme"}
        claims = {name: value for name, value in {**claims, **(changes or {})}.items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id, **header})

    async def discover(self, _request: web.Request) -> web.Response:
        """Say where the keys are."""
        self.discoveries += 1
        return web.json_response({"issuer": self.base, "jwks_uri": self.url, **self.said})

    @property
    def base(self) -> str:
        """The address that discovery begins with."""
        return self.url.rpartition("/")[0] + "/realms/acme"

    async def answer(self, _request: web.Request) -> web.Response:
        """Publish the keys."""
        self.fetches += 1
        if self.broken:
            return web.Response(status=503)
        published = []
        for key_id, (algorithm, key) in self.keys.items():
            jwk = _TO_JWK[algorithm](key.public_key(), as_dict=True)
            published.append({**jwk, "kid": key_id, "use": "sig", "alg": algorithm})
        return web.json_response({"keys": published})


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


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_good_token_gives_its_claims(verifier: JwtVerifier, issuer: Issuer, algorithm: str) -> None:
    issuer.rotate("k1", algorithm)
    claims = await verifier.verify(issuer.token("k1"))
    assert claims["tenant_id"] == "acme"
    await verifier.verify(issuer.token("k1"))
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1}, "TOKEN_EXPIRED"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"aud": None}, "TOKEN_INVALID"),
        ({"iss": None}, "TOKEN_INVALID"),
        ({"aud": "another"}, "TOKEN_AUDIENCE"),
        ({"iss": "https://another.example"}, "TOKEN_ISSUER"),
        ({"nbf": 1 << 40}, "TOKEN_NOT_YET_VALID"),
    ],
)
async def test_a_wrong_claim_is_refused_by_name(
    verifier: JwtVerifier, issuer: Issuer, changes: dict[str, Any], reason: str
) -> None:
    fault = await refusal(verifier, issuer.token("k1", changes))
    assert (fault.kind, fault.reason) == (Kind.UNAUTHENTICATED, reason)


async def test_half_a_minute_of_clock_difference_is_forgiven(verifier: JwtVerifier, issuer: Issuer) -> None:
    await verifier.verify(issuer.token("k1", {"exp": int(time.time()) - 20}))
    assert (await refusal(verifier, issuer.token("k1", {"exp": int(time.time()) - 40}))).reason == "TOKEN_EXPIRED"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "e" * 20_000, "ä.ö.ü"])
async def test_what_is_no_token_is_refused_without_a_fetch(verifier: JwtVerifier, issuer: Issuer, token: str) -> None:
    assert (await refusal(verifier, token)).reason == "TOKEN_INVALID"
    assert issuer.fetches == 0


async def test_a_good_token_that_is_very_long_is_refused_before_it_is_read(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    issuer.rotate("k1")
    await verifier.verify(issuer.token("k1", {"more": "x" * 11_000}))
    fault = await refusal(verifier, issuer.token("k1", {"more": "x" * 13_000}))
    assert fault.reason == "TOKEN_INVALID"
    assert "longer than" in fault.message


async def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    public = issuer.keys["k1"][1].public_key()
    shared = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _, payload, _ = issuer.token("k1").split(".")
    head = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode())
    signature = encode(hmac.digest(shared, f"{head}.{payload}".encode(), "sha256"))
    assert (await refusal(verifier, f"{head}.{payload}.{signature}")).reason == "TOKEN_INVALID"


async def test_an_allowed_algorithm_of_another_key_type_is_refused(verifier: JwtVerifier, issuer: Issuer) -> None:
    head, payload, signature = issuer.token("k1").split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))) | {"alg": "RS256"}
    forged = encode(json.dumps(header).encode())
    assert (await refusal(verifier, f"{forged}.{payload}.{signature}")).reason == "TOKEN_INVALID"


async def test_changed_claims_break_the_signature(verifier: JwtVerifier, issuer: Issuer) -> None:
    head, _, signature = issuer.token("k1").split(".")
    _, payload, _ = issuer.token("k1", {"tenant_id": "another"}).split(".")
    assert (await refusal(verifier, f"{head}.{payload}.{signature}")).reason == "TOKEN_INVALID"


async def test_another_key_under_a_known_id_is_refused(verifier: JwtVerifier, issuer: Issuer) -> None:
    await verifier.verify(issuer.token("k1"))
    stranger = Issuer()
    stranger.rotate("k1")
    assert (await refusal(verifier, stranger.token("k1"))).reason == "TOKEN_INVALID"


async def test_a_rotated_key_is_fetched_at_once_and_the_old_one_ends(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    old = issuer.token("k1")
    await verifier.verify(old)
    issuer.rotate("k2", "RS256")
    clock.now += 11
    assert (await verifier.verify(issuer.token("k2")))["sub"] == "someone"
    assert issuer.fetches == 2
    assert (await refusal(verifier, old)).reason == "TOKEN_INVALID"


async def test_unknown_keys_cause_one_fetch_in_ten_seconds(verifier: JwtVerifier, issuer: Issuer, clock: Clock) -> None:
    await verifier.verify(issuer.token("k1"))
    clock.now += 11
    for number in range(20):
        await refusal(verifier, issuer.token("k1", kid=f"unknown-{number}"))
    assert issuer.fetches == 2


async def test_keys_are_refreshed_every_ten_minutes_in_the_background(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    await verifier.verify(issuer.token("k1"))
    clock.now += 601
    await verifier.verify(issuer.token("k1"))
    assert verifier._refresh is not None  # the only way to wait for it
    await verifier._refresh
    assert issuer.fetches == 2


async def test_known_keys_hold_for_an_hour_without_the_issuer_and_then_no_token_passes(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    await verifier.verify(issuer.token("k1"))
    issuer.broken = True
    clock.now += 3500
    await verifier.verify(issuer.token("k1"))
    clock.now += 200
    with pytest.raises(Fault) as caught:
        await verifier.verify(issuer.token("k1"))
    assert caught.value.kind is Kind.UNAVAILABLE
    issuer.broken = False
    clock.now += 11
    await verifier.verify(issuer.token("k1"))


async def test_an_issuer_that_was_never_reached_is_unavailable(verifier: JwtVerifier, issuer: Issuer) -> None:
    issuer.broken = True
    for _ in range(3):
        with pytest.raises(Fault) as caught:
            await verifier.verify(issuer.token("k1"))
        assert caught.value.kind is Kind.UNAVAILABLE
        assert caught.value.retry_after
    assert issuer.fetches == 1


async def test_without_an_issuer_every_token_is_refused(issuer: Issuer) -> None:
    verifier = JwtVerifier(Settings(secret_key=SecretStr("s" * 32)))
    assert (await refusal(verifier, issuer.token("k1"))).reason == "TOKEN_INVALID"
    await verifier.close()


@pytest.fixture
async def discovering(issuer: Issuer, clock: Clock) -> AsyncIterator[JwtVerifier]:
    """Give a verifier that knows nothing but the issuer's address."""
    settings = Settings(secret_key=SecretStr("s" * 32), jwt_issuer=issuer.base, jwt_audience=AUDIENCE)
    made = JwtVerifier(settings, clock)
    yield made
    await made.close()


async def test_the_issuer_s_address_is_enough(discovering: JwtVerifier, issuer: Issuer, clock: Clock) -> None:
    token = issuer.token("k1", {"iss": issuer.base})
    for _ in range(3):
        assert (await discovering.verify(token))["sub"] == "someone"
    assert (issuer.discoveries, issuer.fetches) == (1, 1)
    # Keys that are fetched again are where they were; where that is, is asked again after an hour.
    clock.now += 11
    await refusal(discovering, issuer.token("k1", {"iss": issuer.base}, kid="unknown"))
    assert (issuer.discoveries, issuer.fetches) == (1, 2)


async def test_keys_that_have_moved_are_looked_for_again(
    discovering: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token("k1", {"iss": issuer.base})
    await discovering.verify(token)
    issuer.said = {"jwks_uri": issuer.url.replace("/jwks", "/moved")}
    issuer.broken, clock.now = True, clock.now + 11
    await refusal(discovering, issuer.token("k1", {"iss": issuer.base}, kid="k2"))
    issuer.broken, clock.now = False, clock.now + 11
    issuer.rotate("k2")
    await discovering.verify(issuer.token("k2", {"iss": issuer.base}))
    assert issuer.discoveries == 2


@pytest.mark.parametrize(
    "said", [{"issuer": "https://another.example"}, {"jwks_uri": None}, {"jwks_uri": "file:///keys"}]
)
async def test_an_issuer_that_says_it_is_another_is_not_believed(
    discovering: JwtVerifier, issuer: Issuer, said: dict[str, Any]
) -> None:
    issuer.said = said
    with pytest.raises(Fault) as caught:
        await discovering.verify(issuer.token("k1", {"iss": issuer.base}))
    assert caught.value.kind is Kind.UNAVAILABLE
    assert issuer.fetches == 0


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_access_tokens_are_known_by_their_type(verifier: JwtVerifier, issuer: Issuer, kind: str) -> None:
    await verifier.verify(issuer.token("k1", typ=kind))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "", "J W T"])
async def test_tokens_of_another_type_are_refused(verifier: JwtVerifier, issuer: Issuer, kind: str) -> None:
    algorithm, key = issuer.keys["k1"]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 300, "sub": "someone"}
    head = encode(json.dumps({"alg": algorithm, "kid": "k1", "typ": kind}).encode())
    body = f"{head}.{encode(json.dumps(claims).encode())}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(body.encode(), key)
    assert (await refusal(verifier, f"{body}.{encode(signature)}")).reason == "TOKEN_TYPE"


async def test_a_token_without_a_type_passes_and_one_that_demands_more_does_not(
    verifier: JwtVerifier, issuer: Issuer
) -> None:
    await verifier.verify(issuer.token("k1", typ=None))
    assert (await refusal(verifier, issuer.token("k1", crit=["exp"], exp=1))).reason == "TOKEN_INVALID"


async def test_the_clock_difference_that_is_forgiven_is_a_setting(issuer: Issuer, clock: Clock) -> None:
    verifier = JwtVerifier(
        Settings(
            secret_key=SecretStr("s" * 32), jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url=issuer.url,
            jwt_clock_skew_seconds=0,
        ), clock,
    )  # fmt: skip
    assert (await refusal(verifier, issuer.token("k1", {"exp": int(time.time()) - 2}))).reason == "TOKEN_EXPIRED"
    assert (await refusal(verifier, issuer.token("k1", {"nbf": int(time.time()) + 5}))).reason == "TOKEN_NOT_YET_VALID"
    await verifier.close()


async def test_what_was_verified_by_keys_stands_until_they_change(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    await verifier.verify(issuer.token("k1"))
    before = verifier.generation
    clock.now += 11
    await refusal(verifier, issuer.token("k1", kid="unknown"))
    assert issuer.fetches == 2
    assert verifier.vouches_for(before)
    issuer.rotate("k2")
    clock.now += 11
    await verifier.verify(issuer.token("k2"))
    assert not verifier.vouches_for(before)
    assert verifier.vouches_for(verifier.generation)
    issuer.broken = True
    clock.now += 3601
    assert not verifier.vouches_for(verifier.generation)
