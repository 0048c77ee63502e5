# SPDX-License-Identifier: Apache-2.0
"""JWTs of a real issuer: claims, algorithms, types and forms."""

from __future__ import annotations

import base64
import hmac
import json
import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.exceptions import InvalidTokenError
from pydantic import SecretStr

from pinakes.core.faults import Kind
from pinakes.core.identity.jwt import JwtVerifier, _signed
from pinakes.core.settings import Settings
from tests.integration._issuer import AUDIENCE, ISSUER, Clock, Issuer, clock, encode, issuer, refusal, verifier

__all__ = ["clock", "issuer", "verifier"]


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
        ({"iat": None}, "TOKEN_INVALID"),
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


@pytest.mark.parametrize("parts", [2, 4])
async def test_too_few_or_too_many_parts_are_refused_without_a_fetch(
    verifier: JwtVerifier, issuer: Issuer, parts: int
) -> None:
    token = ".".join([*issuer.token("k1").split("."), "more"][:parts])
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


@pytest.mark.parametrize("error", [ValueError, TypeError, InvalidTokenError])
def test_a_signature_that_an_algorithm_stumbles_over_is_nobody_s(error: type[Exception]) -> None:
    class Stumbling:
        @staticmethod
        def verify(*_: object) -> bool:
            raise error

    key: Any = SimpleNamespace(Algorithm=Stumbling, algorithm_name="RS256", key=None)
    assert not _signed(key, "head.payload", b"signature")


async def test_changed_claims_break_the_signature(verifier: JwtVerifier, issuer: Issuer) -> None:
    head, _, signature = issuer.token("k1").split(".")
    _, payload, _ = issuer.token("k1", {"tenant_id": "another"}).split(".")
    assert (await refusal(verifier, f"{head}.{payload}.{signature}")).reason == "TOKEN_INVALID"


async def test_another_key_under_a_known_id_is_refused(verifier: JwtVerifier, issuer: Issuer) -> None:
    await verifier.verify(issuer.token("k1"))
    stranger = Issuer()
    stranger.rotate("k1")
    assert (await refusal(verifier, stranger.token("k1"))).reason == "TOKEN_INVALID"


async def test_without_an_issuer_every_token_is_refused(issuer: Issuer) -> None:
    verifier = JwtVerifier(Settings(secret_key=SecretStr("s" * 32)))
    assert (await refusal(verifier, issuer.token("k1"))).reason == "TOKEN_INVALID"
    await verifier.close()


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
