# SPDX-License-Identifier: Apache-2.0
"""What has run out goes: expired documents, tombstones beyond the horizon; and nothing else does."""

from __future__ import annotations

import time

from pinakes.client import AsyncClient, document
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.maintenance import GRACE_MS, Maintenance
from pinakes.core.engine.scope import Put
from pinakes.core.platform import Platform as Parts
from pinakes.local import Platform
from pinakes.v1 import resources_pb2
from pinakes.worker.sweeper import sweep
from tests.integration._engine import Direct, direct
from tests.integration._servers import new_tenant
from tests.integration._workers import parts

__all__ = ["direct", "parts"]


def expiring(seconds: float) -> resources_pb2.Document:
    """Return a document that expires in so many seconds."""
    made = resources_pb2.Document(title="x")
    made.expire_time.FromMilliseconds(round((time.time() + seconds) * 1000))
    return made


async def test_expired_documents_become_tombstones_without_content(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    scope = await direct.scope(tenant)
    times = {"over": -GRACE_MS / 1000 - 5, "just": -1.0, "later": 3600.0}
    puts = []
    for name, seconds in times.items():
        revision = parts.revisions.next()
        body = compile_document(expiring(seconds), scope.owner, Direct.schema(), name, revision, 1_700_000_000_000)
        puts.append(Put(name, body))
    await scope.bulk(puts, searchable=True)
    await sweep(parts)
    over, just, later = await scope.mget(list(times))
    assert over is not None
    assert over.source["deleted"]
    assert not {"title_en", "content", "words"} & over.source.keys()
    assert over.revision > puts[0].revision
    assert just is not None
    assert not just.source.get("deleted"), "clocks differ a little, and searches hide it already"
    assert later is not None
    assert not later.source.get("deleted")
    # The tombstone stands: the same write again doesn't bring it back.
    (again,) = await scope.bulk([puts[0]], searchable=False)
    assert again.status == 409


async def test_a_document_that_is_written_again_while_it_is_buried_stays(parts: Parts, platform: Platform) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.put_document(document("a", title="old"), mode="searchable")
        maintenance = Maintenance(parts.engine)
        found = await parts.engine.call(
            "test", "POST", f"/{parts.engine.prefix}-pool-*/_search",
            body={"query": {"bool": {"filter": [{"term": {"id": "a"}}, {"term": {"tenant": (await tenant_uid(parts, tenant.tenant_id))}}]}}, "seq_no_primary_term": True},
        )  # fmt: skip
        await client.put_document(document("a", title="new"))
        assert await maintenance._bury(found["hits"]["hits"], parts.revisions.next) == 0  # the moment between two steps
        assert (await client.get_document("a")).title == "new"


async def tenant_uid(parts: Parts, tenant_id: str) -> str:
    """Return a tenant's uid."""
    record = await parts.directory.tenant(tenant_id)
    assert record is not None
    return record.uid


async def test_tombstones_beyond_the_horizon_are_forgotten_and_younger_ones_are_not(
    platform: Platform, parts: Parts, direct: Direct
) -> None:
    tenant = await new_tenant(platform)
    scope = await direct.scope(tenant)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        await client.put_document(document("a", title="x"))
        await client.delete_document("a", mode="searchable")
        assert await scope.get("a") is not None
        await Maintenance(parts.engine).forget_tombstones(days=1.0)
        assert await scope.get("a") is not None
        await Maintenance(parts.engine).forget_tombstones(days=0.0)
        assert await scope.get("a") is None
