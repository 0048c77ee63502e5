# SPDX-License-Identifier: Apache-2.0
"""Concurrent callers share calls of the real engine: fewer calls than callers, and to each its own answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from pinakes.core.faults import Fault, Kind
from pinakes.local import Platform
from tests.integration._search import Place, ids, place

__all__ = ["place"]
CALLERS = 64


def calls(name: str) -> float:
    """Return how many calls of a kind the engine got so far."""
    return REGISTRY.get_sample_value(f"{name}_count") or 0.0


async def test_concurrent_writers_and_searchers_share_calls(place: Place, engine: Platform) -> None:
    del engine
    here = await place.collection()
    await here.write({"id": "first", "title": "zero"})
    before = calls("pinakes_bulk_documents")
    await asyncio.gather(
        *(here.write({"id": f"d{n}", "title": f"number n{n}"}, searchable=False) for n in range(CALLERS))
    )
    assert calls("pinakes_bulk_documents") - before <= CALLERS / 4
    await here.scope.refresh()
    await asyncio.gather(*(here.search(f"n{n}") for n in range(CALLERS)))  # every word is looked up once
    before = calls("pinakes_shared_searches")
    answers = await asyncio.gather(*(here.search(f"n{n}") for n in range(CALLERS)))
    assert calls("pinakes_shared_searches") - before <= CALLERS / 4
    assert [ids(answer.results) for answer in answers] == [[f"d{n}"] for n in range(CALLERS)]


async def test_writes_wait_as_their_tenant_s(place: Place, engine: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    del engine
    here, seen = await place.collection(), []
    real = here.scope._engine.bulk.write

    async def write(lines: Any, **given: Any) -> Any:
        seen.append(given["caller"])
        return await real(lines, **given)

    monkeypatch.setattr(here.scope._engine.bulk, "write", write)
    await here.write({"id": "a", "title": "one"}, searchable=False)
    assert seen == [here.scope.owner.tenant_uid]


async def test_a_search_that_cannot_be_done_fails_alone(place: Place, engine: Platform) -> None:
    del engine
    here = await place.collection()
    await here.write({"id": "a", "title": "apple"})
    bad = {"size": 1, "sort": [{"nothing_of_the_kind": "asc"}]}
    good = {"size": 1, "query": {"match": {"title_en": "apple"}}}
    outcomes = await asyncio.gather(
        *(here.scope.search(bad if n % 4 == 0 else good, 5.0, cheap=True) for n in range(32)), return_exceptions=True
    )
    for n, outcome in enumerate(outcomes):
        if n % 4 == 0:
            assert isinstance(outcome, Exception)
            assert "nothing_of_the_kind" not in str(outcome), "the engine's words stay inside"
        else:
            assert not isinstance(outcome, BaseException)
            assert outcome.total == 1


async def test_more_clauses_than_the_engine_takes_are_the_caller_s_fault(place: Place, engine: Platform) -> None:
    del engine
    here = await place.collection()
    await here.write({"id": "a", "title": "apple"})
    words = [{"match": {"title_en": f"word{n}"}} for n in range(1100)]
    for cheap in (True, False):
        with pytest.raises(Fault, match="more clauses than the search engine takes") as caught:
            await here.scope.search({"size": 1, "query": {"bool": {"should": words}}}, 5.0, cheap=cheap)
        assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "QUERY_TOO_MANY_CLAUSES")
