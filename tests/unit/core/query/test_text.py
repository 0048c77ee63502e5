# SPDX-License-Identifier: Apache-2.0
"""What queries become for the engine: which clauses must hold, what each weighs, what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.documents import Owner
from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.options import ALL, ANY, Options
from pinakes.core.query.text import (
    CORRECTED,
    MINIMUM,
    MOST_LEAVES,
    MOSTLY,
    STOP_WORD,
    SYNONYM,
    UNSPACED_MINIMUM,
    Term,
    compile_query,
    counting_clause,
    parse_query,
    read_name,
)
from pinakes.core.query.weights import NOTHING, Weights
from pinakes.core.settings import Limits
from tests.unit.core.query._options import options

LIMITS = Limits()
OWNER = Owner("tu", "cu", "t", "c")
ENGLISH = options()
LEAVES = ("match", "match_phrase", "prefix")


def compiled(text: str, how: Options = ENGLISH, weights: Weights = NOTHING, **more: Any) -> dict[str, Any] | None:
    query = compile_query(parse_query(text, how, LIMITS), how, weights, **more)
    if query is not None:
        allowlist.check(query)
    return query


def leaves(part: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, field and body of all clauses that look at a field."""
    if isinstance(part, list):
        for one in part:
            yield from leaves(one)
    elif isinstance(part, dict):
        for kind, body in part.items():
            if kind in LEAVES:
                [(field, inner)] = body.items()
                yield kind, field, inner
            else:
                yield from leaves(body)


def texts(part: Any) -> set[str]:
    """Return what is looked for, words apart or as phrases."""
    return {str(body.get("query", body.get("value"))) for _, _, body in leaves(part)}


def parts(query: dict[str, Any] | None) -> tuple[list[Any], list[Any], list[Any]]:
    """Return what must hold, what is counted and what may hold."""
    assert query is not None
    inner = query["bool"]
    if "must" not in inner:
        return [], inner["should"], []
    counted = [one["bool"]["should"] for one in inner["must"] if "bool" in one]
    required = [one for one in inner["must"] if "dis_max" in one]
    return required, counted[0] if counted else [], inner.get("should", [])


def words(clauses: list[Any]) -> list[str]:
    return ["+".join(sorted(texts(clause))) for clause in clauses]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_query_looks_for_nothing_in_particular(text: str) -> None:
    assert compiled(text) is None


def test_punctuation_alone_finds_nothing() -> None:
    assert compiled("!?") == {"match_none": {}}


def test_a_word_takes_its_best_field_with_title_three_tags_two_body_one() -> None:
    query = compiled("word")
    assert query is not None
    [clause] = query["bool"]["should"]
    boosts = {field: body["boost"] for _, field, body in leaves(clause["dis_max"])}
    assert boosts == {"title_en": 3, "title_und": 3, "tags_text": 2, "body_en": 1, "body_und": 1}


def test_weights_are_those_of_the_field_times_those_of_the_word() -> None:
    query = compiled("word", options(ranking={"title": 4}), Weights({"word": 2.5}))
    assert {field: body["boost"] for _, field, body in leaves(query)} == {
        "title_en": 10, "title_und": 10, "tags_text": 5, "body_en": 2.5, "body_und": 2.5,
    }  # fmt: skip


def test_a_field_is_looked_for_there_alone() -> None:
    query = compiled('title:word body:"two words"')
    found = {(field, body["query"]) for _, field, body in leaves(query)}
    assert found == {
        ("title_en", "word"), ("title_und", "word"), ("body_en", "two words"), ("body_und", "two words"),
    }  # fmt: skip


def test_where_no_field_has_a_weight_nothing_is_found() -> None:
    nowhere = options(ranking={"title": 0, "tags": 0, "body": 0})
    assert counting_clause(Term("word"), nowhere) == {"match_none": {}}
    query = compiled("word ab*", nowhere, owner=OWNER)
    assert query is not None
    [counted] = query["bool"]["must"]
    assert counted["bool"]["should"] == [{"match_none": {}}, {"match_none": {}}]
    assert {field for _, field, _ in leaves(compiled("body:word", nowhere))} == {"body_en", "body_und"}


def test_exclusions_alone_find_everything_else() -> None:
    query = compiled("-word")
    assert query is not None
    assert query["bool"]["must"] == [{"match_all": {}}]
    assert words(query["bool"]["must_not"]) == ["word"]


def test_a_phrase_is_looked_for_as_a_phrase() -> None:
    assert {kind for kind, _, _ in leaves(compiled('"two words"'))} == {"match_phrase"}


def test_words_are_counted_and_what_has_a_sign_must_be_there() -> None:
    required, counted, _ = parts(compiled('one two three four "a b" title:five six*'))
    assert words(required) == ["a b", "five"]
    assert words(counted) == ["one", "two", "three", "four", "six"]


def test_one_word_is_enough_and_most_of_them_count_extra() -> None:
    query = compiled("one two three four", weights=Weights({"one": 2.0, "two": 1.0, "three": 1.0, "four": 1.0}))
    assert query is not None
    [counted] = query["bool"]["must"]
    assert counted["bool"]["minimum_should_match"] == 1
    [most] = [extra["constant_score"] for extra in query["bool"]["should"] if "constant_score" in extra]
    assert most["filter"]["bool"] == {"should": counted["bool"]["should"], "minimum_should_match": MINIMUM}
    assert most["boost"] == pytest.approx(MOSTLY * 5.0)
    [single] = parts(compiled("one"))[1]
    assert "constant_score" not in single


def test_all_are_required_or_any_is_enough() -> None:
    required, counted, _ = parts(compiled('one "a b" two', options(matching=ALL)))
    assert (words(required), words(counted)) == (["one", "a b", "two"], [])
    query = compiled('one "a b" two', options(matching=ANY))
    assert query is not None
    assert query["bool"]["minimum_should_match"] == 1
    assert words(query["bool"]["should"]) == ["one", "a b", "two"]


@pytest.mark.parametrize("matching", [0, ALL, ANY])
def test_stop_words_may_be_missing_and_weigh_little_until_known(matching: int) -> None:
    required, counted, extra = parts(compiled("The history of, castles", options(matching=matching)))
    assert words(required + counted) == ["history", "castles"]
    stops = [clause for clause in extra if "dis_max" in clause]
    assert words(stops) == ["The", "of,"]
    assert max(body["boost"] for _, _, body in leaves(stops)) == pytest.approx(3 * STOP_WORD)


def test_stop_words_count_where_there_is_nothing_else_or_a_sign() -> None:
    _, counted, extra = parts(compiled("to be or not to be"))
    assert words(counted) == ["to", "be", "or", "not"]
    assert not [clause for clause in extra if "dis_max" in clause]
    required, _, _ = parts(compiled('"the who" title:the records'))
    assert words(required) == ["the who", "the"]


def test_stop_words_are_those_of_the_search_s_languages_and_the_collection_s() -> None:
    text = "der Bahnhof please"
    assert words(parts(compiled(text))[1]) == ["der", "Bahnhof", "please"]
    german = options(("de",), stopWords=["Please"])
    _, counted, _ = parts(compiled(text, german))
    assert words(counted) == ["Bahnhof"]


def test_scripts_without_spaces_want_most_pieces_of_a_word() -> None:
    assert {body.get("minimum_should_match") for _, _, body in leaves(compiled("東京の天気"))} == {UNSPACED_MINIMUM}
    assert {body.get("operator") for _, _, body in leaves(compiled("東京の天気", options(matching=ALL)))} == {"and"}
    assert {body.get("operator") for _, _, body in leaves(compiled("well-known"))} == {"and"}


SYNONYMS: dict[str, Any] = {
    "synonyms": [
        {"words": ["NY", "New York", "Big Apple"]},
        {"words": ["New York Times"], "means": ["NYT"]},
        {"words": ["laptop"], "means": ["notebook"]},
    ]
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ny", ["Big Apple+New York+ny"]),
        ("new york", ["Big Apple+NY+new+york"]),
        ("new york times", ["NYT+new+times+york"]),
        ("nyt", ["nyt"]),
        ("laptop", ["laptop+notebook"]),
        ("notebook", ["notebook"]),
        ("Läptop new-york", ["Läptop+notebook", "Big Apple+NY+new-york"]),
        ("new -york", ["new"]),
        ("york new", ["york", "new"]),
        ('"new york"', ["new york"]),
        ("title:ny lap*", ["ny", "lap"]),
    ],
)
def test_synonyms_join_the_clause_of_what_was_typed(text: str, expected: list[str]) -> None:
    required, counted, _ = parts(compiled(text, options(**SYNONYMS)))
    assert words(required + counted) == expected


def test_a_synonym_weighs_a_little_less_than_what_was_typed() -> None:
    weights = Weights({"new": 2.0, "york": 3.0})
    query = compiled("new york", options(**SYNONYMS), weights)
    boosts = {body["query"]: body["boost"] for _, field, body in leaves(parts(query)[1]) if field == "body_en"}
    assert boosts == {"new": 2, "york": 3, "NY": 5 * SYNONYM, "Big Apple": 5 * SYNONYM}


def test_corrections_join_the_clause_of_a_word_with_a_lesser_weight() -> None:
    weights = Weights({"wrod": 5.0, "word": 2.0}, {"wrod": ("word", "rod"), "title:wrod": ("word",)})
    query = compiled("wrod", ENGLISH, weights)
    boosts = {body["query"]: body["boost"] for _, field, body in leaves(query) if field == "body_en"}
    assert boosts == {"wrod": 5, "word": 2 * CORRECTED, "rod": 5 * CORRECTED}
    assert {field for _, field, _ in leaves(compiled("title:wrod", ENGLISH, weights))} == {"title_en", "title_und"}
    for text in ('"wrod"', "wrod*", "-wrod"):
        assert "word" not in texts(compiled(text, ENGLISH, weights))
    assert texts(compiled("wrod", options(typos="TYPOS_REFUSED"), weights)) == {"wrod"}


def test_a_beginning_is_looked_for_in_text_and_among_the_owner_s_own_words() -> None:
    query = compiled("Über*", options(), owner=OWNER)
    found = {(kind, field, body["value"]) for kind, field, body in leaves(query)}
    own = ("prefix", "words", "tu\x1fcu\x1fuber")
    text = {("prefix", name, "uber") for name in ("title_en", "title_und", "tags_text", "body_en", "body_und")}
    assert found == text | {own}
    assert {field for _, field, _ in leaves(compiled("title:ab*", owner=OWNER))} == {"title_en", "title_und"}
    # Own words are those of titles and tags: where one of them isn't searched, they say too much.
    without = leaves(compiled("ab*", options(ranking={"tags": 0}), owner=OWNER))
    assert {field for _, field, _ in without} == {"title_en", "title_und", "body_en", "body_und"}


def test_a_beginning_of_several_pieces_wants_the_others_whole() -> None:
    found = {(kind, body.get("value", body.get("query"))) for kind, _, body in leaves(compiled("asyncio.gath*"))}
    assert found == {("prefix", "asyncio.gath"), ("prefix", "gath"), ("match", "asyncio")}


def test_words_near_one_another_count_more_in_title_and_body() -> None:
    _, _, extra = parts(compiled("one of two"))
    near = [(field, body["query"]) for clause in extra if "match_phrase" in clause for _, field, body in leaves(clause)]
    assert near == [(field, "one of two") for field in ("title_en", "title_und", "body_en", "body_und")]
    for text in ("one", "one two*", 'one "two"', " ".join(f"w{n}" for n in range(9)), "東京 大阪"):
        assert "match_phrase" not in {kind for kind, _, _ in leaves(parts(compiled(text))[2])}


def test_names_tell_the_term_the_field_and_what_was_found_instead() -> None:
    weights = Weights({}, {"wrod": ("word",)})
    query = compiled('wrod ny -no title:"a b" un*', options(("en", "de"), **SYNONYMS), weights, named=True, owner=OWNER)
    assert query is not None
    named = [body["_name"] for _, _, body in leaves(query) if "_name" in body]
    assert len(set(named)) == len(named)
    read = {read_name(name) for name in named}
    assert {name for name in read if name[1] == "title"} == {
        (0, "title", None), (0, "title", "word"), (1, "title", None), (1, "title", "New York"), (1, "title", "Big Apple"),
        (3, "title", None), (4, "title", None),
    }  # fmt: skip
    assert not [body for _, _, body in leaves(query["bool"]["must_not"]) if "_name" in body]
    assert not [body for _, _, body in leaves(compiled("word")) if "_name" in body]


def test_what_is_counted_has_no_names_nor_corrections() -> None:
    clause = counting_clause(Term("word"), ENGLISH)
    allowlist.check(clause)
    assert {(field, body["query"]) for _, field, body in leaves(clause)} == {
        (name, "word") for name in ("title_en", "title_und", "tags_text", "body_en", "body_und")
    }


def test_expansions_stop_where_a_query_would_be_too_large() -> None:
    typed = [a + b for a in "qxyz" for b in "bcdfghjk"]
    many = {"synonyms": [{"words": [word, *(word + "x" * m for m in range(1, 20))]} for word in typed]}
    weights = Weights({}, {word: tuple(word + "z" * m for m in range(1, 9)) for word in typed})
    query = compiled(" ".join(typed), options(("en", "de"), **many), weights)
    assert 0.9 * MOST_LEAVES < len(list(leaves(query))) <= MOST_LEAVES


def test_long_words_of_many_pieces_become_phrases_when_they_would_be_too_much() -> None:
    assert {kind for kind, _, _ in leaves(compiled("東京の天気" * 8))} == {"match"}
    assert {kind for kind, _, _ in leaves(compiled("東京の天気" * 80))} == {"match_phrase"}


@given(st.text(st.characters(codec="utf-8"), max_size=500), st.sampled_from([0, ALL, ANY]), st.booleans())
def test_any_query_compiles_to_what_may_be_sent_or_is_refused_with_a_reason(
    text: str, matching: int, named: bool
) -> None:
    how = options(("en", "ja"), matching=matching, **SYNONYMS)
    try:
        query = compiled(text, how, named=named, owner=OWNER)
    except Fault as fault:
        assert fault.reason.startswith("QUERY_")
        return
    if query is not None:
        assert len(list(leaves(query))) <= MOST_LEAVES + 20
