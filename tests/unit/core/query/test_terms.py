# SPDX-License-Identifier: Apache-2.0
"""What people type, taken apart into words, phrases, exclusions, beginnings and fields."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.terms import Query, Term, parse_query
from pinakes.core.settings import Limits
from tests.unit.core.query._options import options

LIMITS = Limits()
OPTIONS = options(ranking={"textAttributes": {"abstract": 1}})


def terms(text: str) -> list[Term]:
    return list(parse_query(text, OPTIONS, LIMITS).terms)


def refused(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        parse_query(text, OPTIONS, LIMITS)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.violations[0].field == "query"
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two words", [Term("two"), Term("words")]),
        ('"a  phrase" word', [Term("a phrase", True), Term("word")]),
        ("“curly quotes”", [Term("curly quotes", True)]),
        ("„unten oben“ «guillemets ici»", [Term("unten oben", True), Term("guillemets ici", True)]),
        ('-no -"not this"', [Term("no", False, True), Term("not this", True, True)]),
        ("well-known", [Term("well-known")]),
        ("--twice", [Term("twice", False, True)]),
        ('"unbalanced words', [Term("unbalanced"), Term("words")]),
        ('one "two three" "four', [Term("one"), Term("two three", True), Term("four")]),
        ('a"b', [Term("a b")]),
        ('- , ! ... " -" "" "?!" * -* :', []),
        ("C++ 🎉", [Term("C++"), Term("🎉")]),
        ("日本語、英語。「引用」", [Term("日本語"), Term("英語"), Term("引用")]),
        ("ab*", [Term("ab", prefix=True)]),
        ("-ab*", [Term("ab", excluded=True, prefix=True)]),
        ("title:ab*", [Term("ab", prefix=True, field="title")]),
        ("asyncio.gath*", [Term("asyncio.gath", prefix=True)]),
        ("東京*", [Term("東京")]),
        ("**bold** *args **kwargs a*b a*b*", [
            Term("**bold**"), Term("*args"), Term("**kwargs"), Term("a*b"), Term("a*b*")]),
        ("title:word", [Term("word", field="title")]),
        ("Title:word -tags:x", [Term("word", field="title"), Term("x", excluded=True, field="tags")]),
        ('body:"two words" -title:"no way"', [
            Term("two words", True, field="body"), Term("no way", True, True, field="title")]),
        ("abstract:x attributes.abstract:y", [
            Term("x", field="attributes.abstract"), Term("y", field="attributes.abstract")]),
        # What isn't a field is text, and so is what only looks like one.
        ("std::vector http://x 12:30 kind:x", [
            Term("std::vector"), Term("http://x"), Term("12:30"), Term("kind:x")]),
        ("title: word title:/path title::x", [
            Term("title:"), Term("word"), Term("title:/path"), Term("title::x")]),
        ('kind:"two words"', [Term("kind"), Term("two words", True)]),
        ("a a b", [Term("a"), Term("b")]),
    ],
)  # fmt: skip
def test_queries_are_taken_apart(text: str, expected: list[Term]) -> None:
    assert terms(text) == expected


def test_a_text_attribute_that_is_not_searched_is_no_field() -> None:
    assert parse_query("abstract:x", options(), LIMITS).terms == (Term("abstract:x"),)


def test_a_built_in_field_of_no_weight_is_still_a_field() -> None:
    assert parse_query("body:x", options(ranking={"body": 0}), LIMITS).terms == (Term("x", field="body"),)


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_nothing_typed_is_an_empty_query(text: str) -> None:
    assert parse_query(text, OPTIONS, LIMITS) == Query((), empty=True)


def test_punctuation_alone_is_a_query_without_terms() -> None:
    assert parse_query("!?", OPTIONS, LIMITS) == Query((), empty=False)


@pytest.mark.parametrize("text", ["a*", "x ab* b*", "foo.b*", "title:a*", "-a*", "é*"])
def test_a_beginning_of_one_character_is_refused_with_its_place(text: str) -> None:
    fault = refused(text)
    assert fault.reason == "QUERY_PREFIX_TOO_SHORT"
    place = 7 if text.startswith("x") else 1
    assert f"at character {place}: " in fault.message
    assert "at least 2 are needed" in fault.message


def test_exactly_the_allowed_clauses_pass_and_one_more_is_told() -> None:
    terms(" ".join(f"w{n}" for n in range(32)))
    fault = refused("again " * 2 + " ".join(f"w{n}" for n in range(31)))
    assert fault.reason == "QUERY_TOO_MANY_CLAUSES"
    assert "33 words and phrases; at most 32" in fault.message
    assert "(limit query_clauses)" in fault.message


def test_exactly_the_allowed_characters_pass_and_one_more_is_told() -> None:
    terms("ä" * 500)
    fault = refused("ä" * 501)
    assert fault.reason == "QUERY_TOO_LONG"
    assert "(limit query_chars)" in fault.message


def test_exactly_the_allowed_beginnings_pass_and_one_more_is_told() -> None:
    terms(" ".join(f"w{n}*" for n in range(8)))
    fault = refused(" ".join(f"w{n}*" for n in range(9)))
    assert fault.reason == "QUERY_TOO_MANY_PREFIXES"
    assert "9 words with a star; at most 8 are allowed (limit query_prefixes)" in fault.message


def test_terms_that_find_different_things_have_different_keys() -> None:
    found = terms('word "word" word* title:word title:"word" title:word*')
    assert len({term.key for term in found}) == 6


@given(st.text(st.characters(codec="utf-8"), max_size=500))
@example('-"' * 250)
@example("title:" * 80)
@example("-" * 499 + "*")
@example("..." + ":" * 400 + '"')
def test_any_text_can_be_read_or_is_refused_with_a_reason(text: str) -> None:
    try:
        found = parse_query(text, OPTIONS, LIMITS)
    except Fault as fault:
        assert fault.reason in {"QUERY_TOO_MANY_CLAUSES", "QUERY_PREFIX_TOO_SHORT", "QUERY_TOO_MANY_PREFIXES"}
        return
    assert all(term.text.strip() and term.key for term in found.terms)


@given(st.text(st.sampled_from('ab1é東 "“-*:.t/'), max_size=60))
def test_signs_in_any_order_can_be_read(text: str) -> None:
    test_any_text_can_be_read_or_is_refused_with_a_reason.hypothesis.inner_test(text)
