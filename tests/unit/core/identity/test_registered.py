# SPDX-License-Identifier: Apache-2.0
"""A token's registered claims against PyJWT's own checks: what passes here passes there, and usual claims pass both."""

from __future__ import annotations

import time
from typing import Any

import jwt
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault
from pinakes.core.identity.registered import check_registered, decoded

ISSUER, AUDIENCE, LEEWAY = "https://issuer.example", "pinakes", 30.0
KEY = "k" * 32
GOOD: dict[str, Any] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann"}

# Both judge one after the other: no time may change its side within the second.
_times = st.sampled_from([-(10**6), -31, -28, -1, 0, 1, 29, 32, 10**6]).map(lambda off: int(time.time()) + off)
_odd = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.lists(st.text(max_size=3), max_size=2), st.just({}))
_texts = st.sampled_from([ISSUER, ISSUER + "/", AUDIENCE, "other", ""])
_claims = st.fixed_dictionaries({}, optional={
    "exp": _times | _times.map(float) | _odd, "nbf": _times | _odd, "iat": _times | _times.map(float) | _odd,
    "iss": _texts | _odd, "aud": _texts | st.lists(_texts, max_size=3) | _odd, "sub": _texts | _odd, "jti": _texts | _odd,
})  # fmt: skip


def ours(claims: dict[str, Any]) -> bool:
    try:
        check_registered(claims, ISSUER, AUDIENCE, LEEWAY)
    except Fault:
        return False
    return True


def theirs(claims: dict[str, Any]) -> bool:
    # What is checked is what a token brings: PyJWT reads its own encoding, as it would read the issuer's.
    token = jwt.PyJWS().encode(orjson.dumps(claims), KEY, algorithm="HS256")
    try:
        jwt.decode(
            token, KEY, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud"]},
        )  # fmt: skip
    except jwt.InvalidTokenError:
        return False
    return True


@pytest.mark.parametrize("name", ["exp", "iat", "iss", "aud"])
def test_what_a_token_must_have_is_said_by_its_name(name: str) -> None:
    now = int(time.time())
    whole = GOOD | {"exp": now + 60, "iat": now - 1}
    check_registered(whole, ISSUER, AUDIENCE, LEEWAY)
    for claims in ({key: value for key, value in whole.items() if key != name}, whole | {name: None}):
        with pytest.raises(Fault, match=f"has no claim {name}") as caught:
            check_registered(claims, ISSUER, AUDIENCE, LEEWAY)
        assert caught.value.reason == "TOKEN_INVALID"


@given(_claims)
def test_what_passes_here_passes_in_pyjwt(claims: dict[str, Any]) -> None:
    if ours(claims):
        assert theirs(claims), claims


@given(st.fixed_dictionaries({
    "exp": _times, "iss": _texts, "aud": _texts | st.lists(_texts, min_size=1, max_size=3),
}, optional={"nbf": _times, "iat": _times, "sub": _texts}))  # fmt: skip
def test_claims_of_the_usual_types_are_judged_the_same(claims: dict[str, Any]) -> None:
    assert ours(claims) == theirs(claims), claims


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exp": None}, "TOKEN_INVALID"), ({"iat": None}, "TOKEN_INVALID"), ({"iat": "1e9"}, "TOKEN_INVALID"),
         ({"exp": "1e9"}, "TOKEN_INVALID"), ({"exp": True}, "TOKEN_INVALID"),
        ({"exp": 1}, "TOKEN_EXPIRED"), ({"nbf": 9e9}, "TOKEN_NOT_YET_VALID"), ({"iat": 9e9}, "TOKEN_NOT_YET_VALID"),
        ({"iss": "https://issuer.example/"}, "TOKEN_ISSUER"), ({"iss": [ISSUER]}, "TOKEN_ISSUER"),
        ({"aud": "pinakes2"}, "TOKEN_AUDIENCE"), ({"aud": []}, "TOKEN_AUDIENCE"), ({"aud": {AUDIENCE: 1}}, "TOKEN_AUDIENCE"),
        ({"aud": [AUDIENCE, 1]}, "TOKEN_AUDIENCE"), ({"sub": 7}, "TOKEN_INVALID"), ({"jti": 7}, "TOKEN_INVALID"),
    ],
)  # fmt: skip
def test_each_wrong_claim_has_its_reason(change: dict[str, Any], reason: str) -> None:
    claims = GOOD | {"exp": time.time() + 60, "nbf": time.time() - 60, "iat": time.time() - 60}
    check_registered(claims, ISSUER, AUDIENCE, LEEWAY)
    with pytest.raises(Fault) as caught:
        check_registered(claims | change, ISSUER, AUDIENCE, LEEWAY)
    assert caught.value.reason == reason


@given(st.binary(max_size=40))
def test_only_the_canonical_text_is_decoded(data: bytes) -> None:
    text = jwt.utils.base64url_encode(data).decode()
    assert decoded(text) == data
    for wrong in (f"{text}=", f"{text}\n", f" {text}", f"{text[:-1]}*", text + "é"):
        assert decoded(wrong) != data
