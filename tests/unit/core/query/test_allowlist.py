# SPDX-License-Identifier: Apache-2.0
"""What may reach document indices, and what would show a neighbour's words or counts."""

from __future__ import annotations

from typing import Any

import pytest

from pinakes.core.query import allowlist

TERM: dict[str, Any] = {"term": {"tags": "a"}}


@pytest.mark.parametrize(
    "kind",
    [
        "script", "script_score", "function_score", "fuzzy", "query_string", "simple_query_string", "wildcard", "regexp",
        "match_phrase_prefix", "match_bool_prefix", "multi_match", "more_like_this", "percolate", "terms_set", "ids",
        "has_child", "has_parent", "nested", "distance_feature", "rank_feature", "intervals", "span_term", "wrapper",
        "common", "boosting", "knn", "hybrid", "pinned", "template", "geo_shape", "geo_bounding_box", "combined_fields",
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrap", ["alone", "must", "should", "dis_max", "constant_score"])
def test_other_queries_are_refused_wherever_they_stand(kind: str, wrap: str) -> None:
    query: dict[str, Any] = {kind: {"tags": {"value": "a"}}}
    if wrap in {"must", "should"}:
        query = {"bool": {wrap: [TERM, query]}}
    elif wrap == "dis_max":
        query = {"dis_max": {"queries": [TERM, query]}}
    elif wrap == "constant_score":
        query = {"constant_score": {"filter": query}}
    with pytest.raises(ValueError, match=kind):
        allowlist.check(query)


@pytest.mark.parametrize(
    "query",
    [
        {"match": {"title_en": {"query": "a", "fuzziness": "AUTO"}}},
        {"match": {"title_en": {"query": "a", "cutoff_frequency": 0.1}}},
        {"match": {"title_en": {"query": "a", "analyzer": "x"}}},
        {"term": {"tags": {"value": "a", "case_insensitive": True}}},
        {"terms": {"tags": {"index": "other", "id": "1", "path": "tags"}}},
        {"prefix": {"tags": {"value": "a", "rewrite": "top_terms_10"}}},
        {"range": {"num_00": {"gt": 1, "relation": "within"}}},
        {"geo_distance": {"distance": "1km", "geo_00": [0, 0], "ignore_unmapped": True}},
        {"bool": {"must": [TERM], "adjust_pure_negative": False}},
        {"bool": [TERM]},
        {"match_all": {"_name": "x"}},
        {"term": {"a": 1}, "match_all": {}},
        {},
        [],
        "term",
    ],
)
def test_options_that_are_not_on_the_list_are_refused(query: Any) -> None:
    with pytest.raises(ValueError, match="list of what may be sent"):
        allowlist.check(query)


@pytest.mark.parametrize(
    "aggregations",
    [
        {"a": {"global": {}}},
        {"a": {"significant_terms": {"field": "tags"}}},
        {"a": {"significant_text": {"field": "title_en"}}},
        {"a": {"terms": {"field": "tags", "min_doc_count": 0}}},
        {"a": {"terms": {"script": "x"}}},
        {"a": {"scripted_metric": {}}},
        {"a": {"top_hits": {}}},
        {"a": {"filter": {"wildcard": {"tags": "a*"}}}},
        {"a": {"terms": {"field": "tags"}, "aggs": {"b": {"global": {}}}}},
        {"a": {"terms": {"field": "tags"}, "aggregations": {"b": {"rare_terms": {"field": "tags"}}}}},
    ],
)
def test_aggregations_that_show_more_than_the_scope_are_refused(aggregations: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="list of what may be sent"):
        allowlist.check_aggregations(aggregations)


def test_what_the_compilers_emit_passes() -> None:
    allowlist.check({"bool": {"filter": [TERM], "must_not": TERM, "should": [], "minimum_should_match": 1}})
    allowlist.check_aggregations(
        {"a": {"filter": TERM, "aggs": {"b": {"terms": {"field": "tags", "size": 3, "min_doc_count": 1}}}}}
    )
