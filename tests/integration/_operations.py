# SPDX-License-Identifier: Apache-2.0
"""Operations on a real engine, under an index prefix of their own. Import the fixture `bench`. Run as a module: a worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.longrunning import operations_pb2
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from pydantic import SecretStr

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import RECORDS, pool_alias, record_index
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.operations.job import Context, Job
from pinakes.core.operations.records import OperationRecord
from pinakes.core.operations.start import Asked
from pinakes.core.operations.store import OperationStore
from pinakes.core.platform import Platform
from pinakes.core.rpc.call import Call
from pinakes.core.settings import Settings
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.local import Platform as Local
from pinakes.tenant.commands import tenants
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.v1 import resources_pb2, tenant_pb2
from pinakes.worker import operations
from pinakes.worker.jobs import JOBS
from tests.integration._engine import write

LEASE_SECONDS = 1.5
PAGES = 12


@dataclass(slots=True)
class Home:
    """A tenant and its collection."""

    platform: Platform
    tenant: TenantRecord
    collection: CollectionRecord

    @property
    def scope(self) -> TenantScope:
        """Its documents."""
        return TenantScope.for_work(self.platform.engine, self.tenant, self.collection)

    @property
    def call(self) -> Any:
        """What servers know of a call of its service."""
        call = object.__new__(Call)
        call.target, call.caller = self.tenant, Principal("test", Role.SERVICE, (self.tenant.tenant_id,), None)
        return call

    def asked(self, verb: str, request_id: str = "", **fields: Any) -> Asked:
        """Return a request for an operation."""
        name = f"tenants/{self.tenant.tenant_id}/collections/{self.collection.collection_id}"
        request = verbs_pb2.PurgeDocumentsRequest(parent=name, request_id=request_id, **fields)
        return Asked(self.platform, verb, self.tenant, self.collection, request)

    async def start(self, verb: str, **parameters: Any) -> str:
        """Start an operation and return its id."""
        return last(await self.asked(verb).start(parameters))

    async def put(self, *documents: resources_pb2.Document, waiting: bool = False) -> None:
        """Write documents at new revisions; their names are their ids. With `waiting` as one who waits until they are found."""
        revision = self.platform.revisions.take(len(documents))
        schema = self.collection.schema()
        puts = [
            Put(one.name, compile_document(one, self.scope.owner, schema, one.name, revision + 4096 * i, 1))
            for i, one in enumerate(documents)
        ]
        done = self.scope.bulk(puts, searchable=True) if waiting else write(self.platform.engine, self.scope, puts)
        assert {item.status for item in await done} <= {200, 201}

    async def refreshed(self) -> None:
        """Read the collection's record anew."""
        found = await self.platform.directory.collection(self.tenant, self.collection.collection_id)
        assert found is not None
        self.collection = found


@dataclass(slots=True)
class Bench:
    """A platform of a test's own, in this process."""

    platform: Platform
    settings: Settings
    env: Mapping[str, str]

    @property
    def store(self) -> OperationStore:
        """The operations."""
        return OperationStore(self.platform.engine)

    async def home(self) -> Home:
        """Make a tenant."""
        request = tenant_pb2.CreateTenantRequest(tenant_id=f"t-{uuid.uuid4().hex[:10]}")
        tenant = await tenants.create(request, self.platform, Mark.new())
        collection = await self.platform.directory.collection(tenant, "default")
        assert collection is not None
        return Home(self.platform, tenant, collection)

    async def get(self, home: Home, operation_id: str) -> OperationRecord:
        """Read an operation that must be there."""
        found = await self.store.get(home.tenant.uid, operation_id)
        assert found is not None
        return found

    async def until(
        self, home: Home, operation_id: str, wanted: Callable[[OperationRecord], object], seconds: float = 20.0
    ) -> OperationRecord:
        """Wait until an operation is as wanted."""
        end = time.monotonic() + seconds
        while not wanted(found := await self.get(home, operation_id)):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.05)
        return found

    async def cancel(self, home: Home, operation_id: str) -> OperationRecord:
        """Ask an operation to stop."""
        return await self.store.cancel(home.tenant.uid, operation_id, lambda _: None)

    async def done(self, home: Home, operation_id: str) -> OperationRecord:
        """Wait until an operation is done."""
        return await self.until(home, operation_id, lambda found: found.finished)

    @asynccontextmanager
    async def worker(self, *jobs: Job) -> AsyncIterator[asyncio.Event]:
        """Run the runner in this process, with these jobs beside the real ones; the event drains it."""
        stop = asyncio.Event()
        known = JOBS | {job.verb: job for job in jobs}
        task = asyncio.create_task(operations.run(self.platform, stop, known))
        try:
            yield stop
        finally:
            stop.set()
            await task

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the runner in a process of its own."""
        with runner("tests.integration._operations", self.env) as process:
            yield process


@contextmanager
def runner(module: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module that runs the runner as a process; it is killed at the end, whatever it does."""
    roots = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **env, "PYTHONPATH": roots})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
async def bench(engine: Local) -> AsyncIterator[Bench]:
    """Give the core on the real engine, with indices of its own so that no other worker takes its operations."""
    env = {
        "PINAKES_OPENSEARCH_URLS": engine.opensearch_url,
        "PINAKES_SECRET_KEY": "k" * 40,
        "PINAKES_INDEX_PREFIX": f"ops{uuid.uuid4().hex[:8]}",
        "PINAKES_OPERATION_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    settings = Settings(
        opensearch_urls=[engine.opensearch_url],
        secret_key=SecretStr(env["PINAKES_SECRET_KEY"]),
        index_prefix=env["PINAKES_INDEX_PREFIX"],
        operation_lease_seconds=LEASE_SECONDS,
    )
    platform = await Platform.open(settings)
    await platform.prepared.wait()
    await platform.revisions.ready()
    yield Bench(platform, settings, env)
    prefix = settings.index_prefix
    for alias in (pool_alias(prefix), *(record_index(prefix, kind) for kind in RECORDS)):
        await platform.engine.call("clear", "DELETE", f"/{alias}-v1")
    for kind in ("pool", "own", "sys"):
        await platform.engine.call("clear", "DELETE", f"/_index_template/{prefix}-{kind}")
    await platform.close()


def last(operation: operations_pb2.Operation) -> str:
    """Return an operation's id."""
    return str(operation.name.rpartition("/")[2])


def job(verb: str, run: Callable[[Context], Awaitable[Message]], **more: Any) -> Job:
    """Make a job of a test's own."""
    return Job(verb, run, **more)


def answer(**fields: Any) -> Message:
    """Make an answer of any verb."""
    return verbs_pb2.PurgeDocumentsResponse(**fields)


def document(document_id: str, *, tags: Sequence[str] = (), **attributes: Any) -> resources_pb2.Document:
    """Make a document."""
    struct = struct_pb2.Struct()
    struct.update(attributes)
    return resources_pb2.Document(name=document_id, title=f"title of {document_id}", tags=tags, attributes=struct)


async def count_slowly(context: Context) -> Message:
    """Count to twelve, a checkpoint each, and leave a mark of each fence in the checkpoint."""
    fences = [*context.checkpoint.get("fences", []), context.fence]
    number = context.checkpoint.get("number", 0)
    for one in range(number, PAGES):
        await context.sleep(0.3)
        await context.advance({"number": one + 1, "fences": fences}, done=one + 1, total=PAGES)
    return answer(purge_count=context.progress.done, purge_sample=[str(fence) for fence in fences])


COUNT = Job("count", count_slowly)


async def main() -> None:
    """Run the runner until a signal."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    platform = await Platform.open(Settings())  # type: ignore[call-arg]  # out of the environment
    try:
        await operations.run(platform, stop, JOBS | {COUNT.verb: COUNT})
    finally:
        await platform.close()


if __name__ == "__main__":
    asyncio.run(main())
