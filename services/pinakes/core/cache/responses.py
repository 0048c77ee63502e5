# SPDX-License-Identifier: Apache-2.0
"""Serialised answers kept for a moment in Redis. Nothing here fails a call: without Redis there are only misses."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import zlib
from dataclasses import dataclass, field
from typing import cast

from redis.asyncio import Redis

from pinakes.core.faults import Fault
from pinakes.core.redis import CACHE_SECONDS, FAILURES, connect, is_busy
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics

FORMAT = 1
KEY_PREFIX = b"pinakes:answer:1:"
GENERATION_PREFIX = b"pinakes:generation:1:"
GENERATION_SECONDS = 3600
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


def cache_key(  # everything that an answer depends on
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
    return KEY_PREFIX + b"{" + tenant_uid.encode() + b"}:" + mac.hexdigest().encode()


def generation_key(tenant_uid: str, collection_uid: str) -> bytes:
    """Return the key of a collection's generation; the braces keep a tenant's keys in one slot of a Redis cluster."""
    return GENERATION_PREFIX + b"{" + tenant_uid.encode() + b"}:" + collection_uid.encode()


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


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a look-up found: the answer if there is one, and the token of the generation that a new one belongs to."""

    value: bytes | None
    token: bytes | None
    begins: bool = False
    at: float = field(default_factory=time.monotonic)


_NOTHING = Lookup(None, None)


class ResponseCache:
    """Answers of one lifetime in one Redis.

    An answer belongs to a generation of its collection, a token that a SEARCHABLE write replaces before it is
    acknowledged. A reader takes the token before it asks the engine, so an answer from before the write has the old one.
    """

    def __init__(self, redis: Redis | None, seconds: float, breaker: Breaker | None = None) -> None:
        """Keep answers for `seconds` in `redis`; without it every look-up is a miss."""
        self._redis = redis
        self._milliseconds = max(1, round(seconds * 1000))
        self._breaker = breaker or Breaker("the cache")
        self._storing: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, url: str, seconds: float, timeout: float = CACHE_SECONDS) -> ResponseCache:
        """Make a cache of the Redis at `url`; an empty URL or a lifetime of 0 makes one that is off.

        It connects at the first look-up; a step that takes longer than `timeout` seconds is a miss.
        """
        return cls(connect(url, timeout) if url and seconds > 0 else None, seconds)

    async def get(self, key: bytes, generation: bytes) -> Lookup:
        """Return the answer kept under `key` for the present generation, if any. Raises nothing but cancellation."""
        if self._redis is None:
            _OFF.inc()
            return _NOTHING
        try:
            permit = self._breaker.before()
        except Fault:
            _ERROR.inc()
            return _NOTHING
        try:
            token, stored = cast("list[bytes | None]", await self._redis.mget(generation, key))
        except FAILURES as error:
            self._failed(permit, error)
            _ERROR.inc()
            return _NOTHING
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        if token is None:
            # Never begun, or evicted. A new one is never equal to an old one, so nothing stored before is served.
            _MISS.inc()
            return Lookup(None, secrets.token_bytes(12), begins=True)
        value = unpack(key + token, stored) if stored is not None else None
        (_MISS if value is None else _HIT).inc()
        return Lookup(value, token)

    def put_soon(self, key: bytes, generation: bytes, value: bytes, found: Lookup) -> None:
        """Keep an answer that was made after the look-up `found`, without making its caller wait."""
        if found.token is not None and len(value) <= LARGEST:
            task = asyncio.create_task(self.put(key, generation, value, found))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)

    async def put(self, key: bytes, generation: bytes, value: bytes, found: Lookup) -> None:
        """Keep an answer under `key` and the generation of `found`. Raises nothing but cancellation."""
        if self._redis is None or found.token is None or len(value) > LARGEST:
            return
        # An answer is as old as the look-up that it followed, however long the engine took.
        left = self._milliseconds - round((time.monotonic() - found.at) * 1000)
        if left <= 0:
            return
        try:
            permit = self._breaker.before()
        except Fault:
            _NOT_STORED.inc()
            return
        try:
            if found.begins:
                await self._redis.set(generation, found.token, nx=True, ex=GENERATION_SECONDS)
            await self._redis.set(key, pack(key + found.token, value), px=left)
        except FAILURES as error:
            self._failed(permit, error)
            _NOT_STORED.inc()
            return
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        _STORED.inc()

    async def advance(self, generation: bytes) -> None:
        """Make every answer of the generation unservable: no look-up that starts after this returns one.

        When the generation can't be moved, waits until all that could be served has expired.
        """
        if self._redis is None:
            return
        try:
            permit = self._breaker.before()
        except Fault:
            await asyncio.sleep(self._milliseconds / 1000)
            return
        try:
            await self._redis.set(generation, secrets.token_bytes(12), ex=GENERATION_SECONDS)
        except FAILURES as error:
            self._failed(permit, error)
            await asyncio.sleep(self._milliseconds / 1000)
        except BaseException:
            self._breaker.ignored(permit)
            raise
        else:
            self._breaker.success(permit)

    async def close(self) -> None:
        """Finish storing and close the connections."""
        await asyncio.gather(*self._storing, return_exceptions=True)
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
