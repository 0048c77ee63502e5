# SPDX-License-Identifier: Apache-2.0
"""Which words may be misspelt, how far words are apart, and what a corrected query looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.query.text import Term
from pinakes.search.typos import corrected_text, distance, distance_to_beginning, edits_of, misspelt_word, nearest

WORDS = st.text("abcd", max_size=6)


@pytest.mark.parametrize(
    ("term", "word", "edits"),
    [
        (Term("cat"), "", 0),
        (Term("Cats"), "cats", 1),
        (Term("(Élan,"), "elan", 1),
        (Term("library"), "library", 1),
        (Term("document"), "document", 2),
        (Term("don't"), "don't", 1),
        (Term("read_csvv"), "read_csvv", 2),
        (Term("library", field="title"), "library", 1),
        (Term("library", phrase=True), "", 0),
        (Term("library", excluded=True), "", 0),
        (Term("library", prefix=True), "", 0),
        (Term("python3"), "", 0),
        (Term("asyncio.gather"), "", 0),
        (Term("東京タワー"), "", 0),
        (Term("มหาวิทยาลัย"), "", 0),
        (Term("x" * 65), "", 0),
        (Term("!!!!"), "", 0),
    ],
)
def test_words_long_enough_and_of_letters_alone_may_be_misspelt(term: Term, word: str, edits: int) -> None:
    assert (misspelt_word(term), edits_of(misspelt_word(term))) == (word, edits)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("gahter", "gather", 1), ("recieve", "receive", 1),
     ("xasyncio", "asyncio", 1), ("asynco", "asyncio", 1), ("abcd", "badc", 2), ("kitten", "sitting", 3)],
)  # fmt: skip
def test_two_letters_exchanged_are_one_error(one: str, other: str, apart: int) -> None:
    assert distance(one, other) == distance(other, one) == apart


@given(WORDS, WORDS)
def test_a_distance_is_that_of_lengths_at_least_and_of_the_longer_at_most(one: str, other: str) -> None:
    apart = distance(one, other)
    assert abs(len(one) - len(other)) <= apart <= max(len(one), len(other))
    assert (apart == 0) == (one == other)
    assert distance_to_beginning(one, other) <= apart


def test_a_beginning_is_compared_with_the_nearest_beginning() -> None:
    assert distance_to_beginning("subporc", "subprocess") == 1
    assert distance_to_beginning("asyn", "asynchronous") == 0
    assert distance_to_beginning("asyn", "synopsis") == 1


def test_fewest_errors_come_first_and_then_the_more_frequent() -> None:
    counts = {"gather": 3, "father": 9, "rather": 9, "gahter": 5, "gone": 7, "lather": 0}
    assert nearest("gaher", counts) == ["gahter", "gather"]
    assert nearest("gather", counts) == ["father", "rather", "gahter"]
    assert len(nearest("aaaaaaaa", {"aaaaaaa" + letter: 1 for letter in "bcdefghijklm"})) == 8


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("Asyncoi  gather", "asyncio  gather"),
        ('asyncoi "asyncoi loop" -asyncoi asyncoi* asyncoixyz', 'asyncio "asyncoi loop" -asyncoi asyncoi* asyncoixyz'),
        ("(asyncoi), title:asyncoi", "(asyncio), title:asyncio"),
        ("“asyncoi” asyncoi", "“asyncoi” asyncio"),
        ("well-asyncoi", "well-asyncoi"),
        ("nothing", "nothing"),
    ],
)
def test_only_the_misspelt_words_are_changed(text: str, corrected: str) -> None:
    terms = [Term("asyncoi"), Term("Asyncoi"), Term("nothing")]
    corrections = {"asyncoi": ("asyncio", "async"), "Asyncoi": ("asyncio",)}
    assert corrected_text(text, terms, corrections) == corrected


def test_a_correction_is_put_in_as_it_is() -> None:
    assert corrected_text("back", [Term("back")], {"back": (r"\1\g<0>",)}) == r"\1\g<0>"
