# SPDX-License-Identifier: Apache-2.0
"""Analysis on the real engine: each language finds its own inflections, and what is written finds itself."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from pinakes.core.engine.bodies import Page, Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document, read_document
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import prepare
from pinakes.core.query.schema import LANGUAGES, Schema, language_field
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.local import Platform
from pinakes.v1 import resources_pb2
from tests.integration._engine import ADMIN, write

# What is looked for, and a text with another form of it.
INFLECTIONS = {
    "ar": [("كتاب", "والكتاب"), ("مهندس", "المهندسين"), ("محمد", "مُحَمَّد")],
    "bg": [("книга", "книги"), ("град", "градове")],
    "bn": [("বই", "বইগুলো"), ("ছাত্র", "ছাত্রদের")],
    "ca": [("ciutat", "ciutats"), ("home", "l'home")],
    "cs": [("město", "města"), ("kniha", "knihami"), ("mesto", "město")],
    "da": [("bil", "biler"), ("hus", "husene"), ("Koebenhavn", "København"), ("Aarhus", "Århus")],
    "de": [("Haus", "Häuser"), ("Strasse", "Straßen"), ("Mueller", "Müller"), ("muller", "Müller")],
    "el": [("πόλη", "πόλεις"), ("δρόμος", "δρόμοι"), ("βιβλιο", "βιβλίο")],
    "en": [("city", "cities"), ("python", "Python’s"), ("cafe", "café")],
    "es": [("ciudad", "ciudades"), ("cancion", "canciones")],
    "et": [("raamat", "raamatud"), ("maja", "majad")],
    "eu": [("liburu", "liburuak"), ("mendi", "mendietan")],
    "fa": [("کتاب", "کتاب\u200cها"), ("شهر", "شهرها"), ("کتاب", "كتاب")],
    "fi": [("talo", "talossa"), ("kirja", "kirjoissa")],
    "fr": [("cheval", "chevaux"), ("amour", "l’amour"), ("ete", "étés")],
    "ga": [("fear", "bhfear"), ("uisce", "d'uisce"), ("athair", "nAthair")],
    "gl": [("cidade", "cidades"), ("canción", "cancións")],
    "hi": [("किताब", "किताबों"), ("ज़रूर", "जरूर")],
    "hu": [("könyv", "könyvekben"), ("város", "városok"), ("haz", "házak")],
    "hy": [("քաղաք", "քաղաքներ"), ("քաղաք", "քաղաքի")],
    "id": [("buku", "bukunya"), ("baca", "membaca")],
    "it": [("libro", "libri"), ("albero", "l'albero"), ("citta", "città")],
    "ja": [("行く", "東京都に行きました"), ("ｻｰﾊﾞｰ", "サーバー"), ("サーバー", "サーバ")],
    "ko": [("검색", "데이터베이스 검색을 합니다"), ("학교", "학교에서"), ("책", "책을 읽다")],
    "lt": [("miestas", "miestai"), ("knyga", "knygos")],
    "lv": [("pilsēta", "pilsētas"), ("gramata", "grāmatas")],
    "nl": [("boek", "boeken"), ("auto", "auto's")],
    "no": [("bil", "biler"), ("hus", "husene"), ("bok", "boka")],
    "pt": [("coração", "corações"), ("animal", "animais")],
    "ro": [("carte", "cărți"), ("oraş", "orașul"), ("oras", "oraș")],
    "ru": [("город", "города"), ("дом", "домами"), ("елка", "ёлка")],
    "sv": [("bil", "bilar"), ("flicka", "flickor"), ("malmo", "Malmö")],
    "th": [("ภาษา", "ข้อมูลภาษาไทย"), ("ข้อมูล", "ข้อมูลภาษาไทย")],
    "tr": [("kitap", "kitaplar"), ("Türkiye", "Türkiye'nin"), ("ılık", "ILIK"), ("istanbul", "İstanbul")],
    "zh": [("搜索", "中文搜索引擎"), ("中", "中文搜索引擎"), ("引擎", "中文搜索引擎")],
}
# Text that looks the same in every language; what splits it at one end must split it at the other.
_MIXED = "TaskGroup {} os.path.join, read_csv don’t 3.14 x86_64 HTTPServer"
SECONDS = 10.0


class Library:
    """A collection in indices of its own, with documents in many languages."""

    def __init__(self, engine: Engine) -> None:
        """Open a collection that needs no record."""
        tenant = TenantRecord(tenant_id="t", uid=uuid.uuid4().hex)
        collection = CollectionRecord(tenant_uid=tenant.uid, collection_id="c", uid=uuid.uuid4().hex)
        self.scope = TenantScope(engine, ADMIN, tenant, collection)
        self._engine = engine
        self._revision = 1 << 40

    async def write(self, titles: dict[str, tuple[str, str]]) -> None:
        """Write documents by id: language and title."""
        puts = []
        for name, (language, title) in titles.items():
            self._revision += 4096
            document = resources_pb2.Document(title=title, language=language)
            body = compile_document(document, self.scope.owner, Schema(), name, self._revision, 1)
            puts.append(Put(name, body))
        items = await write(self._engine, self.scope, puts)
        assert {item.status for item in items} <= {200, 201}

    async def find(self, language: str, text: str, *, phrase: bool = False) -> list[str]:
        """Return the ids of the documents of a language whose title has all the words, or the phrase."""
        return _ids(await self.scope.search(_body(language, text, phrase=phrase), SECONDS))

    async def find_all(self, wanted: list[tuple[str, str, str, bool]]) -> list[tuple[str, str, str, bool]]:
        """Return those of (id, language, text, phrase) that don't find the document."""
        missed = []
        for start in range(0, len(wanted), 200):
            some = wanted[start : start + 200]
            bodies = [_body(language, text, phrase=phrase) for _, language, text, phrase in some]
            for one, page in zip(some, await self.scope.search_many(bodies, SECONDS), strict=True):
                assert isinstance(page, Page)
                missed += [one] if one[0] not in _ids(page) else []
        return missed


def _body(language: str, text: str, *, phrase: bool) -> dict[str, Any]:
    field = f"title_{language}"
    query = {"match_phrase": {field: text}} if phrase else {"match": {field: {"query": text, "operator": "and"}}}
    return {"query": query, "size": 50, "_source": ["id"]}


def _ids(page: Page) -> list[str]:
    return sorted(hit.source["id"] for hit in page.hits)


@pytest.fixture(scope="module")
async def library(engine: Platform) -> AsyncIterator[Library]:
    """Give a collection with the texts of all languages."""
    settings = Settings(
        opensearch_urls=[engine.opensearch_url],
        secret_key=SecretStr(engine.state.secret_key),
        index_prefix=f"languages-{uuid.uuid4().hex[:8]}",
    )
    client = Engine(settings)
    await prepare(client, settings)
    made = Library(client)
    titles = {f"{lang}-{n}": (lang, text) for lang, pairs in INFLECTIONS.items() for n, (_, text) in enumerate(pairs)}
    titles |= {f"{lang}-mixed": (lang, _MIXED.format(pairs[-1][1])) for lang, pairs in INFLECTIONS.items()}
    titles |= {f"und-{lang}": ("und", _MIXED.format(pairs[0][1])) for lang, pairs in INFLECTIONS.items()}
    await made.write(titles)
    yield made
    await client.call("clean", "DELETE", f"/{settings.index_prefix}-pool-000-v1")
    await client.close()


def test_every_language_is_tried() -> None:
    assert set(INFLECTIONS) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_word_finds_its_other_forms(library: Library, language: str) -> None:
    for number, (word, text) in enumerate(INFLECTIONS[language]):
        assert f"{language}-{number}" in await library.find(language, word), f"{word} doesn't find {text}"


async def test_every_text_is_found_by_its_words_and_as_a_phrase(library: Library) -> None:
    wanted = []
    for language, pairs in INFLECTIONS.items():
        for name, field, text in (
            *((f"{language}-{n}", language, text) for n, (_, text) in enumerate(pairs)),
            (f"{language}-mixed", language, _MIXED.format(pairs[-1][1])),
            (f"und-{language}", "und", _MIXED.format(pairs[0][1])),
        ):
            wanted += [(name, field, text, True), (name, field, text, False)]
            wanted += [(name, field, word, phrase) for word in text.split() for phrase in (False, True)]
    assert await library.find_all(wanted) == []


@pytest.mark.parametrize("language", ["ja", "ko", "zh"])
async def test_a_single_character_finds_what_has_it(library: Library, language: str) -> None:
    texts = {"ja": ("東京の本", "本"), "ko": ("강 옆의 집", "집"), "zh": ("北京大学", "大")}
    text, character = texts[language]
    await library.write({f"{language}-single": (language, text)})
    assert f"{language}-single" in await library.find(language, character)


async def test_words_of_chinese_are_found_in_their_order_only(library: Library) -> None:
    await library.write({"zh-order": ("zh", "海上"), "zh-other": ("zh", "上海")})
    assert await library.find("zh", "上海") == ["zh-other"]
    assert await library.find("zh", "上海", phrase=True) == ["zh-other"]


@pytest.mark.parametrize("language", ["en", "und", "ru"])
async def test_names_of_programs_are_found_by_their_parts_and_as_a_whole(library: Library, language: str) -> None:
    documents = {
        "gather": "asyncio.gather runs awaitables", "group": "the TaskGroup class", "csv": "pandas read_csv function",
        "join": "os.path.join joins paths", "apart": "a task in some group", "flowers": "we gather flowers",
    }  # fmt: skip
    field = language_field(language)
    await library.write({f"{language}:{name}": (language, text) for name, text in documents.items()})

    async def found(text: str, *, phrase: bool = False) -> set[str]:
        ids = await library.find(field, text, phrase=phrase)
        return {name.removeprefix(f"{language}:") for name in ids if name.startswith(f"{language}:")}

    assert await found("gather") == {"gather", "flowers"}
    assert await found("asyncio.gather") == {"gather"}
    assert await found("AsyncIO.gather") == {"gather"}
    assert await found("csv") == await found("read_csv") == await found("read_csv", phrase=True) == {"csv"}
    assert await found("path.join") == {"join"}
    assert await found("taskgroup") == {"group"}
    assert await found("TaskGroup") == {"group"}, "the words apart aren't the name"
    assert await found("task group") == {"group", "apart"}
    assert await found("the TaskGroup class", phrase=True) == {"group"}
    assert await found("os.path.join joins", phrase=True) == {"join"}


async def test_a_title_is_read_back_in_its_language(library: Library) -> None:
    await library.write({"read": ("nb", "Bøker")})
    found = await library.scope.get("read")
    assert found is not None
    document = read_document(found.source, library.scope.owner, frozenset({"title", "language"}), "")
    assert (document.title, document.language, "title_no" in found.source) == ("Bøker", "nb", True)
