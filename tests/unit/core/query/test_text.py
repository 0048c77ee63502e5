# SPDX-License-Identifier: Apache-2.0
"""What people type, and the words that are kept of documents."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.schema import Schema, language_field
from pinakes.core.query.text import Term, compile_query, terms_of
from pinakes.core.query.words import LONGEST, MOST, folded, words_of
from pinakes.core.settings import Limits

LIMITS = Limits()
SCHEMA = Schema(("en",))


def compiled(text: str) -> dict[str, Any] | None:
    query = compile_query(text, SCHEMA, LIMITS)
    if query is not None:
        allowlist.check(query)
    return query


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("two words", [Term("two"), Term("words")]),
        ('"a  phrase" word', [Term("a phrase", True), Term("word")]),
        ("“curly quotes”", [Term("curly quotes", True)]),
        ('-no -"not this"', [Term("no", False, True), Term("not this", True, True)]),
        ("well-known", [Term("well-known")]),
        ("--twice", [Term("twice", False, True)]),
        ('"unbalanced words', [Term("unbalanced"), Term("words")]),
        ('one "two three" "four', [Term("one"), Term("two three", True), Term("four")]),
        ('a"b', [Term("a b")]),
        ('- , ! ... " -" "" "?!"', []),
        ("C++ 🎉", [Term("C++"), Term("🎉")]),
        ("日本語", [Term("日本語")]),
    ],
)
def test_queries_are_split_into_words_and_phrases(text: str, terms: list[Term]) -> None:
    assert terms_of(text) == terms


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_query_looks_for_nothing_in_particular(text: str) -> None:
    assert compiled(text) is None


def test_punctuation_alone_finds_nothing() -> None:
    assert compiled("!?") == {"match_none": {}}


def test_a_word_takes_its_best_field_with_title_three_tags_two_body_one() -> None:
    query = compiled("word")
    assert query is not None
    [clause] = query["bool"]["should"]
    boosts = {field: body["boost"] for part in clause["dis_max"]["queries"] for field, body in part["match"].items()}
    assert boosts == {"title_en": 3, "title_und": 3, "tags_text": 2, "body_en": 1, "body_und": 1}


def test_exclusions_alone_find_everything_else() -> None:
    query = compiled("-word")
    assert query is not None
    assert query["bool"]["must"] == [{"match_all": {}}]
    assert len(query["bool"]["must_not"]) == 1


def test_a_phrase_is_looked_for_as_a_phrase() -> None:
    query = compiled('"two words"')
    assert query is not None
    [clause] = query["bool"]["should"]
    assert all("match_phrase" in part for part in clause["dis_max"]["queries"])


def test_repeated_words_are_one_clause_but_count_for_the_limit() -> None:
    query = compiled("a a b")
    assert query is not None
    assert len(query["bool"]["should"]) == 2


def test_exactly_the_allowed_clauses_pass_and_one_more_is_told() -> None:
    compiled(" ".join(f"w{n}" for n in range(32)))
    with pytest.raises(Fault) as caught:
        compiled(" ".join(f"w{n}" for n in range(33)))
    assert caught.value.reason == "QUERY_TOO_MANY_CLAUSES"
    assert "33 words and phrases; at most 32" in caught.value.message


def test_exactly_the_allowed_characters_pass_and_one_more_is_told() -> None:
    compiled("ä" * 500)
    with pytest.raises(Fault) as caught:
        compiled("ä" * 501)
    assert caught.value.reason == "QUERY_TOO_LONG"
    assert caught.value.violations[0].field == "query"


@given(st.text(st.characters(codec="utf-8"), max_size=500))
def test_any_query_compiles_to_what_may_be_sent_or_is_refused_for_its_size(text: str) -> None:
    try:
        compiled(text)
    except Fault as fault:
        assert fault.reason == "QUERY_TOO_MANY_CLAUSES"  # that some texts pass is the point


def test_languages_without_fields_of_their_own_share_one() -> None:
    assert Schema(("de", "fi", "hu")).text_languages() == ("de", "und")
    assert Schema(()).text_languages() == ("en", "und")
    assert language_field("") == language_field("xx") == "und"


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
