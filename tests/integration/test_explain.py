# SPDX-License-Identifier: Apache-2.0
"""ExplainDocument on the real engine: why a document is in a result, or why it isn't."""

from __future__ import annotations

import asyncio

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.v1 import ranking_pb2, search_pb2
from tests.integration._search import Place, Searched, ids, place

__all__ = ["place"]

Answer = search_pb2.ExplainDocumentResponse
HIDES = ranking_pb2.SearchSettings(
    curations=[ranking_pb2.Curation(query="hidden", hides=["a"]), ranking_pb2.Curation(query="pinned", pins=["c"])]
)


@pytest.fixture
async def few(place: Place) -> Searched:
    """Give a few documents."""
    opened = await place.collection(settings=HIDES)
    await opened.write(
        {"id": "a", "title": "asyncio tasks hidden", "attributes": {"kind": "book", "price": 3}},
        {"id": "b", "title": "asyncio", "body": "tasks for all", "attributes": {"kind": "book", "price": 2}},
        {"id": "c", "title": "threads", "attributes": {"kind": "film"}},
        {"id": "d", "title": "asyncio threads", "attributes": {"price": 1}},
    )
    return opened


def said(answer: Answer) -> list[tuple[str, bool]]:
    """Return what is said of each part."""
    return [(reason.text, reason.matches) for reason in answer.reasons]


async def test_a_found_document_has_its_score_and_place(few: Searched) -> None:
    results = (await few.search("asyncio tasks", matching="MATCHING_ALL")).results
    assert len(results) == 2
    for place_, result in enumerate(results, 1):
        (name,) = ids([result])
        answer = await few.explain(name, "asyncio tasks", matching="MATCHING_ALL")
        assert (answer.verdict, answer.position) == (Answer.VERDICT_FOUND, place_)
        assert answer.score == pytest.approx(result.score, rel=1e-6)
        assert answer.text == f"it is result {place_} of 2"
    assert said(await few.explain("b", "asyncio tasks")) == [
        ('title has "asyncio"', True),
        ('body has "tasks"', True),
    ]


@pytest.mark.parametrize(
    "order", ["", "relevance", "update_time", "attributes.price desc", "attributes.kind, id desc", "id desc, price"]
)
async def test_the_place_is_that_of_the_search_whatever_the_order(few: Searched, order: str) -> None:
    found = ids((await few.search(orderBy=order)).results)
    assert len(found) == 4
    for place_, name in enumerate(found, 1):
        answer = await few.explain(name, orderBy=order)
        assert (answer.verdict, answer.position, answer.score) == (Answer.VERDICT_FOUND, place_, 0)


async def test_missing_and_excluded_words_are_named(few: Searched) -> None:
    missing = await few.explain("c", "asyncio threads", matching="MATCHING_ALL")
    assert missing.verdict == Answer.VERDICT_QUERY
    assert missing.text == "it hasn't enough of the query's words: no field has \"asyncio\""
    assert (missing.position, missing.score) == (0, 0)
    barred = await few.explain("d", "asyncio -threads")
    assert barred.verdict == Answer.VERDICT_QUERY
    assert barred.text == 'it has "threads", which the query excludes'
    assert said(barred) == [('title has "asyncio"', True), ('it has "threads", which the query excludes', True)]
    spared = await few.explain("b", "asyncio -threads")
    assert spared.verdict == Answer.VERDICT_FOUND
    assert said(spared)[-1] == ('it doesn\'t have the excluded "threads"', False)


async def test_each_condition_of_the_filter_is_looked_at_for_itself(few: Searched) -> None:
    answer = await few.explain(
        "b", "asyncio", filter='attributes.kind = "book" AND price > 2 AND (price = 3 OR kind = "map")'
    )
    assert answer.verdict == Answer.VERDICT_FILTER
    assert answer.text == "the filter leaves it out: price > 2 doesn't hold; price = 3 OR kind = \"map\" doesn't hold"
    assert said(answer)[1:] == [
        ('attributes.kind = "book" holds', True),
        ("price > 2 doesn't hold", False),
        ('price = 3 OR kind = "map" doesn\'t hold', False),
    ]
    kind = answer.reasons[1]
    assert (kind.term, kind.field) == ('attributes.kind = "book"', "attributes.kind")


async def test_what_curations_hide_and_pin(few: Searched) -> None:
    assert (await few.explain("a", "hidden")).verdict == Answer.VERDICT_HIDDEN
    assert (await few.explain("a", "hidden", withoutCuration=True)).verdict == Answer.VERDICT_FOUND
    pinned = await few.explain("c", "pinned")
    assert (pinned.verdict, pinned.position, pinned.score) == (Answer.VERDICT_FOUND, 1, 0)
    assert pinned.text == "it is result 1 of 1; a curation pins it"


async def test_what_a_better_document_stands_for(few: Searched) -> None:
    order = {"orderBy": "attributes.price", "collapse": "attributes.kind"}
    assert ids((await few.search("", **order)).results) == ["d", "b", "c"]
    hidden = await few.explain("a", **order)
    assert hidden.verdict == Answer.VERDICT_COLLAPSED
    assert hidden.text.startswith("the document b ")
    assert [(await few.explain(name, **order)).position for name in ("d", "b", "c")] == [1, 2, 3]


async def test_what_searches_do_not_see_yet(few: Searched) -> None:
    await few.write({"id": "new", "title": "asyncio"}, {"id": "c", "title": "asyncio now"}, searchable=False)
    verdicts = [(await few.explain(name, "asyncio")).verdict for name in ("new", "c")]
    # A refresh may have come in between.
    assert set(verdicts) <= {Answer.VERDICT_NOT_YET, Answer.VERDICT_FOUND}
    await few.scope.refresh()
    assert [(await few.explain(name, "asyncio")).verdict for name in ("new", "c")] == [Answer.VERDICT_FOUND] * 2


async def test_ranking_functions_count_for_score_and_place(few: Searched) -> None:
    ranking = {
        "freshness": {"field": "update_time", "halfLife": "3600s"},
        "boosts": [{"filter": 'attributes.kind = "book"', "weight": 2}],
    }
    results = (await few.search("asyncio", ranking=ranking)).results
    for place_, result in enumerate(results, 1):
        answer = await few.explain(ids([result])[0], "asyncio", ranking=ranking)
        assert (answer.verdict, answer.position) == (Answer.VERDICT_FOUND, place_)
        assert answer.score == pytest.approx(result.score, rel=1e-3)


async def test_absent_documents_and_bad_searches_are_refused_with_their_place(few: Searched) -> None:
    with pytest.raises(Fault) as caught:
        await few.explain("nobody", "asyncio")
    assert caught.value.kind is Kind.NOT_FOUND
    for fields, path in (
        ({"filter": "nothing ="}, "search.filter"),
        ({"parent": "tenants/other/collections/default"}, "search.parent"),
        ({"query": "x" * 501}, "search.query"),
        ({"collapse": "attributes.made"}, "search.collapse"),
        ({"languages": ["English"]}, "search.languages[0]"),
    ):
        with pytest.raises(Fault) as caught:
            await few.explain("a", **fields)
        assert (caught.value.kind, caught.value.violations[0].field) == (Kind.INVALID, path)
    # What says nothing of a single document is ignored.
    ignored = {"facets": [{"field": "nothing"}], "pageToken": "x", "pageSize": 3, "highlight": {"passageChars": 1}}
    assert (await few.explain("b", "asyncio", **ignored)).verdict == Answer.VERDICT_FOUND


async def test_beyond_the_window_there_is_no_place(place: Place) -> None:
    opened = await place.collection()
    for start in range(0, 10_002, 1667):
        await opened.write(
            *(
                {"id": f"{n:05}", "title": "same", "ms": 1_767_225_600_000}
                for n in range(start, min(start + 1667, 10_002))
            ),
            searchable=False,
        )
    await opened.scope.refresh()
    inside, outside = await asyncio.gather(opened.explain("09999", "same"), opened.explain("10001", "same"))
    assert (inside.verdict, inside.position) == (Answer.VERDICT_FOUND, 10_000)
    assert inside.text == "it is result 10,000 of more than 10,000"
    assert (outside.verdict, outside.position) == (Answer.VERDICT_FOUND, 0)
    assert outside.score > 0
    assert outside.text == "it is in the result, beyond the 10,000th"
