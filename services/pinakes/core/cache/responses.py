# SPDX-License-Identifier: Apache-2.0
"""Serialised answers kept for a moment in Redis. Nothing here fails a call: without Redis there are only misses."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from pinakes.core.faults import Fault, unavailable
from pinakes.core.redis import CACHE_SECONDS, FAILURES, connect, delete_matching, failed
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics
from pinakes.core.zstandard import zstd

FORMAT = 1
KEY_PREFIX = b"pinakes:answer:1:"
GENERATION_PREFIX = b"pinakes:generation:1:"
GENERATION_SECONDS = 3600
VERSION_PREFIX = b"pinakes:collection:1:"
VERSION_SECONDS = 3600
SEARCHABLE_PREFIX = b"pinakes:searchable:1:"
SEARCHABLE_SECONDS, SEARCHABLE_TOLD_SECONDS = 60, 5.0
"""For how long a tenant counts as one who writes in mode SEARCHABLE, and how often a process says so."""
COMPRESS_FROM = 4096
COMPRESS_LEVEL = -1
LARGEST = 8 << 20
LARGEST_PACKED = 1 << 20
"""What isn't smaller is asked for again: everybody's commands would wait for it."""
STORES, STORING_BYTES = 256, 8 << 20
"""Answers that may be on their way to Redis, and their bytes."""
ASKED, ASKED_LIFETIMES = 10_000, 2.0
"""Keys that a process remembers to have asked for, and for how many lifetimes of an answer."""

# Two changes may be told in either order; the later one stays.
_TELL = """
if tonumber(redis.call('get', KEYS[1]) or '0') < tonumber(ARGV[1]) then
  redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return 1
"""
_TRIES = 3
_DIGEST_BYTES = 16
_HEADER = 2 + _DIGEST_BYTES
_RAW, _ZSTD = 0, 2
# With a checksum, so that damage is a miss.
_COMPRESSOR = zstd.ZstdCompressor(
    options={zstd.CompressionParameter.compression_level: COMPRESS_LEVEL, zstd.CompressionParameter.checksum_flag: 1}
)

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
    readers: tuple[str, ...] | None,
    method: str,
    request: bytes,
    *,
    masked: bool = False,
    narrowing: str = "",
    blind: bool = False,
) -> bytes:
    """Return the key of an answer: the tenant in the clear, for operators, and a digest of all else.

    `masked` says that personal data is masked in it: who sees that and who doesn't never share an answer.

    Each part goes in with its length, so that no two lists of parts can look alike; the order of readers doesn't count.
    `readers` of None see everything, which isn't what nobody sees; `narrowing` is the filter of the caller's credential,
    which finds other documents if it is `blind` to personal data.
    """
    names = sorted(set(readers or ()))
    seen = "all" if readers is None else str(len(names))
    shown = "masked" if masked else "clear"
    parts = [
        tenant_uid, collection_uid, str(collection_version), str(epoch), method, shown, narrowing, "blind" if blind else "",
        seen, *names,
    ]  # fmt: skip
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


def version_key(tenant_uid: str, collection_uid: str) -> bytes:
    """Return the key of the newest version of a collection's record that anybody has told."""
    return VERSION_PREFIX + b"{" + tenant_uid.encode() + b"}:" + collection_uid.encode()


def pack(key: bytes, value: bytes) -> bytes:
    """Return what is stored under `key`: format, encoding, digest of the key, value."""
    encoding, body = _RAW, value
    if len(value) >= COMPRESS_FROM:
        small = _COMPRESSOR.compress(value, zstd.ZstdCompressor.FLUSH_FRAME)
        if len(small) < len(value):
            encoding, body = _ZSTD, small
    return bytes((FORMAT, encoding)) + _digest(key) + body


def unpack(key: bytes, stored: bytes) -> bytes | None:
    """Return the value, or None for what another version or another key has written, or what is damaged."""
    if len(stored) < _HEADER or stored[0] != FORMAT or stored[2:_HEADER] != _digest(key):
        return None
    body = stored[_HEADER:]
    if stored[1] == _RAW:
        return body
    if stored[1] != _ZSTD:
        return None
    inflater = zstd.ZstdDecompressor()
    try:
        value = inflater.decompress(body, LARGEST)
    except zstd.ZstdError:
        return None
    return value if inflater.eof else None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a look-up found: the answer if there is one, and the token of the generation that a new one belongs to.

    `version` is the newest version of the collection's record that was told; 0 if none was.
    """

    value: bytes | None
    token: bytes | None
    begins: bool = False
    version: int = 0
    at: float = field(default_factory=time.monotonic)


_NOTHING = Lookup(None, None)


class ResponseCache:
    """Answers of one lifetime in one Redis.

    An answer belongs to a generation of its collection, a token that a SEARCHABLE write replaces before it is
    acknowledged. A reader takes the token before it asks the engine, so an answer from before the write has the old one.
    Look-ups of concurrent callers share round trips, and so does storing.
    """

    def __init__(self, redis: Redis | None, seconds: float, breaker: Breaker | None = None) -> None:
        """Keep answers for `seconds` in `redis`; without it every look-up is a miss."""
        self._redis = redis
        self._milliseconds = max(1, round(seconds * 1000))
        self._breaker = breaker or Breaker("the cache")
        self._storing: set[asyncio.Task[None]] = set()
        self._storing_bytes = 0
        self._asked: OrderedDict[bytes, float] = OrderedDict()
        self._told_searchable: dict[str, float] = {}

    @classmethod
    def open(cls, url: str, seconds: float, timeout: float = CACHE_SECONDS) -> ResponseCache:
        """Make a cache of the Redis at `url`; an empty URL or a lifetime of 0 makes one that is off.

        It connects at the first look-up; a step that takes longer than `timeout` seconds is a miss.
        """
        return cls(connect(url, timeout) if url and seconds > 0 else None, seconds)

    def likely(self, key: bytes) -> bool:
        """Tell whether an answer may be there: the key was asked for not long ago, by this process. Remembers that it is now.

        If not, it isn't looked for and what is found isn't kept: most queries are asked once, and to wait for Redis to say
        that it has no answer, and to pack and send one that nobody will ask for, costs them as much as all that makes a plan.
        """
        if self._redis is None:
            _OFF.inc()
            return False
        now = time.monotonic()
        before = self._asked.pop(key, None)
        self._asked[key] = now
        if len(self._asked) > ASKED:
            self._asked.popitem(last=False)
        if before is not None and now - before < ASKED_LIFETIMES * self._milliseconds / 1000:
            return True
        _MISS.inc()
        return False

    async def get(self, key: bytes, generation: bytes, version: bytes) -> Lookup:
        """Return the answer kept under `key` for the present generation, if any, and what was told of the collection.

        `version` is the key of that. Raises nothing but cancellation.
        """
        if self._redis is None:
            _OFF.inc()
            return _NOTHING
        answer = await self._guarded(lambda redis: redis.mget((generation, key, version)))
        if answer is None:
            _ERROR.inc()
            return _NOTHING
        token, stored, told = answer
        if token is None:
            # Never begun, or evicted. A new one is never equal to an old one, so nothing stored before is served.
            _MISS.inc()
            return Lookup(None, secrets.token_bytes(12), begins=True, version=_number(told))
        value = unpack(key + token, stored) if stored is not None else None
        (_MISS if value is None else _HIT).inc()
        return Lookup(value, token, version=_number(told))

    async def told_version(self, version: bytes) -> int:
        """Return the newest version of a collection's record that was told; 0 if none was. Raises nothing but cancellation."""
        found = await self._insisting(lambda redis: redis.mget([version]))
        return _number(found[0]) if found else 0

    async def tell_version(self, version: bytes, number: int) -> None:
        """Let every look-up that starts after this know of a new version of a collection's record.

        Where Redis can't be told, other processes learn it when they next ask the directory what changed.
        """
        await self._insisting(lambda redis: redis.eval(_TELL, 1, version, number, VERSION_SECONDS))

    async def tell_searchable(self, tenant_uid: str) -> None:
        """Let every process know that a tenant writes in mode SEARCHABLE, before it waits for the refresh."""
        now = time.monotonic()
        if self._redis is None or now - self._told_searchable.get(tenant_uid, -math.inf) < SEARCHABLE_TOLD_SECONDS:
            return
        self._told_searchable = {uid: at for uid, at in self._told_searchable.items() if now - at < SEARCHABLE_SECONDS}
        key = SEARCHABLE_PREFIX + tenant_uid.encode()
        if await self._guarded(lambda redis: redis.set(key, b"1", ex=SEARCHABLE_SECONDS)):
            self._told_searchable[tenant_uid] = now

    async def searchable_lately(self, tenant_uid: str) -> bool:
        """Tell whether a tenant has written in mode SEARCHABLE lately, or that can't be known."""
        key = SEARCHABLE_PREFIX + tenant_uid.encode()
        return bool(await self._guarded(lambda redis: redis.exists(key)) != 0)

    def put_soon(self, key: bytes, generation: bytes, value: bytes, found: Lookup) -> None:
        """Keep an answer that was made after the look-up `found`, without making its caller wait; not at all if there is too much."""
        if self._redis is None or found.token is None or len(value) > LARGEST:
            return
        if len(self._storing) >= STORES or self._storing_bytes + len(value) > STORING_BYTES:
            _NOT_STORED.inc()
            return
        storing = self._store(key, generation, value, found, found.token)
        # A context of its own: it is part of no caller's call.
        task = asyncio.get_running_loop().create_task(storing, context=contextvars.Context())
        self._storing.add(task)
        self._storing_bytes += len(value)

        def done(task: asyncio.Task[None]) -> None:
            self._storing.discard(task)
            self._storing_bytes -= len(value)

        task.add_done_callback(done)

    async def settle(self) -> None:
        """Wait until all that is to be kept is, as far as it can be."""
        await asyncio.gather(*self._storing, return_exceptions=True)

    async def _store(self, key: bytes, generation: bytes, value: bytes, found: Lookup, token: bytes) -> None:
        # An answer is as old as the look-up that it followed, however long the engine took.
        left = self._milliseconds - round((time.monotonic() - found.at) * 1000)
        if left <= 0:
            return
        if found.begins:
            await self._guarded(lambda redis: redis.set(generation, token, nx=True, ex=GENERATION_SECONDS))
        packed = pack(key + token, value)
        if len(packed) > LARGEST_PACKED:
            return
        stored = await self._guarded(lambda redis: redis.set(key, packed, px=left))
        (_STORED if stored else _NOT_STORED).inc()

    async def advance(self, generation: bytes) -> None:
        """Make every answer of the generation unservable: no look-up that starts after this returns one.

        When the generation can't be moved, waits until all that could be served has expired.
        """
        if self._redis is None:
            return
        token = secrets.token_bytes(12)
        if await self._guarded(lambda redis: redis.set(generation, token, ex=GENERATION_SECONDS)) is None:
            await asyncio.sleep(self._milliseconds / 1000)

    async def forget(self, tenant_uid: str) -> int:
        """Delete all that is kept under a tenant's uid, rates too, and return how much that was.

        Raises a fault of kind UNAVAILABLE if Redis can't be asked: then it may still be there.
        """
        if self._redis is None:
            return 0
        try:
            return await delete_matching(self._redis, f"*{tenant_uid}*")
        except FAILURES as error:
            raise unavailable("the cache") from error

    async def close(self) -> None:
        """Finish storing and close the connections."""
        await self.settle()
        if self._redis is not None:
            await self._redis.aclose()

    async def _guarded(self, command: Callable[[Redis], Any]) -> Any:
        """Run a command that can be gone without; None if it fails, or the cache is off."""
        if self._redis is None:
            return None
        try:
            permit = self._breaker.before()
        except Fault:
            return None
        try:
            answer = await command(self._redis)
        except FAILURES as error:
            failed(self._breaker, permit, error)
            return None
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        return answer

    async def _insisting(self, command: Callable[[Redis], Any]) -> Any:
        """Run a command that always answers, again if it fails: a pause of a busy process isn't the end of a Redis."""
        for _ in range(_TRIES):
            if (answer := await self._guarded(command)) is not None:
                return answer
        return None


def _number(told: bytes | None) -> int:
    """Return a version as it was told; what isn't one counts as none."""
    return int(told) if told is not None and told.isdigit() else 0


def _digest(key: bytes) -> bytes:
    """Return what binds a value to its key."""
    return hashlib.blake2b(key, digest_size=_DIGEST_BYTES, person=b"pinakes value").digest()
