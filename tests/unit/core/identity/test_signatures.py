# SPDX-License-Identifier: Apache-2.0
"""Signatures of JWTs, in the form that they have there and in the one that OpenSSL takes."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.identity.jwt import _signed, der_of
from pinakes.core.identity.registered import decoded

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
FOREIGN = {**CURVES, "ES256K": ec.SECP256K1()}


@given(st.data(), st.sampled_from([32, 48, 66]))
def test_two_numbers_become_what_the_library_makes_of_them(data: st.DataObject, size: int) -> None:
    number = st.one_of(st.integers(0, (1 << 8 * size) - 1), st.integers(0, 300))
    first, second = data.draw(number), data.draw(number)
    raw = first.to_bytes(size, "big") + second.to_bytes(size, "big")
    assert der_of(raw) == encode_dss_signature(first, second)


@pytest.mark.parametrize("algorithm", CURVES)
def test_a_signature_is_its_key_s_over_just_that_text(algorithm: str) -> None:
    mine, other = (ec.generate_private_key(CURVES[algorithm]) for _ in range(2))
    keys = [
        jwt.PyJWK(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(one.public_key())), algorithm) for one in (mine, other)
    ]
    for number in range(20):
        signed, _, last = jwt.encode({"number": number}, mine, algorithm=algorithm).rpartition(".")
        signature = decoded(last) or b""
        assert _signed(keys[0], signed, signature)
        assert not _signed(keys[1], signed, signature)
        assert not _signed(keys[0], signed + "A", signature)
        half = len(signature) // 2
        longer = signature[:half] + b"\0" + signature[half:]
        for wrong in (b"", signature[:-1], signature + b"\0", longer, signature[::-1], bytes(2 * half), signature[2:]):
            assert not _signed(keys[0], signed, wrong)


def test_a_key_that_is_published_with_its_private_half_is_nobody_s_alone_any_more() -> None:
    mine = ec.generate_private_key(CURVES["ES256"])
    signed, _, last = jwt.encode({}, mine, algorithm="ES256").rpartition(".")
    whole = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine))
    assert "d" in whole
    assert not _signed(jwt.PyJWK(whole, "ES256"), signed, decoded(last) or b"")


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("ES256", "ES384"), ("ES256", "ES256K"), ("ES384", "ES256"), ("ES512", "ES256")]
)
def test_a_key_of_another_curve_is_no_key_of_an_algorithm(algorithm: str, curve: str) -> None:
    mine = ec.generate_private_key(FOREIGN[curve])
    key = jwt.PyJWK(json.loads(jwt.algorithms.ECAlgorithm.to_jwk(mine.public_key())), algorithm)
    text = "head.payload"
    signature = jwt.algorithms.get_default_algorithms()[algorithm].sign(text.encode(), mine)
    assert not _signed(key, text, signature)
    assert _signed(
        jwt.PyJWK(key._jwk_data, curve), text, jwt.algorithms.get_default_algorithms()[curve].sign(text.encode(), mine)
    )
