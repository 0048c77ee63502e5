# SPDX-License-Identifier: Apache-2.0
"""A server's streams over their life: window, silence, a full queue, age, revoked keys, SIGTERM."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2
from tests.integration import _servers
from tests.integration._servers import Tenant, bearer, open_channel, running, stubs

Request = index_pb2.StreamWriteDocumentsRequest
APPLIED, ACCEPTED = index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_ACCEPTED
EOF = grpc.aio.EOF


@pytest.fixture(scope="module")
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant."""
    return await _servers.new_tenant(platform)


@asynccontextmanager
async def server(platform: Platform, folder: Path, **changes: str) -> AsyncIterator[tuple[Any, Any]]:
    """Run an index server of the test's own; give it and a connection to it."""
    with running(platform, "index", folder, **changes) as process:
        async with open_channel(process.address) as channel:
            await _servers.until_health(channel)
            yield process, channel


def opened(channel: grpc.aio.Channel, tenant: Tenant) -> Any:
    """Open a stream."""
    return stubs(channel).index.StreamWriteDocuments(metadata=bearer(tenant.key))


def message(tenant: Tenant, sequence: int, *, body: str = "", **fields: Any) -> Request:
    """Make a message that writes one document."""
    made = Request(sequence=sequence, **fields)
    made.writes.add(put=resources_pb2.Document(name=tenant.document(f"m{sequence}"), body=body))
    return made


async def until_shutdown(call: Any) -> list[int]:
    """Read to the notice and on to the end, which must be well; returns the numbers that were acknowledged."""
    numbers: list[int] = []
    noticed = False
    while (answer := await call.read()) is not EOF:
        noticed = noticed or answer.HasField("shutdown")
        if answer.HasField("acknowledgement"):
            numbers.append(answer.acknowledgement.sequence)
    assert noticed
    assert await call.code() is grpc.StatusCode.OK
    return numbers


async def test_a_stream_that_sends_nothing_is_ended_and_one_that_is_served_isnt(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    async with server(platform, tmp_path, PINAKES_STREAM_IDLE_SECONDS="0.6") as (_, channel):
        silent, talking = opened(channel, tenant), opened(channel, tenant)
        await talking.write(Request(parent=tenant.collection, mode=APPLIED))
        for sequence in range(1, 5):
            await asyncio.sleep(0.3)
            await talking.write(message(tenant, sequence))
        for call in (silent, talking):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                while await call.read() is not EOF:
                    pass
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert _servers.reason(caught.value) == "STREAM_IDLE"
            assert "0.6 s" in str(caught.value.details())


async def test_a_stream_that_waits_for_its_rate_is_not_one_that_sends_nothing(
    platform: Platform, tmp_path: Path
) -> None:
    slow = await _servers.new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        await admin.set_limits(slow.tenant_id, {"documents_per_second": 1})
    async with server(platform, tmp_path, PINAKES_STREAM_IDLE_SECONDS="0.5") as (_, channel):
        call = opened(channel, slow)
        many = message(slow, 1, parent=slow.collection, mode=APPLIED)
        for number in range(2):  # two more than there are at once: two seconds are owed
            many.writes.add(put=resources_pb2.Document(name=slow.document(f"more-{number}")))
        await call.write(many)
        assert [(await call.read()).WhichOneof("event") for _ in range(2)] == ["opened", "acknowledgement"]
        await call.write(message(slow, 2))
        answers = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while (answer := await call.read()) is not EOF:
                answers.append(answer)
        assert answers[0].backoff.retry_delay.ToMilliseconds() > 1000
        assert answers[-1].acknowledgement.sequence == 2
        assert _servers.reason(caught.value) == "STREAM_IDLE"


async def test_a_full_queue_slows_a_stream_down_and_nothing_is_lost(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    changes = {"PINAKES_QUEUE_TENANT_SHARE": "0.0001", "PINAKES_STREAM_WINDOW": "3"}
    async with server(platform, tmp_path, **changes) as (_, channel):
        platform.stop("worker")
        try:
            call = opened(channel, tenant)
            await call.write(Request(parent=tenant.collection, stream_id="full"))
            assert (await call.read()).opened.window == 3
            for sequence in range(1, 9):
                await call.write(message(tenant, sequence, body="lorem ipsum " * 4000))
            await call.done_writing()
            numbers = []
            while (answer := await call.read()).HasField("acknowledgement"):
                numbers.append(answer.acknowledgement.sequence)
            assert answer.backoff.retry_delay.ToMilliseconds() > 0
            assert "queue of writes is full" in answer.backoff.reason
            assert len(numbers) < 8
        finally:
            platform.start("worker")
        while (answer := await call.read()) is not EOF:
            numbers += [answer.acknowledgement.sequence] if answer.HasField("acknowledgement") else []
        assert numbers == list(range(1, 9))
        assert await call.code() is grpc.StatusCode.OK


async def test_the_server_reads_no_further_ahead_than_its_window(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    async with server(platform, tmp_path, PINAKES_STREAM_WINDOW="2") as (_, channel):
        call = opened(channel, tenant)
        await call.write(Request(parent=tenant.collection, mode=index_pb2.WRITE_MODE_SEARCHABLE))
        assert (await call.read()).opened.window == 2
        began = time.monotonic()
        for sequence in range(1, 7):
            await call.write(message(tenant, sequence, body=str(began)))
        await call.done_writing()
        numbers, times = [], []
        while (answer := await call.read()) is not EOF:
            numbers.append(answer.acknowledgement.sequence)
            times.append(time.monotonic() - began)
        assert numbers == list(range(1, 7))
        # Each pair waits for a refresh of its own: all six at once would share one.
        assert times[5] - times[1] > 0.5


async def test_an_old_stream_is_asked_to_go_on_as_another(platform: Platform, tenant: Tenant, tmp_path: Path) -> None:
    async with server(platform, tmp_path, PINAKES_STREAM_SECONDS="0.5") as (_, channel):
        for resumed in (0, 2):
            call = opened(channel, tenant)
            await call.write(Request(parent=tenant.collection, mode=APPLIED, stream_id="renewed"))
            assert (await call.read()).opened.resume_after == resumed
            for sequence in (resumed + 1, resumed + 2):
                await call.write(message(tenant, sequence))
            assert await until_shutdown(call) == [resumed + 1, resumed + 2]


async def test_on_sigterm_streams_are_told_and_end_with_what_was_read_acknowledged(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    async with server(platform, tmp_path, PINAKES_DRAIN_SECONDS="4") as (process, channel):
        call = opened(channel, tenant)
        await call.write(Request(parent=tenant.collection, mode=APPLIED))
        await call.read()
        for sequence in (1, 2, 3):
            await call.write(message(tenant, sequence))
        process.terminate()
        assert await until_shutdown(call) == [1, 2, 3]
        assert await asyncio.to_thread(process.wait) == 0


async def test_a_caller_who_goes_leaves_nothing_running(platform: Platform, tenant: Tenant, tmp_path: Path) -> None:
    def in_flight(url: str) -> float:
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        name = 'pinakes_rpc_in_flight{service="pinakes.v1.IndexService"}'
        return float(next((line.split()[1] for line in lines if line.startswith(name)), 0))

    async with server(platform, tmp_path) as (process, channel):
        streams = [opened(channel, tenant) for _ in range(3)]
        for call in streams:
            await call.write(Request(parent=tenant.collection))
            await call.read()
        assert await asyncio.to_thread(in_flight, process.metrics_url) == 3
        for call in streams:
            call.cancel()
        end = time.monotonic() + 5
        while await asyncio.to_thread(in_flight, process.metrics_url):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert "Traceback" not in process.text()


async def test_a_stream_is_served_with_tracing_too(platform: Platform, tenant: Tenant, tmp_path: Path) -> None:
    changes = {"PINAKES_TRACING_ENDPOINT": f"http://127.0.0.1:{_servers.free_port()}", "PINAKES_TRACING_RATIO": "1"}
    async with server(platform, tmp_path, **changes) as (_, channel):
        call = opened(channel, tenant)
        await call.write(message(tenant, 1, parent=tenant.collection))
        await call.write(message(tenant, 3))
        answers = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for answer in call:
                answers.append(answer.WhichOneof("event"))
        assert answers == ["opened", "acknowledgement"]
        assert _servers.reason(caught.value) == "STREAM_SEQUENCE"


async def test_a_revoked_key_ends_its_streams_within_five_seconds(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    async with (
        AsyncClient(platform.endpoint, key=tenant.key) as client,
        server(platform, tmp_path) as (_, channel),
    ):
        key = await client.create_key("service")
        call = opened(channel, Tenant(tenant.tenant_id, key.secret))
        await call.write(message(tenant, 1, parent=tenant.collection, mode=APPLIED))
        await call.read()
        await client.revoke_key(key.api_key.name)
        end = time.monotonic() + 5
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            for sequence in range(2, 100):
                assert time.monotonic() < end
                await call.read()
                await call.write(message(tenant, sequence))
                await asyncio.sleep(0.1)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
