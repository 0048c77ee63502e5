# SPDX-License-Identifier: Apache-2.0
"""Synonyms and stop words as queries are compiled with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinakes.core.query.stopwords import stop_words
from pinakes.core.query.synonyms import MOST, NOTHING, compiled, lexicon
from pinakes.v1.ranking_pb2 import SearchSettings, Synonym
from tools.stop_words import TARGET
from tools.stop_words import stop_words as read


def test_nothing_said_is_one_lexicon_for_all() -> None:
    assert compiled([], []) is NOTHING
    assert lexicon(SearchSettings()) is NOTHING


def test_a_lexicon_is_made_once_for_a_message() -> None:
    settings = SearchSettings(stop_words=["Café "])
    assert lexicon(settings) is lexicon(settings)
    assert lexicon(settings).stop_words == {"cafe"}


def test_groups_go_both_ways_and_means_one_way() -> None:
    table = compiled([Synonym(words=["A", "b c"]), Synonym(words=["d", "e"], means=["f g"])], []).synonyms
    assert table == {("a",): ("b c",), ("b", "c"): ("A",), ("d",): ("f g",), ("e",): ("f g",)}


def test_groups_that_are_the_same_folded_say_nothing_of_one_another() -> None:
    table = compiled([Synonym(words=["Café", "cafe", "!?", "bar"]), Synonym(words=["!"], means=["bar"])], []).synonyms
    assert table == {("cafe",): ("bar",), ("bar",): ("cafe",)}


def test_several_groups_of_a_word_are_joined_up_to_a_most() -> None:
    table = compiled([Synonym(words=["a", "b"]), Synonym(words=["c", "A"])], []).synonyms
    assert table["a",] == ("b", "c")
    many = [Synonym(words=["a", *(f"w{n}x{m}" for m in range(19))]) for n in range(3)]
    assert len(compiled(many, []).synonyms["a",]) == MOST


def test_the_longest_group_is_matched_within_whole_terms() -> None:
    known = compiled([Synonym(words=["new york", "ny"]), Synonym(words=["new york times", "nyt"])], [])
    assert known.match([("new",), ("york",), ("times",)], 0) == (3, ("nyt",))
    assert known.match([("new",), ("york",), ("city",)], 0) == (2, ("ny",))
    assert known.match([("new", "york")], 0) == (1, ("ny",))
    assert known.match([("new",), ("york", "state")], 0) == (0, ())
    assert known.match([("new",), (), ("york",)], 0) == (0, ())
    assert known.match([(), ("ny",)], 0) == (0, ())
    assert known.match([("york",)], 0) == (0, ())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("en", {"the", "of", "don't"}), ("de", {"der", "fur", "uber"}), ("fr", {"le", "a"}), ("ru", {"и", "не"}),
        ("tr", {"ve"}), ("ar", {"من"}), ("cs", {"ze"}), ("no", {"og"}), ("id", {"yang"}), ("th", {"การ"}),
    ],
)  # fmt: skip
def test_languages_have_their_own_stop_words_folded(code: str, words: set[str]) -> None:
    assert words <= stop_words((code,))


def test_content_words_are_no_stop_words() -> None:
    assert not {"computer", "group", "http", "file", "find", "copy", "new", "york"} & stop_words(("en",))


def test_languages_go_together_and_one_without_a_list_has_none() -> None:
    assert stop_words(("en", "de")) == stop_words(("en",)) | stop_words(("de",))
    assert stop_words(("ja", "zh", "pl")) == frozenset() == stop_words(())


def test_more_than_thirty_languages_have_a_list() -> None:
    lines = Path(TARGET).read_text(encoding="utf-8").splitlines()
    codes = [line.split()[0] for line in lines if not line.startswith("#")]
    assert len(codes) > 30
    assert codes == sorted(set(codes))


def test_comments_of_lucene_s_lists_are_no_words() -> None:
    assert read("# a comment\nder | the\n | a line\n\nvon zu | of, to\n") == ["der", "von", "zu"]
