# SPDX-License-Identifier: Apache-2.0
"""More calls than a server can take: who is turned away is told so at once, and may try again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter

import grpc

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.v1 import search_pb2
from tests.wire import SEARCH

CHANNELS, CALLS = 3, 450
MOST = 900
"""Calls of a service under way through one Envoy (`envoy_config.py`); gRPC's core cancels what waits beyond 1,000."""
ABOUT = 20
"""Envoy's threads count side by side."""


async def test_a_server_that_can_t_follow_is_unavailable_and_cancels_nothing(platform: Platform) -> None:
    async with AsyncClient(platform.endpoint, key=platform.admin_key, timeout=20) as admin:
        tenant = await admin.create_tenant("overload", rate_limit=1e6)
        key = (await admin.create_key("service", tenant=tenant.name)).secret
    request = search_pb2.SearchRequest(parent="tenants/-/collections/default", query="w").SerializeToString()
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(platform.endpoint, options=options) for _ in range(CHANNELS)]
    found: Counter[grpc.StatusCode] = Counter()

    async def ask(channel: grpc.aio.Channel) -> None:
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH + "Search")
        try:
            await send(request, metadata=(("authorization", f"Bearer {key}"),), timeout=30)
            found[grpc.StatusCode.OK] += 1
        except grpc.aio.AioRpcError as error:
            found[error.code()] += 1

    await asyncio.gather(*map(ask, channels))
    assert found == {grpc.StatusCode.OK: CHANNELS}
    pid = json.loads((platform.home / "state.json").read_text())["processes"]["search"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        calls = [asyncio.create_task(ask(channel)) for channel in channels for _ in range(CALLS)]
        async with asyncio.timeout(10):
            while found[grpc.StatusCode.UNAVAILABLE] < CHANNELS * CALLS - MOST - ABOUT:
                await asyncio.sleep(0.05)
    finally:
        os.kill(pid, signal.SIGCONT)
    await asyncio.gather(*calls)
    for channel in channels:
        await channel.close()
    assert set(found) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}, found
    assert found[grpc.StatusCode.OK] >= CHANNELS + MOST - ABOUT, found
