# SPDX-License-Identifier: Apache-2.0
"""Connections to Redis, for cache, limits and queue alike: bounded, with a time for each step, and without retries.

The cache goes without rather than wait; of the queue only its caller knows whether a command that may have been done can be
sent again.
"""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, MaxConnectionsError, OutOfMemoryError, RedisError, ResponseError

CONNECTIONS = 32
CACHE_SECONDS = 0.05
"""Time a step has where going without is always right."""

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call of Redis raises when Redis isn't there, isn't in time or says no."""


def connect(url: str, seconds: float = CACHE_SECONDS, connections: int = CONNECTIONS) -> Redis:
    """Make a client of `url`; nothing is sent before the first command. Each step may take `seconds`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=2,
    )
    return Redis.from_pool(pool)


async def delete_matching(redis: Redis, pattern: str) -> int:
    """Delete all keys that match a pattern, and return how many there were. Raises what Redis raises."""
    deleted = 0
    async for key in redis.scan_iter(match=pattern, count=2000):
        deleted += int(await redis.unlink(key))
    return deleted


def is_busy(error: BaseException) -> bool:
    """Tell whether it was this process that had no connection free, which says nothing about Redis."""
    return isinstance(error, MaxConnectionsError) or "No connection available" in str(error)


def is_full(error: BaseException) -> bool:
    """Tell whether Redis is out of memory: it answers, and takes nothing more."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and not isinstance(error, BusyLoadingError) and "OOM" in str(error)
    )
