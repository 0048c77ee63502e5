# SPDX-License-Identifier: Apache-2.0
"""Highlights compiled for the engine, and its passages made safe."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault
from pinakes.core.query import allowlist
from pinakes.core.query.options import Options
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.search.queries.highlights import Highlights, compile_highlights
from pinakes.v1 import ranking_pb2, search_pb2

SCHEMA = Schema(
    languages=("de", "en"),
    attributes={
        "abstract": Attribute("abstract", AttributeType.TEXT, "text_00"),
        "notes": Attribute("notes", AttributeType.TEXT, "text_01"),
        "kind": Attribute("kind", AttributeType.STRING, "kw_00"),
    },
)
OPTIONS = Options(
    settings=ranking_pb2.SearchSettings(),
    fields={
        "title": (("title_de", 3.0), ("title_en", 3.0), ("title_und", 3.0)),
        "body": (("body_de", 1.0), ("body_en", 1.0), ("body_und", 1.0)),
        "attributes.abstract": (("text_00", 1.0),),
    },
    languages=("de", "en"),
)
WORDS: dict[str, Any] = {"match": {"title_de": {"query": "x"}}}


def compiled(*, words: dict[str, Any] | None = WORDS, filtered: bool = False, **asked: Any) -> Highlights:
    """Compile highlights given as JSON."""
    message = json_format.ParseDict(asked, search_pb2.Highlight())
    return compile_highlights(message, OPTIONS, SCHEMA, words, filtered=filtered)


def test_titles_come_whole_and_bodies_in_sentences_of_their_language() -> None:
    body = compiled().body
    assert body is not None
    assert body["fields"]["title_en"] == {"number_of_fragments": 0, "boundary_scanner_locale": "en"}
    assert body["fields"]["body_de"] == {"boundary_scanner_locale": "de"}
    assert body["fields"]["body_und"] == {"boundary_scanner_locale": "de"}
    assert (body["number_of_fragments"], body["fragment_size"], body["boundary_scanner"]) == (1, 200, "sentence")
    assert "highlight_query" not in body
    allowlist.check_body({"highlight": body})


def test_a_filter_beside_the_words_is_not_marked() -> None:
    body = compiled(filtered=True).body
    assert body is not None
    assert body["highlight_query"] == WORDS


def test_without_words_there_is_nothing_to_mark() -> None:
    assert compiled(words=None, filtered=True).body is None


def test_fields_that_are_not_searched_have_no_passages() -> None:
    found = compiled(fields=["attributes.notes", "attributes.abstract"])
    assert found.fields == {"attributes.notes": (), "attributes.abstract": ("text_00",)}
    assert [one.field for one in found.read({"text_00": ["x"], "text_01": ["y"]})] == ["attributes.abstract"]


@pytest.mark.parametrize(
    ("asked", "place", "reason"),
    [
        ({"fields": ["title", "tags"]}, "fields[1]", "HIGHLIGHT_UNKNOWN_FIELD"),
        ({"fields": ["attributes.none"]}, "fields[0]", "HIGHLIGHT_UNKNOWN_FIELD"),
        ({"fields": ["abstract"]}, "fields[0]", "HIGHLIGHT_UNKNOWN_FIELD"),
        ({"fields": ["attributes.kind"]}, "fields[0]", "HIGHLIGHT_WRONG_TYPE"),
        ({"passageChars": 49}, "passage_chars", "HIGHLIGHT_PASSAGE_CHARS"),
    ],
)
def test_faults_say_where_they_are(asked: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        compiled(**asked)
    assert caught.value.reason == reason
    assert [one.field for one in caught.value.violations] == [f"highlight.{place}"]


def test_delimiters_are_of_one_request_only() -> None:
    first, second = compiled(), compiled()
    assert len({first.opening, first.closing, second.opening, second.closing}) == 4


@given(st.text(), st.text(min_size=1), st.text(), st.text(max_size=20), st.text(max_size=20))
def test_whatever_the_text_is_only_the_callers_marks_are_html(
    left: str, word: str, right: str, before: str, after: str
) -> None:
    marks = {"before": before, "after": after}
    found = compiled(**{name: mark for name, mark in marks.items() if mark})
    (passages,) = found.read({"title_en": [f"{left}{found.opening}{word}{found.closing}{right}"]})
    expected = html.escape(left) + (before or "<mark>") + html.escape(word) + (after or "</mark>") + html.escape(right)
    assert list(passages.texts) == [expected]


@given(st.text(alphabet="<>&\"'abc\ue000\ue001\ue002\ue003"))
def test_text_alone_is_always_escaped(text: str) -> None:
    found = compiled()
    (passages,) = found.read({"body_en": [text]})
    assert not re.search("[<>\"']", passages.texts[0])
    assert html.unescape(passages.texts[0]) == text
    (plain,) = compiled(plain=True).read({"body_en": [text]})
    assert list(plain.texts) == [text]
