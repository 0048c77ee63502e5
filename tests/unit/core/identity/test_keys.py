# SPDX-License-Identifier: Apache-2.0
"""API keys: form, hashes and what an error shows."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity import keys

SERVER_KEY = b"s" * 32


def test_a_new_key_parses_to_its_own_parts() -> None:
    new = keys.generate()
    parsed = keys.parse(new.text)
    assert (parsed.key_id, parsed.secret) == (new.key_id, new.secret)
    assert len(new.text) == len("pk_") + 16 + 1 + 43


def test_a_thousand_keys_differ_and_parse_even_with_underscores_in_the_secret() -> None:
    made = [keys.generate() for _ in range(1000)]
    assert len({new.key_id for new in made}) == 1000
    assert any("_" in new.text[20:] for new in made)
    assert all(keys.parse(new.text).secret == new.secret for new in made)


def test_the_bootstrap_key_has_its_own_id() -> None:
    secret = base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"=").decode()
    assert keys.parse(f"pk_bootstrap_{secret}").key_id == "bootstrap"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "pk_"),
        ("sk_abcdefgh23456789_" + "A" * 43, "pk_"),
        ("pk_abcdefgh23456789", "no secret"),
        ("pk_ABCDEFGH23456789_" + "A" * 43, "id"),
        ("pk_short_" + "A" * 43, "id"),
        ("pk_abcdefgh23456789_" + "A" * 42, "42 characters"),
        ("pk_abcdefgh23456789_" + "A" * 42 + "!", "outside"),
        ("pk_abcdefgh23456789_" + "A" * 42 + "B", "canonical"),
        ("pk_abcdefgh23456789_" + "A" * 43 + "\n", "44 characters"),
        ("pk_abcdefgh23456789_" + "ä" * 43, "outside"),
    ],
)
def test_a_malformed_key_is_refused_with_what_is_wrong_and_nothing_of_it(text: str, says: str) -> None:
    with pytest.raises(Fault) as caught:
        keys.parse(text)
    assert (caught.value.kind, caught.value.reason) == (Kind.UNAUTHENTICATED, "API_KEY_MALFORMED")
    assert says in caught.value.message
    assert "AAAA" not in caught.value.message


def test_a_secret_is_in_no_representation() -> None:
    new = keys.generate()
    shown = repr(new) + repr(keys.parse(new.text))
    assert new.text not in shown
    assert new.text.split("_", 2)[2] not in shown
    assert repr(new.secret) not in shown


def test_only_the_same_secret_under_the_same_server_key_matches() -> None:
    new, other = keys.generate(), keys.generate()
    kept = keys.digest(new.secret, SERVER_KEY)
    assert keys.matches(new.secret, SERVER_KEY, kept)
    assert not keys.matches(other.secret, SERVER_KEY, kept)
    assert not keys.matches(new.secret, b"t" * 32, kept)
    assert not keys.matches(new.secret, SERVER_KEY, "")


def test_the_public_half_verifies_what_the_secret_signs() -> None:
    secret = keys.generate().secret
    public = base64.urlsafe_b64decode(keys.public_half(secret) + "=")
    signature = Ed25519PrivateKey.from_private_bytes(secret).sign(b"claims")
    Ed25519PublicKey.from_public_bytes(public).verify(signature, b"claims")
