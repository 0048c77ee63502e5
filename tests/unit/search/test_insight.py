# SPDX-License-Identifier: Apache-2.0
"""Search ids that can't be made up, and what is held in memory of searches."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.options import encoded
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.search.insight import SAMPLES, InsightRecorder, finds
from pinakes.search.search_ids import QUERY_CHARS, SECONDS, SearchIds, asked
from pinakes.v1 import ranking_pb2, search_pb2

IDS = SearchIds(b"k" * 32)
OFF, KEPT = ranking_pb2.SearchSettings.INSIGHTS_OFF, ranking_pb2.SearchSettings.INSIGHTS_KEPT


def collection(insights: int = 0, uid: str = "c", tenant: str = "t") -> CollectionRecord:
    search = encoded(ranking_pb2.SearchSettings(insights=insights))
    return CollectionRecord(tenant_uid=tenant, collection_id="c", uid=uid, search=search)


def recorder(**changes: Any) -> InsightRecorder:
    settings = Settings(secret_key=SecretStr("k" * 32), insight_flush_seconds=20, **changes)
    return InsightRecorder(settings, None)  # type: ignore[arg-type]  # nothing is written before 20 s are over


def test_an_id_tells_its_query_s_digest_again() -> None:
    digest = asked("Event  loop").digest
    made = IDS.make("t", "c", digest)
    assert IDS.read(made, "t", "c") == digest == asked("event LOOP ").digest
    assert len(made) <= 200


@pytest.mark.parametrize(
    ("tenant", "owner", "secret"), [("u", "c", b"k" * 32), ("t", "d", b"k" * 32), ("t", "c", b"l" * 32)]
)
def test_an_id_of_another_tenant_collection_or_deployment_is_none(tenant: str, owner: str, secret: bytes) -> None:
    made = IDS.make("t", "c", asked("x").digest)
    with pytest.raises(Fault) as caught:
        SearchIds(secret).read(made, tenant, owner)
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "SEARCH_ID_INVALID")


@given(st.text(max_size=200))
def test_no_text_is_an_id_by_chance(text: str) -> None:
    with pytest.raises(Fault) as caught:
        IDS.read(text, "t", "c")
    assert caught.value.reason == "SEARCH_ID_INVALID"


@given(st.integers(0, 36), st.sampled_from("AQgwx09_-"))
def test_a_changed_id_is_none(place: int, letter: str) -> None:
    made = IDS.make("t", "c", asked("x").digest)
    changed = made[:place] + letter + made[place + 1 :]
    if changed != made:
        with pytest.raises(Fault):
            IDS.read(changed, "t", "c")


def test_an_id_is_good_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    made, now = IDS.make("t", "c", asked("x").digest), time.time()
    monkeypatch.setattr(time, "time", lambda: now + SECONDS - 5)
    assert IDS.read(made, "t", "c")
    monkeypatch.setattr(time, "time", lambda: now + SECONDS + 5)
    with pytest.raises(Fault) as caught:
        IDS.read(made, "t", "c")
    assert (caught.value.kind, caught.value.reason) == (Kind.PRECONDITION, "SEARCH_ID_EXPIRED")


def test_a_query_is_told_in_lower_case_with_single_spaces_and_short() -> None:
    assert asked("  Größe \t XL ").text == "größe xl"
    assert len(asked("x" * 500).text) == QUERY_CHARS
    assert asked(" \n").text == ""


@pytest.mark.parametrize("results", [0, 1, 3])
def test_a_serialised_answer_tells_whether_it_has_results(results: int) -> None:
    answer = search_pb2.SearchResponse(total_size=5, next_page_token="t", degraded=True)
    for _ in range(results):
        answer.results.add(score=1)
    answer.facets.add(field="x")
    assert finds(answer.SerializeToString()) == (results > 0)
    assert not finds(search_pb2.SearchResponse().SerializeToString())


@pytest.mark.parametrize(("policy", "said", "kept"), [
    ("on", 0, True), ("on", OFF, False), ("on", KEPT, True), ("asked", 0, False), ("asked", KEPT, True), ("asked", OFF, False),
    ("off", 0, False), ("off", KEPT, False),
])  # fmt: skip
async def test_what_is_kept_is_said_by_deployment_and_collection(policy: str, said: int, kept: bool) -> None:
    made = recorder(insights=policy)
    assert made.keeps(collection(said)) == kept
    assert made.opened(collection(said), b"d", 1, conversion=False) == kept
    made.searched(collection(said), asked("x"), 0.1, found=True)
    assert bool(made._rows) == kept


async def test_a_query_is_one_row_however_often_it_is_asked() -> None:
    made, query = recorder(), asked("x")
    for number in range(300):
        made.searched(collection(), query, number / 1000, found=number % 3 > 0)
    assert made.opened(collection(), query.digest, 4, conversion=False)
    assert made.opened(collection(), query.digest, 0, conversion=False)
    assert made.opened(collection(), query.digest, 2, conversion=True)
    (row,) = made._rows.values()
    assert (row.query, row.searches, row.without_results, row.clicks, row.conversions) == ("x", 300, 100, 2, 1)
    assert (row.placed, row.position) == (1, 4)
    assert len(row.took) == SAMPLES
    assert 50 < sum(row.took) / SAMPLES < 250, "a sample of all of them, not the first or the last"


async def test_of_one_tenant_so_many_queries_are_held_and_others_aren_t_touched_by_that() -> None:
    made = recorder(insight_queries_per_second=1)
    for number in range(30):
        made.searched(collection(), asked(f"query {number}"), 0.1, found=True)
    assert len(made._rows) == 20
    assert not made.opened(collection(), b"new", 1, conversion=False)
    assert made.opened(collection(), asked("query 3").digest, 1, conversion=False), "what is held is counted on"
    assert made.opened(collection(tenant="other", uid="o"), b"new", 1, conversion=False)


async def test_taking_down_a_search_costs_microseconds() -> None:
    made, record, best = recorder(), collection(), 1.0
    for _ in range(30):
        started = time.perf_counter()
        for _ in range(100):
            query = asked("how to gather coroutines")
            made.searched(record, query, 0.002, found=True)
            IDS.make("t", "c", query.digest)
        best = min(best, (time.perf_counter() - started) / 100)
    print(f"{best * 1e6:.1f} µs")
    assert best < 50e-6  # 12 on an idle core; other tests run beside it
