# SPDX-License-Identifier: Apache-2.0
"""The write queue on a real Redis: nothing is lost or counted twice, claims hold, floods are refused."""

from __future__ import annotations

import asyncio
import signal

import pytest
from redis.asyncio import Redis

from pinakes.core.faults import Fault, Kind
from pinakes.core.queue import keys
from pinakes.core.queue.consumer import Consumer
from pinakes.core.queue.producer import Claim, Producer, StreamPosition
from pinakes.core.resilience import deadline
from pinakes.core.writing.changes import Change
from tests.integration._redis import RedisServer, redis_server
from tests.integration._workers import Queue, owner, queue

__all__ = ["queue", "redis_server"]


def changes(count: int, size: int = 100) -> list[Change]:
    """Return so many changes."""
    return [Change(f"d{number}", number + 1, b"x" * size) for number in range(count)]


async def test_what_is_queued_is_delivered_and_gone_when_it_is_acknowledged(queue: Queue) -> None:
    acme, consumer = owner(), queue.consumer()
    await queue.put(acme, changes(100))
    leases = await consumer.acquire(set(), 100)
    for lease in leases:
        await consumer.take_over(lease)
    found = await queue.all_of(consumer, leases)
    assert sorted(w.document_id for _, item in found for w in item.entry.writes) == sorted(
        c.document_id for c in changes(100)
    )  # type: ignore[union-attr]  # it was just packed
    assert await consumer.depth() == (100, sum(item.size for _, item in found))
    assert await queue.producer.older_queued(acme.tenant_uid)
    for partition, item in found:
        assert await consumer.acknowledge(partition, [item]) == 1
        assert await consumer.acknowledge(partition, [item]) == 0, "it counts once"
    assert await consumer.depth() == (0, 0)
    assert not await queue.producer.older_queued(acme.tenant_uid)
    assert [await consumer.oldest_ms(lease.partition) for lease in leases] == [None] * 16


async def test_a_partition_has_one_worker_and_its_work_is_taken_over(queue: Queue, redis_server: RedisServer) -> None:
    first, second = queue.consumer(), queue.consumer()
    await queue.put(owner("a"), changes(20))
    held = await first.acquire(set(), 16)
    assert await second.acquire(set(), 16) == []
    for lease in held:
        await first.take_over(lease)
    read = await queue.all_of(first, held)
    assert read
    await asyncio.sleep(1.2)  # the first worker says nothing for longer than its leases last
    taken = await second.acquire(set(), 16)
    assert {lease.partition for lease in taken} == set(range(16))
    assert min(lease.fence for lease in taken) > max(lease.fence for lease in held)
    assert [await first.extend(lease) for lease in held] == [False] * 16
    again = []
    for lease in taken:
        await second.take_over(lease)
        assert await second.read(lease, 100) == [], "what is pending isn't new"
        again += await second.read(lease, 100, after=b"0")
    assert sorted(item.data for item in again) == sorted(item.data for _, item in read)
    # The first one was only slow: what it finishes is finished, once.
    for partition, item in read:
        assert await first.acknowledge(partition, [item]) == 1
    assert await second.depth() == (0, 0)


async def test_workers_share_the_partitions_and_one_that_leaves_frees_them(queue: Queue) -> None:
    first, second = queue.consumer(), queue.consumer()
    assert await first.share() == 16
    assert await second.share() == 8
    assert await first.share() == 8
    held = await first.acquire(set(), 8)
    assert len(held) == 8
    await first.release(held[0])
    await first.leave()
    assert await second.share() == 16
    assert len(await second.acquire(set(), 16)) == 9


async def test_a_request_id_is_claimed_with_its_writes(queue: Queue) -> None:
    acme, consumer = owner(), queue.consumer()
    first, second = await asyncio.gather(
        queue.put(acme, changes(3), claim=Claim("r1", b"one")), queue.put(acme, changes(3), claim=Claim("r1", b"two"))
    )
    assert {first.seen, second.seen} in ({None, b"one"}, {None, b"two"})
    assert (await consumer.depth())[0] == 3
    assert await queue.producer.claimed(acme.tenant_uid, "r1") in {b"one", b"two"}
    assert await queue.producer.claimed("another", "r1") is None


async def test_a_message_of_a_stream_is_queued_once(queue: Queue) -> None:
    acme, consumer = owner(), queue.consumer()
    for sequence, repeated in ((1, False), (2, False), (2, True), (1, True), (3, False)):
        done = await queue.put(acme, changes(2), position=StreamPosition("s", sequence))
        assert done.repeated == repeated
    assert await queue.producer.stream_position(acme.tenant_uid, "s") == 3
    assert await queue.producer.stream_position("another", "s") == 0
    assert (await consumer.depth())[0] == 6


async def test_a_tenant_that_floods_is_refused_and_others_are_not(queue: Queue, redis_server: RedisServer) -> None:
    redis = Redis.from_url(redis_server.url)
    await redis.config_set("maxmemory", "64mb")
    await redis.aclose()
    loud, quiet = owner(), owner()
    with pytest.raises(Fault) as refused:
        for _ in range(200):
            await queue.put(loud, changes(50, 10_000))
    assert refused.value.kind is Kind.EXHAUSTED
    assert (refused.value.reason, refused.value.metadata["limit"]) == ("QUEUE_FULL", "tenant")
    assert refused.value.retry_after
    assert refused.value.quota == f"tenants/{loud.tenant_id}"
    await queue.put(quiet, changes(50, 10_000))
    documents, size = await queue.consumer().depth()
    assert size < 64e6 * queue.settings.queue_tenant_share * 1.2
    assert documents % 50 == 0, "all of a call or none of it"


async def test_all_tenants_together_leave_room_in_the_queue(queue: Queue, redis_server: RedisServer) -> None:
    redis = Redis.from_url(redis_server.url)
    await redis.config_set("maxmemory", "32mb")
    await redis.aclose()
    reasons = set()
    for _ in range(60):
        try:
            await queue.put(owner(), changes(50, 10_000))
        except Fault as fault:
            reasons.add(fault.metadata["limit"])
    assert reasons
    assert reasons <= {"all", "memory"}


async def test_a_tenant_whose_writes_wait_for_too_long_is_refused(queue: Queue) -> None:
    acme = owner()
    await queue.put(acme, changes(1))
    await asyncio.sleep(queue.settings.queue_max_age_seconds + 0.2)
    with pytest.raises(Fault) as refused:
        await queue.put(acme, changes(1))
    assert refused.value.metadata["limit"] == "age"


async def test_without_its_redis_nothing_is_accepted_and_nothing_is_known(
    queue: Queue, redis_server: RedisServer
) -> None:
    acme = owner()
    redis_server.stop()
    with pytest.raises(Fault) as refused:
        await queue.put(acme, changes(1))
    assert refused.value.kind is Kind.UNAVAILABLE
    assert await queue.producer.older_queued(acme.tenant_uid), "it can't be known, so it may be"
    assert not await queue.producer.ready()


async def test_an_entry_that_is_garbage_is_delivered_as_such(queue: Queue, redis_server: RedisServer) -> None:
    consumer = queue.consumer()
    redis = Redis.from_url(redis_server.url)
    await redis.xadd(keys.stream(3), {"t": "acme", "e": b"\xff\xff garbage"})
    await redis.aclose()
    leases = [lease for lease in await consumer.acquire(set(), 16) if lease.partition == 3]
    await consumer.take_over(leases[0])
    ((_, item),) = await queue.all_of(consumer, leases)
    assert (item.entry, item.tenant_uid, item.data) == (None, "acme", b"\xff\xff garbage")


async def test_the_number_of_partitions_changes_only_while_the_queue_is_empty(queue: Queue) -> None:
    acme = owner()
    await queue.put(acme, changes(5))
    fewer = queue.settings.model_copy(update={"queue_partitions": 4})
    other, worker = Producer(fewer), Consumer(fewer)
    try:
        with pytest.raises(Fault) as refused:
            await other.enqueue(acme, other.parts(acme, list(enumerate(changes(5))), 1), 5)
        assert refused.value.kind is Kind.UNAVAILABLE
        assert not await worker.agrees()
        consumer = queue.consumer()
        assert await consumer.agrees()
        leases = await consumer.acquire(set(), 16)
        for lease in leases:
            await consumer.take_over(lease)
        for partition, item in await queue.all_of(consumer, leases):
            await consumer.acknowledge(partition, [item])
        await other.enqueue(acme, other.parts(acme, list(enumerate(changes(5))), 1), 5)
        assert await worker.agrees()
    finally:
        await other.close()
        await worker.close()


async def test_without_the_copies_that_are_asked_for_nothing_is_acknowledged(queue: Queue) -> None:
    alone = Producer(queue.settings.model_copy(update={"queue_wait_replicas": 1}))
    acme = owner()
    try:
        with pytest.raises(Fault) as refused:
            await alone.enqueue(acme, alone.parts(acme, list(enumerate(changes(1))), 1), 1)
        assert refused.value.kind is Kind.UNAVAILABLE
    finally:
        await alone.close()


async def test_a_command_that_comes_when_its_caller_has_gone_does_nothing(
    queue: Queue, redis_server: RedisServer
) -> None:
    acme, process = owner(), redis_server.process
    assert process is not None
    await queue.put(acme, changes(1))  # connected
    token = deadline.set_deadline(0.3)
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(Fault):
            await queue.put(acme, [Change("late", 5, b"late")])
        await asyncio.sleep(0.1)
    finally:
        process.send_signal(signal.SIGCONT)
        deadline.reset_deadline(token)
    await asyncio.sleep(0.2)
    assert (await queue.consumer().depth())[0] == 1
