# SPDX-License-Identifier: Apache-2.0
"""The three gRPC servers and the worker as processes of their own, with the settings that tie them to this platform."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import pinakes
from pinakes.local import s3
from pinakes.local.parts import Launch, Site

QUEUEING = frozenset({"index", "tenant", "worker"})
"""Who puts writes into the queue or takes them out."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server; the worker is one too: it serves its health and its metrics."""

    name: str
    ready_seconds: float = 60.0
    stop_seconds: float = 40.0
    """Longer than a server's own time to drain."""

    @property
    def ports(self) -> tuple[str, ...]:
        """Return its gRPC port and that of its metrics."""
        return (self.name, f"{self.name}-metrics")

    def memory_mib(self, site: Site) -> int:  # noqa: ARG002  # as the protocol has it
        """Return what a server with some load takes."""
        return 130

    def launch(self, site: Site) -> Launch:
        """Start it as a module of the Python that runs us."""
        for folder in folders(site).values():
            Path(folder).mkdir(parents=True, exist_ok=True)
        return Launch(argv=(sys.executable, "-m", f"pinakes.{self.name}"), env=environment(site, self.name))

    def ready(self, site: Site, *, fresh: bool) -> str | None:  # noqa: ARG002  # one check does for both
        """Ask its health service."""
        return serving(site.address(self.name))


def environment(site: Site, name: str) -> dict[str, str]:
    """Return the variables of a server: what was given from outside, then what makes it part of this platform."""
    queue = {"PINAKES_QUEUE_URL": f"redis://{site.address('redis-queue')}/0"} if name in QUEUEING else {}
    return {
        "PYTHONPATH": ":".join(import_roots()),
        "PYTHONUNBUFFERED": "1",
        **folders(site),
        **(s3.environment(site) if "s3" in site.parts else {}),
        **site.settings,
        "PINAKES_LISTEN": site.address(name),
        "PINAKES_METRICS_LISTEN": site.address(f"{name}-metrics"),
        "PINAKES_OPENSEARCH_URLS": f"http://{site.address('opensearch')}",
        "PINAKES_CACHE_URL": f"redis://{site.address('redis-cache')}/0",
        **queue,
        "PINAKES_SECRET_KEY": site.state.secret_key,
        "PINAKES_BOOTSTRAP_ADMIN_KEY": site.state.bootstrap_admin_key,
    }


def folders(site: Site) -> dict[str, str]:
    """Return the variables of the folders that `file:///name` is in."""
    home = site.places.home
    return {"PINAKES_IMPORT_FOLDER": str(home / "import"), "PINAKES_EXPORT_FOLDER": str(home / "export")}


def import_roots() -> list[str]:
    """Return the folders that the namespace package is made of, so that servers find what we found."""
    return list(dict.fromkeys(str(Path(folder).resolve().parent) for folder in pinakes.__path__))


def serving(address: str) -> str | None:
    """Return None when the server at an address says SERVING for itself as a whole, else what it says."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs don't know the methods
            answer = stub.Check(
                health_pb2.HealthCheckRequest(),
                timeout=2,
            )
        except grpc.RpcError as error:
            return f"its health can't be asked: {error.code().name} {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return f"its health is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"
