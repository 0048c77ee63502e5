# SPDX-License-Identifier: Apache-2.0
"""Connections to Redis, for cache, limits and queue alike: bounded, with a time for each step, and without retries.

The cache goes without rather than wait; of the queue only its caller knows whether a command that may have been done can be
sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, RedisError, ResponseError

from pinakes.core.multiplexed import Multiplexed

if TYPE_CHECKING:
    from pinakes.core.resilience.breaker import Breaker

ALONE = 64
"""Connections that a process may have, beside the shared one, for commands that need one of their own."""
CACHE_SECONDS = 0.05
"""Time a step has where going without is always right."""

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call of Redis raises when Redis isn't there, isn't in time or says no."""


def connect(url: str, seconds: float = CACHE_SECONDS) -> Redis:
    """Make a client of `url` whose callers share a connection; nothing is sent before the first command.

    Opening the connection and each answer may take `seconds`.
    """
    return Multiplexed(_pool(url, seconds, ALONE), seconds)


def connect_blocking(url: str, seconds: float, connections: int) -> Redis:
    """Make a client of `url` for commands that block: each has a connection of its own, of so many."""
    return Redis.from_pool(_pool(url, seconds, connections))


def _pool(url: str, seconds: float, connections: int) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=2,
    )


def failed(breaker: Breaker, permit: int, error: BaseException) -> None:
    """Tell a breaker of a failure. What callers lost together, on their shared connection, counts once."""
    if getattr(error, "together", False):
        breaker.ignored(permit)
    else:
        breaker.failure(permit)


async def delete_matching(redis: Redis, pattern: str) -> int:
    """Delete all keys that match a pattern, and return how many there were. Raises what Redis raises."""
    deleted = 0
    async for key in redis.scan_iter(match=pattern, count=2000):
        deleted += int(await redis.unlink(key))
    return deleted


def is_full(error: BaseException) -> bool:
    """Tell whether Redis is out of memory: it answers, and takes nothing more."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and not isinstance(error, BusyLoadingError) and "OOM" in str(error)
    )
