# SPDX-License-Identifier: Apache-2.0
"""The words that are kept of documents."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.query.words import KEY, LONGEST, MOST, folded, title_key, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Cat's pyjamas", ["the", "cat's", "pyjamas"]),
        ("Café CAFÉ cafe\u0301", ["cafe"]),
        ("Straße", ["strasse"]),
        ("Don\u2019t", ["don't"]),
        ("ﬁne Ⅷ", ["fine", "viii"]),
        ("Ёлка", ["елка"]),
        ("हिन्दी", ["हिन्दी"]),
        ("a\0b", ["a", "b"]),
        ("…!?", []),
    ],
)
def test_words_are_lower_cased_and_without_accents(text: str, words: list[str]) -> None:
    assert words_of(text, []) == [unicodedata.normalize("NFC", word) for word in words]


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("  The  Élan\tvital ", "the elan vital"),
        ("東京タワー", "東京タワー"),
        ("x" * 300, "x" * KEY),
        ("e\u0301" * KEY, "e" * KEY),
        (" ", ""),
    ],
)
def test_titles_are_ordered_folded_and_by_their_first_characters(title: str, key: str) -> None:
    assert title_key(title) == key


def test_title_comes_first_and_words_are_distinct() -> None:
    assert words_of("b a", ["a c", "C"]) == ["b", "a", "c"]


def test_words_have_a_most_and_a_longest() -> None:
    assert len(words_of(" ".join(f"w{n}" for n in range(MOST + 1)), [])) == MOST
    assert words_of("x" * LONGEST + " " + "y" * (LONGEST + 1), []) == ["x" * LONGEST]


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_words_are_the_same_whatever_the_case_and_composition(text: str) -> None:
    assert words_of(unicodedata.normalize("NFD", text), []) == words_of(unicodedata.normalize("NFC", text), [])
    assert all(word and not any(c.isspace() for c in word) for word in words_of(text, []))


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_ascii_has_the_same_words_by_the_quick_way(text: str) -> None:
    assert folded(text) == text.casefold()
    assert set(words_of(text, [])) <= {word for part in words_of(text + " é", []) for word in (part, part.strip("'"))}
