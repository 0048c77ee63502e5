# SPDX-License-Identifier: Apache-2.0
"""Recognising the language of a text among those that a collection has."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.query.languages import LOOKED_AT, language_of
from pinakes.core.query.schema import LANGUAGES, Schema, language_field

# A title in each language: "introduction to computer science", or "history of the old town" where that is clearer.
TITLES = {
    "ar": "مقدمة في علم الحاسوب", "bg": "Въведение в информатиката", "bn": "কম্পিউটার বিজ্ঞানের ভূমিকা",
    "ca": "Història de la ciutat vella", "cs": "Dějiny starého města", "da": "Hurtig vejledning til brugeren",
    "de": "Einführung in die Informatik", "el": "Εισαγωγή στην πληροφορική", "en": "History of the old town",
    "es": "Cocina saludable para toda la familia", "et": "Sissejuhatus informaatikasse",
    "eu": "Hiri zaharraren historia", "fa": "مقدمه‌ای بر علوم رایانه", "fi": "Johdatus tietojenkäsittelyyn",
    "fr": "Histoire de la vieille ville", "ga": "Réamhrá ar an ríomheolaíocht", "gl": "Novas económicas de hoxe",
    "hi": "कंप्यूटर विज्ञान का परिचय", "hu": "Bevezetés az informatikába", "hy": "Ներածություն ինֆորմատիկայի",
    "id": "Panduan singkat untuk pengguna", "it": "Notizie economiche di oggi", "ja": "家族のための健康的な料理",
    "ko": "컴퓨터 과학 입문", "lt": "Informatikos įvadas", "lv": "Ievads datorzinātnē",
    "nl": "Geschiedenis van de oude stad", "no": "Innføring i informatikk", "pt": "Introdução à informática",
    "ro": "Istoria orașului vechi", "ru": "Введение в информатику", "sv": "Hälsosam matlagning för hela familjen",
    "th": "วิทยาการคอมพิวเตอร์เบื้องต้น", "tr": "Bilgisayar bilimine giriş", "zh": "计算机科学导论",
}  # fmt: skip
RELATIVES = [
    ("da", "no", "sv"), ("es", "pt", "gl", "ca"), ("ru", "bg"), ("et", "fi", "hu"), ("lt", "lv"), ("nl", "de", "en"),
    ("ja", "zh", "ko"), ("ar", "fa"), ("hi", "bn"),
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_title_is_recognised_beside_a_few_languages(language: str) -> None:
    others = [code for code in ("en", "de", "ru", "zh") if code != language]
    assert language_of(TITLES[language], "", [*others, language]) == language


@pytest.mark.parametrize("declared", RELATIVES, ids="-".join)
def test_languages_that_are_alike_are_told_apart(declared: tuple[str, ...]) -> None:
    assert [language_of(TITLES[language], "", declared) for language in declared] == list(declared)


def test_what_isn_t_clear_is_in_the_first_language() -> None:
    for text in ("", "42", "x", "?!", "\x00\ufffe", "xyzzy"):
        assert language_of(text, "", ["fr", "de"]) == "fr"
    assert language_of(TITLES["ja"], "", ["de", "fr"]) == "de", "it is in neither"


def test_codes_are_those_that_the_collection_declares() -> None:
    assert language_of(TITLES["no"], "", ["en", "nb"]) == "nb"
    assert language_of(TITLES["no"], "", ["nn", "en"]) == "nn"
    assert language_of("x", "", ["mt", "tlh"]) == "mt"
    assert language_field("nb") == language_field("nn") == "no"
    assert Schema(("nb", "nn", "fi")).text_languages() == ("no", "fi", "und")


def test_the_beginning_of_the_body_decides_with_the_title() -> None:
    german = "Dieses Buch erklärt die Grundlagen, die man dafür braucht. " * 40
    english = "This book explains the foundations that one needs for it. " * 40
    assert language_of("Python", german, ["en", "de"]) == "de"
    assert language_of("Python", english[:LOOKED_AT] + german, ["de", "en"]) == "en"


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_an_answer_and_always_the_same(title: str, body: str) -> None:
    declared = ["en", "de", "zh", "xx", "und"]
    title, body = (text.encode(errors="replace").decode() for text in (title, body))
    found = language_of(title, body, declared)
    assert found in declared
    assert language_of(title, body, declared) == found


def test_the_detector_is_loaded_only_when_it_is_needed() -> None:
    script = (
        "import sys; from pinakes.core.query.languages import language_of\n"
        "language_of('Ein Titel', '', ['de']); assert 'pycld2' not in sys.modules\n"
        "language_of('Ein Titel', '', ['de', 'en']); assert 'pycld2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
