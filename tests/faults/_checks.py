# SPDX-License-Identifier: Apache-2.0
"""Looks at what a platform holds after a run: the engine's own bodies, and what callers read. And replays what is old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import redis.asyncio as redis
from redis.exceptions import RedisError

from pinakes.client import AsyncClient
from pinakes.core.engine.bodies import PackedPut, Put
from pinakes.core.engine.documents import compile_document, read_document, tombstone
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import pool_alias
from pinakes.core.queue import entry, keys
from pinakes.core.settings import Settings
from pinakes.core.tenancy.etags import Etags
from pinakes.index.commands.write import ALL_PATHS
from pinakes.local import Platform
from pinakes.queue.v1 import entry_pb2
from tests.faults._ledger import Key, Ledger, Standing, content
from tests.integration._engine import Direct
from tests.integration._servers import Tenant

DRAIN_SECONDS = 120.0
KEPT_ENTRIES = 2000
_AT_ONCE = 50
PARTITIONS: int = Settings.model_fields["queue_partitions"].default
_EACH: int = Settings.model_fields["queue_tenant_partitions"].default


async def drained(platform: Platform, seconds: float = DRAIN_SECONDS) -> None:
    """Wait until everything that was accepted has been applied."""
    end = time.monotonic() + seconds
    async with redis.Redis.from_url(platform.queue_url) as queue:
        while True:
            counted = int(await queue.hget(keys.DOCUMENTS, "*") or 0)
            waiting = sum([await queue.xlen(keys.stream(number)) for number in range(PARTITIONS)])
            if not counted and not waiting:
                return
            assert time.monotonic() < end, f"{counted} writes in {waiting} entries are still queued after {seconds} s"
            await asyncio.sleep(0.1)


async def standings(
    platform: Platform, inside: Direct, tenants: Sequence[Tenant], ledger: Ledger
) -> dict[Key, Standing]:
    """Return what the engine itself holds of every document of a run."""
    etags = Etags(platform.state.secret_key.encode())
    found: dict[Key, Standing] = {}
    for tenant in tenants:
        scope = await inside.scope(tenant)
        mine = sorted(key for key in ledger.attempts if key.tenant == tenant.tenant_id)
        for first in range(0, len(mine), _AT_ONCE):
            some = mine[first : first + _AT_ONCE]
            for key, there in zip(some, await scope.mget([key.document for key in some]), strict=True):
                if there is not None:
                    etag = etags.make(there.revision, there.source.get("hash", ""))
                    whole = None if there.gone else read_document(there.source, scope.owner, ALL_PATHS, etag)
                    found[key] = Standing(whole, there.revision, etag)
    return found


async def readable(platform: Platform, inside: Direct, tenants: Sequence[Tenant], found: dict[Key, Standing]) -> None:
    """See that callers read just what the engine holds: by name, in lists and in searches, each document once."""
    await inside.engine.call("refresh", "POST", f"/{pool_alias(inside.engine.prefix)}/_refresh")
    for tenant in tenants:
        alive = {
            key.document: there.document
            for key, there in found.items()
            if key.tenant == tenant.tenant_id and there.document
        }
        gone = [key.document for key, there in found.items() if key.tenant == tenant.tenant_id and not there.document]
        async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
            listed = [document async for document in client.list_documents()]
            ids = [document.name.rpartition("/")[2] for document in listed]
            assert len(ids) == len(set(ids)), "a document is listed twice"
            assert {document.name.rpartition("/")[2]: document for document in listed} == alive
            names = [*alive, *gone]
            for first in range(0, len(names), _AT_ONCE):
                answer = await client.get_documents(names[first : first + _AT_ONCE])
                assert [document.name.rpartition("/")[2] for document in answer.documents] == [
                    name for name in names[first : first + _AT_ONCE] if name in alive
                ]
                assert all(document == alive[document.name.rpartition("/")[2]] for document in answer.documents)
            assert (await client.search("", page_size=1)).total_size == len(alive)
            for document_id, document in list(alive.items())[:5]:
                exact = await client.search(f'"{document.title}"', page_size=50)
                assert [r.document.name.rpartition("/")[2] for r in exact.results].count(document_id) == 1


@dataclass(slots=True)
class Tap:
    """Keeps copies of queue entries as they pass, to send them again when they are old."""

    url: str
    entries: list[tuple[int, bytes]] = field(default_factory=list)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Tap]:
        """Listen while the block runs."""
        task = asyncio.create_task(self._listen(), name="tap")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        last: dict[str, bytes | str] = {keys.stream(number): "$" for number in range(PARTITIONS)}
        while len(self.entries) < KEPT_ENTRIES:
            try:
                async with redis.Redis.from_url(self.url, socket_timeout=5) as queue:
                    while len(self.entries) < KEPT_ENTRIES:
                        answer: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]
                        answer = await queue.xread(last, count=100, block=1000)  # type: ignore[assignment]  # of protocol 2
                        for name, items in answer:
                            last[name.decode()] = items[-1][0]
                            number = int(name.rpartition(b":")[2])
                            self.entries += [(number, fields[b"e"]) for _, fields in items]
            except (RedisError, OSError):
                await asyncio.sleep(0.2)  # it is being killed or paused


async def replay_entries(platform: Platform, tap: Tap) -> int:
    """Queue old entries once more, byte for byte as they were, and wait until the workers are through. Return how many."""
    async with redis.Redis.from_url(platform.queue_url) as queue:
        for number, data in tap.entries:
            old = entry_pb2.Entry.FromString(data)
            async with queue.pipeline(transaction=True) as pipe:
                await pipe.xadd(keys.stream(number), {"t": old.tenant_uid, "e": data})
                for name in (old.tenant_uid, "*"):
                    await pipe.hincrby(keys.DOCUMENTS, name, len(old.writes))
                    await pipe.hincrby(keys.BYTES, name, len(data))
                await pipe.hsetnx(keys.SINCE, old.tenant_uid, old.accepted_ms)
                await pipe.execute()
    await drained(platform)
    return len(tap.entries)


async def replay_bodies(inside: Direct, tenants: Sequence[Tenant], tap: Tap, found: dict[Key, Standing]) -> int:
    """Send old bodies at old revisions to the engine, as a bulk call that was lost for hours would. Return how many.

    They are those of the tapped entries that are older than what stands, and for every document a body just below that.
    """
    scopes: dict[str, TenantScope] = {}
    for tenant in tenants:
        scope = await inside.scope(tenant)
        scopes[scope.owner.tenant_uid] = scope
    sent = 0
    for number, data in tap.entries:
        old = entry_pb2.Entry.FromString(data)
        if old.tenant_uid not in scopes:
            continue
        scope = scopes[old.tenant_uid]
        mine = keys.partitions_of(old.tenant_uid, PARTITIONS, _EACH)
        assert {keys.partition_of(write.document_id, mine) for write in old.writes} == {number}
        puts: list[PackedPut | Put] = []
        for change in entry.changes_of(old):
            stands = found.get(Key(scope.owner.tenant_id, change.document_id))
            assert stands is not None or change.deletion, "what was queued has left nothing"
            if stands is not None and change.revision < stands.revision:
                puts.append(_old_put(scope, change.document_id, change.revision, change.data))
        await scope.bulk(puts, searchable=False)
        sent += len(puts)
    for scope in scopes.values():
        late = [
            Put(key.document, compile_document(
                content(key, 0), scope.owner, inside.schema(), key.document, there.revision - 1, 1
            ))
            for key, there in found.items() if key.tenant == scope.owner.tenant_id
        ]  # fmt: skip
        for item in await scope.bulk(late, searchable=False):
            assert item.status == 409, "a late write came in above a newer one"
        sent += len(late)
    return sent


def _old_put(scope: TenantScope, document_id: str, revision: int, data: bytes) -> PackedPut | Put:
    if data:
        return PackedPut(document_id, revision, data)
    return Put(document_id, tombstone(scope.owner, document_id, revision))


def _pool(inside: Direct) -> tuple[str, dict[str, object]]:
    """Return the pool's index, and what of it a snapshot takes."""
    index = f"{pool_alias(inside.engine.prefix)}-v1"
    return index, {"indices": index, "include_global_state": False}


async def snapshot(platform: Platform, inside: Direct) -> str:
    """Take a snapshot of the pool and return its name."""
    place = {"type": "fs", "settings": {"location": str(platform.places.engine / "repo")}}
    await inside.engine.call("repository", "PUT", "/_snapshot/faults", body=place)
    name = f"/_snapshot/faults/run-{time.time_ns()}"
    whole = {"wait_for_completion": "true"}
    taken = await inside.engine.call("snapshot", "PUT", name, params=whole, body=_pool(inside)[1])
    assert taken["snapshot"]["state"] == "SUCCESS", taken
    return name


async def lose_and_restore(inside: Direct, name: str) -> None:
    """Delete the pool, and restore it from a snapshot."""
    engine, (index, what) = inside.engine, _pool(inside)
    await engine.call("lose", "DELETE", f"/{index}")
    await engine.call("restore", "POST", f"{name}/_restore", params={"wait_for_completion": "true"}, body=what)
    await engine.call("health", "GET", f"/_cluster/health/{index}", params={"wait_for_status": "yellow"})
