# SPDX-License-Identifier: Apache-2.0
"""What scores are multiplied by, and how what can't be is told."""

from __future__ import annotations

from typing import Any

import pytest

from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.ranking import has_functions, ranked
from pinakes.core.settings import Limits
from tests.unit.core.query._options import options, record

QUERY: dict[str, Any] = {"term": {"id": "x"}}
NOW = 1_700_000_000_000


def multiplied(query: dict[str, Any] | None = QUERY, path: str = "ranking", **ranking: Any) -> dict[str, Any] | None:
    found = ranked(query, options(ranking=ranking), record().schema(), Limits(), now_ms=NOW, path=path)
    if found is not None:
        allowlist.check(found)
    return found


def refused(**ranking: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        multiplied(**ranking)
    return caught.value


def test_without_functions_nothing_is_multiplied() -> None:
    assert multiplied(title=2) is QUERY
    assert multiplied(None) is None
    assert not has_functions(options())


def test_without_a_query_every_document_is_ranked_by_the_functions() -> None:
    found = multiplied(None, boosts=[{"filter": "kind = a", "weight": 2}])
    assert found is not None
    assert found["function_score"]["query"] == {"match_all": {}}


def test_freshness_falls_by_half_lives_and_not_for_the_future() -> None:
    found = multiplied(freshness={"field": "update_time", "halfLife": "86400s", "weight": 0.25})
    past = {"range": {"update_time": {"lte": NOW}}}
    decay = {"update_time": {"origin": NOW, "offset": "0ms", "scale": "86400000ms", "decay": 0.5}}
    assert found == {"function_score": {
        "query": QUERY, "score_mode": "sum", "boost_mode": "multiply",
        "functions": [{"filter": past, "exp": decay, "weight": 0.25}, {"filter": past, "weight": 0.75}],
    }}  # fmt: skip
    half = multiplied(freshness={"field": "attributes.published", "halfLife": "60s"})
    assert half is not None
    assert [one["weight"] for one in half["function_score"]["functions"]] == [0.5, 0.5]
    whole = multiplied(freshness={"field": "create_time", "halfLife": "60s", "weight": 1})
    assert whole is not None
    assert [one["weight"] for one in whole["function_score"]["functions"]] == [1]


def test_numbers_count_by_their_logarithm_and_negative_ones_not_at_all() -> None:
    found = multiplied(boosts=[{"number": "attributes.stars", "weight": 3, "scale": 4}])
    factor = {"field": "num_00", "factor": 0.25, "modifier": "ln1p", "missing": 0}
    assert found is not None
    assert found["function_score"]["functions"] == [
        {"filter": {"range": {"num_00": {"gte": 0}}}, "field_value_factor": factor, "weight": 3},
        {"weight": 1},
    ]


def test_filters_multiply_each_other() -> None:
    found = multiplied(boosts=[{"filter": "kind = a", "weight": 2}, {"filter": "tags:b", "weight": 0.5}])
    assert found is not None
    assert found["function_score"]["score_mode"] == "multiply"
    assert [one["weight"] for one in found["function_score"]["functions"]] == [2, 0.5]


def test_all_kinds_go_together() -> None:
    boosts = [{"filter": "kind = a", "weight": 2}, {"number": "stars", "weight": 1}]
    found: Any = multiplied(boosts=boosts, freshness={"field": "update_time", "halfLife": "60s"})
    for _ in range(3):
        assert found["function_score"]["boost_mode"] == "multiply"
        found = found["function_score"]["query"]
    assert found == QUERY


@pytest.mark.parametrize(
    ("ranking", "reason", "field", "words"),
    [
        ({"boosts": [{"filter": "kind = a", "weight": 1}, {"filter": "kind =", "weight": 1}]},
         "FILTER_SYNTAX", "ranking.boosts[1].filter", "at character 7: expected a value"),
        ({"boosts": [{"filter": "kint = a", "weight": 1}]},
         "FILTER_UNKNOWN_FIELD", "ranking.boosts[0].filter", "at character 1: there is no field kint"),
        ({"boosts": [{"filter": "a" * 2001, "weight": 1}]},
         "FILTER_TOO_LONG", "ranking.boosts[0].filter", "has 2001 characters"),
        ({"boosts": [{"number": "attributes.starz", "weight": 1}]},
         "RANKING_UNKNOWN_FIELD", "ranking.boosts[0].number", "there is no attributes.starz"),
        ({"boosts": [{"number": "attributes.kind", "weight": 1}]},
         "RANKING_WRONG_TYPE", "ranking.boosts[0].number", "attributes.kind is of type STRING"),
        ({"boosts": [{"number": "stars", "weight": 1, "scale": 1e-31}]},
         "RANKING_WRONG_TYPE", "ranking.boosts[0].scale", "expected 1e-30 to 1e+30, found 1e-31"),
        ({"freshness": {"field": "expire_time", "halfLife": "60s"}},
         "RANKING_UNKNOWN_FIELD", "ranking.freshness.field", "expected update_time, create_time or a declared attribute"),
        ({"freshness": {"field": "attributes.stars", "halfLife": "60s"}},
         "RANKING_WRONG_TYPE", "ranking.freshness.field", "of type TIME; attributes.stars is of type NUMBER"),
    ],
)  # fmt: skip
def test_what_cannot_be_ranked_by_is_told_with_its_place(
    ranking: dict[str, Any], reason: str, field: str, words: str
) -> None:
    fault = refused(**ranking)
    assert fault.reason == reason
    assert fault.violations[0].field == field
    assert words in fault.message
    assert fault.message.startswith(f"{field}: ")


def test_the_path_is_that_of_the_message_it_is_in() -> None:
    with pytest.raises(Fault, match=r"collection\.search\.ranking\.boosts\[0\]\.filter: at character 1"):
        multiplied(path="collection.search.ranking", boosts=[{"filter": "=", "weight": 1}])
