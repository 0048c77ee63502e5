# SPDX-License-Identifier: Apache-2.0
"""What comes back is what was looked for: no figure falls below the committed ones, nor below plain BM25."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.relevance import figures, formats, own
from tests.relevance.figures import Asked
from tests.relevance.measuring import measured

SAMPLES = Path(__file__).parents[1] / "unit" / "relevance" / "samples"


@pytest.fixture(scope="module")
async def found(platform: Any) -> list[Asked]:
    """Ask every judged query, once for all tests of this file."""
    return await measured(platform, own.collections(), print)


def test_no_figure_is_below_the_committed_reference(found: list[Asked]) -> None:
    assert [str(fall) for fall in figures.falls_below_reference(found)] == []


def test_no_kind_of_query_is_answered_worse_than_by_plain_bm25(found: list[Asked]) -> None:
    assert [str(fall) for fall in figures.falls_below_plain(found)] == []


@pytest.mark.parametrize("form", ["trec", "beir"])
async def test_a_collection_that_others_made_is_measured(platform: Any, form: str) -> None:
    judged = formats.read_collection(SAMPLES / form, formats.Files())
    found = await measured(platform, [judged], print)
    assert [one.query.id for one in found] == [query.id for query in judged.queries]
    assert figures.means(found, lambda one: one.ours)["ndcg@10"] > 0
