# SPDX-License-Identifier: Apache-2.0
"""The connection to the queue's Redis: patient, since what it says is a promise to callers."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, RedisError, ResponseError

SECONDS = 3.0
"""Time one command has: an fsync of a busy disk can take a while."""

FAILURES = (RedisError, OSError, TimeoutError)
"""What a call raises when the queue isn't there, isn't in time or says no."""


def connect(url: str, connections: int = 64, seconds: float = SECONDS) -> Redis:
    """Make a client of `url`; nothing is sent before the first command. Each step may take `seconds`."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        # A command that was sent may have been done: whether to repeat one is decided where that is known.
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        protocol=2,
    )
    return Redis.from_pool(pool)


def is_full(error: BaseException) -> bool:
    """Tell whether Redis is out of memory: it answers, and takes nothing more."""
    return isinstance(error, OutOfMemoryError) or (
        isinstance(error, ResponseError) and not isinstance(error, BusyLoadingError) and "OOM" in str(error)
    )
