# SPDX-License-Identifier: Apache-2.0
"""Puts writes into the queue: on disk before the answer, bounded per tenant and in all, claimed once per request id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.queue import entry as entries
from pinakes.core.queue import keys, scripts
from pinakes.core.redis import FAILURES, connect, delete_matching, failed, is_full
from pinakes.core.resilience import deadline
from pinakes.core.resilience.breaker import Breaker
from pinakes.core.telemetry import metrics, tracing
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.engine.documents import Owner
    from pinakes.core.settings import Settings
    from pinakes.core.writing.changes import Change

WHAT = "the write queue"
_log = logger("pinakes.queue")
DAY_SECONDS = 86_400
SECONDS = 3.0
"""Time one command has: an fsync of a busy disk can take a while."""

_DEFAULT_MEMORY = 1 << 30
_MEMORY_SECONDS = 1.0
_BACKOFF = {"tenant": 1.0, "all": 2.0, "age": 5.0, "memory": 2.0}
_TOLD = {
    "tenant": "the tenant's queue of writes is full",
    "all": "the queue of writes is full",
    "memory": "the queue of writes is full",
    "age": "the tenant's queued writes are waiting for too long",
}


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A message of a caller's stream: its number grows by one with each, over all streams of one id."""

    stream_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A request id, and what is to be remembered under it."""

    request_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What came of enqueueing: `seen` is what was remembered of the same request id; `repeated` a known position."""

    seen: bytes | None = None
    repeated: bool = False


class Producer:
    """Enqueues. Without an address nothing can be queued, and nothing ever is."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; it connects at the first write."""
        self._settings = settings
        self._redis: Redis | None = connect(settings.queue_url, SECONDS) if settings.queue_url else None
        # Shorter than elsewhere: nothing else can do what the queue does, and it comes back within seconds.
        self._breaker = Breaker(WHAT, open_seconds=5.0)
        self._script: Any = self._redis.register_script(scripts.ENQUEUE) if self._redis is not None else None
        self._memory = (_DEFAULT_MEMORY, 0)
        self._memory_until = 0.0
        self._clock_ms = 0
        """How far Redis's clock is ahead of ours."""

    @property
    def on(self) -> bool:
        """Whether there is a queue."""
        return self._redis is not None

    def partitions(self, tenant_uid: str) -> tuple[int, ...]:
        """Return the partitions of a tenant."""
        return keys.partitions_of(tenant_uid, self._settings.queue_partitions, self._settings.queue_tenant_partitions)

    def parts(self, owner: Owner, changes: Sequence[tuple[int, Change]], version: int) -> list[entries.Packed]:
        """Return the entries that changes are queued as, each with its place in the batch.

        `version` is that of the collection's record by which the changes were compiled.
        """
        return entries.pack(owner, changes, self.partitions(owner.tenant_uid), version, tracing.traceparent())

    async def enqueue(
        self,
        owner: Owner,
        parts: Sequence[entries.Packed],
        documents: int,
        *,
        operation: str = "",
        claim: Claim | None = None,
        position: StreamPosition | None = None,
    ) -> Enqueued:
        """Queue entries with so many documents: all of them or none, on disk when this returns.

        Raises a fault of kind UNAVAILABLE when there is no queue or it doesn't answer (then they may be queued or not),
        and one of kind EXHAUSTED when it is full. What has the claim's request id or the position is queued once.
        """
        data = [entry.data(operation) for entry in parts]
        size = sum(map(len, data))
        share, limit = await self._limits()
        names = [
            keys.DOCUMENTS, keys.BYTES, keys.SINCE, keys.APPLIED,
            keys.request(owner.tenant_uid, claim.request_id) if claim else "",
            keys.position(owner.tenant_uid, position.stream_id) if position and position.stream_id else "",
            keys.PARTITIONS,
            *(keys.stream(entry.partition) for entry in parts),
        ]  # fmt: skip
        arguments = [
            owner.tenant_uid, documents, size, share, limit, round(self._settings.queue_max_age_seconds * 1000),
            claim.value if claim else b"", round(self._settings.outcome_hours * 3600),
            position.sequence if position else 0, DAY_SECONDS, self._settings.queue_partitions, self._until_ms(), *data,
        ]  # fmt: skip
        answer = await self._run(names, arguments)
        if answer[0] == b"late":
            raise unavailable(WHAT)
        if answer[0] == b"full":
            raise _full(answer[1].decode(), f"tenants/{owner.tenant_id}")
        if answer[0] == b"partitions":
            _log.error(
                "PINAKES_QUEUE_PARTITIONS isn't the queue's, which isn't empty",
                setting=self._settings.queue_partitions, queue=int(answer[1]),
            )  # fmt: skip
            raise unavailable(WHAT, 5.0)
        if answer[0] == b"request":
            return Enqueued(seen=answer[1])
        return Enqueued(repeated=answer[0] == b"position")

    async def stream_position(self, tenant_uid: str, stream_id: str) -> int:
        """Return the last message of a stream that was queued; 0 for a stream nobody knows."""
        found = await self._guarded(lambda redis: redis.get(keys.position(tenant_uid, stream_id)))
        return int(found or 0)

    async def advance_position(self, tenant_uid: str, position: StreamPosition) -> None:
        """Remember a message of a stream that was written past the queue."""
        name = keys.position(tenant_uid, position.stream_id)
        arguments = [position.sequence, DAY_SECONDS]
        await self._guarded(lambda redis: redis.eval(scripts.ADVANCE, 1, name, *arguments))

    async def claimed(self, tenant_uid: str, request_id: str) -> bytes | None:
        """Return what is remembered of a request id, or None."""
        found: bytes | None = await self._guarded(lambda redis: redis.get(keys.request(tenant_uid, request_id)))
        return found

    async def older_queued(self, tenant_uid: str) -> bool:
        """Tell whether accepted writes of a tenant may still come, out of the queue or out of the failed ones.

        True when that can't be known.
        """
        if self._redis is None:
            return False
        try:
            queued, failed = await self._guarded(
                lambda redis: asyncio.gather(
                    redis.hget(keys.DOCUMENTS, tenant_uid), redis.exists(keys.failed(tenant_uid))
                )
            )
        except Fault:
            return True
        return bool(failed) or int(queued or 0) > 0

    async def queued_before(self, tenant_uid: str, before_ms: int) -> bool:
        """Tell whether something that was accepted before a time is still in the partitions of a tenant.

        It may be another tenant's: then this becomes false a little later than it could. The time is the queue's own,
        which may differ from this machine's. Raises a fault of kind UNAVAILABLE when the queue doesn't answer.
        """
        return await self._queued_before(self.partitions(tenant_uid), before_ms)

    async def waiting_since(self, before_ms: int) -> bool:
        """Tell whether anybody's write that was accepted before a time is still queued. Raises a fault like the others."""
        return await self._queued_before(range(self._settings.queue_partitions), before_ms)

    async def _queued_before(self, partitions: Iterable[int], before_ms: int) -> bool:
        if self._redis is None:
            return False
        names = [keys.stream(partition) for partition in partitions]
        oldest = await self._guarded(
            lambda redis: asyncio.gather(*(redis.xrange(name, max=str(before_ms), count=1) for name in names))
        )
        return any(oldest)

    async def queued(self, tenant_uid: str) -> int:
        """Return how many accepted writes of a tenant aren't finished. Raises a fault of kind UNAVAILABLE."""
        if self._redis is None:
            return 0
        found = await self._guarded(lambda redis: redis.hget(keys.DOCUMENTS, tenant_uid))
        return max(0, int(found or 0))

    async def forget(self, tenant_uid: str) -> int:
        """Delete what is remembered of a tenant beside its entries: request ids, positions of streams, marks.

        Returns how much that was. Raises a fault of kind UNAVAILABLE.
        """
        if self._redis is None:
            return 0
        deleted: int = await self._guarded(lambda redis: delete_matching(redis, f"{keys.PREFIX}*{tenant_uid}*"))
        for name in (keys.SINCE, keys.APPLIED):
            deleted += await self._guarded(partial(_hdel, name=name, field=tenant_uid))
        return deleted

    async def ready(self) -> bool:
        """Tell whether the queue answers."""
        if self._redis is None:
            return False
        try:
            return bool(await self._guarded(lambda redis: redis.ping()))
        except Fault:
            return False

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _run(self, names: list[str], arguments: list[Any]) -> list[bytes]:
        """Run the script, and wait for copies where that is asked for."""

        async def enqueue(redis: Redis) -> list[bytes]:
            if not self._settings.queue_wait_replicas:
                answer: list[bytes] = await self._script(keys=names, args=arguments)
                return answer
            # WAIT speaks of the writes of its own connection.
            async with redis.client() as alone:
                answer = await self._script(keys=names, args=arguments, client=alone)
                copies = await alone.wait(self._settings.queue_wait_replicas, 1000)
            if answer[0] == b"ok" and copies < self._settings.queue_wait_replicas:
                raise unavailable(WHAT)
            return answer

        with tracing.span("queue enqueue"):
            answer: list[bytes] = await self._guarded(enqueue)
        return answer

    def _until_ms(self) -> int:
        """Return until when the caller waits for what is sent now, by Redis's clock."""
        left = deadline.left()
        seconds = SECONDS if left is None else min(SECONDS, left)
        return time.time_ns() // 1_000_000 + self._clock_ms + round(seconds * 1000)

    async def _limits(self) -> tuple[int, int]:
        """Return the bytes that a tenant's writes may take, and those of all. Raises when Redis is nearly full."""
        now = time.monotonic()
        if now >= self._memory_until:
            info = await self._guarded(lambda redis: redis.info("memory"))
            clock = await self._guarded(lambda redis: redis.time())
            self._clock_ms = clock[0] * 1000 + clock[1] // 1000 - time.time_ns() // 1_000_000
            self._memory = (int(info["maxmemory"]) or _DEFAULT_MEMORY, int(info["used_memory"]))
            self._memory_until = now + _MEMORY_SECONDS
        most, used = self._memory
        if used > most * (self._settings.queue_share + 1) / 2:
            # More than the writes themselves is in there: request ids, or another's data.
            raise _full("memory", "queue")
        return round(most * self._settings.queue_tenant_share), round(most * self._settings.queue_share)

    async def _guarded(self, operation: Any) -> Any:
        """Run an operation on Redis. Raises a fault of kind UNAVAILABLE when it fails."""
        if self._redis is None:
            raise unavailable(WHAT)
        permit = self._breaker.before()
        try:
            async with asyncio.timeout(deadline.left()):
                answer = await operation(self._redis)
        except TimeoutError:
            self._breaker.ignored(permit)
            raise deadline.exceeded() from None
        except FAILURES as error:
            if is_full(error):
                self._breaker.success(permit)
                raise _full("memory", "queue") from None
            failed(self._breaker, permit, error)
            metrics.QUEUE_REFUSED.labels("down").inc()
            raise unavailable(WHAT) from error
        except BaseException:
            self._breaker.ignored(permit)
            raise
        self._breaker.success(permit)
        return answer


async def _hdel(redis: Redis, *, name: str, field: str) -> int:
    return int(await redis.hdel(name, field))


def _full(why: str, subject: str) -> Fault:
    metrics.QUEUE_REFUSED.labels(why).inc()
    return Fault(
        Kind.EXHAUSTED, "QUEUE_FULL", f"{_TOLD[why]}; wait, or write in mode APPLIED", metadata={"limit": why},
        quota=subject, retry_after=_BACKOFF[why],
    )  # fmt: skip
