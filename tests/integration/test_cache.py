# SPDX-License-Identifier: Apache-2.0
"""The response cache on a real Redis, and without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from pinakes.core.cache.responses import ResponseCache, cache_key, generation_key, version_key
from pinakes.core.redis import connect
from pinakes.core.resilience.breaker import Breaker
from tests.integration._redis import RedisServer, redis_server, redis_url

__all__ = ["redis_server", "redis_url"]

KEY = cache_key("t1", "c1", 1, "e1", ("r",), "Search", b"request")
GENERATION = generation_key("t1", "c1")
VERSION = version_key("t1", "c1")
OTHER = cache_key("t2", "c1", 1, "e1", ("r",), "Search", b"request")


async def keep(cache: ResponseCache, key: bytes, value: bytes) -> None:
    """Store an answer as a search does that has just missed."""
    cache.put_soon(key, GENERATION, value, await cache.get(key, GENERATION, VERSION))
    await cache.settle()


async def kept(cache: ResponseCache, key: bytes) -> bytes | None:
    """Return what a search would be served."""
    return (await cache.get(key, GENERATION, VERSION)).value


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[ResponseCache]:
    """Give a cache with patience enough for a busy test machine."""
    opened = ResponseCache.open(redis_url, 1.0, timeout=1.0)
    yield opened
    await opened.close()


def count(result: str) -> float:
    return REGISTRY.get_sample_value("pinakes_cache_requests_total", {"result": result}) or 0.0


@pytest.mark.parametrize("size", [0, 10, 100_000])
async def test_an_answer_comes_back_and_its_neighbour_s_does_not(cache: ResponseCache, size: int) -> None:
    hits = count("hit")
    await keep(cache, KEY, b"a" * size)
    assert await kept(cache, KEY) == b"a" * size
    assert await kept(cache, OTHER) is None
    assert count("hit") == hits + 1


async def test_an_answer_is_gone_after_its_lifetime(redis_url: str) -> None:
    cache = ResponseCache.open(redis_url, 0.2, timeout=1.0)
    await keep(cache, KEY, b"answer")
    assert await kept(cache, KEY) == b"answer"
    await asyncio.sleep(0.3)
    assert await kept(cache, KEY) is None
    await cache.close()


async def test_a_value_copied_under_another_tenant_s_key_is_a_miss(cache: ResponseCache, redis_url: str) -> None:
    await keep(cache, KEY, b"answer of t1")
    raw: Redis = Redis.from_url(redis_url)
    stored = await raw.get(KEY)
    assert stored
    await raw.set(OTHER, stored)
    assert await kept(cache, OTHER) is None
    await raw.aclose()


async def test_a_key_of_another_type_is_a_miss_and_no_error(cache: ResponseCache, redis_url: str) -> None:
    raw: Redis = Redis.from_url(redis_url)
    await raw.hset(KEY, "field", "value")  # type: ignore[misc]  # typed for both kinds of client
    assert await kept(cache, KEY) is None
    await raw.aclose()


async def test_many_callers_share_the_bounded_pool(cache: ResponseCache) -> None:
    await keep(cache, KEY, b"answer")
    assert await asyncio.gather(*(kept(cache, KEY) for _ in range(300))) == [b"answer"] * 300


async def test_without_redis_there_are_only_misses_and_soon_they_cost_nothing(redis_server: RedisServer) -> None:
    redis_server.stop()
    cache = ResponseCache.open(redis_server.url, 1.0)
    errors = count("error")
    for _ in range(12):
        await keep(cache, KEY, b"answer")
    assert count("error") == errors + 12
    began = time.perf_counter()
    for _ in range(1000):
        assert await kept(cache, KEY) is None
    assert time.perf_counter() - began < 0.5
    await cache.close()


async def test_a_redis_that_hangs_costs_its_timeout_and_then_nothing(redis_server: RedisServer) -> None:
    cache = ResponseCache.open(redis_server.url, 1.0)
    await keep(cache, KEY, b"answer")
    with redis_server.paused():
        began = time.perf_counter()
        for _ in range(200):
            await kept(cache, KEY)
        assert time.perf_counter() - began < 3
    await cache.close()


async def test_the_cache_serves_again_when_redis_is_back(redis_server: RedisServer) -> None:
    breaker = Breaker("the cache that comes back", open_seconds=0.1)
    cache = ResponseCache(connect(redis_server.url, 1.0), 60.0, breaker)
    await keep(cache, KEY, b"answer")
    redis_server.stop()
    for _ in range(25):
        assert await kept(cache, KEY) is None
    assert breaker.state == "open"
    redis_server.start()
    await asyncio.sleep(0.15)
    for _ in range(6):
        await keep(cache, KEY, b"new answer")
    assert breaker.state == "closed"
    assert await kept(cache, KEY) == b"new answer"
    await cache.close()


async def test_a_cancelled_reader_spoils_nothing_for_the_next(cache: ResponseCache) -> None:
    await keep(cache, KEY, b"one")
    await keep(cache, OTHER, b"two")
    for steps in range(50):
        task = asyncio.create_task(kept(cache, KEY))
        for _ in range(steps % 6 + 1):  # cancel before sending, between, and while the answer is under way
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await kept(cache, OTHER) == b"two"


async def test_an_answer_from_before_a_generation_moved_is_never_served(redis_url: str) -> None:
    cache = ResponseCache.open(redis_url, 1.0)
    before = await cache.get(KEY, GENERATION, VERSION)
    await cache.advance(GENERATION)
    cache.put_soon(KEY, GENERATION, b"made before the write", before)
    await cache.settle()
    assert await kept(cache, KEY) is None
    await keep(cache, KEY, b"made after the write")
    assert await kept(cache, KEY) == b"made after the write"
    await cache.advance(GENERATION)
    assert await kept(cache, KEY) is None
    await cache.close()


async def test_an_answer_is_looked_for_and_kept_from_the_second_asking_on(redis_url: str) -> None:
    opened = ResponseCache.open(redis_url, 0.2, timeout=1.0)
    assert not opened.likely(KEY)
    assert opened.likely(KEY)
    assert not opened.likely(OTHER)
    await asyncio.sleep(0.5)
    assert not opened.likely(KEY), "any answer has expired by now"
    await opened.close()
