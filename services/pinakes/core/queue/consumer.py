# SPDX-License-Identifier: Apache-2.0
"""Takes writes out of the queue: one worker at a time holds a partition by a lease, and takes over what others left.

Everything read stays pending in the stream until it is acknowledged, so nothing is lost with its worker. What a worker that
was only thought dead still does is harmless: writes are done at their revisions, and an entry is acknowledged once.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from redis.exceptions import ResponseError

from pinakes.core.queue import keys, scripts
from pinakes.core.queue.entry import FORMAT
from pinakes.core.queue.producer import SECONDS
from pinakes.core.redis import connect, connect_blocking
from pinakes.queue.v1 import entry_pb2

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

_CLAIMED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Delivered:
    """An entry of a partition. `entry` is None if it can't be read; `size` is in bytes, as it was counted."""

    entry_id: bytes
    tenant_uid: str
    data: bytes
    entry: entry_pb2.Entry | None

    @property
    def size(self) -> int:
        """Bytes in the queue."""
        return len(self.data)

    @property
    def documents(self) -> int:
        """Writes in it."""
        return len(self.entry.writes) if self.entry is not None else 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A partition that this worker holds. `fence` grows with each change of hands, and is in the consumer's name."""

    partition: int
    fence: int


class Consumer:
    """The queue as one worker sees it. Every method raises what Redis raises (`core.redis.FAILURES`)."""

    def __init__(self, settings: Settings, worker: str = "") -> None:
        """Prepare; it connects at the first call."""
        self.worker = worker or secrets.token_hex(6)
        self._partitions = settings.queue_partitions
        self._lease_ms = round(settings.queue_lease_seconds * 1000)
        self._redis = connect(settings.queue_url, SECONDS)
        # A blocked read for each partition, and what a partition's next holder begins before the last one has ended.
        self._reads = connect_blocking(settings.queue_url, SECONDS, settings.queue_partitions * 2)
        register = self._redis.register_script
        self._acknowledge, self._lease = register(scripts.ACKNOWLEDGE), register(scripts.LEASE)
        self._extend, self._release = register(scripts.EXTEND), register(scripts.RELEASE)
        self._claim = register(scripts.CLAIM)

    async def share(self) -> int:
        """Say that this worker lives, and return how many partitions are its part."""
        now = time.time_ns() // 1_000_000
        async with self._redis.pipeline() as pipe:
            await pipe.zadd(keys.WORKERS, {self.worker: now})
            await pipe.zremrangebyscore(keys.WORKERS, 0, now - self._lease_ms)
            await pipe.zcard(keys.WORKERS)
            workers = int((await pipe.execute())[2])
        return -(-self._partitions // max(1, workers))

    async def agrees(self) -> bool:
        """Tell whether this worker's number of partitions is the queue's; with another it would leave some unread."""
        known = await self._redis.get(keys.PARTITIONS)
        return known is None or int(known) == self._partitions

    async def acquire(self, held: set[int], most: int) -> list[Lease]:
        """Take free partitions, in random order, until `most` are held."""
        taken: list[Lease] = []
        free = [number for number in range(self._partitions) if number not in held]
        random.shuffle(free)
        for number in free:
            if len(held) + len(taken) >= most:
                break
            fence = await self._lease(keys=[keys.lease(number), keys.FENCE], args=[self.worker, self._lease_ms])
            if fence:
                taken.append(Lease(number, int(fence)))
        return taken

    async def extend(self, lease: Lease) -> bool:
        """Go on holding a partition; False if another holds it by now."""
        return bool(await self._extend(keys=[keys.lease(lease.partition)], args=[self.worker, self._lease_ms]))

    async def release(self, lease: Lease) -> None:
        """Let another worker have a partition."""
        await self._release(keys=[keys.lease(lease.partition)], args=[self.worker])

    async def leave(self) -> None:
        """Say that this worker ends."""
        await self._redis.zrem(keys.WORKERS, self.worker)

    async def take_over(self, lease: Lease) -> None:
        """Claim what former holders of a partition had read and not finished; it is read again before anything new."""
        stream, name = keys.stream(lease.partition), self._name(lease)
        try:
            await self._redis.xgroup_create(stream, keys.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        start = b"0-0"
        while True:
            start = await self._claim(keys=[stream], args=[keys.GROUP, name, start, _CLAIMED_AT_ONCE])
            if start == b"0-0":
                break
        for consumer in await self._redis.xinfo_consumers(stream, keys.GROUP):
            if consumer["name"] != name.encode() and not consumer["pending"]:
                await self._redis.xgroup_delconsumer(stream, keys.GROUP, consumer["name"])

    async def read(self, lease: Lease, count: int, *, after: bytes = b">", wait_ms: int = 0) -> list[Delivered]:
        """Read up to `count` entries: new ones, or those that this worker has read and not finished, `after` an id.

        Waits so long for the first new one; 0 means not at all.
        """
        answer: Any = await self._reads.xreadgroup(
            keys.GROUP, self._name(lease), {keys.stream(lease.partition): after}, count=count, block=wait_ms or None
        )
        entries = answer[0][1] if answer else []
        # An entry without fields was deleted while it was pending.
        return [_delivered(entry_id, fields) for entry_id, fields in entries if fields]

    async def acknowledge(self, partition: int, entries: Sequence[Delivered]) -> int:
        """Finish entries: they are gone from the queue. Returns how many nobody had finished before."""
        arguments: list[Any] = [keys.GROUP]
        for item in entries:
            accepted = item.entry.accepted_ms if item.entry is not None else 0
            arguments += [item.entry_id, item.tenant_uid, item.documents, item.size, accepted]
        names = [keys.stream(partition), keys.DOCUMENTS, keys.BYTES, keys.SINCE, keys.APPLIED]
        return int(await self._acknowledge(keys=names, args=arguments))

    async def mark_failed(self, tenant_uid: str, seconds: float) -> None:
        """Remember that a tenant has writes that may be retried: older ones than what is written meanwhile."""
        await self._redis.set(keys.failed(tenant_uid), 1, ex=round(seconds))

    async def has_failed(self, tenant_uid: str) -> bool:
        """Tell whether a tenant has writes that may be retried."""
        return bool(await self._redis.exists(keys.failed(tenant_uid)))

    async def depth(self) -> tuple[int, int]:
        """Return the writes in the queue, and their bytes."""
        documents, size = await self._redis.hget(keys.DOCUMENTS, "*"), await self._redis.hget(keys.BYTES, "*")
        return int(documents or 0), int(size or 0)

    async def oldest_ms(self, partition: int) -> int | None:
        """Return when the oldest entry of a partition was queued, ms since 1970, or None if it is empty."""
        first: Any = await self._redis.xrange(keys.stream(partition), count=1)
        return int(first[0][0].partition(b"-")[0]) if first else None

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._redis.aclose()
        finally:
            await self._reads.aclose()

    def _name(self, lease: Lease) -> str:
        return f"{self.worker}.{lease.fence}"


def _delivered(entry_id: bytes, fields: dict[bytes, bytes]) -> Delivered:
    data, tenant = fields.get(b"e", b""), fields.get(b"t", b"").decode("utf-8", "replace")
    try:
        entry: entry_pb2.Entry | None = entry_pb2.Entry.FromString(data)
    except DecodeError:
        entry = None
    if entry is not None and entry.format <= FORMAT and (not entry.writes or entry.tenant_uid != tenant):
        entry = None
    return Delivered(entry_id, tenant, data, entry)
