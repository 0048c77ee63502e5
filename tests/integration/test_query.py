# SPDX-License-Identifier: Apache-2.0
"""What people type, compiled and asked of the real engine: what is found, in what order, and what it costs at most."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import json_format
from pydantic import SecretStr

from pinakes.core.engine.bodies import Page, Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import prepare
from pinakes.core.faults import Fault
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.options import encoded, options_of
from pinakes.core.query.order import compile_order
from pinakes.core.query.ranking import ranked
from pinakes.core.query.text import compile_query, counting_clause, parse_query, read_name
from pinakes.core.query.weights import NOTHING, Weights
from pinakes.core.settings import Limits, Settings
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord, TenantRecord, now_ms
from pinakes.core.times import parse_time_ms
from pinakes.local import Platform
from pinakes.v1 import ranking_pb2
from pinakes.v1.resources_pb2 import Document
from tests.integration._engine import write

LIMITS = Limits()
NOW = parse_time_ms("2026-06-01T00:00:00Z")
ATTRIBUTES = (
    SlotRecord(name="stars", type="number", slot="num_00"),
    SlotRecord(name="published", type="time", slot="time_00"),
    SlotRecord(name="abstract", type="text", slot="text_00"),
    SlotRecord(name="kind", type="string", slot="kw_00"),
)


@dataclass(slots=True)
class Shelf:
    """One collection of a tenant of its own, searched without a server."""

    engine: Engine
    languages: tuple[str, ...] = ("en",)
    settings: ranking_pb2.SearchSettings = field(default_factory=ranking_pb2.SearchSettings)
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:12]}")
    revision: int = 1

    @property
    def record(self) -> CollectionRecord:
        """The collection's record."""
        return CollectionRecord(
            tenant_uid=self.tenant, collection_id="default", uid=f"{self.tenant}c", languages=self.languages,
            attributes=ATTRIBUTES, search=encoded(self.settings),
        )  # fmt: skip

    @property
    def scope(self) -> TenantScope:
        """Its scope for one who may read everything."""
        principal = Principal("test", Role.ADMIN, None, None)
        return TenantScope(self.engine, principal, TenantRecord(tenant_id=self.tenant, uid=self.tenant), self.record)

    async def put(self, **documents: dict[str, Any]) -> None:
        """Write documents by id."""
        scope = self.scope
        puts = []
        for name, content in documents.items():
            self.revision += 1
            document = json_format.ParseDict(content, Document())
            body = compile_document(document, scope.owner, self.record.schema(), name, self.revision, NOW)
            puts.append(Put(name, body))
        items = await write(self.engine, scope, puts)
        assert {item.status for item in items} <= {200, 201}

    async def page(
        self, query: str, *, weights: Weights = NOTHING, order: str = "relevance", named: bool = False, **how: Any
    ) -> Page:
        """Search as Search does."""
        ranking = json_format.ParseDict(how.pop("ranking"), ranking_pb2.Ranking()) if "ranking" in how else None
        scope, schema = self.scope, self.record.schema()
        options = options_of(self.record, ranking=ranking, **how)
        asked = compile_query(parse_query(query, options, LIMITS), options, weights, named=named, owner=scope.owner)
        asked = ranked(asked, options, schema, LIMITS, now_ms=NOW)
        sort = compile_order(order, schema, has_query=True).sort
        body = {"query": asked, "size": 50, "sort": sort, "_source": ["id"], "track_total_hits": True}
        return await scope.search(body if asked else {k: v for k, v in body.items() if k != "query"}, 5)

    async def ids(self, query: str, **how: Any) -> list[str]:
        """Return the ids found, best first."""
        return [hit.source["id"] for hit in (await self.page(query, **how)).hits]

    async def found(self, query: str, **how: Any) -> str:
        """Return the ids found in their own order, joined."""
        return "".join(sorted(await self.ids(query, **how)))

    async def filtered(self, text: str) -> str:
        """Return the ids that a filter finds, joined."""
        condition = compile_filter(parse_filter(text, LIMITS), self.record.schema())
        page = await self.scope.search({"filter": condition, "size": 50, "_source": ["id"]}, 5)
        return "".join(sorted(hit.source["id"] for hit in page.hits))


@pytest.fixture
async def core(engine: Platform) -> AsyncIterator[Engine]:
    """Give the engine's client, with everything made that it needs."""
    settings = Settings(opensearch_urls=[engine.opensearch_url], secret_key=SecretStr("s" * 32))
    client = Engine(settings)
    await prepare(client, settings)
    yield client
    await client.close()


@pytest.fixture
async def words(core: Engine) -> Shelf:
    """Give a collection with a few documents."""
    shelf = Shelf(core)
    await shelf.put(
        a={"title": "Reading large files", "body": "Streams of lines, one after the other.", "tags": ["io"]},
        b={"title": "Writing", "body": "How to write the lines of a file in parallel", "tags": ["io", "threads"]},
        c={"title": "Universities of New York", "body": "A list.", "attributes": {"abstract": "Campus and library"}},
        d={"title": "Big apple", "body": "The city that is called NY by those who live in it"},
        e={"title": "Snake_case and camelCase", "body": "std::vector at 12:30, http://x.example/y"},
    )
    return shelf


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("lines", "ab"),
        # One word is enough.
        ("writing lines parallel", "ab"),
        ("writing absent", "b"),
        ("absent missing", ""),
        ('"large files"', "a"),
        ('"files large"', ""),
        ("“large files”", "a"),
        ("lines -parallel", "a"),
        ('lines -"one after"', "b"),
        ("-lines", "cde"),
        ("title:writing", "b"),
        ("title:lines", ""),
        ("body:lines", "ab"),
        ('body:"the lines"', "b"),
        ("tags:threads", "b"),
        ("abstract:campus", ""),
        # The typed word is longer than what the stemmer left of it; the title's own words are whole.
        ("universit*", "c"),
        ("univ*", "c"),
        ("paral*", "b"),
        ("title:paral*", ""),
        ("-lin*", "cde"),
        ("std::vector", "e"),
        ("http://x.example/y", "e"),
        ("12:30", "e"),
        ("snake_ca*", "e"),
        # Stop words may be missing, but not when there is nothing else, nor in a phrase.
        ("what is reading", "a"),
        ("the", "abd"),
        ('"the list"', ""),
        ("!?", ""),
    ],
)
async def test_what_a_query_finds(words: Shelf, query: str, expected: str) -> None:
    assert await words.found(query) == expected


async def test_what_has_most_of_the_words_comes_first_counted_over_all_fields(core: Engine) -> None:
    shelf = Shelf(core)
    # Without the count, the one that has a single word everywhere would be first.
    await shelf.put(
        most={"title": "apples", "body": "pears " + "and other words " * 50, "tags": ["plums"]},
        one={"title": "cherries", "body": "cherries", "tags": ["cherries"]},
        two={"title": "cherries apples", "tags": ["cherries"]},
    )
    assert await shelf.ids("apples pears plums cherries") == ["most", "two", "one"]
    assert await shelf.ids("apples pears plums cherries", matching=ranking_pb2.MATCHING_ALL) == []


async def test_all_wants_every_word_and_any_wants_one(words: Shelf) -> None:
    all_of, any_of = ranking_pb2.MATCHING_ALL, ranking_pb2.MATCHING_ANY
    assert await words.found("writing parallel threads absent", matching=all_of) == ""
    assert await words.found("the writing parallel threads", matching=all_of) == "b"
    assert await words.found("writing universities absent", matching=any_of) == "bc"
    assert await words.found("the writing", matching=any_of) == "b"


async def test_text_attributes_are_searched_with_a_weight_only(words: Shelf) -> None:
    ranking = {"textAttributes": {"abstract": 1}}
    assert await words.found("campus") == ""
    for query in ("campus", "abstract:campus", "attributes.abstract:campus", 'abstract:"campus and library"'):
        assert await words.found(query, ranking=ranking) == "c"
    assert await words.found("lines", ranking={"body": 0}) == ""
    assert await words.found("body:lines", ranking={"body": 0}) == "ab"


async def test_synonyms_of_one_and_of_several_words_go_both_ways(words: Shelf) -> None:
    assert await words.found("ny") == "d"
    settings = ranking_pb2.SearchSettings(
        synonyms=[
            ranking_pb2.Synonym(words=["NY", "New York"]),
            ranking_pb2.Synonym(words=["novella"], means=["large files", "parallel"]),
        ]
    )
    known = Shelf(words.engine, settings=settings, tenant=words.tenant)
    assert await known.found("ny") == "cd"
    assert await known.found("new york") == "cd"
    assert await known.found('"new york"') == "c"
    assert await known.found("New YORK universities") == "cd"
    assert (await known.ids("New YORK universities"))[0] == "c"
    assert await known.found("New YORK universities", matching=ranking_pb2.MATCHING_ALL) == "c"
    assert await known.found("universities -ny") == "c"
    assert await known.found("novella") == "ab"
    assert await known.found("parallel") == "b"
    names = [read_name(name) for hit in (await known.page("what ny", named=True)).hits for name in hit.matched]
    assert set(names) == {(1, "title", "New York"), (1, "body", None)}


async def test_stop_words_of_the_collection_may_be_missing(words: Shelf) -> None:
    all_of = ranking_pb2.MATCHING_ALL
    assert await words.found("please reading", matching=all_of) == ""
    known = Shelf(words.engine, settings=ranking_pb2.SearchSettings(stop_words=["Please"]), tenant=words.tenant)
    assert await known.found("please reading", matching=all_of) == "a"


async def test_corrections_find_what_was_meant_below_what_was_typed(core: Engine) -> None:
    shelf = Shelf(core)
    await shelf.put(
        typed={"title": "asyncoi", "body": "x"}, meant={"title": "asyncio", "body": "x"}, other={"title": "async"}
    )
    weights = Weights({"asyncoi": 1.0, "asyncio": 1.0}, {"asyncoi": ("asyncio",)})
    page = await shelf.page("asyncoi", weights=weights, named=True)
    assert [hit.source["id"] for hit in page.hits] == ["typed", "meant"]
    assert [read_name(name) for name in page.hits[1].matched] == [(0, "title", "asyncio")]
    assert await shelf.found("asyncoi", weights=weights, typos=ranking_pb2.TYPOS_REFUSED) == "typed"


async def test_rare_words_weigh_more_by_the_collection_s_own_counts(core: Engine) -> None:
    shelf = Shelf(core)
    await shelf.put(rare={"title": "zebra"}, usual={"title": "horse"})
    how: dict[str, Any] = {"matching": ranking_pb2.MATCHING_ANY}
    assert await shelf.ids("horse zebra", weights=Weights({"horse": 0.5, "zebra": 4.0}), **how) == ["rare", "usual"]
    assert await shelf.ids("horse zebra", weights=Weights({"horse": 4.0, "zebra": 0.5}), **how) == ["usual", "rare"]


async def test_words_near_one_another_come_first(core: Engine) -> None:
    shelf = Shelf(core)
    filler = "nothing of interest is said here for a while " * 3
    await shelf.put(
        far={"title": "one", "body": f"garden {filler} party {filler}"},
        near={"title": "two", "body": f"{filler} {filler} garden party"},
    )
    assert await shelf.ids("garden party") == ["near", "far"]


async def test_newer_documents_come_first_by_half_lives(core: Engine) -> None:
    shelf = Shelf(core)
    text = {"title": "same words", "body": "of the same length"}
    times = {"now": "2026-06-01", "old": "2026-05-02", "older": "2026-04-02", "future": "2030-01-01"}
    await shelf.put(
        **{n: text | {"attributes": {"published": f"{day}T00:00:00Z"}} for n, day in times.items()}, never=text
    )
    plain = {hit.source["id"]: hit.score for hit in (await shelf.page("same words")).hits}
    freshness = {"field": "attributes.published", "halfLife": "2592000s"}
    for weight, half, quarter in ((0, 0.75, 0.625), (1, 0.5, 0.25)):
        page = await shelf.page("same words", ranking={"freshness": freshness | {"weight": weight}})
        found = {hit.source["id"]: round(hit.score / plain[hit.source["id"]], 4) for hit in page.hits}
        assert found == {"now": 1.0, "future": 1.0, "never": 1.0, "old": half, "older": quarter}


async def test_boosts_multiply_by_filter_and_by_number(core: Engine) -> None:
    shelf = Shelf(core)
    text = {"title": "same words"}
    stars = {
        "none": {},
        "zero": {"stars": 0},
        "some": {"stars": 10},
        "below": {"stars": -3},
        "guide": {"kind": "guide"},
    }
    await shelf.put(**{name: text | {"attributes": attributes} for name, attributes in stars.items()})
    plain = (await shelf.page("same words")).hits[0].score
    boosts = [{"number": "attributes.stars", "weight": 2, "scale": 10}, {"filter": "kind = guide", "weight": 3}]
    page = await shelf.page("same words", ranking={"boosts": boosts})
    found = {hit.source["id"]: round(hit.score / plain, 3) for hit in page.hits}
    assert found == {"guide": 3.0, "some": 2.386, "zero": 1.0, "none": 1.0, "below": 1.0}
    # Without a query, that alone is the order.
    assert (await shelf.ids("", ranking={"boosts": boosts}))[:2] == ["guide", "some"]


async def test_words_of_scripts_without_spaces_needn_t_be_there_as_a_whole(core: Engine) -> None:
    shelf = Shelf(core, languages=("ja",))
    await shelf.put(
        a={"title": "東京の天気", "body": "明日の東京は晴れです。"},
        b={"title": "大阪の食べ物", "body": "たこ焼きがおいしい。"},
    )
    assert (await shelf.ids("東京の明日の天気予報"))[0] == "a"
    assert await shelf.ids("東京の天気", matching=ranking_pb2.MATCHING_ALL) == ["a"]
    assert await shelf.ids("たこ焼き") == ["b"]
    assert await shelf.ids("京都") == []


@pytest.mark.parametrize(
    "query",
    [
        "-".join("ab" for _ in range(166)),
        "東京都の天気予報" * 62,
        "ไทย" * 166,
        "aБ" * 250,
        " ".join("ab-cd-ef-gh-ij"[: 14 + n % 2] for n in range(32)),
        " ".join(f"ab{n}*" for n in range(8)) + " " + "x.y" * 100,
        '"' + "東京都の天気予報" * 60 + '"',
        "🎉" * 500,
    ],
)
async def test_no_query_is_too_large_for_the_engine(core: Engine, query: str) -> None:
    languages = ("en", "ja", "ru", "de", "fr")
    synonyms = [ranking_pb2.Synonym(words=[f"ab{n}", *(f"word {n} {m}" for m in range(19))]) for n in range(40)]
    shelf = Shelf(core, languages=languages, settings=ranking_pb2.SearchSettings(synonyms=synonyms))
    ranking = {"textAttributes": {"abstract": 1}}
    assert len(query) <= LIMITS.query_chars
    assert (await shelf.page(query, ranking=ranking)).total == 0
    many = " ".join(f"ab{n}" for n in range(32))
    weights = Weights({}, {f"ab{n}": tuple(f"ac{n}x{m}" for m in range(8)) for n in range(32)})
    assert (await shelf.page(many, ranking=ranking, weights=weights)).total == 0


async def test_no_filter_is_too_large_for_the_engine(core: Engine) -> None:
    shelf = Shelf(core, languages=("ko", "ja", "zh", "en", "de"))
    await shelf.put(a={"title": "x"})
    long = "\u6771\u4eac\u90fd" * 660
    for text in (f'"{long}"', f'title:"{long}"', "x." * 900 + "y"):
        assert await shelf.filtered(text) == ""
    assert await shelf.filtered(" OR ".join("x" * n for n in range(2, 25))) == ""
    with pytest.raises(Fault, match="FILTER_TOO_MANY_TERMS"):
        await shelf.filtered(" OR ".join("x" * n for n in range(2, 26)))


async def test_the_largest_query_and_the_largest_filter_go_together(core: Engine) -> None:
    languages = ("es", "it", "en", "de", "fr")
    texts = tuple(SlotRecord(name=f"text{n}", type="text", slot=f"text_{n:02}") for n in range(8))
    shelf = Shelf(core, languages=languages)
    record = dataclasses.replace(shelf.record, attributes=texts)
    ranking = ranking_pb2.Ranking(text_attributes={text.name: 1.0 for text in texts})
    options = options_of(record, ranking=ranking)
    typed = " ".join([*("w" * n for n in range(1, 25)), *(f"p.{'xy' * n}*" for n in range(1, 9))])
    query = compile_query(parse_query(typed, options, LIMITS), options, NOTHING, owner=shelf.scope.owner)
    condition = compile_filter(parse_filter(" OR ".join("v" * n for n in range(1, 24)), LIMITS), record.schema())
    page = await shelf.scope.search({"query": query, "filter": condition, "size": 1}, 5)
    assert page.total == 0


async def test_what_is_counted_is_what_is_found(words: Shelf) -> None:
    options = options_of(words.record)
    for text in ("lines", '"large files"', "univ*", "title:writing", "tags:io"):
        (term,) = parse_query(text, options, LIMITS).terms
        clause = counting_clause(term, options, words.scope.owner)
        page = await words.scope.search({"size": 0, "filter": clause, "track_total_hits": True}, 5)
        assert page.total == len(await words.ids(text))


async def test_filters_know_times_relative_to_now(core: Engine) -> None:
    shelf = Shelf(core)
    day = 86_400_000
    await shelf.put(**{
        name: {"title": name, "expireTime": _text(now_ms() + days * day)} for name, days in (("s", 1), ("m", 10), ("l", 100))
    })  # fmt: skip
    assert await shelf.filtered('expire_time < from_now("2d")') == "s"
    assert await shelf.filtered("expire_time > from_now(2d) AND expire_time < from_now(3w)") == "m"
    assert await shelf.filtered('expire_time > ago("1h")') == "lms"
    assert await shelf.filtered("expire_time < now()") == ""
    assert await shelf.filtered("expire_time < from_now(999999999w) AND expire_time > ago(999999999w)") == "lms"
    assert await shelf.filtered('expire_time > timestamp("2026-01-31T12:00:00Z")') == "lms"


def _text(milliseconds: int) -> str:
    document = Document()
    document.expire_time.FromMilliseconds(milliseconds)
    text: str = document.expire_time.ToJsonString()
    return text
