# SPDX-License-Identifier: Apache-2.0
"""Serialised answers kept for a moment in Redis. Nothing here fails a call: without Redis there are only misses."""

from __future__ import annotations

import hashlib
import zlib
from typing import cast

from redis.asyncio import Redis

from pinakes.core.cache.connection import FAILURES, SECONDS, connect, is_busy
from pinakes.core.faults import Fault
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics

FORMAT = 1
KEY_PREFIX = b"pinakes:answer:1:"
COMPRESS_FROM = 4096
COMPRESS_LEVEL = 1
LARGEST = 16 << 20

_DIGEST_BYTES = 16
_HEADER = 2 + _DIGEST_BYTES
_RAW, _ZLIB = 0, 1

_HIT = metrics.CACHE_REQUESTS.labels("hit")
_MISS = metrics.CACHE_REQUESTS.labels("miss")
_ERROR = metrics.CACHE_REQUESTS.labels("error")
_OFF = metrics.CACHE_REQUESTS.labels("off")
_STORED = metrics.CACHE_WRITES.labels("stored")
_NOT_STORED = metrics.CACHE_WRITES.labels("error")


def cache_key(  # noqa: PLR0913  # everything that an answer depends on
    tenant_uid: str,
    collection_uid: str,
    collection_version: int | str,
    epoch: int | str,
    readers: tuple[str, ...],
    method: str,
    request: bytes,
) -> bytes:
    """Return the key of an answer: the tenant in the clear, for operators, and a digest of all else.

    Each part goes in with its length, so that no two lists of parts can look alike; the order of readers doesn't count.
    """
    names = sorted(set(readers))
    parts = [tenant_uid, collection_uid, str(collection_version), str(epoch), method, str(len(names)), *names]
    mac = hashlib.blake2b(digest_size=24, person=b"pinakes answer")
    for part in parts:
        data = part.encode()
        mac.update(len(data).to_bytes(4, "big"))
        mac.update(data)
    mac.update(request)
    return KEY_PREFIX + tenant_uid.encode() + b":" + mac.hexdigest().encode()


def pack(key: bytes, value: bytes) -> bytes:
    """Return what is stored under `key`: format, encoding, digest of the key, value."""
    encoding, body = _RAW, value
    if len(value) >= COMPRESS_FROM:
        small = zlib.compress(value, COMPRESS_LEVEL)
        if len(small) < len(value):
            encoding, body = _ZLIB, small
    return bytes((FORMAT, encoding)) + _digest(key) + body


def unpack(key: bytes, stored: bytes) -> bytes | None:
    """Return the value, or None for what another version or another key has written, or what is damaged."""
    if len(stored) < _HEADER or stored[0] != FORMAT or stored[2:_HEADER] != _digest(key):
        return None
    body = stored[_HEADER:]
    if stored[1] == _RAW:
        return body
    if stored[1] != _ZLIB:
        return None
    inflater = zlib.decompressobj()
    try:
        value = inflater.decompress(body, LARGEST)
    except zlib.error:
        return None
    return value if inflater.eof else None


class ResponseCache:
    """Answers of one lifetime in one Redis."""

    def __init__(self, redis: Redis | None, seconds: float, breaker: Breaker | None = None) -> None:
        """Keep answers for `seconds` in `redis`; without it every look-up is a miss."""
        self._redis = redis
        self._milliseconds = max(1, round(seconds * 1000))
        self._breaker = breaker or Breaker("the cache")

    @classmethod
    def open(cls, url: str, seconds: float, timeout: float = SECONDS) -> ResponseCache:
        """Make a cache of the Redis at `url`; an empty URL or a lifetime of 0 makes one that is off.

        It connects at the first look-up; a step that takes longer than `timeout` seconds is a miss.
        """
        return cls(connect(url, timeout) if url and seconds > 0 else None, seconds)

    async def get(self, key: bytes) -> bytes | None:
        """Return the answer kept under `key`, or None. Raises nothing but cancellation."""
        if self._redis is None:
            _OFF.inc()
            return None
        try:
            permit = self._breaker.before()
        except Fault:
            _ERROR.inc()
            return None
        try:
            stored = cast("bytes | None", await self._redis.get(key))
        except FAILURES as error:
            self._failed(permit, error)
            _ERROR.inc()
            return None
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        value = unpack(key, stored) if stored is not None else None
        (_MISS if value is None else _HIT).inc()
        return value

    async def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer under `key`. Raises nothing but cancellation; what can't be kept isn't."""
        if self._redis is None or len(value) > LARGEST:
            return
        try:
            permit = self._breaker.before()
        except Fault:
            _NOT_STORED.inc()
            return
        try:
            await self._redis.set(key, pack(key, value), px=self._milliseconds)
        except FAILURES as error:
            self._failed(permit, error)
            _NOT_STORED.inc()
            return
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        _STORED.inc()

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()

    def _failed(self, permit: int, error: BaseException) -> None:
        """Tell the breaker about a failure, unless it was this process's own lack of connections."""
        if is_busy(error):
            self._breaker.ignored(permit)
        else:
            self._breaker.failure(permit)


def _digest(key: bytes) -> bytes:
    """Return what binds a value to its key."""
    return hashlib.blake2b(key, digest_size=_DIGEST_BYTES, person=b"pinakes value").digest()
