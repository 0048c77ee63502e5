# SPDX-License-Identifier: Apache-2.0
"""What was deleted after a snapshot was taken stays deleted after it is restored."""

from __future__ import annotations

import asyncio
import time

from pinakes.client import AsyncClient, deletion, document
from pinakes.core.engine.setup import pool_alias
from pinakes.core.platform import Platform as Parts
from pinakes.local import Platform
from pinakes.worker.replay import replay
from tests.integration._engine import Direct, direct
from tests.integration._servers import new_tenant
from tests.integration._workers import parts, settings_of

__all__ = ["direct", "parts"]


async def test_deletions_outlive_a_restore(platform: Platform, parts: Parts, direct: Direct) -> None:
    tenant = await new_tenant(platform)
    engine, alias = direct.engine, pool_alias(direct.engine.prefix)
    place = {"type": "fs", "settings": {"location": str(platform.places.engine / "repo")}}
    await engine.call("repository", "PUT", "/_snapshot/journal", body=place)
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=30) as client:
        names = ("plain", "bound", "batch", "queued", "again", "kept")
        await client.batch_write([document(name, title=name) for name in names], mode="searchable")
        snapshot = f"/_snapshot/journal/s{time.time_ns()}"
        whole = {"indices": f"{alias}-v1", "include_global_state": False}
        await engine.call("snapshot", "PUT", snapshot, params={"wait_for_completion": "true"}, body=whole)

        await client.delete_document("plain")
        await client.delete_document("bound", etag=(await client.get_document("bound")).etag)
        await client.batch_write([deletion("batch")])
        await client.delete_document("queued", allow_missing=True, mode="accepted")
        await client.delete_document("again")
        await client.put_document(document("again", title="written again"))
        async with asyncio.timeout(20):
            while "queued" in {d.name.rpartition("/")[2] for d in (await client.get_documents(["queued"])).documents}:
                await asyncio.sleep(0.05)

        await engine.call("lose", "DELETE", f"/{alias}-v1")
        await engine.call("restore", "POST", f"{snapshot}/_restore", params={"wait_for_completion": "true"}, body=whole)
        await engine.call("health", "GET", f"/_cluster/health/{alias}", params={"wait_for_status": "yellow"})
        assert len((await client.get_documents(names)).documents) == 6, "the snapshot holds them"
        seen, changed = await replay(settings_of(platform))
        assert seen >= changed >= 5
        found = await client.get_documents(names)
        assert [d.name.rpartition("/")[2] for d in found.documents] == ["kept"], (
            "what came later is lost with the index"
        )
        assert (await replay(settings_of(platform)))[0] == seen
        assert (await client.get_document("kept")).title == "kept"
