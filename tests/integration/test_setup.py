# SPDX-License-Identifier: Apache-2.0
"""What the engine must hold is made by many processes at once, and who says that it is prepared can use all of it."""

from __future__ import annotations

import asyncio
import uuid

from pinakes.core.engine import setup
from pinakes.core.engine.client import Engine
from pinakes.core.engine.records import RecordStore
from pinakes.core.settings import Settings
from pinakes.local import Platform

PROCESSES = 6


async def test_whoever_is_prepared_reads_every_index_at_once_while_others_prepare(engine: Platform) -> None:
    settings = Settings.model_validate({
        "opensearch_urls": [engine.opensearch_url], "secret_key": "k" * 40, "index_prefix": f"su{uuid.uuid4().hex[:8]}",
        "engine_timeout_seconds": 30.0,
    })  # fmt: skip
    engines = [Engine(settings) for _ in range(PROCESSES)]

    async def start(mine: Engine, after: float) -> None:
        await asyncio.sleep(after)
        await setup.prepare(mine, settings)
        for kind in setup.RECORDS:
            # Not by a call that is tried again.
            path = f"/{setup.record_index(mine.prefix, kind)}/_count"
            counted = await mine.call("count", "GET", path, retry=False)
            assert counted["_shards"]["failed"] == 0, kind
            assert await RecordStore(mine, kind).get("nobody") is None

    try:
        await asyncio.gather(*(start(mine, place * 0.05) for place, mine in enumerate(engines)))
    finally:
        for index in await engines[0].call("clear", "GET", f"/{settings.index_prefix}-*/_alias"):
            await engines[0].drop_index(index)
        for mine in engines:
            await mine.close()
