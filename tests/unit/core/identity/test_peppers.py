# SPDX-License-Identifier: Apache-2.0
"""Peppers: the first hashes, all verify, and one that was taken away verifies nothing."""

from __future__ import annotations

from pydantic import SecretStr

from pinakes.core.identity.peppers import SECRET_KEY, Peppers, pepper_id
from pinakes.core.settings import Settings

OLD, NEW, SECRET = "o" * 32, "n" * 32, b"s" * 32


def peppers(*given: str) -> Peppers:
    """Return the peppers of a deployment."""
    return Peppers(Settings(secret_key=SecretStr("k" * 32), key_peppers=SecretStr(" , ".join(given))))


def test_without_peppers_the_secret_key_hashes() -> None:
    made = peppers()
    assert made.newest == SECRET_KEY
    assert made.matches(SECRET, SECRET_KEY, made.digest(SECRET))


def test_a_hash_of_an_older_pepper_verifies_until_that_is_taken_away() -> None:
    first, both, last = peppers(OLD), peppers(NEW, OLD), peppers(NEW)
    kept = first.digest(SECRET)
    assert (first.newest, both.newest) == (pepper_id(OLD.encode()), pepper_id(NEW.encode()))
    assert both.matches(SECRET, first.newest, kept)
    assert not both.matches(b"x" * 32, first.newest, kept)
    assert not both.matches(SECRET, both.newest, kept)
    assert not last.matches(SECRET, first.newest, kept)
    assert both.digest(SECRET) == last.digest(SECRET) != kept


def test_keys_from_before_there_were_peppers_go_on_working() -> None:
    assert peppers(NEW).matches(SECRET, SECRET_KEY, peppers().digest(SECRET))


def test_the_secret_key_may_go_on_hashing_while_servers_learn_the_pepper_that_follows_it() -> None:
    both = peppers("k" * 32, NEW)
    assert both.newest == SECRET_KEY
    assert peppers().matches(SECRET, both.newest, both.digest(SECRET))
    assert both.matches(SECRET, peppers(NEW).newest, peppers(NEW).digest(SECRET))


def test_the_id_of_a_pepper_says_nothing_of_it() -> None:
    assert len(pepper_id(OLD.encode())) == 8
    assert OLD[:4] not in pepper_id(OLD.encode())
