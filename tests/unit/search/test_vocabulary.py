# SPDX-License-Identifier: Apache-2.0
"""How rare a word counts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.search.vocabulary import LEAST_IDF, idf_of


@pytest.mark.parametrize(("count", "total"), [(1, 10), (3, 1000), (500, 100_000), (0, 0), (0, 1)])
def test_it_is_that_of_bm25_to_two_digits(count: int, total: int) -> None:
    exact = math.log(1 + (total - count + 0.5) / (count + 0.5))
    assert idf_of(count, total) == pytest.approx(exact, rel=0.051)
    assert idf_of(count, total) == float(f"{idf_of(count, total):.2g}")


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_rarer_words_never_count_less_and_every_word_counts(one: int, other: int, total: int) -> None:
    # Counts and size are of two moments, so that a count may be over the size.
    rare, common = sorted((one, other))
    assert idf_of(rare, total) >= idf_of(common, total) >= LEAST_IDF


def test_a_few_documents_more_change_nothing() -> None:
    assert idf_of(100, 10_000) == idf_of(101, 10_010)
