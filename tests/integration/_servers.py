# SPDX-License-Identifier: Apache-2.0
"""What tests of the servers share: servers of a test's own beside the platform's, tenants, and errors taken apart."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.v1 import index_pb2_grpc, search_pb2_grpc, tenant_pb2_grpc

SERVICES = {name: f"pinakes.v1.{name.capitalize()}Service" for name in ("search", "index", "tenant")}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HEALTH_SECONDS = 60.0
Metadata = tuple[tuple[str, str], ...]


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def bearer(key: str, **more: str) -> Metadata:
    """Return the metadata of a caller with a key."""
    return (("authorization", f"Bearer {key}"), *((name.replace("_", "-"), value) for name, value in more.items()))


@dataclass(slots=True)
class ServerProcess:
    """One server as a process of its own. `log` is the file of its standard output and error."""

    name: str
    env: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Start it."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PINAKES_")}
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"pinakes.{self.name}"], env=inherited | dict(self.env), stdout=file, stderr=file
            )

    @property
    def address(self) -> str:
        """host:port of its gRPC port."""
        return self.env["PINAKES_LISTEN"]

    @property
    def metrics_url(self) -> str:
        """URL of its metrics."""
        return f"http://{self.env['PINAKES_METRICS_LISTEN']}/metrics"

    def text(self) -> str:
        """Return what it has written so far."""
        return self.log.read_text("utf-8", "replace")

    def children(self) -> list[psutil.Process]:
        """Return the server processes under it."""
        return psutil.Process(self.process.pid).children()

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30.0) -> int:
        """Return its exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it and its children whatever they do."""
        if self.process.poll() is None:
            for child in self.children():
                child.kill()
            self.process.kill()
            self.process.wait()


@contextmanager
def running(platform: Platform, name: str, folder: Path, **changes: str) -> Iterator[ServerProcess]:
    """Run a server on ports of its own, with the platform's settings and `changes` to them."""
    own = {
        "PINAKES_LISTEN": f"127.0.0.1:{free_port()}",
        "PINAKES_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
    }
    server = ServerProcess(
        name, {**platform.env_for(name), **own, **changes}, folder / f"{name}-{uuid.uuid4().hex}.log"
    )
    try:
        yield server
    finally:
        server.kill()


def open_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """Open a connection of its own, that tries again quickly."""
    options = [
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 200),
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.max_send_message_length", 64 << 20),
    ]
    if credentials is not None:
        return grpc.aio.secure_channel(address, credentials, options=options)
    return grpc.aio.insecure_channel(address, options=options)


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    """Return what the health service says of a service, 0 when nobody answers."""
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=2
        )
    except grpc.aio.AioRpcError:
        return 0
    return int(answer.status)


async def until_health(
    channel: grpc.aio.Channel, wanted: int = SERVING, service: str = "", seconds: float = HEALTH_SECONDS
) -> None:
    """Wait until the health service says so."""
    end = time.monotonic() + seconds
    while (found := await health(channel, service)) != wanted:
        assert time.monotonic() < end, f"health stayed {found} for {seconds} s"
        await asyncio.sleep(0.1)


@dataclass(slots=True)
class Stubs:
    """The three services on connections of their own."""

    search: search_pb2_grpc.SearchServiceAsyncStub
    index: index_pb2_grpc.IndexServiceAsyncStub
    tenant: tenant_pb2_grpc.TenantServiceAsyncStub


def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Return the stubs of all services on one connection."""
    return Stubs(
        search_pb2_grpc.SearchServiceStub(channel),
        index_pb2_grpc.IndexServiceStub(channel),
        tenant_pb2_grpc.TenantServiceStub(channel),
    )


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant made for a test, and the key of its administrator."""

    tenant_id: str
    key: str

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"tenants/{self.tenant_id}"

    @property
    def collection(self) -> str:
        """Name of its collection `default`."""
        return f"{self.name}/collections/default"

    def document(self, document_id: str) -> str:
        """Name of a document in `default`."""
        return f"{self.collection}/documents/{document_id}"


async def new_tenant(platform: Platform, tenant_id: str = "") -> Tenant:
    """Create a tenant with a key, through the front door."""
    tenant_id = tenant_id or f"t-{uuid.uuid4().hex[:12]}"
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        await admin.create_tenant(tenant_id)
        made = await admin.create_key(tenant=tenant_id, role="admin")
    return Tenant(tenant_id, made.secret)


def details(error: grpc.aio.AioRpcError) -> dict[str, object]:
    """Return the details of an error by the name of their type."""
    trailing = error.trailing_metadata()
    assert trailing is not None
    raw = dict(trailing)["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    found: dict[str, object] = {}
    for packed in status_pb2.Status.FromString(raw).details:
        kind = packed.TypeName().rpartition(".")[2]
        message = getattr(error_details_pb2, kind)()
        packed.Unpack(message)
        found[kind] = message
    return found


def reason(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in an error's `ErrorInfo`."""
    return str(getattr(details(error)["ErrorInfo"], "reason", ""))
