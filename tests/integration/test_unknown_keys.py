# SPDX-License-Identifier: Apache-2.0
"""A flood of keys that were never given out: it costs the engine a bounded number of reads, and known keys nothing."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections import Counter
from pathlib import Path

import grpc

from pinakes.client import scoped_token
from pinakes.core.identity import keys
from pinakes.core.identity.lookups import AT_ONCE, EXHAUSTED, PER_SECOND
from pinakes.local import Platform
from pinakes.v1 import index_pb2
from tests.integration import _servers
from tests.integration._servers import bearer, new_tenant, open_channel, reason, running, stubs

CALLS, AT_A_TIME = 3000, 64


def reads(url: str) -> int:
    """Return how often the engine was asked for a key, by a server's metrics."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # a server of the test's own
        text = answer.read().decode()
    found = re.findall(r'^pinakes_engine_seconds_count{.*operation="keys_get".*} (\S+)$', text, re.MULTILINE)
    return int(sum(map(float, found)))


async def test_unknown_keys_are_looked_up_to_a_bound_and_a_known_key_is_let_in_beside_them(
    platform: Platform, tmp_path: Path
) -> None:
    tenant = await new_tenant(platform)
    with running(platform, "index", tmp_path) as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            index = stubs(channel).index

            async def ask(credential: str) -> str:
                request = index_pb2.ListDocumentsRequest(parent="tenants/-/collections/default")
                try:
                    await index.ListDocuments(request, metadata=bearer(credential), timeout=20)
                except grpc.aio.AioRpcError as error:
                    return reason(error)
                return "OK"

            assert await ask(tenant.key) == "OK"
            made_up = [keys.generate().text for _ in range(CALLS)]
            made_up[::2] = [scoped_token(text, expire=60) for text in made_up[::2]]
            waiting, told = iter(made_up), Counter[str]()

            async def flood() -> None:
                for credential in waiting:
                    told[await ask(credential)] += 1

            before, began = await asyncio.to_thread(reads, server.metrics_url), time.monotonic()
            flooding = [asyncio.create_task(flood()) for _ in range(AT_A_TIME)]
            known = [await ask(tenant.key)]
            while not all(task.done() for task in flooding):
                known.append(await ask(tenant.key))
            await asyncio.gather(*flooding)
            most = AT_ONCE + PER_SECOND * (time.monotonic() - began) + 1
            asked = await asyncio.to_thread(reads, server.metrics_url) - before
    assert set(known) == {"OK"}
    assert len(known) > 5
    assert set(told) == {"API_KEY_UNKNOWN", "SCOPED_TOKEN_UNKNOWN", EXHAUSTED}
    assert told["API_KEY_UNKNOWN"] + told["SCOPED_TOKEN_UNKNOWN"] == asked
    assert AT_ONCE <= asked <= most < CALLS / 2
