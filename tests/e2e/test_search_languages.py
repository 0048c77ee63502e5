# SPDX-License-Identifier: Apache-2.0
"""Languages through Envoy: in each an inflection finds the word, one query reads several, and none need be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import InvalidArgument
from tests.e2e._search import Shelf, shelf

# What is looked for, and a title with another form of it.
INFLECTIONS = {
    "ar": ("كتاب", "والكتاب"), "bg": ("книга", "книги"), "ca": ("ciutat", "ciutats"), "cs": ("kniha", "knihami"),
    "da": ("bil", "biler"), "de": ("Haus", "Häuser"), "el": ("δρόμος", "δρόμοι"), "en": ("city", "cities"),
    "es": ("ciudad", "ciudades"), "et": ("raamat", "raamatud"), "fa": ("شهر", "شهرها"), "fi": ("talo", "talossa"),
    "fr": ("cheval", "chevaux"), "hi": ("किताब", "किताबों"), "hu": ("könyv", "könyvekben"), "id": ("buku", "bukunya"),
    "it": ("libro", "libri"), "ja": ("行く", "東京都に行きました"), "ko": ("검색", "데이터베이스 검색을 합니다"),
    "lt": ("knyga", "knygos"), "nl": ("boek", "boeken"), "no": ("hus", "husene"), "pt": ("animal", "animais"),
    "ro": ("carte", "cărți"), "ru": ("город", "города"), "sv": ("flicka", "flickor"), "tr": ("kitap", "kitaplar"),
    "zh": ("引擎", "中文搜索引擎"),
}  # fmt: skip
# A collection has five languages at most.
GROUPS = [tuple(INFLECTIONS)[start : start + 5] for start in range(0, len(INFLECTIONS), 5)]


@pytest.mark.parametrize("languages", GROUPS, ids="-".join)
def test_an_inflected_word_is_found_in_each_language(platform: Any, languages: tuple[str, ...]) -> None:
    documents = {code: {"title": INFLECTIONS[code][1], "language": code} for code in languages}
    with shelf(platform, "tongues", documents, languages=languages) as texts:
        missed = [code for code in languages if code not in texts.found(INFLECTIONS[code][0], languages=[code])]
        assert not missed
        # Without a language said, the query is read in all that the collection has.
        assert not [code for code in languages if code not in texts.found(INFLECTIONS[code][0])]


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection in several languages, whose documents don't all say which is theirs."""
    documents = {
        "en": {"title": "The houses of the old city are small", "body": "People walked through the streets in the evening."},
        "de": {"title": "Die Häuser der alten Stadt sind klein", "body": "Am Abend gingen die Leute durch die Straßen."},
        "fr": {"title": "Les maisons de la vieille ville sont petites", "body": "Le soir, les gens marchaient dans les rues."},
        "ja": {"title": "古い町の家は小さいです", "body": "夕方、人々は通りを歩きました。"},
        "tlh": {"title": "nuqneH qapla'", "language": "tlh"},
    }  # fmt: skip
    with shelf(platform, "several", documents, languages=["en", "de", "fr", "ja", "tlh"]) as texts:
        yield texts


def test_a_language_that_is_not_said_is_found_out(made: Shelf) -> None:
    answer = made.search(facets=["language"])
    told = {one.document.name.rpartition("/")[2]: one.document.language for one in answer.results}
    assert told == {code: code for code in ("en", "de", "fr", "ja", "tlh")}
    assert {bucket.value: bucket.count for bucket in answer.facets[0].buckets} == dict.fromkeys(told, 1)


def test_one_query_is_read_in_several_languages(made: Shelf) -> None:
    assert set(made.found("house Haus maison", matching="any")) == {"en", "de", "fr"}
    assert set(made.found("house Haus maison", matching="any", languages=["de", "fr"])) == {"de", "fr"}
    assert made.found("hauser strasse") == ["de"]
    assert made.found("歩く") == ["ja"]
    assert made.found("nuqneh") == ["tlh"], "a language without rules of its own is folded"
    assert made.found("house", filter="language = de") == []


def test_passages_are_marked_in_each_language(made: Shelf) -> None:
    for query, name, marked in (
        ("house", "en", "<mark>houses</mark>"),
        ("haus", "de", "<mark>Häuser</mark>"),
        ("家", "ja", "<mark>家</mark>"),
    ):
        answer = made.search(query, highlight=["title"])
        assert [one.document.name.rpartition("/")[2] for one in answer.results] == [name]
        assert marked in answer.results[0].highlights[0].texts[0]


@pytest.mark.parametrize(
    ("languages", "field"),
    [
        (["xx"], "languages[0]"),
        (["en", "en"], "languages"),
        (["EN"], "languages[0]"),
        (["en"] * 6, "languages"),
        (["en", "sv"], "languages[1]"),
    ],
)
def test_languages_that_the_collection_does_not_have_are_refused(made: Shelf, languages: list[str], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made.search("x", languages=languages)
    assert field in [violation.field for violation in caught.value.violations]
