# SPDX-License-Identifier: Apache-2.0
"""The keys of an issuer: where they are, how often they are fetched, and what is made of wrong answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity import jwt
from pinakes.core.identity.jwt import LARGEST_ANSWER, JwtVerifier
from pinakes.core.settings import Settings
from tests.integration._issuer import _TO_JWK, AUDIENCE, Clock, Issuer, clock, discovering, issuer, refusal, verifier

__all__ = ["clock", "discovering", "issuer", "verifier"]


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
        clock.now += 0.4
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
    clock.now += 601
    await verifier.verify(issuer.token("k1"))
    await verifier._refresh
    assert issuer.fetches == 3


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


async def test_for_administration_keys_hold_for_a_minute_without_the_issuer(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token("k1")
    await verifier.verify(token, administration=True)
    clock.now += 59
    await verifier.verify(token, administration=True)
    assert verifier.vouches_for(verifier.generation, administration=True)
    assert issuer.fetches == 1
    issuer.broken = True
    clock.now += 2
    assert not verifier.vouches_for(verifier.generation, administration=True)
    with pytest.raises(Fault) as caught:
        await verifier.verify(token, administration=True)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert verifier.vouches_for(verifier.generation, administration=False)
    await verifier.verify(token)
    issuer.broken = False
    clock.now += 11
    await verifier.verify(token, administration=True)
    assert verifier.vouches_for(verifier.generation, administration=True)


async def test_for_administration_a_key_that_the_issuer_took_back_ends_within_a_minute(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    old = issuer.token("k1")
    await verifier.verify(old)
    issuer.rotate("k2")
    clock.now += 61
    with pytest.raises(Fault) as caught:
        await verifier.verify(old, administration=True)
    assert caught.value.reason == "TOKEN_INVALID"


async def test_an_issuer_that_was_never_reached_is_unavailable(verifier: JwtVerifier, issuer: Issuer) -> None:
    issuer.broken = True
    for _ in range(3):
        with pytest.raises(Fault) as caught:
            await verifier.verify(issuer.token("k1"))
        assert caught.value.kind is Kind.UNAVAILABLE
        assert caught.value.retry_after
    assert issuer.fetches == 1


async def test_the_issuer_s_address_is_enough(discovering: JwtVerifier, issuer: Issuer, clock: Clock) -> None:
    token = issuer.token("k1", {"iss": issuer.base})
    for _ in range(3):
        assert (await discovering.verify(token))["sub"] == "someone"
    assert (issuer.discoveries, issuer.fetches) == (1, 1)
    # Keys that are fetched again are where they were; where that is, is asked again after an hour.
    clock.now += 11
    await refusal(discovering, issuer.token("k1", {"iss": issuer.base}, kid="unknown"))
    assert (issuer.discoveries, issuer.fetches) == (1, 2)
    clock.now += 3601
    await refusal(discovering, issuer.token("k1", {"iss": issuer.base}, kid="unknown"))
    assert (issuer.discoveries, issuer.fetches) == (2, 3)


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


async def test_what_was_verified_by_keys_stands_until_they_change(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    assert not verifier.vouches_for(verifier.generation, administration=False), "nothing is known yet"
    await verifier.verify(issuer.token("k1"))
    before = verifier.generation
    clock.now += 11
    await refusal(verifier, issuer.token("k1", kid="unknown"))
    assert issuer.fetches == 2
    assert verifier.vouches_for(before, administration=False)
    issuer.rotate("k2")
    clock.now += 11
    await verifier.verify(issuer.token("k2"))
    assert not verifier.vouches_for(before, administration=False)
    assert verifier.vouches_for(verifier.generation, administration=False)
    issuer.broken = True
    clock.now += 3601
    assert not verifier.vouches_for(verifier.generation, administration=False)


async def test_who_waits_for_a_slow_fetch_does_not_fetch_again(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    async def slowly(_: web.Request) -> web.Response:
        clock.now += 20  # longer than the pause between two tries
        return web.json_response({"keys": issuer.published})

    issuer.wrong = slowly
    await asyncio.gather(*(verifier.verify(issuer.token("k1")) for _ in range(8)))
    assert issuer.fetches == 1


@pytest.mark.parametrize("known", [False, True])
async def test_who_leaves_while_keys_are_fetched_keeps_nobody_from_them(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock, known: bool
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_: web.Request) -> web.Response:
        asked.set()
        await go_on.wait()
        return web.json_response({"keys": issuer.published})

    if known:
        await verifier.verify(issuer.token("k1"))
        clock.now += 11
        issuer.rotate("k2")
    name, fetches = next(iter(issuer.keys)), issuer.fetches
    issuer.wrong = slowly
    leaving = asyncio.create_task(verifier.verify(issuer.token(name, kid="made up")))
    await asyncio.wait_for(asked.wait(), 5)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.create_task(verifier.verify(issuer.token(name)))
    await asyncio.sleep(0.01)
    assert not staying.done()
    go_on.set()
    assert (await staying)["sub"] == "someone"
    assert (await refusal(verifier, issuer.token(name, kid="made up"))).reason == "TOKEN_INVALID"
    assert issuer.fetches == fetches + 1


async def test_a_token_that_names_no_key_means_the_only_one(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock
) -> None:
    token = issuer.token("k1", kid=None)
    await verifier.verify(token)
    issuer.add("k2")
    clock.now += 11
    await verifier.verify(issuer.token("k2"))
    assert (await refusal(verifier, token)).reason == "TOKEN_INVALID"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_key_that_is_published_with_its_private_half_is_none(
    verifier: JwtVerifier, issuer: Issuer, algorithm: str
) -> None:
    issuer.rotate("k1")
    issuer.add("k2", algorithm)
    token = issuer.token("k2")
    whole = {**_TO_JWK[algorithm](issuer.keys.pop("k2")[1], as_dict=True), "kid": "k2", "use": "sig", "alg": algorithm}
    assert "d" in whole
    issuer.more = [whole]
    assert (await refusal(verifier, token)).reason == "TOKEN_INVALID"
    await verifier.verify(issuer.token("k1"))


@pytest.mark.parametrize(
    "more",
    [
        "text",
        None,
        {"kty": "oct", "kid": "k1", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "k1", "use": "enc"},
        {"kid": "k1"},
    ],
)
async def test_what_is_published_beside_the_signature_keys_is_left_alone(
    verifier: JwtVerifier, issuer: Issuer, more: object
) -> None:
    issuer.more = [more]
    await verifier.verify(issuer.token("k1"))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"text": "not JSON"}, id="garbage"),
        pytest.param({"text": "[]"}, id="a list"),
        pytest.param({"text": "{}"}, id="no keys"),
        pytest.param({"text": '{"keys": {}}'}, id="keys that are no list"),
        pytest.param({"text": '{"keys": []}'}, id="an empty list"),
        pytest.param({"text": '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}, id="no public key"),
        pytest.param({"status": 500}, id="an error"),
        pytest.param({"status": 302, "headers": {"location": "/moved"}}, id="a redirection"),
        pytest.param({"padding": LARGEST_ANSWER}, id="too much"),
    ],
)
async def test_a_wrong_answer_changes_nothing_and_is_logged(
    verifier: JwtVerifier, issuer: Issuer, clock: Clock, wrong: dict[str, Any]
) -> None:
    async def answer(request: web.Request) -> web.Response:
        right = web.json_response({"keys": issuer.published, "padding": " " * wrong.get("padding", 0)})
        if request.path == "/moved":
            return right
        text = wrong.get("text", right.text)
        return web.Response(status=wrong.get("status", 200), text=text, headers=wrong.get("headers"))

    old = issuer.token("k1")
    await verifier.verify(old)
    issuer.rotate("k2")
    issuer.wrong = answer
    clock.now += 11
    with capture_logs() as said:
        assert (await refusal(verifier, issuer.token("k2"))).reason == "TOKEN_INVALID"
    assert issuer.fetches == 2
    assert [(one["error"] in {"ValueError", "JSONDecodeError"}, bool(one["detail"])) for one in said] == [(True, True)]
    await verifier.verify(old)


async def test_an_issuer_that_does_not_answer_is_not_waited_for_long(
    verifier: JwtVerifier, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.json_response({"keys": issuer.published})

    monkeypatch.setattr(jwt, "FETCH_SECONDS", 0.2)
    issuer.wrong = never
    with pytest.raises(Fault) as caught:
        await verifier.verify(issuer.token("k1"))
    assert caught.value.kind is Kind.UNAVAILABLE


async def test_keys_of_a_safe_issuer_come_over_a_safe_connection(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An issuer with a certificate, but for the connection: what it says is what counts here.
    settings = Settings(secret_key=SecretStr("s" * 32), jwt_issuer="https://issuer.example", jwt_audience=AUDIENCE)
    made = JwtVerifier(settings)

    async def said(url: str) -> dict[str, Any]:
        assert url == f"https://issuer.example{jwt.DISCOVERY_PATH}", "keys over an open connection were asked for"
        return {"issuer": "https://issuer.example", "jwks_uri": issuer.url}

    monkeypatch.setattr(made, "_read", said)
    with pytest.raises(Fault) as caught:
        await made.verify(issuer.token("k1", {"iss": "https://issuer.example"}))
    assert caught.value.kind is Kind.UNAVAILABLE
    await made.close()
