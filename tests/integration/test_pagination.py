# SPDX-License-Identifier: Apache-2.0
"""Golden pagination: whatever the page size and order, every document comes exactly once, over ties and while others write."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from pinakes.core.faults import Fault
from tests.integration._search import Place, Searched, ids, place

__all__ = ["place"]

SIZES = (1, 5, 16, 49, 50)
ORDERS = (
    "", "relevance", "update_time", "update_time desc", "id desc", "attributes.price", "attributes.price desc",
    "attributes.kind desc, update_time", "attributes.made, relevance", "attributes.kind, attributes.price desc, relevance",
)  # fmt: skip
STABLE = 120
JANUARY = 1_767_225_600_000


@pytest.fixture
def rng() -> random.Random:
    """Give a source of chance whose seed is told."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def made(rng: random.Random, name: str) -> dict[str, Any]:
    """Return a document with few different values, so with many ties, and with values missing."""
    attributes: dict[str, Any] = {}
    if rng.random() < 0.7:
        attributes["price"] = rng.choice([-1.5, 0, 0.1, 1 / 3, 7, 9007199254740991])
    if rng.random() < 0.7:
        attributes["kind"] = rng.choice(["a", "b", "ß", "日本"])
    if rng.random() < 0.7:
        attributes["made"] = rng.choice(["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z"])
    words = " ".join(rng.choices(["golden", "page", "token", "tie"], k=rng.randint(0, 4)))
    return {
        "id": name, "title": f"golden {words}", "body": words * rng.randint(0, 3), "attributes": attributes,
        "ms": JANUARY + rng.randint(0, 3) * 1000,
    }  # fmt: skip


@pytest.fixture
async def stable(place: Place, rng: random.Random) -> Searched:
    """Give a collection with documents that stay as they are."""
    opened = await place.collection()
    await opened.write(*(made(rng, f"s{n:03}") for n in rng.sample(range(1000), STABLE)))
    return opened


async def disturb(searched: Searched, rng: random.Random, stop: asyncio.Event) -> int:
    """Write and change other documents until told to stop; return how many times."""
    times = 0
    while not stop.is_set():
        times += 1
        changed = (made(rng, f"x{rng.randint(0, 60):03}") for _ in range(5))
        await searched.write(*{one["id"]: one | {"ms": None} for one in changed}.values(), searchable=times % 3 == 0)
        await searched.scope.refresh()
        await asyncio.sleep(0.02)
    return times


@pytest.mark.parametrize("query", ["golden", ""])
async def test_every_document_comes_exactly_once_while_others_are_written(
    stable: Searched, rng: random.Random, query: str
) -> None:
    stop = asyncio.Event()
    writer = asyncio.create_task(disturb(stable, rng, stop))
    try:
        for order in ORDERS:
            for size in SIZES:
                pages = await stable.pages(size, query, orderBy=order)
                found = [name for page in pages for name in ids(page) if name.startswith("s")]
                assert len(found) == STABLE, (order, size, len(found))
                assert len(set(found)) == STABLE, (order, size)
                assert all(len(page) == size for page in pages[:-1]), (order, size)
    finally:
        stop.set()
        times = await writer
    assert times > 10


async def test_pages_of_any_size_have_the_same_order(stable: Searched) -> None:
    for order in ORDERS:
        whole = [ids(page) for page in await stable.pages(50, "golden tie", orderBy=order, matching="MATCHING_ANY")]
        expected = [name for page in whole for name in page]
        for size in (1, 5, 16, 49):
            pages = await stable.pages(size, "golden tie", orderBy=order, matching="MATCHING_ANY")
            assert [name for page in pages for name in ids(page)] == expected, (order, size)


async def test_filter_facets_highlights_and_ranking_page_as_well(stable: Searched) -> None:
    everything: dict[str, Any] = {
        "filter": 'attributes.kind = "a" AND attributes.price < 10',
        "facets": [{"field": "attributes.kind"}, {"field": "attributes.price", "interval": 2}],
        "highlight": {"fields": ["title"]},
        "ranking": {"freshness": {"field": "update_time", "halfLife": "3600s"}},
    }
    first = await stable.search("golden", pageSize=50, **everything)
    assert 0 < first.total_size < STABLE
    for size in SIZES:
        pages = await stable.pages(size, "golden", **everything)
        found = [name for page in pages for name in ids(page)]
        assert len(found) == len(set(found)) == first.total_size, size
        assert all(result.highlights for page in pages for result in page)


async def test_collapsed_results_page_by_counting(stable: Searched) -> None:
    for size in SIZES:
        pages = await stable.pages(size, "golden", collapse="attributes.price", orderBy="id")
        found = [name for page in pages for name in ids(page)]
        assert found == sorted(set(found))
        assert len(found) == 7


async def test_a_token_of_another_search_is_refused(stable: Searched) -> None:
    first = await stable.search("golden", pageSize=5)
    for change in (
        {"orderBy": "id"},
        {"filter": 'id != "s"'},
        {"facets": [{"field": "tags"}]},
        {"collapse": "attributes.kind"},
    ):
        with pytest.raises(Fault) as caught:
            await stable.search("golden", pageToken=first.next_page_token, **change)
        assert caught.value.reason == "PAGE_TOKEN_MISMATCH"
