# SPDX-License-Identifier: Apache-2.0
"""Holds this worker's part of the queue's partitions, and empties each of them, one batch after the other."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.queue.consumer import Consumer, Delivered, Lease
from pinakes.core.redis import FAILURES
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger
from pinakes.worker.applier import Applier
from pinakes.worker.batches import AdaptiveSize, FairBuffer

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

READ_ENTRIES = 256
READ_AHEAD = 4
"""Batches that are read ahead of the one that is applied: what tenants take turns within, and what memory is held."""

_BLOCK_MS = 1000
_PAUSE_SECONDS = 1.0
_log = logger("pinakes.worker")


async def run(platform: Platform, stop: asyncio.Event) -> None:
    """Empty the queue until `stop` is set; then finish what is being applied, and give the partitions back."""
    if await platform.prepared_or(stop):
        await Partitions(platform).run(stop)


class Partitions:
    """The partitions that this worker holds, a task for each."""

    def __init__(self, platform: Platform) -> None:
        """Begin with none."""
        self._platform = platform
        self._settings = platform.settings
        self._consumer = Consumer(platform.settings)
        self._held: dict[int, tuple[Lease, asyncio.Event, asyncio.Task[None]]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Keep leases until `stop` is set."""
        while not stop.is_set():
            try:
                await self._renew()
                await self._measure()
            except FAILURES as error:
                _log.warning("the queue isn't available", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.queue_lease_seconds / 4):
                    await stop.wait()
        await self._drain()

    async def _renew(self) -> None:
        """Extend what is held, take what is free, and let go of what is more than this worker's part."""
        most = await self._consumer.share()
        for number, (lease, ended, task) in list(self._held.items()):
            if task.done() or not await self._consumer.extend(lease):
                _log.info("partition lost", partition=number)
                task.cancel()
                del self._held[number]
            elif len(self._held) > most and not ended.is_set():
                ended.set()  # it releases the lease when its batch is done
                most += 1
        if not await self._consumer.agrees():
            _log.error("PINAKES_QUEUE_PARTITIONS isn't what the servers have; this worker takes no partition")
            return
        for lease in await self._consumer.acquire(set(self._held), most):
            ended = asyncio.Event()
            task = asyncio.create_task(self._empty(lease, ended), name=f"partition-{lease.partition}")
            self._held[lease.partition] = (lease, ended, task)

    async def _measure(self) -> None:
        documents, size = await self._consumer.depth()
        metrics.QUEUE_DOCUMENTS.set(documents)
        metrics.QUEUE_BYTES.set(size)
        now = time.time()
        for number in self._held:
            oldest = await self._consumer.oldest_ms(number)
            metrics.QUEUE_AGE.labels(str(number)).set(max(0.0, now - oldest / 1000) if oldest else 0.0)

    async def _empty(self, lease: Lease, ended: asyncio.Event) -> None:
        """Apply a partition's entries until the lease is to be given back; go on after every failure."""
        partition = _Partition(self._platform, self._consumer, lease)
        while not ended.is_set():
            try:
                await partition.work(ended)
            except FAILURES as error:
                _log.warning("the queue isn't available", partition=lease.partition, error=error)
                await asyncio.sleep(_PAUSE_SECONDS)
                partition = _Partition(self._platform, self._consumer, lease)
            except Exception:
                # The entries stay pending and are read again.
                _log.exception("applying failed", partition=lease.partition)
                await asyncio.sleep(_PAUSE_SECONDS)
                partition = _Partition(self._platform, self._consumer, lease)
        with suppress(*FAILURES):
            await self._consumer.release(lease)

    async def _drain(self) -> None:
        """Finish the batches under way and give everything back."""
        tasks = [task for _, _, task in self._held.values()]
        for _, ended, _ in self._held.values():
            ended.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.drain_seconds / 2)
            for task in late:  # the engine is away: what they hold stays pending
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(*FAILURES):
            await self._consumer.leave()
        await self._consumer.close()


class _Partition:
    """One partition while it is held: what was read of it and isn't applied yet."""

    def __init__(self, platform: Platform, consumer: Consumer, lease: Lease) -> None:
        self._settings = platform.settings
        self._consumer = consumer
        self._lease = lease
        self._size = AdaptiveSize(platform.settings.worker_bulk_documents)
        self._applier = Applier(platform, consumer, self._size)
        self._buffer = FairBuffer()
        self._after: bytes | None = None
        """Where to go on in what others left; None before it was claimed, b">" when it is done with."""

    async def work(self, ended: asyncio.Event) -> None:
        """Read, apply and acknowledge until `ended` is set."""
        await self._consumer.take_over(self._lease)
        self._after = b"0"
        while not ended.is_set():
            await self._fill()
            while self._buffer and not ended.is_set():
                batch = self._buffer.take(self._size.now, self._settings.worker_bulk_bytes)
                done = await self._applier.run(batch)
                if done:
                    await self._consumer.acknowledge(self._lease.partition, done)
                if self._room:
                    self._buffer.add(await self._read(0))

    @property
    def _room(self) -> bool:
        return self._buffer.bytes < READ_AHEAD * self._settings.worker_bulk_bytes

    async def _fill(self) -> None:
        """Wait for entries, and a moment more for others to share their batch: large ones cost the engine less.

        One more read, not one for each that comes: every read is written to the queue's disk too.
        """
        first = await self._read(_BLOCK_MS)
        self._buffer.add(first)
        if first and self._settings.worker_bulk_seconds and _documents(first) < self._size.now:
            await asyncio.sleep(self._settings.worker_bulk_seconds)
            self._buffer.add(await self._read(0))

    async def _read(self, wait_ms: int) -> list[Delivered]:
        """Read what others left first, then what is new."""
        if self._after != b">":
            found = await self._consumer.read(self._lease, READ_ENTRIES, after=self._after or b"0")
            if found:
                self._after = found[-1].entry_id
                return found
            self._after = b">"
        return await self._consumer.read(self._lease, READ_ENTRIES, wait_ms=wait_ms)


def _documents(entries: list[Delivered]) -> int:
    return sum(item.documents for item in entries)
