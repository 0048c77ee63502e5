# SPDX-License-Identifier: Apache-2.0
"""Limits shared by several limiters and processes through a real Redis, and held without it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from pinakes.core.faults import Fault
from pinakes.core.limits.budget import Budget
from pinakes.core.limits.figures import KeyLimits
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.ledger import Draw, RedisLedger
from pinakes.core.limits.limiter import Limiter
from pinakes.core.redis import connect
from pinakes.core.resilience.breaker import Breaker
from tests.integration._redis import RedisServer, redis_server, redis_url
from tests.unit.core.limits._world import DEFAULTS, OTHER, SEARCH, WRITE, allowed, caller, tenant

__all__ = ["redis_server", "redis_url"]


def limiter(url: str) -> Limiter:
    """Make what one process has, with patience enough for a busy test machine."""
    return Limiter(connect(url, 1.0), DEFAULTS)


def trips() -> float:
    return REGISTRY.get_sample_value("pinakes_rate_grants_total", {"source": "shared"}) or 0.0


@contextmanager
def at_most_trips(most: float, a_second: float = 0.0) -> Iterator[None]:
    before, began = trips(), time.monotonic()
    yield
    assert trips() - before <= most + a_second * (time.monotonic() - began)


async def test_the_burst_is_one_second_of_the_rate(redis_url: str) -> None:
    subject = limiter(redis_url)
    began = time.monotonic()
    passed = await allowed(subject.budget(caller(), tenant(rate=100.0), OTHER), 400)
    assert 100 <= passed <= 101 + 100 * (time.monotonic() - began)
    await subject.close()


async def test_however_small_a_rate_is_a_refusal_is_for_a_day_at_most_and_is_remembered(redis_url: str) -> None:
    subject = limiter(redis_url)
    budget = subject.budget(caller(), tenant(rate=5e-324), OTHER)
    assert await allowed(budget, 1) == 1
    with at_most_trips(1):
        for _ in range(10):
            with pytest.raises(Fault) as caught:
                await budget.take()
            assert caught.value.retry_after == pytest.approx(86400.0, abs=60.0)
    await subject.close()


async def test_a_small_search_cost_lets_one_search_pass_and_refuses_the_next_until_it_is_paid(redis_url: str) -> None:
    subject = limiter(redis_url)
    budget = subject.budget(caller(), tenant(search_cost_per_second=0.01), SEARCH)
    await budget.take()
    budget.charge(Limit.SEARCH_COST, 1.0)
    with at_most_trips(2):
        for _ in range(10):
            with pytest.raises(Fault) as caught:
                await budget.take()
            assert caught.value.reason == "SEARCH_COST_EXCEEDED"
            # Ten seconds' worth were saved up, which pay a tenth of it.
            assert caught.value.retry_after == pytest.approx(90.0, abs=1.0)
    await subject.close()


async def test_who_comes_back_all_the_time_with_a_debt_is_let_in_when_it_is_paid(redis_url: str) -> None:
    subject = RedisLedger(connect(redis_url, 1.0), "me")
    owing = Draw("owing", 0.5, 5.0, 5.01, 0.025, whole=False)
    (first,) = await subject.exchange([owing])
    assert first.granted == 0.0
    assert first.wait == pytest.approx(0.022)
    began = time.monotonic()
    while time.monotonic() - began < 1.0:
        (answer,) = await subject.exchange([replace(owing, debt=0.0)])
        if answer.granted:
            break
        assert answer.wait > 0
    assert answer.granted == 0.001
    assert 0.02 <= time.monotonic() - began < 0.9
    await subject.redis.aclose()


async def test_most_requests_cost_no_round_trip_and_none_more_than_one(redis_url: str) -> None:
    subject = limiter(redis_url)
    with at_most_trips(20):
        assert await allowed(subject.budget(caller(), tenant(rate=1000.0), OTHER), 900) == 900
    limits = KeyLimits(requests_per_second=500.0, search_cost_per_second=100.0, concurrent_requests=5)
    home = tenant("all", search_cost_per_second=1000.0, concurrent_requests=10)
    with at_most_trips(1):
        await subject.budget(caller(limits=limits), home, SEARCH).take()  # six buckets and rooms
    await subject.close()


async def test_a_flood_costs_no_round_trip_per_refusal(redis_url: str) -> None:
    subject = limiter(redis_url)
    budget = subject.budget(caller(), tenant(rate=10.0), OTHER)
    await allowed(budget, 20)
    with at_most_trips(3, 25):
        await allowed(budget, 5000)
    await subject.close()


async def test_concurrent_first_requests_all_pass_within_the_burst(redis_url: str) -> None:
    subject = limiter(redis_url)
    budget = subject.budget(caller(), tenant(rate=100.0), OTHER)
    with at_most_trips(25):
        assert await asyncio.gather(*(budget.take() for _ in range(100))) == [None] * 100
    await subject.close()


_PROCESS = """
import asyncio, sys, time
from pinakes.core.redis import connect
from pinakes.core.limits.limiter import Limiter
from tests.unit.core.limits._world import DEFAULTS, OTHER, allowed, caller, tenant

async def flood(url, rate, seconds):
    subject = Limiter(connect(url, 2.0), DEFAULTS)
    sys.stdin.readline()
    end, passed = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        passed += await allowed(subject.budget(caller(), tenant(rate=rate), OTHER), 3)
        await asyncio.sleep(0.002)
    print(passed)
    await subject.close()

print("ready", flush=True)
asyncio.run(flood(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
"""


async def test_processes_share_one_rate_to_the_bound_that_is_promised(redis_url: str) -> None:
    processes, rate, seconds = 4, 200.0, 2.0
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROCESS, redis_url, str(rate), str(seconds),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for one in started:
        assert one.stdout is not None
        assert await one.stdout.readline() == b"ready\n"
    began = time.monotonic()
    found = await asyncio.gather(*(one.communicate(b"\n") for one in started))
    spent = time.monotonic() - began
    passed = sum(int(out) for out, _ in found)
    # Burst, what flows in, and what each process may hold: a twentieth of a second.
    assert passed <= rate + rate * spent + processes * rate / 20
    assert passed >= rate * seconds * 0.8


async def test_searches_of_all_processes_are_charged_to_one_account(redis_url: str) -> None:
    one, other = limiter(redis_url), limiter(redis_url)
    home = tenant(search_cost_per_second=10.0)
    spender = one.budget(caller(), home, SEARCH)
    await spender.take()
    spender.charge(Limit.SEARCH_COST, 400.0)
    await asyncio.sleep(0.4)  # debts are told within a moment, also by a process that gets no more requests
    with pytest.raises(Fault) as caught:
        await other.budget(caller(), home, SEARCH).take()
    assert caught.value.retry_after == pytest.approx(30.0, abs=2.0)
    for subject in (one, other):
        await subject.close()


async def test_places_are_shared_kept_by_long_calls_and_freed_when_a_process_dies(redis_url: str) -> None:
    one, other, dying = limiter(redis_url), limiter(redis_url), limiter(redis_url)
    home, bereft = tenant(concurrent_requests=4), tenant("bereft", concurrent_requests=1)
    mine, theirs = (subject.budget(caller(), home, WRITE) for subject in (one, other))
    for _ in range(3):
        await mine.take()
    await theirs.take()
    await dying.budget(caller(), bereft, OTHER).take()
    await dying.close()  # without leaving
    for budget in (mine, theirs, other.budget(caller(), bereft, OTHER)):
        with pytest.raises(Fault):
            await budget.take()
    await asyncio.sleep(3.3)  # longer than a lease
    await other.budget(caller(), bereft, OTHER).take()
    with pytest.raises(Fault):
        await theirs.take()
    mine.leave()
    await asyncio.sleep(0.4)
    await theirs.take()
    with pytest.raises(Fault):
        await mine.take()
    for subject in (one, other):
        await subject.close()


async def test_under_random_load_never_more_calls_are_under_way_than_allowed(redis_url: str) -> None:
    subjects = [limiter(redis_url) for _ in range(3)]
    home = tenant(rate=1e6, concurrent_requests=5)
    under_way = most = passed = 0
    end = time.monotonic() + 1.5

    async def one(budget: Budget, number: int) -> None:
        nonlocal under_way, most, passed
        while time.monotonic() < end:
            try:
                await budget.take()
            except Fault as fault:
                await asyncio.sleep(fault.retry_after or 0.01)
                continue
            under_way, passed = under_way + 1, passed + 1
            most = max(most, under_way)
            await asyncio.sleep(0.001 * (number % 7))
            under_way -= 1
            budget.leave()

    await asyncio.gather(*(one(subjects[number % 3].budget(caller(), home, OTHER), number) for number in range(30)))
    assert 4 <= most <= 5
    assert passed > 100
    for subject in subjects:
        await subject.close()


async def test_without_redis_each_process_holds_half_of_everything(redis_server: RedisServer) -> None:
    redis_server.stop()
    subject = limiter(redis_server.url)
    began = time.monotonic()
    passed = await allowed(subject.budget(caller(), tenant(rate=100.0), OTHER), 1000)
    assert 50 <= passed <= 51 + 50 * (time.monotonic() - began)
    home = tenant("others", rate=1000.0, concurrent_requests=6, search_cost_per_second=10.0)
    budget = subject.budget(caller(), home, SEARCH)
    for _ in range(3):
        await budget.take()
    with pytest.raises(Fault) as caught:
        await budget.take()
    assert caught.value.reason == "CONCURRENCY_LIMIT_EXCEEDED"
    budget.leave()
    budget.charge(Limit.SEARCH_COST, 100.0)  # half of ten seconds are saved up: 50 are owed, at 5 a second
    with pytest.raises(Fault) as caught:
        await budget.take()
    assert caught.value.retry_after == pytest.approx(10.0, abs=1.0)
    await subject.close()


async def test_without_redis_processes_together_let_no_more_through_than_with_it(redis_server: RedisServer) -> None:
    redis_server.stop()
    processes, rate = 7, 140.0
    subjects = [Limiter(connect(redis_server.url, 1.0), DEFAULTS, processes=processes) for _ in range(processes)]
    began = time.monotonic()
    passed = 0
    while time.monotonic() - began < 1.0:
        for subject in subjects:
            passed += await allowed(subject.budget(caller(), tenant(rate=rate), OTHER), 50)
    assert rate <= passed <= rate + rate * (time.monotonic() - began) + processes
    for subject in subjects:
        await subject.close()


async def test_the_rate_is_shared_again_when_redis_is_back(redis_server: RedisServer) -> None:
    breaker = Breaker("the limiter that comes back", open_seconds=0.1)
    subject = Limiter(connect(redis_server.url, 1.0), DEFAULTS, breaker=breaker)
    redis_server.stop()
    for number in range(12):
        await subject.budget(caller(), tenant(f"early-{number}"), OTHER).take()
    assert breaker.state == "open"
    redis_server.start()
    await asyncio.sleep(0.15)
    before = trips()
    for number in range(6):
        await subject.budget(caller(), tenant(f"tenant-{number}"), OTHER).take()
    assert trips() - before == 6
    assert breaker.state == "closed"
    await subject.close()
