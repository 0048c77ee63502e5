# SPDX-License-Identifier: Apache-2.0
"""A platform of a test's own whose placements are known anew twice a second: servers in this process, workers beside.

Import the fixture `town`. Writers write in every mode, one document each, and know what was acknowledged of it. Run as a
module: a worker that moves, which copies slowly.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import orjson
import pytest
from google.longrunning import operations_pb2_grpc

from pinakes.client import AsyncClient, NotFound, PinakesError, deletion, document
from pinakes.core.engine import moves
from pinakes.core.operations.records import OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.platform import Platform as Parts
from pinakes.core.rpc.server import Service, make_server
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.tenancy.placement import Placement
from pinakes.index.servicer import IndexServicer
from pinakes.local import Platform
from pinakes.search.servicer import SearchServicer
from pinakes.tenant.operations import OperationsServicer
from pinakes.tenant.servicer import TenantServicer
from pinakes.v1 import index_pb2_grpc, search_pb2_grpc, tenant_pb2_grpc
from pinakes.worker import operations, partitions, sweeper
from pinakes.worker.jobs import erase_tenant, move
from tests.integration import _operations
from tests.integration._servers import free_port

LEASE_SECONDS = 0.5
OPERATION_SECONDS = 1.5
# Fences by the settings are longer than a test wants to wait, for engines that need ten seconds to answer.
FENCE_SECONDS, ERASURE_FENCE_SECONDS = 2.0, 8.0
# Often enough that there is something under way at every moment of a move; without pauses all cores would be the writers'.
PAUSE_SECONDS = 0.05
ADMIN_KEY = "pk_bootstrap_" + "A" * 43
STATIC = 150
# A worker of a process of its own copies so many at once, so that it can be killed half-way.
COPIED_AT_ONCE = 10


def _add(platform: Parts, server: grpc.aio.Server) -> None:
    """Add every service to one server."""
    index_pb2_grpc.add_IndexServiceServicer_to_server(IndexServicer(platform), server)
    search_pb2_grpc.add_SearchServiceServicer_to_server(SearchServicer(platform), server)
    tenant_pb2_grpc.add_TenantServiceServicer_to_server(TenantServicer(platform), server)
    operations_pb2_grpc.add_OperationsServicer_to_server(OperationsServicer(platform), server)


@dataclass(slots=True)
class Town:
    """The platform: what a server and what a worker stand on, each with a view of its own of what is where."""

    settings: Settings
    server: Parts
    worker: Parts
    env: Mapping[str, str]

    def client(self, key: str, **more: Any) -> AsyncClient:
        """Return a client."""
        return AsyncClient(self.settings.listen, key=key, tls=False, timeout=20, **more)

    @property
    def admin(self) -> AsyncClient:
        """A client of the administrator's."""
        return self.client(ADMIN_KEY, admin_reason="moving in a test")

    async def tenant(self, tenant_id: str) -> TenantRecord:
        """Read a tenant's record."""
        found = await self.worker.directory.tenants.fresh(tenant_id)
        assert found is not None
        return found

    async def placement(self, tenant_id: str) -> Placement:
        """Read where a tenant is."""
        return (await self.tenant(tenant_id)).placement

    async def operation(self, tenant: TenantRecord, operation_id: str) -> OperationRecord:
        """Read an operation."""
        found = await OperationStore(self.worker.engine).get(tenant.uid, operation_id)
        assert found is not None
        return found

    async def until(self, tenant_id: str, wanted: Callable[[Placement], bool], seconds: float = 60.0) -> Placement:
        """Wait until a tenant's placement is as wanted."""
        async with asyncio.timeout(seconds):
            while not wanted(found := await self.placement(tenant_id)):
                await asyncio.sleep(0.05)
        return found

    async def count(self, alias: str, tenant: TenantRecord) -> int:
        """Count a tenant's documents and tombstones in an index."""
        await self.worker.engine.call("refresh", "POST", f"/{alias}/_refresh")
        query = {"query": {"term": {"tenant": tenant.uid}}}
        return int((await self.worker.engine.call("count", "POST", f"/{alias}/_count", body=query))["count"])

    async def unchanged(self, alias: str, tenant: TenantRecord) -> tuple[int, str]:
        """Return how many documents and tombstones that no `Traffic` writes an index has of a tenant, and a checksum of all."""
        await self.worker.engine.call("refresh", "POST", f"/{alias}/_refresh")
        filters = {"filter": [{"term": {"tenant": tenant.uid}}], "must_not": [{"terms": {"id": list(WRITTEN)}}]}
        body = {"size": 1000, "version": True, "query": {"bool": filters}, "sort": [{"id": "asc"}]}
        hits = (await self.worker.engine.call("all", "POST", f"/{alias}/_search", body=body))["hits"]["hits"]
        digest = hashlib.sha256()
        for hit in hits:
            digest.update(orjson.dumps([hit["_id"], hit["_version"], hit["_source"]], option=orjson.OPT_SORT_KEYS))
        return len(hits), digest.hexdigest()

    async def copies(self) -> int:
        """Count the copies that the engine is at."""
        params = {"actions": "indices:data/write/reindex", "group_by": "none"}
        return len((await self.worker.engine.call("tasks", "GET", "/_tasks", params=params))["tasks"])

    @asynccontextmanager
    async def mover(self) -> AsyncIterator[None]:
        """Run operations in this process."""
        stop = asyncio.Event()
        task = asyncio.create_task(operations.run(self.worker, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @contextmanager
    def process(self, per_second: int, lease: float = OPERATION_SECONDS) -> Iterator[subprocess.Popen[bytes]]:
        """Run operations in a process of its own, which can be killed and copies so many documents a second (0 is all).

        `lease` is how many seconds it may hold an operation silently; it says something three times in that time.
        """
        env = {
            **self.env, "PINAKES_MOVE_DOCUMENTS_PER_SECOND": str(per_second),
            "PINAKES_OPERATION_LEASE_SECONDS": str(lease),
        }  # fmt: skip
        with _operations.runner("tests.integration._moves", env) as process:
            yield process


@pytest.fixture(scope="module")
async def town(engine: Platform) -> AsyncIterator[Town]:
    """Give a platform with indices, a queue and a cache of its own on the session's stores."""
    given = {
        "opensearch_urls": engine.opensearch_url, "queue_url": f"{engine.queue_url.rpartition('/')[0]}/7",
        "cache_url": f"{engine.cache_url.rpartition('/')[0]}/7", "secret_key": "k" * 40,
        "index_prefix": f"mv{uuid.uuid4().hex[:8]}", "listen": f"127.0.0.1:{free_port()}",
        "bootstrap_admin_key": ADMIN_KEY, "queue_partitions": 4, "queue_lease_seconds": 2, "sweep_seconds": 1.0,
        "placement_lease_seconds": LEASE_SECONDS, "operation_lease_seconds": OPERATION_SECONDS, "engine_timeout_seconds": 30.0,
        "rollback_window_seconds": 0.5, "rate_limit": 100_000,
    }  # fmt: skip
    settings = Settings.model_validate(given)
    patch = pytest.MonkeyPatch()
    patch.setattr(move, "fence_seconds", lambda _: FENCE_SECONDS)
    patch.setattr(erase_tenant, "fence_seconds", lambda _: ERASURE_FENCE_SECONDS)
    server, worker = await Parts.open(settings), await Parts.open(settings)
    for parts in (server, worker):
        await parts.prepared.wait()
        await parts.revisions.ready()
    port, _ = make_server(Service("pinakes.v1.IndexService", _add), server, settings)
    await port.start()
    stop = asyncio.Event()
    applying = asyncio.create_task(partitions.run(worker, stop))
    sweeping = asyncio.create_task(sweeper.run(worker, stop))
    yield Town(settings, server, worker, {f"PINAKES_{name.upper()}": str(value) for name, value in given.items()})
    stop.set()
    await asyncio.gather(applying, sweeping)
    await port.stop(1)
    for index in await worker.engine.call("clear", "GET", f"/{settings.index_prefix}-*/_alias"):
        await worker.engine.call("clear", "DELETE", f"/{index}")
    for kind in ("pool", "own", "sys"):
        await worker.engine.call("clear", "DELETE", f"/_index_template/{settings.index_prefix}-{kind}")
    await server.close()
    await worker.close()
    patch.undo()


# ---- who writes and reads meanwhile

WRITTEN = frozenset({"applied", "searchable", "accepted", "bound", "mortal", "batch", "never"})
"""What `Traffic` writes and deletes."""


@dataclass(slots=True)
class Traffic:
    """Writers in all modes and searches, until they are told to stop. What they see wrong is in `wrong`."""

    client: AsyncClient
    titles: dict[str, str | None] = field(default_factory=dict)
    """What was acknowledged last of each document; None is its deletion."""
    acknowledged: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    searches: int = 0
    wrong: list[str] = field(default_factory=list)
    stopping: bool = False

    async def run(self) -> None:
        """Write and search until `stopping`."""
        await asyncio.gather(
            self._writer("applied", self._applied), self._writer("searchable", self._searchable),
            self._writer("accepted", self._accepted), self._writer("bound", self._bound),
            self._writer("mortal", self._mortal), self._writer("batch", self._batch), self._search(),
        )  # fmt: skip

    async def _writer(self, name: str, write: Callable[[str, str], Awaitable[str | None]]) -> None:
        number = 0
        while not self.stopping:
            number += 1
            try:
                self.titles[name] = await write(name, f"{name} {number}")
                self.acknowledged += 1
            except PinakesError as error:
                self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
                # It may have been done, or be done later: nothing is known before the next is acknowledged.
                self.titles.pop(name, None)
                await asyncio.sleep(PAUSE_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _applied(self, name: str, title: str) -> str:
        await self.client.put_document(document(name, title=title))
        return title

    async def _searchable(self, name: str, title: str) -> str:
        await self.client.put_document(document(name, title=title, tags=["fresh"]), mode="searchable")
        found = await self.client.search("", filter="tags:fresh")
        if [one.document.title for one in found.results] != [title]:
            self.wrong.append(f"{title} was searchable, and found was {[one.document.title for one in found.results]}")
        return title

    async def _accepted(self, name: str, title: str) -> str:
        await self.client.put_document(document(name, title=title), mode="accepted")
        return title

    async def _batch(self, name: str, title: str) -> str:
        answer = await self.client.batch_write([document(name, title=title), deletion("never")])
        if answer.results[0].HasField("status"):
            raise PinakesError(answer.results[0].status.message, reason="BATCH")
        return title

    async def _bound(self, name: str, title: str) -> str:
        """Write only over what this writer wrote last: a lost write is a conflict."""
        known = self.titles.get(name)
        try:
            there = await self.client.get_document(name)
        except NotFound:
            if known is not None:
                self.wrong.append(f"{known} was acknowledged, and is gone")
            await self.client.create_document(document(name, title=title))
            return title
        if known is not None and there.title != known:
            self.wrong.append(f"{known} was acknowledged, and there was {there.title}")
        await self.client.put_document(document(name, title=title, etag=there.etag))
        return title

    async def _mortal(self, name: str, title: str) -> str | None:
        """Delete and write in turns."""
        if self.titles.get(name) is not None:
            await self.client.delete_document(name, allow_missing=True)
            return None
        await self.client.put_document(document(name, title=title))
        return title

    async def _search(self) -> None:
        """Look for what doesn't change: all of it is always found, in the same order."""
        first: list[str] | None = None
        while not self.stopping:
            try:
                found = await self.client.search("marble statue", filter="tags:static", page_size=50)
                dead = await self.client.count_documents("", filter="tags:dead")
            except PinakesError as error:
                self.refused[error.reason] = self.refused.get(error.reason, 0) + 1
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            names = [one.document.name for one in found.results]
            first = first or names
            self.searches += 1
            if names != first or found.total_size != STATIC:
                self.wrong.append(f"a search found {found.total_size}, and in another order: {names != first}")
            if dead.total_size:
                self.wrong.append(f"{dead.total_size} deleted documents are back")
            await asyncio.sleep(PAUSE_SECONDS)


async def settle(town: Town, client: AsyncClient, traffic: Traffic) -> None:
    """Wait for what was accepted, and see that everything acknowledged is there."""
    async with asyncio.timeout(20):
        while True:
            found = {
                one.name.rpartition("/")[2]: one.title
                for one in (await client.get_documents(list(traffic.titles))).documents
            }
            wrong = {
                name: (title, found.get(name)) for name, title in traffic.titles.items() if found.get(name) != title
            }
            if not wrong:
                break
            assert set(wrong) <= {"accepted"}, wrong
            await asyncio.sleep(0.1)
    assert not traffic.wrong, traffic.wrong[:5]


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as lasting:
        lasting.setattr(move, "fence_seconds", lambda _: FENCE_SECONDS)
        lasting.setattr(moves, "COPIED_AT_ONCE", COPIED_AT_ONCE)
        asyncio.run(_operations.main())
