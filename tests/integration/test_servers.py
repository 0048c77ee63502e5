# SPDX-License-Identifier: Apache-2.0
"""The servers as processes: health, drain, deadlines, sizes, TLS, several processes on a port, telemetry."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.integration import _servers
from tests.integration._certificates import Pair, issue
from tests.integration._servers import NOT_SERVING, SERVICES, SERVING, bearer, open_channel, running, stubs

NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"PINAKES_SECRET_KEY": "short"}, "PINAKES_SECRET_KEY"),
        ({"PINAKES_LISTEN": "junk"}, "PINAKES_LISTEN"),
        ({"PINAKES_BOOTSTRAP_ADMIN_KEY": "pk_bootstrap_x"}, "PINAKES_BOOTSTRAP_ADMIN_KEY"),
    ],
)
def test_a_server_with_a_wrong_setting_ends_and_names_it(
    platform: Platform, tmp_path: Path, changes: dict[str, str], name: str
) -> None:
    with running(platform, "tenant", tmp_path, **changes) as server:
        assert server.wait() != 0
        assert name in server.text()
        assert "Traceback" not in server.text()


def test_a_server_whose_port_is_taken_ends_and_says_so(platform: Platform, tmp_path: Path) -> None:
    with running(platform, "tenant", tmp_path, PINAKES_LISTEN=platform.address("tenant")) as server:
        assert server.wait() != 0
        assert "PINAKES_LISTEN" in server.text()


@pytest.mark.parametrize("name", list(SERVICES))
async def test_each_server_tells_the_health_of_its_service_and_of_the_whole(platform: Platform, name: str) -> None:
    async with open_channel(platform.address(name)) as channel:
        for service in ("", SERVICES[name], "liveness"):
            assert await _servers.health(channel, service) == SERVING


async def test_without_the_engine_a_server_lives_and_does_not_serve(platform: Platform, tmp_path: Path) -> None:
    with running(platform, "search", tmp_path, PINAKES_OPENSEARCH_URLS=f"http://{NOBODY}") as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel, SERVING, "liveness")
            await asyncio.sleep(2)
            assert await _servers.health(channel, "") == NOT_SERVING
            assert await _servers.health(channel, SERVICES["search"]) == NOT_SERVING
            assert await _servers.health(channel, "liveness") == SERVING


async def test_without_redis_a_server_serves(platform: Platform, tmp_path: Path) -> None:
    tenant = await _servers.new_tenant(platform)
    with running(platform, "search", tmp_path, PINAKES_CACHE_URL=f"redis://{NOBODY}/0") as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            answer = await stubs(channel).search.Search(
                search_pb2.SearchRequest(parent=tenant.collection), metadata=bearer(tenant.key), timeout=10
            )
            assert answer.total_size == 0


async def test_on_sigterm_health_turns_first_calls_under_way_finish_and_the_server_ends_in_order(
    platform: Platform, tmp_path: Path
) -> None:
    tenant = await _servers.new_tenant(platform)
    with running(platform, "index", tmp_path, PINAKES_DRAIN_SECONDS="10") as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
            assert (await watch.read()).status == SERVING
            request = index_pb2.CreateDocumentRequest(
                parent=tenant.collection, document_id="a", document=resources_pb2.Document(title="kept"),
                mode=index_pb2.WRITE_MODE_SEARCHABLE,
            )  # fmt: skip
            # A refresh ends a searchable write within a second or two: it is under way when the signal comes.
            writing = asyncio.ensure_future(
                stubs(channel).index.CreateDocument(request, metadata=bearer(tenant.key), timeout=20)
            )
            await asyncio.sleep(0.1)
            began = time.monotonic()
            server.terminate()
            assert (await watch.read()).status == NOT_SERVING
            assert time.monotonic() - began < 1
            assert server.process.poll() is None
            assert (await writing).title == "kept"
            watch.cancel()
            assert await asyncio.to_thread(server.wait, 15) == 0
        assert "Traceback" not in server.text()


async def test_a_deadline_that_passes_is_the_status_of_the_call(platform: Platform) -> None:
    tenant = await _servers.new_tenant(platform)
    async with open_channel(platform.address("index")) as channel:
        index = stubs(channel).index
        await index.GetCollection(index_pb2.GetCollectionRequest(name=tenant.collection), metadata=bearer(tenant.key))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await index.CreateDocument(
                index_pb2.CreateDocumentRequest(
                    parent=tenant.collection, document=resources_pb2.Document(title="x"),
                    mode=index_pb2.WRITE_MODE_SEARCHABLE,
                ),
                metadata=bearer(tenant.key), timeout=0.002,
            )  # fmt: skip
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_without_a_deadline_gets_the_server_s(platform: Platform, tmp_path: Path) -> None:
    tenant = await _servers.new_tenant(platform)
    with running(platform, "index", tmp_path, PINAKES_DEFAULT_DEADLINE_SECONDS="0.001") as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stubs(channel).index.GetCollection(
                    index_pb2.GetCollectionRequest(name=tenant.collection), metadata=bearer(tenant.key)
                )
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert _servers.reason(caught.value) == "DEADLINE_EXCEEDED"


async def test_a_message_beyond_the_limit_is_refused(platform: Platform) -> None:
    async with open_channel(platform.address("index")) as channel:
        request = index_pb2.CreateDocumentRequest(document=resources_pb2.Document(body="x" * (17 << 20)))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs(channel).index.CreateDocument(request, metadata=bearer(platform.admin_key), timeout=20)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(slots=True)
class _Counter:
    """A TCP relay that counts the bytes that come back."""

    target: str
    address: str = ""
    received: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        back_reader, back_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(self._pump(reader, back_writer, count=False), self._pump(back_reader, writer, count=True))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        while data := await reader.read(65_536):
            self.received += len(data) if count else 0
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
async def counted(platform: Platform) -> AsyncIterator[_Counter]:
    """Give a relay in front of the index server."""
    counter = _Counter(platform.address("index"))
    server = await asyncio.start_server(counter.serve, "127.0.0.1", 0)
    counter.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield counter
    server.close()


async def test_long_answers_are_gzipped_and_short_ones_are_not(platform: Platform, counted: _Counter) -> None:
    tenant = await _servers.new_tenant(platform)
    bodies = {"long": "a word of many " * 20_000, "short": "a word of many " * 1000}
    async with open_channel(counted.address) as channel:
        index = stubs(channel).index
        for document_id, body in bodies.items():
            await index.CreateDocument(
                index_pb2.CreateDocumentRequest(
                    parent=tenant.collection, document_id=document_id, document=resources_pb2.Document(body=body)
                ),
                metadata=bearer(tenant.key), timeout=20,
            )  # fmt: skip
        sizes = {}
        for document_id, body in bodies.items():
            before = counted.received
            request = index_pb2.GetDocumentRequest(name=tenant.document(document_id))
            assert (await index.GetDocument(request, metadata=bearer(tenant.key), timeout=20)).body == body
            sizes[document_id] = counted.received - before
    assert sizes["long"] < len(bodies["long"]) / 10
    assert sizes["short"] > len(bodies["short"])


@pytest.fixture(scope="module")
def authority() -> Pair:
    """Give a certificate authority."""
    return issue("authority")


@pytest.fixture
def tls(authority: Pair, tmp_path: Path) -> dict[str, str]:
    """Give the settings of a server that speaks TLS."""
    server = issue("localhost", authority)
    (tmp_path / "server.pem").write_bytes(server.pem)
    (tmp_path / "server.key").write_bytes(server.key_pem)
    return {
        "PINAKES_TLS_CERT_FILE": str(tmp_path / "server.pem"),
        "PINAKES_TLS_KEY_FILE": str(tmp_path / "server.key"),
    }


async def test_a_server_speaks_tls_and_only_that(
    platform: Platform, tmp_path: Path, authority: Pair, tls: dict[str, str]
) -> None:
    with running(platform, "tenant", tmp_path, **tls) as server:
        async with open_channel(server.address, grpc.ssl_channel_credentials(authority.pem)) as channel:
            await _servers.until_health(channel)
        async with open_channel(server.address, grpc.ssl_channel_credentials(issue("other").pem)) as channel:
            assert await _servers.health(channel) == 0
        async with open_channel(server.address) as channel:
            assert await _servers.health(channel) == 0


async def test_with_a_client_authority_only_its_clients_get_in(
    platform: Platform, tmp_path: Path, authority: Pair, tls: dict[str, str]
) -> None:
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    client, stranger = issue("client", authority), issue("stranger", issue("another authority"))
    mutual = tls | {"PINAKES_TLS_CLIENT_CA_FILE": str(tmp_path / "ca.pem")}
    with running(platform, "tenant", tmp_path, **mutual) as server:
        known = grpc.ssl_channel_credentials(authority.pem, client.key_pem, client.pem)
        async with open_channel(server.address, known) as channel:
            await _servers.until_health(channel)
        foreign = grpc.ssl_channel_credentials(authority.pem, stranger.key_pem, stranger.pem)
        for credentials in (grpc.ssl_channel_credentials(authority.pem), foreign):
            async with open_channel(server.address, credentials) as channel:
                assert await _servers.health(channel) == 0


async def test_several_processes_share_a_port_a_killed_one_is_replaced_and_all_drain(
    platform: Platform, tmp_path: Path
) -> None:
    tenant = await _servers.new_tenant(platform)
    with running(platform, "index", tmp_path, PINAKES_PROCESSES="2", PINAKES_DRAIN_SECONDS="4") as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
        first = {child.pid for child in server.children()}
        assert len(first) == 2
        victim = min(first)
        next(child for child in server.children() if child.pid == victim).send_signal(signal.SIGKILL)
        end = time.monotonic() + 10
        while len(now := {child.pid for child in server.children()} - {victim}) < 2 and time.monotonic() < end:
            await asyncio.sleep(0.1)
        assert len(now) == 2
        assert first - {victim} < now
        for _ in range(8):  # each on a connection of its own, so that both processes get some
            async with open_channel(server.address) as channel:
                await _servers.until_health(channel)
                request = index_pb2.GetCollectionRequest(name=tenant.collection)
                await stubs(channel).index.GetCollection(request, metadata=bearer(tenant.key), timeout=10)
        assert _calls(await _scrape(server.metrics_url), "GetCollection", "OK") == 8
        server.terminate()
        assert await asyncio.to_thread(server.wait, 15) == 0


def test_several_processes_that_cannot_serve_end_together(platform: Platform, tmp_path: Path) -> None:
    taken = {"PINAKES_PROCESSES": "2", "PINAKES_LISTEN": "127.0.0.1:1", "PINAKES_TLS_CERT_FILE": __file__}
    broken = taken | {"PINAKES_TLS_KEY_FILE": __file__}
    with running(platform, "tenant", tmp_path, **broken) as server:
        assert server.wait() != 0
        assert server.process.poll() is not None


async def test_every_service_of_the_contract_is_announced_by_reflection(platform: Platform) -> None:
    for name in SERVICES:
        async with open_channel(platform.address(name)) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            asking = stub.ServerReflectionInfo(
                iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
            )
            answer = await asking.read()
            found = {service.name for service in answer.list_services_response.service}
            assert {*SERVICES.values(), "grpc.health.v1.Health"} <= found


async def test_calls_are_counted_with_method_and_code(platform: Platform, tmp_path: Path) -> None:
    with running(platform, "tenant", tmp_path) as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            tenants = stubs(channel).tenant
            await tenants.ListTenants(tenant_pb2.ListTenantsRequest(), metadata=bearer(platform.admin_key), timeout=10)
            for _ in range(2):
                with pytest.raises(grpc.aio.AioRpcError):
                    await tenants.ListTenants(tenant_pb2.ListTenantsRequest(), timeout=10)
        text = await _scrape(server.metrics_url)
        assert _calls(text, "ListTenants", "OK") == 1
        assert _calls(text, "ListTenants", "UNAUTHENTICATED") == 2


async def test_a_call_is_a_line_of_json_with_its_request_id_which_the_caller_gets_back(
    platform: Platform, tmp_path: Path
) -> None:
    tenant = await _servers.new_tenant(platform)
    with running(platform, "tenant", tmp_path) as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            tenants = stubs(channel).tenant
            call = tenants.GetTenant(
                tenant_pb2.GetTenantRequest(name=tenant.name),
                metadata=bearer(tenant.key, x_request_id="request-of-mine"), timeout=10,
            )  # fmt: skip
            await call
            assert dict(await call.trailing_metadata())["x-request-id"] == "request-of-mine"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await tenants.GetTenant(
                    tenant_pb2.GetTenantRequest(name=tenant.name), metadata=bearer("pk_wrong", x_request_id="not ok"),
                    timeout=10,
                )  # fmt: skip
            given = dict(caught.value.trailing_metadata() or ())["x-request-id"]
            assert given != "not ok"
            assert len(given) == 24
        server.terminate()
        assert await asyncio.to_thread(server.wait, 30) == 0
        lines = [json.loads(line) for line in server.text().splitlines()]
    mine = next(line for line in lines if line.get("request_id") == "request-of-mine")
    assert (mine["method"], mine["code"]) == ("/pinakes.v1.TenantService/GetTenant", "OK")
    assert mine["tenant"] == tenant.tenant_id
    assert mine["service"] == "tenant"
    assert mine["duration_ms"] > 0
    refused = next(line for line in lines if line.get("request_id") == given)
    assert (refused["code"], refused["reason"]) == ("UNAUTHENTICATED", "API_KEY_MALFORMED")
    assert tenant.key not in server.text()


async def _scrape(url: str) -> str:
    def read() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(read)


def _calls(text: str, method: str, code: str) -> float:
    """Return how many calls of a method ended with a code."""
    wanted = ("pinakes_rpc_seconds_count", f'method="{method}"', f'code="{code}"')
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if all(part in line for part in wanted))
