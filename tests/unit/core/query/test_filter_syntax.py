# SPDX-License-Identifier: Apache-2.0
"""The grammar of filters: what is read, how it is written back, and what faults say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.expression import (
    EVERYTHING,
    And,
    Call,
    Comparison,
    Expression,
    Not,
    Or,
    Path,
    Value,
    Words,
    canonical,
    joined,
    uses_now,
)
from pinakes.core.query.filter import parse_filter
from pinakes.core.settings import Limits

LIMITS = Limits()
ROOMY = Limits(filter_chars=1_000_000, filter_terms=512, filter_depth=32)

_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_plain = st.from_regex(r"[a-z][a-z0-9_-]{0,8}\*?", fullmatch=True)


@st.composite
def _quoted(draw: st.DrawFn) -> Value:
    text = draw(_texts)
    places = [index for index, character in enumerate(text) if character == "*"]
    return Value(text, True, tuple(index for index in places if draw(st.booleans())))


_bare = _plain.map(lambda text: Value(text, False, (len(text) - 1,) if text.endswith("*") else ()))
_values = st.one_of(_quoted(), _bare)
_calls = st.builds(Call, _names, st.lists(_values, max_size=3).map(tuple))
_paths = st.lists(_texts, min_size=1, max_size=3).map(lambda keys: Path(tuple(keys)))
_leaves = st.one_of(
    st.builds(Words, _values),
    _calls,
    st.builds(
        Comparison, st.one_of(_paths, _calls), st.sampled_from(["=", "!=", "<", "<=", ">", ">=", ":"]),
        st.one_of(_values, _calls),
    ),
)  # fmt: skip


def _grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=4)
    return st.one_of(
        inner.map(Not), several.map(lambda found: joined(And, found)), several.map(lambda found: joined(Or, found))
    )


_expressions: st.SearchStrategy[Expression] = st.recursive(_leaves, _grown, max_leaves=12)


def _fault(text: str, limits: Limits = LIMITS) -> Fault:
    with pytest.raises(Fault) as caught:
        parse_filter(text, limits)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.violations[0].field == "filter"
    return caught.value


def _field(name: str, operator: str, text: str) -> Comparison:
    return Comparison(Path((name,)), operator, Value(text))


@given(_expressions)
def test_the_canonical_text_of_any_tree_reads_back_as_that_tree(tree: Expression) -> None:
    assert parse_filter(canonical(tree), ROOMY) == tree


@given(_texts)
def test_any_text_is_read_or_refused_with_a_place_inside_it(text: str) -> None:
    try:
        tree = parse_filter(text, LIMITS)
    except Fault as fault:
        assert fault.reason.startswith("FILTER_")
        place = int(fault.violations[0].description.removeprefix("at character ").partition(":")[0])
        assert 1 <= place <= len(text) + 1
    else:
        assert parse_filter(canonical(tree), ROOMY) == tree


@given(st.text("ab.*\"'\\ ()-:=<>!,ANDORT\n", max_size=24))
def test_texts_of_the_grammars_own_characters_are_stable_once_read(text: str) -> None:
    try:
        tree = parse_filter(text, ROOMY)
    except Fault:
        return
    assert parse_filter(canonical(tree), ROOMY) == tree


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_filter_holds_for_everything(text: str) -> None:
    assert parse_filter(text, LIMITS) == EVERYTHING


def test_or_binds_tighter_than_and() -> None:
    a, b, c = (Words(Value(name)) for name in "abc")
    assert parse_filter("a AND b OR c", LIMITS) == And((a, Or((b, c))))
    assert parse_filter("a b OR c", LIMITS) == And((a, Or((b, c))))
    assert parse_filter("(a AND b) OR c", LIMITS) == Or((And((a, b)), c))


def test_parentheses_and_spaces_that_change_nothing_leave_the_same_tree() -> None:
    assert parse_filter("((a) AND (b AND c))", LIMITS) == parse_filter("a AND  b AND c", LIMITS)


@pytest.mark.parametrize("text", ["NOT a = 1", "-a = 1", "NOT (a = 1)"])
def test_not_and_minus_are_the_same(text: str) -> None:
    assert parse_filter(text, LIMITS) == Not(_field("a", "=", "1"))


def test_a_value_may_hold_dots_minus_and_time() -> None:
    for value in ("-1.5", "a.b.c", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123+02:00", "x*", "1e3"):
        found = parse_filter(f"a = {value}", LIMITS)
        assert isinstance(found, Comparison)
        assert isinstance(found.value, Value)
        assert found.value.text == value


def test_words_beginning_with_an_operators_name_are_words() -> None:
    assert parse_filter("ANDROID ORacle NOTE", LIMITS) == And(
        (Words(Value("ANDROID")), Words(Value("ORacle")), Words(Value("NOTE")))
    )


def test_a_comparison_spreads_over_the_values_in_parentheses() -> None:
    assert parse_filter("tags:(a OR b)", LIMITS) == parse_filter("tags:a OR tags:b", LIMITS)
    assert parse_filter("tags:(a -b)", LIMITS) == parse_filter("tags:a AND NOT tags:b", LIMITS)
    assert parse_filter("id:(a.b* OR c)", LIMITS) == parse_filter("id:a.b* OR id:c", LIMITS)


def test_a_word_with_a_quoted_part_stays_one_word() -> None:
    assert parse_filter('a."b c"', LIMITS) == Words(Value("a.b c", True))


@pytest.mark.parametrize(
    ("written", "text", "stars"),
    [
        (r'"a\"b"', 'a"b', ()), (r"'it\'s'", "it's", ()), (r'"\u00e9\n\t"', "é\n\t", ()), (r'"a\*"', "a*", ()),
        ('"a*"', "a*", (1,)), (r'"\\*"', "\\*", (1,)), ('"\x00"', "\0", ()), (r'"\u0000"', "\0", ()), (r'"\q"', "q", ()),
    ],
)  # fmt: skip
def test_escapes_in_strings_are_resolved(written: str, text: str, stars: tuple[int, ...]) -> None:
    assert parse_filter(f"a = {written}", LIMITS) == Comparison(Path(("a",)), "=", Value(text, True, stars))


@pytest.mark.parametrize("code", ["d800", "DBFF", "dc00", "dfff"])
def test_an_escape_that_is_half_a_character_is_refused_at_its_place(code: str) -> None:
    fault = _fault(rf'a = "xy\u{code}"')
    assert fault.violations[0].description.startswith(rf"at character 8: \u{code} is half of a character")


def test_escapes_beside_the_surrogates_are_characters() -> None:
    assert canonical(parse_filter(r'"\ud7ff\ue000"', LIMITS)) == '"\ud7ff\ue000"'


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("a = ", "at character 5: expected a value, found end of filter"),
        ("a b)", "at character 4: expected the end of the filter, found )"),
        (")", "at character 1: expected a comparison, found )"),
        ("(a = 1", "at character 7: expected a closing parenthesis, found end of filter"),
        ("f(1", "at character 4: expected a closing parenthesis or a comma, found end of filter"),
        ('"abc', "at character 1: expected a closing quote, found end of filter"),
        ("a = 'x", "at character 5: expected a closing quote, found end of filter"),
        ("a AND OR b", "at character 7: expected a comparison, found OR"),
        ("a =", "at character 4: expected a value, found end of filter"),
        ("a = 1 AND", "at character 10: expected a comparison, found end of filter"),
        ("tags:(a b = 1)", "at character 9: expected plain values in the parentheses"),
    ],
)
def test_a_syntax_fault_says_where_and_what_was_expected(text: str, description: str) -> None:
    fault = _fault(text)
    assert fault.reason == "FILTER_SYNTAX"
    assert fault.violations[0].description.startswith(description)


@pytest.mark.parametrize("text", ["a,b", "a = b:c", "a = 1 , b", "(a) = 1 = 2", '"(" , b'])
def test_no_closing_parenthesis_is_offered_where_none_is_open(text: str) -> None:
    assert "closing parenthesis" not in _fault(text).message


@pytest.mark.parametrize("text", ["(a,b", "(a = b:c", "f(x) AND (a,"])
def test_the_end_is_not_offered_inside_parentheses(text: str) -> None:
    message = _fault(text).message
    assert "closing parenthesis" in message
    assert "end of the filter" not in message


def test_exactly_the_allowed_characters_pass_and_one_more_is_told() -> None:
    limits = Limits(filter_chars=10)
    parse_filter("a" * 10, limits)
    fault = _fault("a" * 11, limits)
    assert fault.reason == "FILTER_TOO_LONG"
    assert "11 characters; at most 10" in fault.message
    assert "filter_chars" in fault.message


def test_exactly_the_allowed_terms_pass_and_one_more_is_told() -> None:
    parse_filter(" AND ".join(["a = 1"] * 64), LIMITS)
    fault = _fault(" AND ".join(["a = 1"] * 65))
    assert fault.reason == "FILTER_TOO_MANY_TERMS"
    assert "65 terms; at most 64" in fault.message


def test_spread_values_count_as_terms_each() -> None:
    assert _fault(f"a:({' '.join(['x'] * 65)})").reason == "FILTER_TOO_MANY_TERMS"


def test_exactly_the_allowed_depth_passes_and_one_more_is_told_with_its_place() -> None:
    parse_filter("(" * 8 + "a = 1" + ")" * 8, LIMITS)
    fault = _fault("(" * 9 + "a = 1" + ")" * 9)
    assert fault.reason == "FILTER_TOO_DEEP"
    assert "at character 9: nested 9 deep; at most 8" in fault.message


@pytest.mark.parametrize("text", ["(" * 2000, "f(" * 1000, "a:(" * 600, "-(" * 1000])
def test_hostile_nesting_is_refused_at_once(text: str) -> None:
    begun = time.perf_counter()
    assert _fault(text).reason == "FILTER_TOO_DEEP"
    assert time.perf_counter() - begun < 0.5


def test_parentheses_in_strings_are_no_nesting() -> None:
    parse_filter('a = "((((((((((((("', LIMITS)


@pytest.mark.parametrize("text", ["-" * 2000, "NOT " * 500, "." * 2000, '"' * 1999, "a." * 999, "'\\" * 1000])
def test_other_hostile_texts_are_read_or_refused_quickly(text: str) -> None:
    begun = time.perf_counter()
    try:
        parse_filter(text, LIMITS)
    except Fault as fault:
        assert fault.kind is Kind.INVALID
    assert time.perf_counter() - begun < 1


def test_it_is_known_whether_a_filter_depends_on_now() -> None:
    assert uses_now(parse_filter("a = 1 AND NOT (b = 2 OR create_time < now())", LIMITS))
    assert uses_now(parse_filter('create_time < ago("1d")', LIMITS))
    assert not uses_now(parse_filter('create_time < timestamp("2026-01-31T12:00:00Z")', LIMITS))
    assert not uses_now(parse_filter('a = "now()" AND geo_distance(x, 1, 2, "1km")', LIMITS))


def test_long_words_in_faults_are_cut() -> None:
    assert len(_fault("a = 1 = " + "x" * 1900).message) < 300
