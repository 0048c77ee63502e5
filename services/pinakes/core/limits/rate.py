# SPDX-License-Identifier: Apache-2.0
"""Requests a second per tenant: one token bucket in Redis for all processes, which take from it in small chunks."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis

from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.bucket import Bucket
from pinakes.core.redis import CACHE_SECONDS, FAILURES, connect, is_busy
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics

KEY_PREFIX = "pinakes:rate:1:"
CHUNKS_A_SECOND = 20
CHUNK_SECONDS = 1.0
TENANTS = 10_000
DOWN_SHARE = 0.5

# KEYS[1] the bucket; ARGV: tokens a second, tokens at most, tokens wanted.
# Answers the tokens granted and, when none was, the milliseconds until one is there.
_TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000000)
local granted = math.min(wanted, math.floor(tokens + 1e-9))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
if granted > 0 then return {granted, 0} end
return {0, math.ceil((1 - tokens) / rate * 1000)}
"""

_SHARED = metrics.RATE_SOURCE.labels("shared")
_LOCAL = metrics.RATE_SOURCE.labels("local")


@dataclass(slots=True)
class _Share:
    """What this process holds of one tenant's rate. Times are of the limiter's clock."""

    tokens: int = 0
    until: float = 0.0
    refused_until: float = 0.0
    waiting: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    fallback: Bucket | None = None


class TenantLimiter:
    """Refuses what goes beyond a tenant's rate. A tenant may save up one second of it."""

    def __init__(
        self,
        redis: Redis | None,
        default_rate: float,
        *,
        breaker: Breaker | None = None,
        tenants: int = TENANTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Share rates through `redis`; without it this process alone holds them. `tenants` are remembered at most."""
        self._redis = redis
        self._take = redis.register_script(_TAKE) if redis is not None else None
        self._default = default_rate
        self._breaker = breaker or Breaker("the rate limiter")
        self._tenants = tenants
        self._clock = clock
        self._shares: OrderedDict[str, _Share] = OrderedDict()

    @classmethod
    def open(cls, url: str, default_rate: float, timeout: float = CACHE_SECONDS) -> TenantLimiter:
        """Make a limiter of the Redis at `url`, or of this process alone when the URL is empty."""
        return cls(connect(url, timeout) if url else None, default_rate)

    async def take(self, tenant_uid: str, rate: float = 0.0) -> None:
        """Count one request of a tenant that may make `rate` a second; 0 means the default.

        Raises a fault of kind EXHAUSTED with `retry_after` when the tenant has made more. When Redis doesn't answer,
        this process alone allows half the rate.
        """
        rate = rate if rate > 0 else self._default
        share = self._share(tenant_uid)
        now = self._clock()
        if share.tokens > 0 and now < share.until:
            share.tokens -= 1
            return
        if now < share.refused_until:
            raise _exceeded(rate, share.refused_until - now)
        share.waiting += 1
        try:
            async with share.lock:
                await self._refill_and_take(tenant_uid, share, rate)
        finally:
            share.waiting -= 1

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    def _share(self, tenant_uid: str) -> _Share:
        """Return a tenant's share and forget the one that wasn't used for longest when there are too many."""
        share = self._shares.get(tenant_uid)
        if share is None:
            share = self._shares[tenant_uid] = _Share()
            if len(self._shares) > self._tenants:
                self._shares.popitem(last=False)
        else:
            self._shares.move_to_end(tenant_uid)
        return share

    async def _refill_and_take(self, tenant_uid: str, share: _Share, rate: float) -> None:
        """Take a token, from what another waiter has fetched or from Redis."""
        now = self._clock()
        if now >= share.until:
            share.tokens = 0  # an old chunk would add to the burst that Redis allows
        if share.tokens == 0:
            if now < share.refused_until:
                raise _exceeded(rate, share.refused_until - now)
            granted, wait = await self._ask(tenant_uid, share, rate)
            now = self._clock()
            if granted == 0:
                share.refused_until = now + wait
                raise _exceeded(rate, wait)
            share.tokens, share.until = granted, now + CHUNK_SECONDS
        share.tokens -= 1

    async def _ask(self, tenant_uid: str, share: _Share, rate: float) -> tuple[int, float]:
        """Fetch a chunk; answers the tokens got and, when there are none, the seconds to wait."""
        if self._take is None:
            return self._ask_locally(share, rate)
        try:
            permit = self._breaker.before()
        except Fault:
            return self._ask_locally(share, rate * DOWN_SHARE)
        burst = max(1.0, rate)
        wanted = max(1, int(rate / CHUNKS_A_SECOND), share.waiting)
        try:
            granted, wait = await self._take(keys=[KEY_PREFIX + tenant_uid], args=[rate, burst, wanted])
        except FAILURES as error:
            if is_busy(error):
                self._breaker.ignored(permit)
            else:
                self._breaker.failure(permit)
            return self._ask_locally(share, rate * DOWN_SHARE)
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        _SHARED.inc()
        return int(granted), int(wait) / 1000

    def _ask_locally(self, share: _Share, rate: float) -> tuple[int, float]:
        """Take one token from this process's own bucket."""
        _LOCAL.inc()
        now = self._clock()
        if share.fallback is None or share.fallback.rate != rate:
            share.fallback = Bucket(rate, now)
        wait = share.fallback.take(now)
        return (0, wait) if wait > 0 else (1, 0.0)


def _exceeded(rate: float, wait: float) -> Fault:
    """Make the fault of a request beyond the rate; `wait` is in seconds."""
    metrics.RATE_LIMITED.inc()
    return Fault(
        Kind.EXHAUSTED,
        "RATE_LIMIT_EXCEEDED",
        f"more than {rate:g} requests a second",
        metadata={"limit": f"{rate:g}", "unit": "requests/s"},
        quota="requests per second",
        retry_after=max(wait, 0.001),
    )
