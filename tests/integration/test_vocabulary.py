# SPDX-License-Identifier: Apache-2.0
"""How rare words are in a collection, and what may have been meant: looked up once, for the caller's own documents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import unavailable
from pinakes.core.query.options import options_of
from pinakes.core.query.text import parse_query
from pinakes.core.query.weights import UNKNOWN, Weights
from pinakes.core.settings import Limits
from pinakes.search import vocabulary as module
from pinakes.search.vocabulary import Vocabulary, idf_of
from tests.integration._search import Place, Searched, ids, place

__all__ = ["place"]

LIMITS = Limits()
BOOKS: tuple[dict[str, Any], ...] = (
    {"id": "a", "title": "Dictionary of asyncio", "body": "gather and wait", "tags": ["loops"]},
    {"id": "b", "title": "Gather", "body": "words"},
    {"id": "c", "title": "Rather old", "body": "words and words"},
    {"id": "d", "title": "Hidden treasure", "body": "gold", "readers": ["ann"]},
)


@pytest.fixture
async def books(place: Place) -> Searched:
    """Give a collection with a few books, one of them for Ann alone."""
    books = await place.collection()
    await books.write(*BOOKS)
    return books


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for look-ups as long as it takes: a busy machine isn't what is tested here."""
    monkeypatch.setattr(module, "WAIT_SECONDS", 10.0)


async def weights(vocabulary: Vocabulary, books: Searched, query: str, *, typos: int = 0, **more: Any) -> Weights:
    """Look up the words of a query."""
    options = options_of(books.collection, typos=typos)
    return await vocabulary.weights(books.scope, parse_query(query, options, LIMITS), options, **more)


class Calls:
    """Counts the round trips of scopes; `fault` is raised by each, `seconds` later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.seconds, self.fault = 0, 0.0, False
        search_many, similar = TenantScope.search_many, TenantScope.similar_words

        async def counted(scope: TenantScope, bodies: Sequence[Any], seconds: float) -> Any:
            await self._counted()
            return await search_many(scope, bodies, seconds)

        async def counted_similar(scope: TenantScope, words: Sequence[Any], seconds: float) -> Any:
            await self._counted()
            return await similar(scope, words, seconds)

        monkeypatch.setattr(TenantScope, "search_many", counted)
        monkeypatch.setattr(TenantScope, "similar_words", counted_similar)

    async def _counted(self) -> None:
        self.count += 1
        await asyncio.sleep(self.seconds)
        if self.fault:
            raise unavailable("the search engine")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Count the round trips of scopes."""
    return Calls(monkeypatch)


async def test_words_are_as_rare_as_the_collection_says(books: Searched) -> None:
    found = await weights(Vocabulary(), books, 'words gather "gather and wait" -old title:gather go*')
    assert found.idf == {
        "words": idf_of(2, 4), "gather": idf_of(2, 4), '"gather and wait"': idf_of(1, 4),
        "title:gather": idf_of(1, 4), "go*": idf_of(1, 4),
    }  # fmt: skip
    assert not found.corrections


async def test_a_word_nobody_has_is_corrected_by_the_collections_own(books: Searched) -> None:
    found = await weights(Vocabulary(), books, "gahter Dictonray xasyncio hiden title:gahter wrods")
    assert found.corrections["gahter"] == ("gather",)
    assert found.corrections["Dictonray"] == ("dictionary",)
    assert found.corrections["xasyncio"] == ("asyncio",)
    assert found.corrections["hiden"] == ("hidden",)
    assert found.corrections["title:gahter"] == ("gather",)
    # Words of bodies aren't kept one by one.
    assert "wrods" not in found.corrections
    assert found.idf["gather"] == idf_of(2, 4)
    assert set(found.idf) >= {"gahter", "Dictonray", "dictionary"}


@pytest.mark.parametrize("query", ["gahte*", '"gahter old"', "-gahter old", "gat", "gather2 lo0ps", "gather"])
async def test_phrases_beginnings_and_short_words_are_meant_as_they_are_written(books: Searched, query: str) -> None:
    assert not (await weights(Vocabulary(), books, query)).corrections


async def test_who_refuses_typing_errors_gets_no_corrections_but_can_ask_for_them(books: Searched) -> None:
    vocabulary = Vocabulary()
    assert not (await weights(vocabulary, books, "gahter", typos=2)).corrections
    assert (await weights(vocabulary, books, "gahter", typos=2, corrected=True)).corrections == {"gahter": ("gather",)}
    assert not (await weights(vocabulary, books, "gahter", typos=2)).corrections


async def test_nothing_is_told_of_documents_that_the_caller_may_not_read(books: Searched) -> None:
    vocabulary = Vocabulary()
    for query in ("tresaure", "hiddne", "hidden"):
        # The one who may see it asks first.
        seen = await weights(vocabulary, books.as_reader("ann"), query)
        assert bool(seen.corrections) == (query != "hidden")
        unseen = await weights(vocabulary, books.as_reader("bob"), query)
        assert not unseen.corrections
        assert unseen.idf == {query: idf_of(0, 3)}


async def test_words_of_deleted_documents_are_no_corrections(books: Searched) -> None:
    await books.write({"id": "b", "title": "Something else"})
    assert not (await weights(Vocabulary(), books, "gahter")).corrections


async def test_what_is_known_costs_no_call_and_no_time(books: Searched, calls: Calls) -> None:
    vocabulary = Vocabulary()
    first = await weights(vocabulary, books, "gather words gahter")
    assert calls.count == 3, "frequencies, similar words, and whether they are in scope"
    options = options_of(books.collection)
    query = parse_query("gather words gahter", options, LIMITS)
    took = []
    for _ in range(200):
        started = time.perf_counter()
        assert await vocabulary.weights(books.scope, query, options) == first
        took.append(time.perf_counter() - started)
    assert calls.count == 3
    # 20 µs is the aim, measured alone; here others work on the machine.
    assert sorted(took)[len(took) // 10] < 100e-6


async def test_searches_that_need_the_same_words_share_a_look_up(books: Searched, calls: Calls) -> None:
    vocabulary = Vocabulary()
    calls.seconds = 0.05
    found = await asyncio.gather(*(weights(vocabulary, books, "gather words") for _ in range(20)))
    assert calls.count == 1
    assert all(one == found[0] and one.idf for one in found)
    calls.count = 0
    await asyncio.gather(weights(vocabulary, books, "gather old"), weights(vocabulary, books, "old gather rather"))
    assert calls.count == 2, "each looks up what the other doesn't"


async def test_a_look_up_that_takes_long_or_fails_leaves_the_static_weights(
    books: Searched, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = Vocabulary()
    calls.fault = True
    assert await weights(vocabulary, books, "gather") is UNKNOWN
    calls.fault, calls.seconds = False, 0.3
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    started = time.monotonic()
    assert await weights(vocabulary, books, "gather") is UNKNOWN
    assert time.monotonic() - started < 0.3
    # It goes on, so that the next search has it.
    calls.seconds = 0.0
    await asyncio.sleep(0.6)
    count = calls.count
    assert (await weights(vocabulary, books, "gather")).idf == {"gather": idf_of(2, 4)}
    assert calls.count == count


async def test_a_word_that_is_looked_up_anew_too_late_is_corrected_as_before(
    books: Searched, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.1)
    vocabulary = Vocabulary()
    before = await weights(vocabulary, books, "gathar", typos=1)
    assert before.corrections
    await asyncio.sleep(0.2)
    calls.seconds = 0.3
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    assert await weights(vocabulary, books, "gathar", typos=1) == before
    assert await weights(vocabulary, books, "gathar old", typos=1) is UNKNOWN, "of one of them nothing is known"
    await vocabulary.close()


async def test_a_search_without_what_its_words_weigh_says_that_it_is_degraded(books: Searched, calls: Calls) -> None:
    calls.fault = True
    answer = await books.search("gathar", typos=1)
    assert (answer.degraded, answer.coverage.reason, ids(answer.results)) == (True, "", [])
    first = await books.search("words", page_size=1)
    calls.fault = False
    later = await books.search("words", page_size=1, page_token=first.next_page_token)
    assert (first.degraded, later.degraded, len(later.results)) == (True, True, 1), (
        "its other pages are of the same ranking"
    )
    answer = await books.search("gathar", typos=1)
    assert not answer.degraded
    assert sorted(ids(answer.results)) == ["a", "b"]


async def test_words_that_growth_makes_unknown_while_another_is_looked_up_are_looked_up_too(
    books: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.1)
    vocabulary = Vocabulary()
    await weights(vocabulary, books, "gather")
    await books.write(*({"id": f"n{n}", "title": "fresh"} for n in range(4)))
    await asyncio.sleep(0.2)
    assert (await weights(vocabulary, books, "gather fresh")).idf == {"gather": idf_of(2, 8), "fresh": idf_of(4, 8)}


@pytest.mark.parametrize("bound", ["LOOKUPS", "LOOKUPS_OF_ONE"])
async def test_there_is_a_bound_on_look_ups(
    books: Searched, calls: Calls, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(module, bound, 2)
    vocabulary = Vocabulary()
    calls.seconds = 0.1
    found = await asyncio.gather(*(weights(vocabulary, books, word) for word in ("gather", "words", "old")))
    assert [one is UNKNOWN for one in found] == [False, False, True]
    assert (await weights(vocabulary, books, "old")) is not UNKNOWN, "there is room again"
    await vocabulary.close()


async def test_what_is_old_is_used_while_it_is_renewed(books: Searched, calls: Calls) -> None:
    vocabulary = Vocabulary(seconds=0.2)
    await weights(vocabulary, books, "gather")
    await books.write({"id": "e", "title": "gather"})
    await asyncio.sleep(0.3)
    assert (await weights(vocabulary, books, "gather")).idf == {"gather": idf_of(2, 4)}
    for _ in range(100):
        if (found := await weights(vocabulary, books, "gather")).idf == {"gather": idf_of(3, 5)}:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail(f"never renewed: {found}")


async def test_while_a_collection_stays_as_it_is_one_question_renews_all_its_words(
    books: Searched, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", 10_000)
    monkeypatch.setattr(module, "SETTLED_SECONDS", 0.0)
    asked: list[int] = []
    counted = TenantScope.search_many

    async def listed(scope: TenantScope, bodies: Sequence[Any], seconds: float) -> Any:
        asked.append(len(bodies))
        return await counted(scope, bodies, seconds)

    monkeypatch.setattr(TenantScope, "search_many", listed)
    vocabulary, words = Vocabulary(seconds=0.1), ("gather", "words", "rather", "old")
    first = [await weights(vocabulary, books, word) for word in words]
    for _ in range(4):
        await asyncio.sleep(0.15)
        asked.clear()
        assert [await weights(vocabulary, books, word) for word in words] == first
        await asyncio.gather(*vocabulary._tasks)
        assert asked == [1]
    await books.write({"id": "b", "title": "Changed"})
    await asyncio.sleep(0.15)
    for _ in range(500):
        if (await weights(vocabulary, books, "gather")).idf == {"gather": idf_of(1, 4)}:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("a change was never noticed")


async def test_what_is_counted_as_a_collection_changes_is_counted_once_more(books: Searched) -> None:
    vocabulary = Vocabulary()
    await weights(vocabulary, books, "gather")
    (group,) = vocabulary._groups.values()
    assert group.entries["gather"].state == module.UNSETTLED
    group.changed -= module.SETTLED_SECONDS
    await weights(vocabulary, books, "words")
    assert group.entries["words"].state == group.state


async def test_words_are_renewed_now_and_then_even_if_nothing_seems_to_have_changed(
    books: Searched, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD", 4)
    vocabulary = Vocabulary(seconds=0.1)
    await weights(vocabulary, books, "gather")
    (group,) = vocabulary._groups.values()
    before = group.entries["gather"]
    end = time.monotonic() + 20
    while group.entries["gather"] is before:
        assert time.monotonic() < end, "never renewed"
        await weights(vocabulary, books, "gather")
        await asyncio.sleep(0.02)
    assert group.entries["gather"].until > before.until + 0.1
    assert calls.count > 2


async def test_a_word_that_was_missing_is_looked_up_anew_before_it_is_used(books: Searched) -> None:
    vocabulary = Vocabulary(seconds=0.2)
    assert not (await weights(vocabulary, books, "zepelin")).corrections
    await books.write({"id": "e", "title": "zeppelin"})
    await asyncio.sleep(0.3)
    assert (await weights(vocabulary, books, "zepelin")).corrections == {"zepelin": ("zeppelin",)}


async def test_growth_renews_all_words_of_a_collection(books: Searched) -> None:
    vocabulary = Vocabulary(seconds=0.2)
    await weights(vocabulary, books, "gather")
    await books.write(*({"id": f"n{n}", "title": "other"} for n in range(40)))
    await asyncio.sleep(0.3)
    # Another word brings the new size, by which the old weight is far off.
    await weights(vocabulary, books, "other")
    assert (await weights(vocabulary, books, "gather")).idf == {"gather": idf_of(2, 44)}


async def test_what_is_kept_is_bounded(books: Searched, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TERMS", 45)
    monkeypatch.setattr(module, "GROUP_TERMS", 10)
    vocabulary = Vocabulary()
    others = [await place.collection() for _ in range(4)]
    for searched in (books, *others):
        for start in range(0, 24, 8):
            await weights(vocabulary, searched, " ".join(f"w{start + n}" for n in range(8)))
            kept = [len(group.entries) for group in vocabulary._groups.values()]
            assert max(kept) <= 10
            assert sum(kept) == vocabulary._terms
            assert vocabulary._terms + 10 * len(kept) <= 45


async def test_a_search_finds_what_was_meant_and_says_so(books: Searched) -> None:
    answer = await books.search("gahter")
    assert ids(answer.results)[0] == "b"
    assert (answer.correction.query, answer.correction.total_size) == ("gather", 2)
    answer = await books.search('gahter "and wait"')
    assert (answer.correction.query, answer.correction.total_size) == ('gather "and wait"', 1)
    for fine in ("gather", "zzzzzzz", "", '"gahter"'):
        assert not (await books.search(fine)).HasField("correction")


async def test_a_correction_counts_under_the_same_filters(books: Searched) -> None:
    assert (await books.search("gahter", filter='tags:"loops"')).correction.total_size == 1
    assert not (await books.search("gahter", filter='tags:"none"')).HasField("correction")
    assert not (await books.as_reader("bob").search("tresaure")).HasField("correction")
    assert (await books.as_reader("ann").search("tresaure")).correction.total_size == 1


async def test_who_refuses_typing_errors_is_still_asked_what_was_meant(books: Searched) -> None:
    answer = await books.search("gahter", typos="TYPOS_REFUSED")
    assert (list(answer.results), answer.correction.query, answer.correction.total_size) == ([], "gather", 2)


async def test_a_later_page_keeps_the_corrections_of_the_first_and_tells_them_once(books: Searched) -> None:
    pages = await books.pages(1, "gahter")
    assert sorted(ids([result for page in pages for result in page])) == ["a", "b"]
    first = await books.search("gahter", pageSize=1)
    assert first.HasField("correction")
    assert not (await books.search("gahter", pageSize=1, pageToken=first.next_page_token)).HasField("correction")
