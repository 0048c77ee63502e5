# SPDX-License-Identifier: Apache-2.0
"""A deployment of a test's own on the session's stores, with tenants of any size: import the fixture `deployment`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document, tombstone
from pinakes.core.engine.scope import TenantScope
from pinakes.core.platform import Platform as Parts
from pinakes.core.query.schema import Schema
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import TenantRecord
from pinakes.local import Platform
from pinakes.tenant.commands import tenants
from pinakes.v1 import resources_pb2, tenant_pb2
from tests.integration._workers import settings_of

# Small enough for a test, and far enough apart that no rounding matters.
SMALL = {
    "placement_dedicated_documents": 40, "placement_dedicated_bytes": 1 << 40, "placement_shard_bytes": 1 << 40,
    "placement_pool_documents": 10_000, "placement_pool_tenants": 10, "placement_fill": 0.6, "placement_moves": 3,
    "placement_cooldown_seconds": 3600,
}  # fmt: skip


@dataclass(slots=True)
class Deployment:
    """A platform with indices of its own."""

    parts: Parts

    async def tenant(self, tenant_id: str, documents: int = 0, characters: int = 10, deleted: int = 0) -> TenantRecord:
        """Create a tenant with so many documents of so many characters, and tombstones."""
        request = tenant_pb2.CreateTenantRequest(tenant_id=tenant_id, tenant=resources_pb2.Tenant())
        made = await tenants.create(request, self.parts, Mark.new())
        await self.write(made, documents, characters)
        if deleted:
            scope = await self.scope(made)
            puts = [
                Put(f"gone-{n}", tombstone(scope.owner, f"gone-{n}", self.parts.revisions.next()))
                for n in range(deleted)
            ]
            await scope.bulk(puts, searchable=False)
        return made

    async def write(self, tenant: TenantRecord, documents: int, characters: int = 10) -> None:
        """Write documents `d0`, `d1` … of so many characters."""
        scope = await self.scope(tenant)
        puts = []
        for number in range(documents):
            document = resources_pb2.Document(title=f"d{number}", body="x" * characters)
            revision = self.parts.revisions.next()
            puts.append(Put(f"d{number}", compile_document(document, scope.owner, Schema(), f"d{number}", revision, 1)))
        if puts:
            items = await scope.bulk(puts, searchable=False)
            assert all(item.status < 300 for item in items)

    async def scope(self, tenant: TenantRecord) -> TenantScope:
        """Return the scope of the collection `default`."""
        collection = await self.parts.directory.fresh_collection(tenant, "default")
        assert collection is not None
        return TenantScope.for_work(self.parts.engine, tenant, collection)

    async def refresh(self) -> None:
        """Make everything searchable, and let the engine's statistics know."""
        await self.parts.engine.call("test", "POST", f"/{self.parts.engine.prefix}-*/_flush", params={"force": "true"})
        await self.parts.engine.call("test", "POST", f"/{self.parts.engine.prefix}-*/_refresh")


@pytest.fixture
async def deployment(platform: Platform) -> AsyncIterator[Deployment]:
    """Give a deployment with small thresholds."""
    settings = settings_of(platform, index_prefix=f"place-{uuid.uuid4().hex[:8]}", **SMALL)
    parts = await Parts.open(settings)
    await parts.prepared.wait()
    await parts.revisions.ready()
    yield Deployment(parts)
    names = await parts.engine.call("look", "GET", f"/{parts.engine.prefix}-*/_settings")
    await parts.engine.call("clean", "DELETE", f"/{','.join(names)}")
    await parts.close()
