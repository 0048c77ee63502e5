# SPDX-License-Identifier: Apache-2.0
"""The core on the real engine without a server: scopes as a server would open them. Import the fixture `direct`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.bulk import Item
from pinakes.core.engine.client import Engine
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import pool_alias
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.local import Platform
from tests.integration._servers import Tenant

ADMIN = Principal("test", Role.ADMIN, None, None)


async def write(engine: Engine, scope: TenantScope, puts: Sequence[Put]) -> list[Item]:
    """Write documents so that searches see them, without the wait for the index's own refresh that SEARCHABLE has."""
    items = await scope.bulk(puts, searchable=False)
    await engine.call("refresh", "POST", f"/{engine.prefix}-pool-*,{engine.prefix}-own-*/_refresh")
    return items


@dataclass(slots=True)
class Direct:
    """The engine and the directory of a platform."""

    engine: Engine
    directory: Directory

    @staticmethod
    def schema() -> Schema:
        """Return the schema of a new collection."""
        return Schema(languages=("en",), attributes={})

    async def records(self, tenant: Tenant, collection: str = "default") -> tuple[TenantRecord, CollectionRecord]:
        """Return the records of a tenant and of one of its collections."""
        record = await self.directory.tenant(tenant.tenant_id)
        assert record is not None
        found = await self.directory.collection(record, collection)
        assert found is not None
        return record, found

    async def scope(self, tenant: Tenant, collection: str = "default", principal: Principal = ADMIN) -> TenantScope:
        """Open the scope of a collection."""
        return TenantScope(self.engine, principal, *await self.records(tenant, collection))

    async def reopen(self) -> None:
        """Close and open the pool, as a restore or a change of settings does."""
        index = pool_alias(self.engine.prefix)
        await self.engine.call("close", "POST", f"/{index}/_close")
        await self.engine.call("open", "POST", f"/{index}/_open", params={"wait_for_active_shards": "1"})
        await self.engine.call("health", "GET", f"/_cluster/health/{index}", params={"wait_for_status": "yellow"})


@pytest.fixture
async def direct(platform: Platform) -> AsyncIterator[Direct]:
    """Give the core on the platform's engine."""
    settings = Settings(opensearch_urls=[platform.opensearch_url], secret_key=SecretStr(platform.state.secret_key))
    engine = Engine(settings)
    yield Direct(engine, Directory(engine, settings.identity_hold_seconds))
    await engine.close()
