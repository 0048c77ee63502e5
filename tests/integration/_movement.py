# SPDX-License-Identifier: Apache-2.0
"""Imports and exports on the real engine and real object storage. Import the fixtures `bench`, `mover`, `objects`.

Run as a module: a worker that exports tenants slowly and in small parts.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.longrunning import operations_pb2

from pinakes.core.engine.documents import KEPT, read_document
from pinakes.core.engine.setup import pool_alias
from pinakes.core.faults import Fault
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import SUCCEEDED, OperationRecord
from pinakes.core.storage.objects import Storage
from pinakes.index.commands import bulk_movement
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.v1 import resources_pb2
from pinakes.worker import operations
from pinakes.worker.jobs import export, export_tenant
from tests.integration import _operations
from tests.integration._objects import Objects, objects
from tests.integration._operations import Bench, Home, bench, last

__all__ = ["bench", "objects"]
PART_DOCUMENTS, PART_PAGE = 50, 10
"""Documents in a part of a tenant's export, and how many of them are read at once."""
_PAGE_SECONDS = 0.3
PATHS = KEPT - {"create_time"}


@dataclass(frozen=True, slots=True)
class Mover:
    """A platform that reaches object storage."""

    bench: Bench
    objects: Objects

    async def home(self) -> tuple[Home, str, str]:
        """Make a tenant; return it, and where its objects in bucket and folder are."""
        home = await self.bench.home()
        return home, f"s3://pinakes/{home.tenant.tenant_id}/", "file:///"

    async def ask(self, home: Home, uri: str, verb: str = "import", **fields: Any) -> operations_pb2.Operation:
        """Ask for an operation, as the service does."""
        parent = f"tenants/-/collections/{home.collection.collection_id}"
        call = fields.pop("call", home.call)
        if verb == "import":
            wanted = verbs_pb2.ImportDocumentsRequest(parent=parent, source_uri=uri, **fields)
            return await bulk_movement.import_documents(wanted, call, self.bench.platform)
        request = verbs_pb2.ExportDocumentsRequest(parent=parent, destination_uri=uri, **fields)
        return await bulk_movement.export_documents(request, call, self.bench.platform)

    async def run(self, home: Home, uri: str, verb: str = "import", **fields: Any) -> OperationRecord:
        """Ask for an operation and have it done."""
        async with self.bench.worker():
            return await self.bench.done(home, last(await self.ask(home, uri, verb, **fields)))

    async def refusal(self, home: Home, uri: str, verb: str = "import", **fields: Any) -> str:
        """Ask for what must be refused at once, and return the reason."""
        with pytest.raises(Fault) as caught:
            await self.ask(home, uri, verb, **fields)
        return caught.value.reason

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker as a process of its own that exports tenants slowly."""
        with _operations.runner("tests.integration._movement", self.bench.env) as process:
            yield process


def small_parts(patch: pytest.MonkeyPatch) -> None:
    """Let exports of tenants have small parts, each of several pages."""
    patch.setattr(export_tenant, "PART_DOCUMENTS", PART_DOCUMENTS)
    patch.setattr(export, "PAGE", PART_PAGE)


async def _slowly(*given: Any) -> AsyncGenerator[Any]:
    async for page in export.pages_of(*given):
        await asyncio.sleep(_PAGE_SECONDS)
        yield page


@pytest.fixture(scope="module")
async def mover(bench: Bench, objects: Objects) -> AsyncIterator[Mover]:
    """Give the bench storage."""
    values = {
        name: getattr(objects.settings, name)
        for name in (
            "import_folder", "export_folder", "s3_endpoint", "s3_region", "s3_access_key", "s3_secret_key", "s3_buckets"
        )
    }  # fmt: skip
    settings = bench.settings.model_copy(update=values)
    bench.platform.settings = settings
    bench.platform.storage = Storage(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "LOOK_SECONDS", 0.1)
        yield Mover(Bench(bench.platform, settings, {**bench.env, **objects.env}), objects)


def row(document_id: str, **more: Any) -> dict[str, Any]:
    return {"id": document_id, "title": f"title of {document_id}", **more}


def counts(record: OperationRecord) -> tuple[int, int, int]:
    """Written, unchanged, failed."""
    assert record.state == SUCCEEDED, record
    found = verbs_pb2.ImportDocumentsResponse()
    operation_message(record).response.Unpack(found)
    assert (
        record.progress.done
        == record.progress.total
        == sum((found.written_count, found.unchanged_count, found.failed_count))
    )
    assert record.progress.failed == found.failed_count
    return found.written_count, found.unchanged_count, found.failed_count


async def documents(home: Home) -> dict[str, resources_pb2.Document]:
    """Return all documents of a home by id, without what the server sets."""
    await home.platform.engine.call("refresh", "POST", f"/{pool_alias(home.platform.engine.prefix)}/_refresh")
    found: dict[str, resources_pb2.Document] = {}
    after: list[Any] = [""]
    while after:
        page = await home.scope.search({"size": 1000, "sort": [{"id": "asc"}], "search_after": after}, 10)
        for hit in page.hits:
            found[hit.source["id"]] = read_document(hit.source, home.scope.owner, PATHS, "")
        after = page.hits[-1].sort if page.hits else []
    return found


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as lasting:
        small_parts(lasting)
        lasting.setattr(export_tenant, "pages_of", _slowly)
        asyncio.run(_operations.main())
