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
        "script", "script_score", "fuzzy", "query_string", "simple_query_string", "wildcard", "regexp",
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
        {"geo_distance": {"geo_00": [0, 0], "ignore_unmapped": True}},
        {"bool": {"must": [TERM], "adjust_pure_negative": False}},
        {"bool": [TERM]},
        {"match_all": {"_name": "x"}},
        {"term": {"tags": {"value": "a", "_name": "x"}}},
        {"match": {"title_en": {"query": "a", "_name": "x", "fuzziness": "AUTO"}}},
        {"function_score": {"query": TERM, "functions": [], "script_score": {"script": "1"}}},
        {"function_score": {"query": TERM, "functions": [{"script_score": {"script": "1"}}]}},
        {"function_score": {"query": TERM, "functions": [{"random_score": {}}]}},
        {"function_score": {"query": TERM, "functions": [{"random_score": {"seed": 1}}]}},
        {"function_score": {"query": TERM, "functions": [{"random_score": {"seed": 1, "field": "a", "x": 1}}]}},
        {"function_score": {"query": TERM, "functions": [{"gauss": {"time_00": {"scale": "1d"}}}]}},
        {
            "function_score": {
                "query": TERM,
                "functions": [{"exp": {"time_00": {"scale": "1d"}, "multi_value_mode": "avg"}}],
            }
        },
        {"function_score": {"query": TERM, "functions": [{"filter": {"fuzzy": {"title_en": "x"}}, "weight": 2}]}},
        {"function_score": {"query": {"fuzzy": {"title_en": "x"}}, "functions": []}},
        {"function_score": {"query": TERM, "functions": [{"field_value_factor": {"field": "num_00", "script": "1"}}]}},
        {"term": {"a": 1}, "match_all": {}},
        {},
        [],
        "term",
    ],
)
def test_options_that_are_not_on_the_list_are_refused(query: Any) -> None:
    with pytest.raises(ValueError, match="list of what may be sent"):
        allowlist.check(query)


@pytest.mark.parametrize("query", [{"terms": {"tags": ["a", "b"]}}, {"terms": {"tags": ["a"], "boost": 2.0}}])
def test_lists_of_values_pass_with_a_boost_or_without(query: Any) -> None:
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
        {"a": {"top_hits": {"size": 5, "sort": [{"id": "asc"}]}}},
        {"a": {"top_hits": {"size": 5, "sort": [{"_script": {}}], "_source": ["id"]}}},
        {"a": {"top_hits": {"size": 5, "sort": [{"id": "asc"}], "_source": ["id"], "explain": True}}},
        {"a": {"top_hits": {"size": 5, "sort": [{"id": "asc"}], "_source": ["id"], "script_fields": {}}}},
        {"a": {"filter": {"wildcard": {"tags": "a*"}}}},
        {"a": {"terms": {"field": "tags"}, "aggs": {"b": {"global": {}}}}},
        {"a": {"significant_terms": {"field": "words", "background_filter": {"match_all": {}}}}},
        {"a": {"significant_terms": {"field": "words", "background_filter": {"term": {"tenant": "t"}}}}},
        {"a": {"significant_terms": {"field": "words", "background_filter": "scope", "min_doc_count": 0}}},
        {"a": {"significant_terms": {"field": "words", "background_filter": "scope", "gnd": {}}}},
        {"a": {"sampler": {"shard_size": 5}, "aggs": {"b": {"significant_terms": {"field": "words"}}}}},
        {"a": {"sampler": {"shard_size": 5, "field": "tags"}}},
        {"a": {"diversified_sampler": {"shard_size": 5, "field": "tags"}}},
        {"a": {"histogram": {"field": "num_00", "interval": 1}}},
        {"a": {"date_histogram": {"field": "time_00", "calendar_interval": "day"}}},
        {"a": {"composite": {"sources": [{"s": {"terms": {"field": "words"}}}]}}},
        {"a": {"composite": {"sources": [{"s": {"histogram": {"field": "num_00", "interval": 1, "script": "x"}}}]}}},
        {
            "a": {
                "composite": {
                    "sources": [{"s": {"histogram": {"field": "num_00", "interval": 1, "missing_bucket": True}}}]
                }
            }
        },
        {"a": {"composite": {"sources": [{"s": {"date_histogram": {"field": "time_00", "fixed_interval": "1ms"}}}]}}},
        {"a": {"composite": {"sources": [{"s": {"histogram": {}}}, {"t": {"histogram": {}}}]}}},
        {"a": {"composite": {"sources": [{"s": {"histogram": {}}}], "after": {"s": 1}}}},
        {"a": {"terms": {"field": "tags"}, "aggregations": {"b": {"rare_terms": {"field": "tags"}}}}},
    ],
)
def test_aggregations_that_show_more_than_the_scope_are_refused(aggregations: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="list of what may be sent"):
        allowlist.check_aggregations(aggregations)


@pytest.mark.parametrize(
    ("entry", "passes"),
    [
        ({"id": "asc"}, True),
        ({"_score": {"order": "desc"}}, True),
        ({"num_00": {"order": "desc", "missing": "_last"}}, True),
        ({"_geo_distance": {"geo_00": {"lat": 1, "lon": 2}, "order": "asc", "unit": "m"}}, True),
        ({"_geo_distance": {"geo_00": {"lat": 1, "lon": 2}, "ignore_unmapped": True}}, False),
        ({"_script": {"type": "number", "script": "x"}}, False),
        ({"_doc": "asc"}, False),
        ({"num_00": {"order": "desc", "nested": {}}}, False),
        ("id", False),
    ],
)
def test_orders_are_of_fields_scores_and_distances(entry: Any, *, passes: bool) -> None:
    if passes:
        allowlist.check_body({"sort": [entry]})
    else:
        with pytest.raises(ValueError, match="list of what may be sent"):
            allowlist.check_body({"sort": [entry]})


def test_words_to_highlight_are_held_to_the_same_list() -> None:
    match = {"match": {"title_en": {"query": "a"}}}
    for place in ("whole", "field"):
        for query, passes in ((match, True), ({"fuzzy": {"title_en": "a"}}, False)):
            own = {"highlight_query": query}
            highlight = own | {"fields": {"title_en": {}}} if place == "whole" else {"fields": {"title_en": own}}
            if passes:
                allowlist.check_body({"highlight": highlight})
            else:
                with pytest.raises(ValueError, match="query fuzzy"):
                    allowlist.check_body({"highlight": highlight})


def test_standing_out_is_measured_against_the_scope_wherever_it_stands() -> None:
    words = {"field": "words", "min_doc_count": 2, "background_filter": allowlist.SCOPE_BACKGROUND}
    inner = {"w": {"significant_terms": words}}
    aggregations: dict[str, Any] = {
        "s": {"sampler": {"shard_size": 5}, "aggs": inner},
        "t": {"terms": {"field": "tags"}},
    }
    allowlist.check_aggregations(aggregations)
    scoped = allowlist.with_background(aggregations, TERM)
    assert scoped["s"]["aggs"]["w"]["significant_terms"]["background_filter"] == TERM
    assert scoped["t"] == aggregations["t"]
    assert words["background_filter"] == allowlist.SCOPE_BACKGROUND, "what was given stays as it was"


def test_documents_of_a_sample_pass_with_what_is_to_be_told_of_them() -> None:
    titles = {"top_hits": {"size": 5, "sort": [{"title_key": "asc"}, {"id": "asc"}], "_source": ["id", "title_*"]}}
    allowlist.check_aggregations({"a": {"sampler": {"shard_size": 5}, "aggs": {"b": titles}}})


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        ({"words": {"value": "t1\x1fc1\x1fa(b|.c).*"}}, True),
        ({"words": {"value": "t1\x1fc1\x1fa\\(b\\|c"}}, True),
        ({"words": {"value": "t1\x1fc1\x1fa|.*"}}, False),
        ({"words": {"value": "t1\x1fc1\x1f(a)|(.*)"}}, False),
        ({"words": {"value": 't1\x1fc1\x1f"("|.*'}}, False),
        ({"words": {"value": "t1\x1fc1\x1f[(]|.*"}}, False),
        ({"words": {"value": "t.\x1fc1\x1fa"}}, False),
        ({"words": {"value": "t1\x1f.*\x1fa"}}, False),
        ({"words": {"value": "t1|t2\x1fc1\x1fa"}}, False),
        ({"words": {"value": ".*"}}, False),
        ({"words": {"value": "t1\x1fc1\x1fa", "max_determinized_states": 1000000}}, False),
        ({"title_en": {"value": "t1\x1fc1\x1fa"}}, False),
        ({"words": "t1\x1fc1\x1fa"}, False),
    ],
)
def test_a_pattern_is_of_one_collections_words_and_nothing_else(query: Any, *, passes: bool) -> None:
    if passes:
        allowlist.check({"regexp": query})
    else:
        with pytest.raises(ValueError, match="list of what may be sent"):
            allowlist.check({"regexp": query})


def test_a_sample_by_a_documents_own_value_passes() -> None:
    score = {"random_score": {"seed": 1, "field": "revision"}}
    allowlist.check({"function_score": {"query": TERM, "functions": [score], "boost_mode": "replace"}})


def test_a_body_may_not_ask_for_the_words_of_a_shared_dictionary() -> None:
    with pytest.raises(ValueError, match="search with suggest"):
        allowlist.check_body({"suggest": {"a": {"text": "x", "term": {"field": "words"}}}})


def test_what_the_compilers_emit_passes() -> None:
    for kind in ("match", "match_phrase"):
        allowlist.check({kind: {"title_en": {"query": "a", "_name": "0:title"}}})
    allowlist.check({"prefix": {"title_en": {"value": "a", "_name": "0:title"}}})
    decay = {"time_00": {"origin": 1, "offset": "0ms", "scale": "1ms", "decay": 0.5}}
    factor = {"field": "num_00", "factor": 1.0, "modifier": "ln1p", "missing": 0}
    functions = [{"filter": TERM, "exp": decay, "weight": 0.5}, {"field_value_factor": factor}, {"weight": 1.0}]
    score = {"query": TERM, "functions": functions, "score_mode": "sum", "boost_mode": "multiply"}
    allowlist.check({"function_score": score})
    allowlist.check({"bool": {"filter": [TERM], "must_not": TERM, "should": [], "minimum_should_match": 1}})
    allowlist.check_aggregations(
        {"a": {"filter": TERM, "aggs": {"b": {"terms": {"field": "tags", "size": 3, "min_doc_count": 1}}}}}
    )
    steps = (
        {"histogram": {"field": "num_00", "interval": 5}},
        {"date_histogram": {"field": "t", "calendar_interval": "day"}},
    )
    for step in steps:
        allowlist.check_aggregations({"a": {"composite": {"size": 3, "sources": [{"s": step}]}}})
