# SPDX-License-Identifier: Apache-2.0
"""Figures are those of trec_eval, and what falls is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.relevance import figures
from tests.relevance.judged import Judged, Query

QUERIES = [
    Query("q1", "one", {"a": 3, "b": 1}, "typo", "tune"),
    Query("q2", "two", {"c": 1}, "typo"),
    Query("q3", "three", {"d": 1}, "topical"),
]
JUDGED = Judged("small", ("en",), list, QUERIES)
FOUND = figures.asked(JUDGED, {"q1": ["b", "a"], "q2": ["x", "c"], "q3": []}, {"q1": ["a"], "q2": [], "q3": []}, 2000)


def test_figures_are_of_the_order_of_the_results() -> None:
    first, second, third = FOUND
    assert first.ours == pytest.approx({"ndcg@10": 0.7967, "mrr": 1.0, "recall@100": 1.0}, abs=1e-4)
    assert first.plain == pytest.approx({"ndcg@10": 0.8262, "mrr": 1.0, "recall@100": 0.5}, abs=1e-4)
    assert second.ours == pytest.approx({"ndcg@10": 0.6309, "mrr": 0.5, "recall@100": 1.0}, abs=1e-4)
    assert set(third.ours.values()) == {0.0}


def test_means_are_over_all_queries_of_a_kind() -> None:
    groups = figures.by_kind(FOUND)
    assert list(groups) == ["topical", "typo", "overall"]
    assert figures.means(groups["typo"], lambda one: one.ours)["mrr"] == 0.75
    assert figures.means(groups["overall"], lambda one: one.ours)["mrr"] == 0.5


def test_a_figure_below_plain_bm25_is_told() -> None:
    assert figures.falls_below_plain(FOUND) == []
    worse = figures.asked(JUDGED, {"q1": ["b", "a"]}, {"q1": ["a", "b"], "q2": ["c"]}, 2000)
    assert {(fall.of, fall.measure) for fall in figures.falls_below_plain(worse)} == {
        (of, measure) for of in ("typo", "overall") for measure in figures.MEASURES
    }


def test_recall_of_small_collections_isnt_compared() -> None:
    short = figures.asked(JUDGED, {"q1": ["a"], "q2": ["c"]}, {"q1": ["a", "b"], "q2": ["c"]}, 100)
    assert {fall.measure for fall in figures.falls_below_plain(short)} == {"ndcg@10"}


def test_a_figure_below_the_reference_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    figures.update_reference(FOUND, path)
    assert figures.falls_below_reference(FOUND, path) == []
    worse = figures.asked(JUDGED, {"q1": ["b", "a"], "q2": ["x", "y", "c"]}, {}, 2000)
    assert [str(fall) for fall in figures.falls_below_reference(worse, path)] == [
        "small/typo: ndcg@10 is 0.6484, lower than the reference (0.7138)",
        "small/typo: mrr is 0.6667, lower than the reference (0.7500)",
    ]


def test_a_kind_that_is_not_asked_any_more_or_has_no_reference_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    figures.update_reference(FOUND, path)
    less = [one for one in FOUND if one.query.kind != "typo"]
    assert {(fall.of, fall.value) for fall in figures.falls_below_reference(less, path)} == {("small/typo", 0.0)}
    figures.update_reference(less, path)
    falls = figures.falls_below_reference(FOUND, path)
    assert {fall.of for fall in falls} == {"small/typo"}
    assert all(fall.than == "what a kind without a reference must reach" for fall in falls)
