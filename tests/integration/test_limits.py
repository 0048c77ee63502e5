# SPDX-License-Identifier: Apache-2.0
"""Tenants' rates shared by several limiters through a real Redis, and held without it."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.rate import TenantLimiter
from pinakes.core.redis import connect
from pinakes.core.resilience.breaker import Breaker
from tests.integration._redis import RedisServer, redis_server, redis_url

__all__ = ["redis_server", "redis_url"]


def limiter(url: str) -> TenantLimiter:
    """Make what one process has, with patience enough for a busy test machine."""
    return TenantLimiter.open(url, 100.0, timeout=1.0)


async def allowed(subject: TenantLimiter, tenant: str, rate: float, tries: int) -> int:
    """Count how many of some requests pass."""
    passed = 0
    for _ in range(tries):
        try:
            await subject.take(tenant, rate)
        except Fault:
            continue
        passed += 1
    return passed


def trips() -> float:
    return REGISTRY.get_sample_value("pinakes_rate_grants_total", {"source": "shared"}) or 0.0


async def test_the_burst_is_one_second_of_the_rate(redis_url: str) -> None:
    subject = limiter(redis_url)
    began = time.monotonic()
    passed = await allowed(subject, "t", 100.0, 400)
    assert 100 <= passed <= 101 + 100 * (time.monotonic() - began)
    await subject.close()


async def test_most_requests_cost_no_round_trip(redis_url: str) -> None:
    subject = limiter(redis_url)
    before = trips()
    assert await allowed(subject, "t", 1000.0, 900) == 900
    assert trips() - before <= 20
    await subject.close()


async def test_a_flood_costs_no_round_trip_per_refusal(redis_url: str) -> None:
    subject = limiter(redis_url)
    await allowed(subject, "t", 10.0, 20)
    before, began = trips(), time.monotonic()
    await allowed(subject, "t", 10.0, 5000)
    assert trips() - before <= 3 + 25 * (time.monotonic() - began)
    await subject.close()


async def test_processes_share_one_rate_over_time(redis_url: str) -> None:
    processes = [limiter(redis_url) for _ in range(3)]
    rate, seconds = 200.0, 1.5
    end = time.monotonic() + seconds

    async def flood(subject: TenantLimiter) -> int:
        passed = 0
        while time.monotonic() < end:
            passed += await allowed(subject, "t", rate, 5)
            await asyncio.sleep(0.005)
        return passed

    passed = sum(await asyncio.gather(*(flood(subject) for subject in processes)))
    assert rate * seconds * 0.8 <= passed <= rate * (seconds + 1) * 1.1
    for subject in processes:
        await subject.close()


async def test_concurrent_first_requests_all_pass_within_the_burst(redis_url: str) -> None:
    subject = limiter(redis_url)
    before = trips()
    outcomes = await asyncio.gather(*(subject.take("t", 100.0) for _ in range(100)), return_exceptions=True)
    assert outcomes == [None] * 100
    assert trips() - before < 25
    await subject.close()


async def test_one_tenant_s_flood_leaves_the_others_their_rate(redis_url: str) -> None:
    subject = limiter(redis_url)
    await allowed(subject, "noisy", 10.0, 1000)
    assert await allowed(subject, "quiet", 10.0, 10) == 10
    await subject.close()


async def test_a_rate_below_one_a_second_is_kept(redis_url: str) -> None:
    subject = limiter(redis_url)
    await subject.take("t", 0.5)
    with pytest.raises(Fault) as caught:
        await subject.take("t", 0.5)
    assert caught.value.kind is Kind.EXHAUSTED
    assert caught.value.retry_after == pytest.approx(2.0, abs=0.3)
    await subject.close()


async def test_without_redis_each_process_holds_half_the_rate(redis_server: RedisServer) -> None:
    redis_server.stop()
    subject = limiter(redis_server.url)
    began = time.monotonic()
    passed = await allowed(subject, "t", 100.0, 1000)
    assert 50 <= passed <= 51 + 50 * (time.monotonic() - began)
    await subject.close()


async def test_the_rate_is_shared_again_when_redis_is_back(redis_server: RedisServer) -> None:
    breaker = Breaker("the limiter that comes back", open_seconds=0.1)
    subject = TenantLimiter(connect(redis_server.url, 1.0), 100.0, breaker=breaker)
    redis_server.stop()
    await allowed(subject, "t", 100.0, 20)
    assert breaker.state == "open"
    redis_server.start()
    await asyncio.sleep(0.15)
    before = trips()
    for number in range(6):
        await subject.take(f"tenant-{number}", 100.0)
    assert trips() - before == 6
    assert breaker.state == "closed"
    await subject.close()
