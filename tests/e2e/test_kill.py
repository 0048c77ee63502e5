# SPDX-License-Identifier: Apache-2.0
"""Killing a server at work and starting it again loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from pinakes.client import AsyncClient, DeadlineExceeded, Unavailable, document
from pinakes.local import Platform
from pinakes.local.state import port_free

WRITERS, CALLS, BATCH = 3, 10, 100
TOTAL = WRITERS * CALLS * BATCH


@pytest.fixture
async def key(platform: Platform) -> str:
    """Give the key of a new tenant."""
    async with AsyncClient(platform.endpoint, key=platform.admin_key, timeout=20) as admin:
        tenant = await admin.create_tenant(f"t-{uuid.uuid4().hex[:12]}")
        return (await admin.create_key("admin", tenant=tenant.name)).secret


async def kill_and_start(platform: Platform, server: str, now: Callable[[], bool]) -> None:
    """Kill a server as soon as the moment has come, and start it again."""
    while not now():
        await asyncio.sleep(0.005)
    await asyncio.to_thread(platform.stop, server, kill=True)
    for port in (server, f"{server}-metrics"):
        # The kernel ends the threads of a killed process one by one, and the last of them closes its ports.
        while not port_free(int(platform.address(port).rpartition(":")[2])):
            await asyncio.sleep(0.02)
    await asyncio.to_thread(platform.start, server)


async def test_what_was_acknowledged_is_there_after_the_index_server_was_killed(platform: Platform, key: str) -> None:
    acknowledged: dict[str, str] = {}

    async def write(client: AsyncClient, writer: int) -> None:
        for call in range(CALLS):
            documents = [document(f"d-{writer}-{call}-{n}", title=f"title {writer} {call} {n}") for n in range(BATCH)]
            async for written in client.write_many(documents, patience=120):
                assert written.ok, written
                acknowledged[written.id] = written.etag

    async with AsyncClient(platform.endpoint, key=key, timeout=60) as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(kill_and_start(platform, "index", lambda: len(acknowledged) >= TOTAL // 10))
            for writer in range(WRITERS):
                group.create_task(write(client, writer))
        assert len(acknowledged) == TOTAL
        ids = list(acknowledged)
        for start in range(0, TOTAL, 50):
            answer = await client.get_documents(ids[start : start + 50])
            assert not answer.missing
            for found in answer.documents:
                document_id = found.name.rpartition("/")[2]
                assert found.title == document_id.replace("d-", "title ").replace("-", " ")
                assert found.etag == acknowledged[document_id]
        await client.put_document(document("last", title="last"), mode="searchable")
        assert (await client.search("title")).total_size == TOTAL


async def test_searches_are_right_or_refused_while_the_search_server_is_killed(platform: Platform, key: str) -> None:
    answered = refused = 0
    async with AsyncClient(platform.endpoint, key=key, timeout=5) as client:
        await client.batch_write([document(f"d{n}", title=f"title {n}") for n in range(20)], mode="searchable")
        killing = asyncio.ensure_future(kill_and_start(platform, "search", lambda: answered >= 20))
        while not killing.done():
            try:
                found = await client.search("title", page_size=1 + answered % 20)
            except (Unavailable, DeadlineExceeded):
                refused += 1
                await asyncio.sleep(0.05)
            else:
                assert found.total_size == 20
                answered += 1
        await killing
        for _ in range(100):  # Envoy looks after the server's health now and then
            try:
                assert (await client.search("title")).total_size == 20
            except (Unavailable, DeadlineExceeded):
                await asyncio.sleep(0.1)
            else:
                break
        assert (await client.search("title 7")).results[0].document.title == "title 7"
    assert answered >= 20
