# SPDX-License-Identifier: Apache-2.0
"""The connection to the cache's Redis: bounded, impatient and without retries, since going without is always right."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MaxConnectionsError, RedisError

CONNECTIONS = 32
SECONDS = 0.05

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call of Redis raises when Redis isn't there, isn't in time or says no."""


def connect(url: str, seconds: float = SECONDS) -> Redis:
    """Make a client of `url`; nothing is sent before the first command. Each step may take `seconds`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=2,
    )
    return Redis.from_pool(pool)


def is_busy(error: BaseException) -> bool:
    """Tell whether it was this process that had no connection free, which says nothing about Redis."""
    return isinstance(error, MaxConnectionsError) or "No connection available" in str(error)
