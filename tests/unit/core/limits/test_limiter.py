# SPDX-License-Identifier: Apache-2.0
"""Limits held by one process alone, and by several that share a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import RULES, Permission
from pinakes.core.limits import kinds
from pinakes.core.limits.figures import DRY_RUN, KeyLimits
from pinakes.core.limits.holdings import CHUNKS_A_SECOND
from pinakes.core.limits.kinds import KINDS, Limit
from pinakes.core.limits.ledger import Answer, Question
from tests.unit.core.limits._world import OTHER, SEARCH, WRITE, Clock, allowed, alone, caller, tenant


def counted(limit: Limit, outcome: str) -> float:
    labels = {"limit": limit.value, "outcome": outcome}
    return REGISTRY.get_sample_value("pinakes_limited_total", labels) or 0.0


async def test_without_redis_the_process_holds_the_whole_rate() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(rate=50.0), OTHER)
    assert await allowed(budget, 200) == 50
    clock.now += 0.5
    assert await allowed(budget, 200) == 25


@pytest.mark.parametrize("processes", [1, 3, 7])
async def test_without_redis_processes_that_know_how_many_they_are_let_no_more_through_than_one(processes: int) -> None:
    clock, seconds = Clock(), 10
    limiters = [alone(clock, processes=processes) for _ in range(processes)]
    passed, spent = 0, 0.0
    for _ in range(seconds * 10):
        for one in limiters:
            passed += await allowed(one.budget(caller(), tenant(rate=50.0), OTHER), 60)
            searcher = one.budget(caller(), tenant("dear", rate=1e4, search_cost_per_second=21.0), SEARCH)
            if await allowed(searcher, 1):
                searcher.charge(Limit.SEARCH_COST, 2.5)
                spent += 2.5
        clock.now += 0.1
    assert 50.0 * seconds <= passed <= 50.0 + 50.0 * seconds + processes
    # Ten seconds of a cost are saved up, and of each process the last search may be owed.
    assert 21.0 * seconds <= spent <= 21.0 * (10 + seconds) + processes * 2.5
    entered = 0
    for one in limiters:
        with suppress(Fault):
            while True:
                await one.budget(caller(), tenant("busy", concurrent_requests=21), OTHER).take()
                entered += 1
    assert entered == 21
    for one in limiters:
        await one.close()


async def test_a_burst_of_its_own_is_saved_up() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(rate=10.0, burst=35.0), OTHER)
    assert await allowed(budget, 100) == 35
    clock.now += 60
    assert await allowed(budget, 100) == 35


async def test_a_rate_below_one_still_lets_one_pass() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(rate=0.5), OTHER)
    assert await allowed(budget, 3) == 1
    with pytest.raises(Fault) as caught:
        await budget.take()
    assert caught.value.retry_after == pytest.approx(2.0)


@pytest.mark.parametrize("processes", [1, 7])
@pytest.mark.parametrize("rate", [5e-324, 1e-300, 1e-9])
async def test_however_small_a_rate_is_what_callers_are_told_is_a_day_at_most(rate: float, processes: int) -> None:
    limiter, home = (
        alone(Clock(), processes=processes),
        tenant(rate=rate, burst=2.0, search_cost_per_second=max(rate, 1e-300)),
    )
    budget = limiter.budget(caller(), home, SEARCH)
    await budget.take()
    assert dict(budget.told())["ratelimit-reset"] == "86400"
    budget.charge(Limit.SEARCH_COST, 1.0)
    for one in (budget, limiter.budget(caller(rate=rate), tenant("other"), OTHER)):
        assert await allowed(one, 1) == (one is not budget)
        with pytest.raises(Fault) as caught:
            await one.take()
        assert caught.value.retry_after == 86400.0
        assert int(dict(one.told())["ratelimit-reset"]) == 86400
    await limiter.close()


async def test_no_rate_means_the_default_and_tenants_do_not_share() -> None:
    limiter = alone(Clock())
    assert await allowed(limiter.budget(caller(), tenant("a"), OTHER), 150) == 100
    assert await allowed(limiter.budget(caller(), tenant("b"), OTHER), 150) == 100


async def test_a_key_has_less_than_its_tenant_and_a_token_less_than_its_key() -> None:
    limiter, home = alone(Clock()), tenant(rate=60.0)
    limited = KeyLimits(requests_per_second=20.0)
    token = caller("k", limited, rate=5.0)
    assert await allowed(limiter.budget(token, home, OTHER), 50) == 5
    of_key = limiter.budget(caller("k2", limited), home, OTHER)
    assert await allowed(of_key, 50) == 20
    assert await allowed(limiter.budget(caller("k3"), home, OTHER), 100) == 60 - 5 - 20
    with pytest.raises(Fault) as caught:
        await of_key.take()
    assert caught.value.metadata["of"] in {"key", "tenant"}


async def test_the_fault_tells_limit_value_unit_and_time_to_retry() -> None:
    budget = alone(Clock()).budget(caller(), tenant(rate=2.0), OTHER)
    before = counted(Limit.REQUESTS, "refused")
    with pytest.raises(Fault) as caught:
        for _ in range(3):
            await budget.take()
    fault = caught.value
    assert (fault.kind, fault.reason) == (Kind.EXHAUSTED, "RATE_LIMIT_EXCEEDED")
    told = {"limit": "requests_per_second", "value": "2", "unit": "requests/s", "of": "tenant"}
    assert fault.metadata == told
    assert fault.retry_after == pytest.approx(0.5)
    assert fault.quota == "requests_per_second"
    assert counted(Limit.REQUESTS, "refused") == before + 1


async def test_callers_are_told_what_is_left_and_when_all_of_it_is_back() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(rate=10.0), OTHER)
    await budget.take()
    assert dict(budget.told()) == {"ratelimit-limit": "10", "ratelimit-remaining": "9", "ratelimit-reset": "1"}
    assert await allowed(budget, 20) == 9
    assert dict(budget.told())["ratelimit-remaining"] == "0"
    clock.now += 0.5
    assert dict(budget.told())["ratelimit-remaining"] == "5"


async def test_searches_are_charged_what_they_cost_when_they_are_done() -> None:
    clock = Clock()
    limiter, home = alone(clock), tenant(rate=1000.0, search_cost_per_second=10.0)
    budget = limiter.budget(caller(), home, SEARCH)
    await budget.take()
    budget.charge(Limit.SEARCH_COST, 250.0)  # ten seconds of it are saved up: 150 are owed
    with pytest.raises(Fault) as caught:
        await budget.take()
    assert (caught.value.reason, caught.value.metadata["value"]) == ("SEARCH_COST_EXCEEDED", "10")
    assert caught.value.retry_after == pytest.approx(15.0, abs=0.1)
    assert await allowed(limiter.budget(caller(), home, WRITE), 5) == 5, "writes cost no search"
    clock.now += 15.2
    await budget.take()


async def test_a_batch_larger_than_a_second_of_the_rate_is_taken_and_waited_for() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(documents_per_second=100.0, bytes_per_second=1e6), WRITE)
    await budget.take()
    budget.charge(Limit.DOCUMENTS_RATE, 1000)
    budget.charge(Limit.BYTES_RATE, 5e5)
    with pytest.raises(Fault) as caught:
        await budget.take()
    assert caught.value.metadata["limit"] == "documents_per_second"
    assert caught.value.retry_after == pytest.approx(9.0, abs=0.1)
    clock.now += 9.1
    await budget.take()


async def test_a_place_is_free_right_after_others_were_given_back() -> None:
    limiter = alone(Clock())
    budget = limiter.budget(caller(), tenant(concurrent_requests=2), OTHER)
    await budget.take()
    await budget.take()
    budget.leave()
    await asyncio.sleep(0.25)  # what isn't needed is given back beside the calls
    await budget.take()
    await limiter.close()


async def test_places_are_taken_and_given_back() -> None:
    limiter, home = alone(Clock()), tenant(concurrent_requests=3)
    budget = limiter.budget(caller(), home, OTHER)
    for _ in range(3):
        await budget.take()
    with pytest.raises(Fault) as caught:
        await limiter.budget(caller("other"), home, SEARCH).take()
    assert (caught.value.reason, caught.value.metadata["value"]) == ("CONCURRENCY_LIMIT_EXCEEDED", "3")
    budget.leave()
    await limiter.budget(caller("other"), home, SEARCH).take()
    await limiter.close()


@pytest.mark.parametrize(
    ("limit", "limits"),
    [
        (Limit.REQUESTS, {"burst": 2.0}),
        (Limit.CONCURRENT, {"concurrent_requests": 2}),
        (Limit.SEARCH_COST, {"search_cost_per_second": 1.0}),
    ],
)
async def test_a_dry_run_counts_and_refuses_nothing(limit: Limit, limits: dict[str, Any]) -> None:
    limiter = alone(Clock())
    budget = limiter.budget(caller(), tenant(enforcement=DRY_RUN, **limits), SEARCH)
    before = counted(limit, "dry_run")
    for _ in range(8):
        await budget.take()
        budget.charge(Limit.SEARCH_COST, 100.0)
    assert counted(limit, "dry_run") - before >= 6
    with pytest.raises(Fault):
        await limiter.budget(caller(), tenant(**limits), SEARCH).take()
    await limiter.close()


async def test_a_dry_run_spares_what_is_the_tenants_and_neither_its_keys_limits_nor_a_tokens_rate() -> None:
    limiter, home = alone(Clock()), tenant(rate=2.0, search_cost_per_second=1.0, enforcement=DRY_RUN)
    before = counted(Limit.REQUESTS, "dry_run")
    assert await allowed(limiter.budget(caller(), home, OTHER), 20) == 20
    assert counted(Limit.REQUESTS, "dry_run") == before + 18
    # The tenant's own is used up, and what isn't known of the others is asked for all the same.
    token = limiter.budget(caller(rate=1.0), home, OTHER)
    assert await allowed(token, 20) == 1
    with pytest.raises(Fault) as caught:
        await token.take()
    assert (caught.value.reason, caught.value.metadata["of"]) == ("RATE_LIMIT_EXCEEDED", "token")
    assert caught.value.retry_after == pytest.approx(1.0)
    assert token.beyond
    limited = KeyLimits(requests_per_second=4.0, concurrent_requests=2, search_cost_per_second=5.0)
    assert await allowed(limiter.budget(caller("k", limited), home, OTHER), 20) == 4
    narrow = limiter.budget(caller("busy", KeyLimits(concurrent_requests=2)), home, OTHER)
    for _ in range(2):
        await narrow.take()
    with pytest.raises(Fault) as caught:
        await narrow.take()
    assert (caught.value.reason, caught.value.metadata["of"]) == ("CONCURRENCY_LIMIT_EXCEEDED", "key")
    searcher = limiter.budget(caller("dear", KeyLimits(search_cost_per_second=5.0)), home, SEARCH)
    await searcher.take(enter=False)
    searcher.charge(Limit.SEARCH_COST, 60.0)
    with pytest.raises(Fault) as caught:
        await searcher.take(enter=False)
    assert (caught.value.reason, caught.value.metadata["of"]) == ("SEARCH_COST_EXCEEDED", "key")
    await limiter.close()


async def test_what_a_dry_run_would_have_refused_is_not_owed_afterwards() -> None:
    clock = Clock()
    limiter = alone(clock)
    budget = limiter.budget(caller(), tenant(search_cost_per_second=1.0, enforcement=DRY_RUN), SEARCH)
    for _ in range(1000):
        await budget.take(enter=False)
        budget.charge(Limit.SEARCH_COST, 10.0)
        clock.now += 0.01
    clock.now += 25
    await limiter.budget(caller(), tenant(search_cost_per_second=1.0), SEARCH).take()
    await limiter.close()


async def test_a_changed_limit_holds_from_the_next_request_on() -> None:
    clock = Clock()
    limiter, who = alone(clock), caller()
    assert await allowed(limiter.budget(who, tenant(rate=0.1), OTHER), 5) == 1
    assert await allowed(limiter.budget(who, tenant(rate=50.0), OTHER), 80) == 50
    assert await allowed(limiter.budget(who, tenant(rate=2.0), OTHER), 80) == 2


async def test_a_changed_limit_of_a_key_holds_from_the_next_request_on() -> None:
    limiter, home = alone(Clock()), tenant(rate=1000.0)
    assert await allowed(limiter.budget(caller("k", KeyLimits(requests_per_second=0.1)), home, OTHER), 5) == 1
    assert await allowed(limiter.budget(caller("k", KeyLimits(requests_per_second=50.0)), home, OTHER), 80) == 50


async def test_credentials_without_limits_share_the_budget_of_their_tenant_and_others_have_their_own() -> None:
    limiter, home = alone(Clock()), tenant(rate=100.0)
    shared = limiter.budget(caller("one"), home, OTHER)
    assert limiter.budget(caller("two"), home, OTHER) is shared
    assert limiter.budget(caller("two", KeyLimits(requests_per_second=5.0)), home, OTHER) is not shared
    assert limiter.budget(caller("two", rate=5.0), home, OTHER) is not shared
    assert limiter.work(home) is not limiter.budget(caller("one"), home, WRITE)


async def test_who_was_refused_a_moment_ago_sends_more_than_it_may() -> None:
    clock = Clock()
    limiter, home = alone(clock), tenant(rate=2.0)
    budget, other = (limiter.budget(caller(), home, OTHER), limiter.budget(caller(), tenant("other"), OTHER))
    assert await allowed(budget, 2) == 2
    assert not budget.beyond
    assert await allowed(budget, 1) == 0
    assert (budget.beyond, other.beyond) == (True, False)
    clock.now += 1.1
    assert not budget.beyond
    room = limiter.budget(caller(), tenant("slow", concurrent_requests=1), OTHER)
    await room.take()
    with pytest.raises(Fault):
        await room.take()
    assert not room.beyond, "to be slow isn't to send too much"
    dry = limiter.budget(caller(), tenant("dry", rate=1.0, enforcement=DRY_RUN), OTHER)
    assert await allowed(dry, 5) == 5
    assert not dry.beyond


async def test_a_record_that_is_read_again_makes_no_other_budget() -> None:
    limiter, home = alone(Clock()), tenant(rate=100.0)
    one, again, other = (KeyLimits(requests_per_second=rate) for rate in (5.0, 5.0, 6.0))
    budget = limiter.budget(caller("key", one), home, OTHER)
    assert limiter.budget(caller("key", again), home, OTHER) is budget
    assert limiter.budget(caller("key", other), home, OTHER) is not budget


async def test_a_key_has_places_of_its_own() -> None:
    limiter, home = alone(Clock()), tenant(rate=1000.0)
    narrow = KeyLimits(concurrent_requests=2)
    for _ in range(2):
        await limiter.budget(caller("k", narrow), home, OTHER).take()
    with pytest.raises(Fault) as caught:
        await limiter.budget(caller("k", narrow), home, OTHER).take()
    assert (caught.value.reason, caught.value.metadata["of"]) == ("CONCURRENCY_LIMIT_EXCEEDED", "key")
    await limiter.budget(caller("other"), home, OTHER).take()
    await limiter.close()


async def test_the_least_recently_seen_tenants_are_forgotten_and_those_with_calls_are_not() -> None:
    limiter = alone(Clock(), homes=3)
    busy = limiter.budget(caller(), tenant("busy", concurrent_requests=1), OTHER)
    await busy.take()
    for number in range(10):
        await limiter.budget(caller(), tenant(f"t{number}"), OTHER).take()
    assert len(limiter._homes) == 3
    with pytest.raises(Fault):
        await limiter.budget(caller(), tenant("busy", concurrent_requests=1), OTHER).take()
    busy.leave()
    await limiter.close()


# RPCs that read or write documents and cost a request alone: by name, about writes that failed, or by operations, whose
# jobs are bounded by themselves. Whatever else reads documents searches, and whatever else writes them is ingest.
ONLY_REQUESTS = {
    "RecordEvent", "GetDocument", "BatchGetDocuments", "DeleteDocument", "ListFailedWrites", "RetryFailedWrites",
    "DiscardFailedWrites", "ImportDocuments",
}  # fmt: skip


def test_every_rpc_that_reads_or_writes_documents_is_under_a_budget_or_named_as_an_exception() -> None:
    assert set(KINDS) <= set(RULES)
    of_documents = {Permission.DOCUMENTS_READ: kinds.Kind.SEARCH, Permission.DOCUMENTS_WRITE: kinds.Kind.WRITE}
    by_permission = {
        method: of_documents[rule.permission]
        for method, rule in RULES.items()
        if rule.permission in of_documents and method.rpartition("/")[2] not in ONLY_REQUESTS
    }
    others = {
        "/pinakes.v1.SearchService/GetSearchInsights": kinds.Kind.SEARCH,  # sums up what was searched
        "/pinakes.v1.IndexService/PurgeDocuments": kinds.Kind.SEARCH,  # looks for what it deletes
    }
    assert {**by_permission, **others} == KINDS


async def test_what_searches_is_under_the_search_budget_and_what_reads_by_name_only_if_that_is_a_search() -> None:
    limiter, home = alone(Clock()), tenant(search_cost_per_second=1.0)
    spender = limiter.budget(caller(), home, SEARCH)
    await spender.take()
    spender.charge(Limit.SEARCH_COST, 1000.0)
    narrowed = caller()._replace(filter='tags = "red"')
    index = "/pinakes.v1.IndexService/"
    for method, who in (
        (index + "ListDocuments", caller()), (index + "PurgeDocuments", caller()),
        ("/pinakes.v1.SearchService/GetSearchInsights", caller()),
        (index + "GetDocument", narrowed), (index + "BatchGetDocuments", narrowed),
    ):  # fmt: skip
        with pytest.raises(Fault) as caught:
            await limiter.budget(who, home, method).take()
        assert caught.value.reason == "SEARCH_COST_EXCEEDED", method
    for method, who in (
        (index + "GetDocument", caller()), (index + "BatchGetDocuments", caller()),
        (index + "DeleteDocument", caller()), (index + "GetCollection", narrowed),
    ):  # fmt: skip
        await limiter.budget(who, home, method).take()
    await limiter.close()


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([1.0, 7.0, 40.0, 400.0]),
    processes=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 0.4), st.integers(1, 60)), min_size=1, max_size=40),
)
def test_processes_together_let_pass_no_more_than_burst_rate_and_a_chunk_each(
    rate: float, processes: int, steps: list[tuple[int, float, int]]
) -> None:
    clock = Clock()
    limiters = [alone(clock) for _ in range(processes)]
    for one in limiters[1:]:
        one._local = limiters[0]._local  # one ledger for all, as Redis is

    async def run() -> None:
        passes: list[tuple[float, int]] = []
        for which, pause, tries in steps:
            clock.now += pause
            budget = limiters[which % processes].budget(caller(), tenant(rate=rate), OTHER)
            passes.append((clock.now, await allowed(budget, tries)))
        slack = processes * max(1, int(rate / CHUNKS_A_SECOND))
        for place, (begin, _) in enumerate(passes):
            total = 0
            for end, passed in passes[place:]:
                total += passed
                assert total <= max(1.0, rate) + rate * (end - begin) + slack + 1e-6

    asyncio.run(run())


async def test_what_is_held_here_is_had_while_another_call_asks() -> None:
    limiter, home = alone(Clock()), tenant(rate=100.0)
    budget = limiter.budget(caller(), home, OTHER)
    await budget.take()  # and a few more are held
    async with budget.home.lock:
        await asyncio.wait_for(budget.take(), 1)
    await limiter.close()


@pytest.mark.parametrize(("rate", "passed"), [(100.0, 12), (1.0, 1)])
async def test_calls_that_come_together_ask_once(monkeypatch: pytest.MonkeyPatch, rate: float, passed: int) -> None:
    limiter = alone(Clock())
    budget = limiter.budget(caller(), tenant(rate=rate), OTHER)
    asked = 0
    exchange = limiter._exchange

    async def counting(questions: Sequence[Question]) -> list[Answer]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)  # as long as it takes for all to wait
        return await exchange(questions)

    monkeypatch.setattr(limiter, "_exchange", counting)
    outcomes = await asyncio.gather(*(budget.take(enter=False) for _ in range(12)), return_exceptions=True)
    # A refused one asks once more at most: then it is known when there is something again.
    assert (outcomes.count(None), asked <= 2) == (passed, True)
    await limiter.close()


@pytest.mark.parametrize("lost", ["too old", "used by others"])
async def test_nobody_is_refused_for_what_went_while_something_else_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    clock, home = Clock(), tenant(rate=100.0)
    limiter = alone(clock)
    budget = limiter.budget(caller(limits=KeyLimits(requests_per_second=0.001, burst=7.0)), home, OTHER)
    others = limiter.budget(caller("other"), home, OTHER)
    await budget.take(enter=False)  # four more are held of the tenant's, and none of the key's
    clock.now += 0.995
    exchange = limiter._exchange

    async def slow(questions: Sequence[Question]) -> list[Answer]:
        monkeypatch.setattr(limiter, "_exchange", exchange)
        if lost == "too old":
            clock.now += 0.01
        else:
            assert await allowed(others, 4) == 4
        return await exchange(questions)

    monkeypatch.setattr(limiter, "_exchange", slow)
    await budget.take(enter=False)
    assert await allowed(budget, 9) == 5, "those of the key's burst"
    await limiter.close()


async def test_what_is_held_for_too_long_is_let_go() -> None:
    clock = Clock()
    budget = alone(clock).budget(caller(), tenant(rate=100.0), OTHER)
    assert await allowed(budget, 1) == 1
    clock.now += 60
    assert await allowed(budget, 200) == 100


async def test_what_another_process_spent_is_known_after_a_while() -> None:
    clock, home = Clock(), tenant(rate=100.0, search_cost_per_second=10.0)
    here, there = alone(clock), alone(clock)
    there._local = here._local  # one ledger for both, as Redis is
    mine, others = (one.budget(caller(), home, SEARCH) for one in (here, there))
    assert await allowed(mine, 5) == 5
    clock.now += 0.9
    assert await allowed(mine, 1) == 1, "and some more are held from now on"
    await others.take(enter=False)
    others.charge(Limit.SEARCH_COST, 500.0)
    assert await allowed(others, 1) == 0, "it tells the ledger"
    assert await allowed(mine, 1) == 1
    clock.now += 0.3
    assert await allowed(mine, 1) == 0, "of the cost, what is held is too old"
    clock.now += 60
    assert await allowed(mine, 1) == 1
