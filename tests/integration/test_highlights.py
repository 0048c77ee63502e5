# SPDX-License-Identifier: Apache-2.0
"""Passages with the words found in them, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration._search import Place, Searched, ids, place

__all__ = ["place"]


@pytest.fixture
async def texts(place: Place) -> Searched:
    """Give documents with texts that are hard to mark."""
    opened = await place.collection(languages=("en", "de"))
    await opened.write(
        {
            "id": "html", "title": 'The <b>parser</b> & "you"',
            "body": "First sentence is here. A <script>alert('parser')</script> follows. Then a parser again. The end.",
            "attributes": {"abstract": "An abstract about a parser."},
        },
        {"id": "long", "title": "Nothing", "body": "Filler text goes on and on. " * 400 + "One parser at the end."},
        {"id": "german", "title": "Die Häuser", "body": "Alte Häuser stehen da.", "language": "de"},
        {"id": "marks", "title": "\ue000parser\ue001 \ue002 \ue003", "body": "none"},
    )  # fmt: skip
    return opened


async def passages(searched: Searched, query: str, **highlight: Any) -> dict[str, dict[str, list[str]]]:
    """Return the passages by document and field."""
    answer = await searched.search(query, highlight=highlight)
    return {
        name: {one.field: list(one.texts) for one in result.highlights}
        for name, result in zip(ids(answer.results), answer.results, strict=True)
    }


async def test_words_are_marked_and_the_text_is_escaped(texts: Searched) -> None:
    found = (await passages(texts, "parser"))["html"]
    assert found["title"] == ["The &lt;b&gt;<mark>parser</mark>&lt;/b&gt; &amp; &quot;you&quot;"]
    (passage,) = found["body"]
    assert "<mark>parser</mark>" in passage
    assert "<script>" not in passage
    assert set(found) == {"title", "body"}


async def test_plain_passages_are_the_text_itself_with_the_callers_marks(texts: Searched) -> None:
    found = (await passages(texts, "parser", plain=True, before="[", after="]", fields=["title"]))["html"]
    assert found == {"title": ['The <b>[parser]</b> & "you"']}
    default = (await passages(texts, "parser", fields=["title"], plain=True))["marks"]
    assert default == {"title": ["\ue000<mark>parser</mark>\ue001 \ue002 \ue003"]}


async def test_passages_are_whole_sentences_about_as_long_as_asked_for(texts: Searched) -> None:
    found = (await passages(texts, "parser", fields=["body"], passages=5, passageChars=50, plain=True))["html"]["body"]
    assert 2 <= len(found) <= 5
    assert any(text.startswith("Then a <mark>parser</mark> again.") for text in found)
    short = (await passages(texts, "parser", fields=["body"], passageChars=60))["long"]["body"]
    assert len(short) == 1
    assert "One <mark>parser</mark> at the end." in short[0]
    assert len(short[0]) < 150


async def test_stems_are_marked_in_each_language(texts: Searched) -> None:
    found = await passages(texts, "Häuser")
    assert found["german"]["title"] == ["Die <mark>Häuser</mark>"]
    assert found["german"]["body"] == ["Alte <mark>Häuser</mark> stehen da."]


async def test_text_attributes_are_marked_where_they_are_searched(texts: Searched) -> None:
    asked = {"fields": ["attributes.abstract"]}
    searched = await texts.search("parser", highlight=asked, ranking={"textAttributes": {"abstract": 1}})
    by_id = dict(zip(ids(searched.results), searched.results, strict=True))
    assert by_id["html"].highlights[0].texts == ["An abstract about a <mark>parser</mark>."]
    assert not by_id["long"].highlights
    without = await texts.search("parser", highlight=asked)
    assert not any(result.highlights for result in without.results)


async def test_what_a_filter_finds_is_not_marked(texts: Searched) -> None:
    answer = await texts.search(filter="title:parser", highlight={})
    assert answer.results
    assert not any(result.highlights for result in answer.results)
    answer = await texts.search("sentence", filter="title:parser", highlight={"passages": 5})
    assert [one.field for result in answer.results for one in result.highlights] == ["body"]


async def test_a_body_of_a_mebibyte_does_not_break_highlights(place: Place) -> None:
    opened = await place.collection()
    body = "needle first. " + "word " * 209_000 + "needle last."
    await opened.write({"id": "big", "title": "Big", "body": body})
    found = await passages(opened, "needle", passages=5)
    assert found["big"]["body"][0].startswith("<mark>needle</mark> first.")
