# SPDX-License-Identifier: Apache-2.0
"""Records what a server sends to the engine, so that the raw client is measured with the very same bodies."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import grpc
import psutil
from aiohttp import web
from grpc_health.v1 import health_pb2

_HOP = {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "accept-encoding"}


@dataclass(slots=True)
class Recorder:
    """A server of its own behind a proxy: its address, and the calls (path with query, body) it made so far."""

    address: str
    calls: list[tuple[str, str]] = field(default_factory=list)

    def taken(self, kind: str) -> list[tuple[str, str]]:
        """Return and forget the calls whose path ends with a kind, such as `_search`."""
        found = [call for call in self.calls if call[0].partition("?")[0].endswith(kind)]
        self.calls.clear()
        # A server also polls keys and tenants: of the paths, the documents' is the one that was called most.
        paths = Counter(path.partition("?")[0] for path, _ in found).most_common(1)
        return [call for call in found if call[0].partition("?")[0] == paths[0][0]]


@asynccontextmanager
async def recorder(name: str, pid: int, engine: str) -> AsyncIterator[Recorder]:
    """Start a second server like the running one of that pid, with a proxy that records between it and the engine."""
    address = f"127.0.0.1:{_free_port()}"
    made = Recorder(address)
    async with aiohttp.ClientSession(auto_decompress=True) as session:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            made.calls.append((request.path_qs, body.decode("utf-8", "replace")))
            headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
            async with session.request(request.method, engine + request.path_qs, data=body, headers=headers) as answer:
                content = await answer.read()
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
                return web.Response(body=content, status=answer.status, headers=kept)

        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        port = _free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        environment = {
            **psutil.Process(pid).environ(),
            "PINAKES_LISTEN": address,
            "PINAKES_METRICS_LISTEN": "",
            "PINAKES_OPENSEARCH_URLS": f"http://127.0.0.1:{port}",
            "PINAKES_CACHE_SECONDS": "0",
            "PINAKES_RATE_LIMIT": "1000000",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"pinakes.{name}",
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await _serving(address)
            made.calls.clear()
            yield made
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await runner.cleanup()


async def _serving(address: str) -> None:
    """Wait for the server; raises TimeoutError after 30 s."""
    async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(30):
        check: grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse] = (
            channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
        )
        while True:
            try:
                answer = await check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError:
                answer = None
            if answer is not None and answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.2)


def _free_port() -> int:
    """Find a port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
