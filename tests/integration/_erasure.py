# SPDX-License-Identifier: Apache-2.0
"""A deployment of a test's own with something of every kind in it, and a look into every store for a tenant's uid."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import redis.asyncio
from pydantic import SecretStr

from pinakes.core.cache.responses import generation_key
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document, tombstone
from pinakes.core.engine.insights import InsightStore, Row
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.usage import Row as UsageRow
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.principal import Principal, Role
from pinakes.core.lifecycle import erasing
from pinakes.core.operations.records import OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.platform import Platform
from pinakes.core.queue.producer import Claim
from pinakes.core.rpc.call import Call
from pinakes.core.settings import Settings
from pinakes.core.tenancy import collections
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord, now_ms
from pinakes.core.writing import changes
from pinakes.local import Platform as Local
from pinakes.tenant.commands import keys, tenants
from pinakes.v1 import resources_pb2, tenant_pb2
from tests.integration._redis import RedisServer
from tests.integration._servers import ServerProcess, free_port

Json = dict[str, Any]
ENGINE_SECONDS = 6.0
LONGEST = 120.0


@dataclass(slots=True)
class Deployment:
    """The core on the real engine under a prefix of its own, and a real worker when one is asked for."""

    platform: Platform
    env: dict[str, str]
    redis: redis.asyncio.Redis

    @contextmanager
    def worker(self, folder: Path, **changes: str) -> Iterator[ServerProcess]:
        """Run a worker as a process."""
        # With less time for the engine there is less to wait for until nobody writes any more.
        own = {"PINAKES_LISTEN": f"127.0.0.1:{free_port()}", "PINAKES_ENGINE_TIMEOUT_SECONDS": str(ENGINE_SECONDS)}
        process = ServerProcess("worker", self.env | own | changes, folder / f"worker-{uuid.uuid4().hex}.log")
        try:
            yield process
        finally:
            process.kill()

    async def call(self, method: str, path: str, body: Any = None, **params: str) -> Json:
        """Ask the engine anything."""
        return await self.platform.engine.call("test", method, path, params=params, body=body, retry=False)

    # ---- what there is

    async def tenant(self, tenant_id: str = "") -> TenantRecord:
        """Make a tenant."""
        request = tenant_pb2.CreateTenantRequest(tenant_id=tenant_id or f"t-{uuid.uuid4().hex[:10]}")
        request.tenant.display_name = "Somebody Ltd"
        return await tenants.create(request, self.platform, Mark.new())

    async def collection(self, tenant: TenantRecord, collection_id: str) -> CollectionRecord:
        """Make a collection, or return `default`."""
        if collection_id == "default":
            found = await self.platform.directory.collection(tenant, collection_id)
            assert found is not None
            return found
        record = collections.new_collection(tenant, collection_id)
        return await collections.create(self.platform.directory, tenant, record, Mark.new())

    async def fill(self, tenant: TenantRecord, documents: int) -> None:
        """Put something of the tenant into every store: half of the documents in each of two collections, 50 tombstones."""
        platform = self.platform
        for number, name in enumerate(("default", "second")):
            collection = await self.collection(tenant, name)
            scope = TenantScope.for_work(platform.engine, tenant, collection)
            await self._documents(scope, collection, documents // 2)
            buried = [tombstone(scope.owner, f"gone-{n}", platform.revisions.next()) for n in range(25)]
            await scope.bulk([Put(body["id"], body) for body in buried], searchable=number == 1)
            await platform.cache.advance(generation_key(tenant.uid, collection.uid))
        key = tenant_pb2.CreateApiKeyRequest(api_key=resources_pb2.ApiKey(role=resources_pb2.ApiKey.ROLE_SERVICE))
        await keys.create(key, tenant, platform)
        await platform.requests.once(
            tenant.uid,
            uuid.uuid4().hex,
            key,
            1,
            resources_pb2.ApiKey,
            lambda _: asyncio.sleep(0, resources_pb2.ApiKey()),
        )
        row = Row(uuid.uuid4().hex, tenant.uid, collection.uid, "digest", now_ms(), query="what was asked", searches=1)
        await InsightStore(platform.engine).keep([row])
        await platform.usage.store.keep("test", [UsageRow(tenant.uid, datetime.now(UTC).date(), searches=3)])

    async def fill_queue(self, tenant: TenantRecord) -> None:
        """Queue writes of a tenant."""
        collection = await self.platform.directory.collection(tenant, "second")
        assert collection is not None
        await self._queued(TenantScope.for_work(self.platform.engine, tenant, collection), collection)

    async def _documents(self, scope: TenantScope, collection: CollectionRecord, count: int) -> None:
        for start in range(0, count, 1000):
            puts = []
            for n in range(start, min(count, start + 1000)):
                document = resources_pb2.Document(name=f"d{n:05}", title=f"document {n}")
                body = compile_document(
                    document, scope.owner, collection.schema(), document.name, self.platform.revisions.next(), 1
                )
                puts.append(Put(document.name, body))
            await scope.bulk(puts, searchable=False)

    async def _queued(self, scope: TenantScope, collection: CollectionRecord) -> None:
        """Queue writes under a request id, and let one of them be a failed one."""
        platform, schema = self.platform, collection.schema()
        made = [
            changes.put(
                resources_pb2.Document(name=f"queued-{n}", title="x"), scope.owner, schema, f"queued-{n}",
                platform.revisions.next(),
            )
            for n in range(5)
        ]  # fmt: skip
        operation = platform.outcomes.operation_id(scope.owner.tenant_uid, made[0].revision, 1)
        parts = platform.queue.parts(scope.owner, list(enumerate(made)), collection.version)
        claim = Claim(uuid.uuid4().hex, b"v" * 40)
        await platform.queue.enqueue(scope.owner, parts, len(made), operation=operation, claim=claim)
        await platform.failures.keep([(parts[0].head, made[0], Fault(Kind.INTERNAL, "NOT_INDEXABLE", "no"))])

    def as_caller(self, tenant: TenantRecord) -> Any:
        """Return what servers know of an administrator's call about a tenant."""
        call = object.__new__(Call)
        call.target, call.caller = tenant, Principal("key:admin", Role.ADMIN, None, None)
        return call

    # ---- looking

    async def everywhere(self, uid: str) -> dict[str, list[str]]:
        """Return, for each index and Redis key that knows the uid, what it is in: ids of records, or keys."""
        prefix = self.platform.engine.prefix
        await self.call("POST", f"/{prefix}-*/_refresh")
        found: dict[str, list[str]] = {}
        for index in await self.call("GET", f"/{prefix}-*/_alias"):
            answer = await self.call("POST", f"/{index}/_search", {"size": 5000}, scroll="1m")
            while hits := answer["hits"]["hits"]:
                ids = [hit["_id"] for hit in hits if uid in orjson.dumps(hit).decode()]
                if ids:
                    found.setdefault(index.removeprefix(f"{prefix}-"), []).extend(ids)
                answer = await self.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]})
        async for key in self.redis.scan_iter():
            kind = await self.redis.type(key)
            text = key.decode()
            if kind == b"hash":
                text += repr(await self.redis.hkeys(key))
            elif kind == b"stream":
                text += repr(await self.redis.xrange(key))
            if uid in text:
                found.setdefault("redis", []).append(text[:200])
        return found

    async def checksum(self, uid: str) -> str:
        """Return a checksum over everything that the engine has of a tenant: contents, versions and all."""
        prefix, digest = self.platform.engine.prefix, hashlib.sha256()
        await self.call("POST", f"/{prefix}-*/_refresh")
        mine = [{"term": {"tenant": uid}}, {"term": {"parent": uid}}, {"prefix": {"parent": f"{uid}/"}}]
        body: Json = {"size": 10_000, "version": True, "query": {"bool": {"should": mine}}}
        # A worker counts what everybody has, so that isn't looked at.
        indices = f"{prefix}-pool-*,{prefix}-sys-*,-{prefix}-sys-usage-*"
        answer = await self.call("POST", f"/{indices}/_search", body)
        for hit in sorted(answer["hits"]["hits"], key=lambda one: (one["_index"], one["_id"])):
            digest.update(orjson.dumps([hit["_id"], hit["_version"], hit["_source"]], option=orjson.OPT_SORT_KEYS))
        return f"{len(answer['hits']['hits'])} {digest.hexdigest()}"

    async def count(self, uid: str) -> int:
        """Return how many documents of a tenant there are."""
        index = f"{self.platform.engine.prefix}-pool-*"
        await self.call("POST", f"/{index}/_refresh")
        return int((await self.call("POST", f"/{index}/_count", {"query": {"term": {"tenant": uid}}}))["count"])

    async def erasure(self, tenant: TenantRecord, wanted: str = "succeeded") -> OperationRecord:
        """Wait until the operation that erases a tenant is in a state."""
        store, end = OperationStore(self.platform.engine), time.monotonic() + LONGEST
        while True:
            found = await store.get(tenant.uid, erasing.operation_id(tenant.uid, 0))
            if found is not None and found.state == wanted:
                return found
            assert time.monotonic() < end, found
            assert found is None or found.state not in {"failed", "cancelled"}, found
            await asyncio.sleep(0.1)


@asynccontextmanager
async def deployment(engine: Local) -> AsyncIterator[Deployment]:
    """Open a deployment with indices and a Redis of its own."""
    server = RedisServer()
    server.start()
    env = {
        "PINAKES_OPENSEARCH_URLS": engine.opensearch_url,
        "PINAKES_SECRET_KEY": "k" * 40,
        "PINAKES_INDEX_PREFIX": f"erase{uuid.uuid4().hex[:8]}",
        "PINAKES_QUEUE_URL": server.url,
        "PINAKES_CACHE_URL": server.url,
        "PINAKES_QUEUE_PARTITIONS": "4",
        "PINAKES_QUEUE_LEASE_SECONDS": "2",
        "PINAKES_OPERATION_LEASE_SECONDS": "2",
        "PINAKES_INSIGHT_FLUSH_SECONDS": "1",
        "PINAKES_USAGE_FLUSH_SECONDS": "1",
        "PINAKES_SWEEP_SECONDS": "1",
        "PINAKES_UNDELETE_DAYS": "0.00001",
    }
    before = {name: value for name, value in os.environ.items() if name.startswith("PINAKES_")}
    assert not before, "settings of the machine would get in"
    settings = Settings.model_validate({
        "opensearch_urls": [engine.opensearch_url], "secret_key": SecretStr(env["PINAKES_SECRET_KEY"]),
        **{name.removeprefix("PINAKES_").lower(): value for name, value in list(env.items())[2:]},
    })  # fmt: skip
    platform = await Platform.open(settings)
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        await platform.prepared.wait()
        await platform.revisions.ready()
        made = Deployment(platform, env, client)
        yield made
        await made.call("DELETE", "/" + ",".join(await made.call("GET", f"/{settings.index_prefix}-*/_alias")))
        await made.call("DELETE", f"/_index_template/{settings.index_prefix}-*")
    finally:
        await client.aclose()
        await platform.close()
        server.stop()


# What the tests of a receipt compare with.
def chained(ids: list[str]) -> str:
    """Return the checksum of ids as `ErasedKind.checksum` describes it."""
    value = bytes(32)
    for one in sorted(ids):
        value = hashlib.sha256(value + one.encode() + b"\n").digest()
    return value.hex()
