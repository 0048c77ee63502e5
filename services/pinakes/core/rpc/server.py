# SPDX-License-Identifier: Apache-2.0
"""A server from start to drain: settings, stores, chain, health, reflection and the port."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop
from google.longrunning import operations_pb2
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from pinakes.core.identity.permissions import RULES
from pinakes.core.platform import Drain, Platform
from pinakes.core.rpc import chain
from pinakes.core.settings import Settings, load
from pinakes.core.telemetry import logs, metrics, tracing
from pinakes.v1 import index_pb2, search_pb2, tenant_pb2

FILES: tuple[FileDescriptor, ...] = (
    search_pb2.DESCRIPTOR,
    index_pb2.DESCRIPTOR,
    tenant_pb2.DESCRIPTOR,
    operations_pb2.DESCRIPTOR,
)
# Answers as long as the process lives, whatever its stores do: restarting a server doesn't mend an engine.
LIVENESS = "liveness"
_HEALTH_SECONDS = 1.0
# A little more than Envoy's interval between health checks.
NOTICE_SECONDS = 1.5
_log = logs.logger("pinakes.server")


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its name, and how it is added to a server on a platform. `others` are served beside it.

    `work` runs as long as the server serves; it ends when its event is set. `queues` says that the queue's being there is
    enough to be ready.
    """

    name: str
    add: Callable[[Platform, grpc.aio.Server], None]
    others: tuple[str, ...] = ()
    work: Callable[[Platform, asyncio.Event], Coroutine[Any, Any, None]] | None = None
    queues: bool = False

    @property
    def descriptors(self) -> list[ServiceDescriptor]:
        """The services in the contract."""
        shorts = [name.rpartition(".")[2] for name in (self.name, *self.others)]
        return [f.services_by_name[short] for short in shorts for f in FILES if short in f.services_by_name]


def run(service: Service) -> None:
    """Serve until SIGTERM or SIGINT, with as many processes as the settings say."""
    settings = load()
    for descriptor in service.descriptors:
        check_rules(descriptor)
    if settings.processes > 1:
        from pinakes.core.rpc.processes import run_many  # only where it is asked for

        run_many(settings.processes, lambda: uvloop.run(serve(service, settings)))
    else:
        uvloop.run(serve(service, settings))


def check_rules(descriptor: ServiceDescriptor) -> None:
    """Stop the process if an RPC has no permission, or is of a kind the chain can't guard: neither may open a door."""
    for method in descriptor.methods:
        if f"/{descriptor.full_name}/{method.name}" not in RULES:
            message = f"pinakes: {descriptor.full_name}.{method.name} has no rule in core/identity/permissions.py"
            raise SystemExit(message)
        if method.client_streaming != method.server_streaming:
            message = (
                f"pinakes: {descriptor.full_name}.{method.name} streams in one direction, and the chain knows none"
            )
            raise SystemExit(message)


async def serve(service: Service, settings: Settings) -> None:
    """Open the stores and the port, serve, and drain."""
    short = service.name.rpartition(".")[2].removesuffix("Service").lower()
    logs.configure(settings, short)
    tracing.configure(settings, short)
    if settings.metrics_listen:
        metrics.serve(settings.metrics_listen)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    platform = await Platform.open(settings)
    server, health = make_server(service, platform, settings)
    await server.start()
    # What is there by now stays: the collector needn't look through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    _log.info("serving", listen=settings.listen, tls=bool(settings.tls_cert_file))
    watch = asyncio.create_task(_watch_health(health, service, platform), name="health")
    work = asyncio.create_task(service.work(platform, stop), name="work") if service.work else None
    if work is not None:
        # Work that breaks ends the process, which would only look healthy without it.
        work.add_done_callback(lambda _: stop.set())
    try:
        await stop.wait()
    finally:
        try:
            if work is not None:
                await work
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            await _drain(server, health, service.name, platform.drain, settings.drain_seconds)
            await platform.close()
            tracing.shutdown()
            _log.info("stopped")
            logs.flush()


def make_server(
    service: Service, platform: Platform, settings: Settings
) -> tuple[grpc.aio.Server, health_aio.HealthServicer]:
    """Build the server with its chain, health and reflection, and bind the port."""
    traced = tracing.server_interceptor()
    server = grpc.aio.server(
        interceptors=[] if traced is None else [traced], options=_options(settings),
        compression=grpc.Compression.NoCompression,
    )  # fmt: skip
    guard = chain.build(settings, platform.authenticator, platform.directory, platform.limiter, platform.audit)
    service.add(platform, guard.guarding(server))
    # Health and reflection need no credential: they say nothing of any tenant.
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    all_names = [s.full_name for f in FILES for s in f.services_by_name.values()]
    reflection.enable_server_reflection((*all_names, "grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    try:
        _bind(server, settings)
    except RuntimeError:
        message = f"pinakes: PINAKES_LISTEN: {settings.listen} can't be bound"
        raise SystemExit(message) from None
    return server, health


def _bind(server: grpc.aio.Server, settings: Settings) -> None:
    """Open the port, with TLS if there is a certificate. Raises RuntimeError when it is taken."""
    if not (settings.tls_cert_file and settings.tls_key_file):
        server.add_insecure_port(settings.listen)
        return
    client_ca = settings.tls_client_ca_file.read_bytes() if settings.tls_client_ca_file else None
    pair = (settings.tls_key_file.read_bytes(), settings.tls_cert_file.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)
    server.add_secure_port(settings.listen, credentials)


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.so_reuseport", int(settings.processes > 1)),
        # A dead peer is noticed within a minute; a client may ping every 10 s, also between calls.
        ("grpc.keepalive_time_ms", 40_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Connections are renewed now and then, so that new servers get their share.
        ("grpc.max_connection_age_ms", 600_000),
        # Streams end by themselves, in good order, before they would be cut.
        ("grpc.max_connection_age_grace_ms", round(settings.stream_seconds * 1000) + 60_000),
    ]


async def _watch_health(health: health_aio.HealthServicer, service: Service, platform: Platform) -> None:
    """Keep health true to what the service needs. Two failures in a row count, one may be chance."""
    await health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    await _set(health, service.name, serving=False)
    failures, told = 2, False
    while True:
        failures = 0 if await platform.ready(queues=service.queues) else failures + 1
        if told != (failures < 2):
            told = failures < 2
            _log.info("health changed", serving=told)
            await _set(health, service.name, serving=told)
        await asyncio.sleep(_HEALTH_SECONDS)


async def _set(health: health_aio.HealthServicer, name: str, *, serving: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    for service in ("", name):
        await health.set(service, status)


async def _drain(
    server: grpc.aio.Server, health: health_aio.HealthServicer, name: str, drain: Drain, seconds: float
) -> None:
    """Turn health first, give balancers a moment to see it, then let the calls in flight finish.

    Streams are told after that moment, so that those that go on elsewhere don't come back here.
    """
    _log.info("draining", seconds=seconds)
    await _set(health, name, serving=False)
    notice = min(NOTICE_SECONDS, seconds / 4)
    await asyncio.sleep(notice)
    drain.begin(seconds - notice)
    await server.stop(seconds - notice)
