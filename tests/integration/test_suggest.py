# SPDX-License-Identifier: Apache-2.0
"""Search as you type: titles, words, corrections and related words, from what the caller may see and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import json_format

from pinakes.client import AsyncClient, document
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.searches import Searches
from pinakes.core.faults import Fault
from pinakes.local import Platform
from pinakes.search.queries import suggest
from pinakes.v1 import resources_pb2, suggest_pb2
from tests.integration._engine import Direct, direct
from tests.integration._search import Place, Searched, ids, place, revision_now
from tests.integration._servers import new_tenant

__all__ = ["direct", "place"]

ALL = ["KIND_TITLE", "KIND_TERM", "KIND_CORRECTION", "KIND_RELATED"]
BOOKS: tuple[dict[str, Any], ...] = (
    {"id": "a", "title": "Asyncio", "tags": ["loops"], "attributes": {"kind": "module"}},
    {"id": "b", "title": "Gather asyncio tasks", "attributes": {"kind": "function"}},
    {"id": "c", "title": "Asynchronous generators", "attributes": {"kind": "topic"}},
    {"id": "d", "title": "Asyncio subprocess", "attributes": {"kind": "module"}},
    {"id": "e", "title": "Asylum", "readers": ["ann"]},
    {"id": "f", "title": "Élan vital", "attributes": {"kind": "topic"}},
    {"id": "g", "title": "Reference of everything", "body": "asyncio is only in the body here"},
)


async def suggested(searched: Searched, query: str, kinds: Sequence[str] = (), **more: Any) -> Any:
    """Suggest as the server does."""
    request = json_format.ParseDict({"query": query, "kinds": list(kinds)} | more, suggest_pb2.SuggestRequest())
    return await suggest.run(request, searched.scope, searched.collection, searched.parts)


def titles(answer: suggest_pb2.SuggestResponse) -> list[str]:
    return [one.title for one in answer.titles]


def terms(answer: suggest_pb2.SuggestResponse) -> list[tuple[str, int]]:
    return [(one.text, one.count) for one in answer.terms]


@pytest.fixture
async def books(place: Place) -> Searched:
    """Give a collection with a few books, one of them for Ann alone."""
    books = await place.collection()
    await books.write(*BOOKS)
    return books


async def test_the_last_word_is_completed_the_most_frequent_first(books: Searched) -> None:
    answer = await suggested(books, "asy", ["KIND_TERM"])
    assert terms(answer) == [("asyncio", 3), ("asylum", 1), ("asynchronous", 1)]
    assert not answer.titles
    assert terms(await suggested(books, "Gather AS")) == [("Gather asyncio", 1)]
    assert terms(await suggested(books, "asyncio.ga")) == [("asyncio.gather", 1)]
    assert terms(await suggested(books, "elan v")) == [("elan vital", 1)]
    assert terms(await suggested(books, "Élan V")) == [("Élan vital", 1)]
    # A star says what is meant anyway.
    assert terms(await suggested(books, "asyl*")) == [("asylum", 1)]
    assert terms(await suggested(books, "asy", limit=1)) == [("asyncio", 3)]


async def test_after_a_space_come_the_words_that_most_often_go_with_those_typed(place: Place) -> None:
    searched = await place.collection()
    await searched.write(
        {"id": "a", "title": "the event loop", "tags": ["asyncio"]},
        {"id": "b", "title": "The loop of an event"},
        {"id": "c", "title": "an event", "tags": ["asyncio", "loop"]},
        {"id": "d", "title": "Loop unrolled"},
        {"id": "e", "title": "secret event", "readers": ["ann"]},
    )
    bob = searched.as_reader("bob")
    answer = await suggested(bob, "Event ")
    assert terms(answer) == [("Event loop", 3), ("Event asyncio", 2)], "stop words are left out"
    assert titles(answer) == ["an event", "the event loop", "The loop of an event"]
    assert terms(await suggested(bob, "event  loop ", ["KIND_TERM"])) == [("event  loop asyncio", 2)]
    assert terms(await suggested(bob, "event -asyncio ")) == [("event -asyncio loop", 1)]
    assert terms(await suggested(bob, "evnet ")) == [("event loop", 3), ("event asyncio", 2)]
    assert terms(await suggested(bob, "event ", limit=1)) == [("event loop", 3)]
    for closed in ("event. ", "(event) "):
        assert len(terms(await suggested(bob, closed))) == 2
    for open_end in ("event.", '"event"', "event -loop"):
        assert terms(await suggested(bob, open_end)) == [], "no space says that a word may follow"


async def test_titles_that_begin_as_typed_come_first_in_order_then_the_others(books: Searched) -> None:
    answer = await suggested(books, "asyncio", ["KIND_TITLE"])
    assert titles(answer) == ["Asyncio", "Asyncio subprocess", "Gather asyncio tasks"]
    assert titles(await suggested(books, "asy")) == [
        "Asylum", "Asynchronous generators", "Asyncio", "Asyncio subprocess", "Gather asyncio tasks"
    ]  # fmt: skip
    assert answer.titles[0].document == books.scope.owner.name("a")
    assert titles(await suggested(books, "asyncio sub")) == ["Asyncio subprocess"]
    assert titles(await suggested(books, "gath tasks")) == []
    assert titles(await suggested(books, "tasks gath")) == ["Gather asyncio tasks"]
    assert titles(await suggested(books, "asyncio -gather ", ["KIND_TITLE"])) == ["Asyncio", "Asyncio subprocess"]


async def test_nothing_is_suggested_of_what_the_caller_may_not_see(books: Searched) -> None:
    bob = books.as_reader("bob")
    for query in ("asyl", "asy", "asylum", "asilum", "aslyum"):
        answer = await suggested(bob, query, ALL)
        assert "asylum" not in str(answer).lower()
    assert titles(await suggested(books.as_reader("ann"), "asyl")) == ["Asylum"]


async def test_only_documents_of_the_filter_are_suggested_from(books: Searched) -> None:
    answer = await suggested(books, "asy", filter='attributes.kind = "module"')
    assert set(titles(answer)) == {"Asyncio", "Asyncio subprocess"}
    assert terms(answer) == [("asyncio", 2)]
    answer = await suggested(books, "asyncoi", ["KIND_CORRECTION"], filter='attributes.kind = "module"')
    assert answer.correction.total_size == 2


async def test_typing_errors_are_seen_to_where_nothing_is_found(books: Searched) -> None:
    assert titles(await suggested(books, "asyncoi gat")) == ["Gather asyncio tasks"]
    assert terms(await suggested(books, "asyncoi gat")) == [("asyncio gather", 1)]
    assert terms(await suggested(books, "subporc")) == [("subprocess", 1)]
    assert terms(await suggested(books, "asyncio gahter")) == [("asyncio gather", 1)]
    assert titles(await suggested(books, "xsubprocess")) == ["Asyncio subprocess"]
    refused = await suggested(books, "asyncoi gat", typos="TYPOS_REFUSED")
    assert (titles(refused), terms(refused)) == ([], [])
    assert terms(await suggested(books, "zzzzzz")) == []


async def test_the_corrected_query_tells_how_many_documents_it_finds(books: Searched) -> None:
    answer = await suggested(books, "Asyncoi gahter", ["KIND_CORRECTION"])
    assert (answer.correction.query, answer.correction.total_size) == ("asyncio gather", 4)
    assert (await suggested(books, "asyncoi", ["KIND_CORRECTION"])).correction.total_size == 4
    # The beginning of a word isn't an error.
    for fine in ("asyncio gath", "asynch", "asyncio ", "zzzzzz"):
        assert not (await suggested(books, fine, ["KIND_CORRECTION"])).HasField("correction")


async def test_related_words_stand_out_in_what_the_query_finds(place: Place) -> None:
    searched = await place.collection()
    await searched.write(
        *({"id": f"a{n}", "title": f"the kettle whistle number{n}", "body": "tea"} for n in range(6)),
        *({"id": f"b{n}", "title": f"number{n} common thing", "tags": ["other"]} for n in range(30)),
        {"id": "c", "title": "kettle secret", "readers": ["ann"]},
        {"id": "d", "title": "kettle secret", "readers": ["ann"]},
    )
    bob = searched.as_reader("bob")
    for query in ("tea", "tea ", "kettle"):
        related = [(one.text, one.count) for one in (await suggested(bob, query, ["KIND_RELATED"])).related]
        assert ("whistle", 6) in related
        assert not {"kettle" if query == "kettle" else "", "tea", "secret", "common", "the"} & {
            text for text, _ in related
        }


async def test_scripts_without_spaces_are_completed_by_titles(place: Place) -> None:
    searched = await place.collection(languages=("ja", "zh"))
    await searched.write(
        {"id": "a", "title": "東京タワーの歴史", "language": "ja"},
        {"id": "b", "title": "大阪と東京の地図", "language": "ja"},
        {"id": "c", "title": "北京大学图书馆", "language": "zh"},
    )
    assert titles(await suggested(searched, "東京", ["KIND_TITLE"])) == ["東京タワーの歴史", "大阪と東京の地図"]
    assert titles(await suggested(searched, "北京大", ["KIND_TITLE"])) == ["北京大学图书馆"]
    assert titles(await suggested(searched, "图书", ["KIND_TITLE"])) == ["北京大学图书馆"]


async def test_one_engine_call_answers_all_kinds_where_nothing_is_misspelt(
    books: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    run_all = Searches.run_all

    async def counted(searches: Searches, asked: Sequence[Any], seconds: float) -> Any:
        calls.append(len(asked))
        return await run_all(searches, asked, seconds)

    monkeypatch.setattr(Searches, "run_all", counted)
    answer = await suggested(books, "asyncio", ["KIND_TITLE", "KIND_TERM", "KIND_RELATED"])
    assert answer.titles
    assert calls == [2]
    # What usually is asked for is one search, which may share a call unless very many documents may fit.
    await suggested(books, "as")
    assert calls == [2, 1]
    await suggested(books, "asy")
    assert calls == [2, 1]


async def test_one_more_call_sees_to_one_error(books: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    send = Engine.call

    async def counted(engine: Engine, operation: str, *rest: Any, **more: Any) -> Any:
        nonlocal calls
        calls += operation == "search"
        return await send(engine, operation, *rest, **more)

    monkeypatch.setattr(Engine, "call", counted)
    for typed, found in (
        ("asynz", "asyncio"),
        ("subporc", "subprocess"),
        ("xgather", "gather"),
        ("asyncio taks", "tasks"),
    ):
        calls = 0
        assert terms(await suggested(books, typed, ["KIND_TERM"]))[0][0].endswith(found)
        assert calls <= (2 if " " not in typed else 4)
    calls = 0
    await suggested(books, "asyncio", ["KIND_TITLE", "KIND_TERM"])
    assert calls == 1


async def test_titles_in_the_order_of_titles(place: Place) -> None:
    searched = await place.collection(languages=("en", "de"))
    await searched.write(
        {"id": "a", "title": "zebra"},
        {"id": "b", "title": "Élan vital"},
        {"id": "c", "title": "  elan"},
        {"id": "d", "title": "", "body": "without a title"},
        {"id": "e", "title": "Anfang", "language": "de"},
        {"id": "f", "title": "zebra"},
        {"id": "g", "title": "x" * 300},
    )
    for order, expected in (("title", "ecbgafd"), ("title desc", "afgbced"), ("title, id desc", "ecbgfad")):
        for size in (1, 3, 50):
            pages = await searched.pages(size, orderBy=order)
            assert "".join(ids([result for page in pages for result in page])) == expected


async def test_what_was_typed_and_the_filter_are_held_to_the_same_rules_as_in_a_search(books: Searched) -> None:
    with pytest.raises(Fault, match="limit query_chars"):
        await suggested(books, "x" * 501)
    with pytest.raises(Fault, match="limit query_clauses"):
        await suggested(books, "x " * 33)
    with pytest.raises(Fault) as caught:
        await suggested(books, "x", filter="attributes.kind =")
    assert caught.value.violations[0].field == "filter"
    for nothing in ("", "  ", "!?", '"'):
        assert await suggested(books, nothing, ALL) == suggest_pb2.SuggestResponse()


@pytest.mark.parametrize("query", [".*", "ab.*", "[a-z]", "a|b", "\\", '"@~<1-9>&#', "a\x1fb", "\x00", "\U0001f600"])
async def test_signs_mean_nothing_to_the_engine(books: Searched, query: str) -> None:
    answer = await suggested(books, query, ALL)
    assert all(text.startswith(("asy", "a.asy", "a|")) or not text for text, _ in terms(answer))


async def test_a_bound_is_what_the_contract_says(place: Place) -> None:
    searched = await place.collection()
    await searched.write(*({"id": f"n{n}", "title": f"word{chr(97 + n)} {'x' * n}"} for n in range(25)))
    answer = await suggested(searched, "word")
    assert (len(answer.titles), len(answer.terms)) == (5, 5)
    answer = await suggested(searched, "word", limit=20)
    assert (len(answer.titles), len(answer.terms)) == (20, 20)


async def test_a_suggestion_is_kept_for_a_moment_and_never_past_a_searchable_write(
    platform: Platform, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:

        async def found() -> list[str]:
            return titles(await client.suggest("kept", limit=20))

        await client.batch_write([document("kept-0", title="Kept 0")], mode="searchable")
        assert await found() == ["Kept 0"]
        for number in range(1, 6):
            name = f"Kept {number}"
            before = [f"Kept {n}" for n in range(number)]
            await client.batch_write([document(f"kept-{number}", title=name)], mode="searchable")
            assert await found() == [*before, name], "what was just written"
        # Behind the server's back: nothing tells it.
        scope = await direct.scope(tenant)
        for _ in range(20):
            kept = await found()
            body = compile_document(resources_pb2.Document(title=f"Kept {len(kept)}x"), scope.owner, Direct.schema(),
                                    f"back-{len(kept)}", revision_now(), 1)  # fmt: skip
            await scope.bulk([Put(f"back-{len(kept)}", body)], searchable=False)
            await scope.refresh()
            if await found() == kept:
                break
        else:
            pytest.fail("no answer was ever kept")
        await asyncio.sleep(1.1)
        assert len(await found()) == len(kept) + 1
