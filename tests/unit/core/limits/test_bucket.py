# SPDX-License-Identifier: Apache-2.0
"""Rates held by one process alone."""

from __future__ import annotations

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.bucket import Bucket
from pinakes.core.limits.rate import TenantLimiter


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def allowed(limiter: TenantLimiter, tenant: str, rate: float, tries: int) -> int:
    """Count how many of some requests pass."""
    passed = 0
    for _ in range(tries):
        try:
            await limiter.take(tenant, rate)
        except Fault:
            continue
        passed += 1
    return passed


def test_a_bucket_holds_one_second_and_says_how_long_to_wait() -> None:
    bucket = Bucket(4.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0.0] * 4
    assert bucket.take(0.0) == pytest.approx(0.25)
    assert bucket.take(0.25) == 0.0
    assert bucket.take(0.25) > 0


def test_a_rate_below_one_still_lets_one_pass() -> None:
    bucket = Bucket(0.5, 0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(0.0) == pytest.approx(2.0)


async def test_without_redis_the_process_holds_the_whole_rate() -> None:
    clock = Clock()
    limiter = TenantLimiter(None, 100.0, clock=clock)
    assert await allowed(limiter, "t", 50.0, 200) == 50
    clock.now += 0.5
    assert await allowed(limiter, "t", 50.0, 200) == 25


async def test_tenants_do_not_share_a_rate() -> None:
    limiter = TenantLimiter(None, 10.0, clock=Clock())
    assert await allowed(limiter, "a", 10.0, 50) == 10
    assert await allowed(limiter, "b", 10.0, 50) == 10


async def test_no_rate_means_the_default() -> None:
    limiter = TenantLimiter(None, 7.0, clock=Clock())
    assert await allowed(limiter, "t", 0.0, 50) == 7


async def test_the_fault_tells_limit_and_time_to_retry() -> None:
    limiter = TenantLimiter(None, 2.0, clock=Clock())
    with pytest.raises(Fault) as caught:
        for _ in range(3):
            await limiter.take("t", 2.0)
    fault = caught.value
    assert (fault.kind, fault.reason) == (Kind.EXHAUSTED, "RATE_LIMIT_EXCEEDED")
    assert fault.retry_after == pytest.approx(0.5)
    assert fault.quota
    assert "2 requests" in fault.message


async def test_the_least_recently_seen_tenants_are_forgotten() -> None:
    limiter = TenantLimiter(None, 1.0, tenants=3, clock=Clock())
    for tenant in ("a", "b", "c"):
        assert await allowed(limiter, tenant, 1.0, 2) == 1
    assert await allowed(limiter, "a", 1.0, 1) == 0
    assert await allowed(limiter, "d", 1.0, 1) == 1
    assert await allowed(limiter, "a", 1.0, 1) == 0, "a was used last but for d"
    assert await allowed(limiter, "b", 1.0, 1) == 1, "b was forgotten"
