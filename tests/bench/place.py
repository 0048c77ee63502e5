# SPDX-License-Identifier: Apache-2.0
"""The platform a bench runs on: started with the engine's measuring profile in a home of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from pinakes.client import AlreadyExists, Client
from pinakes.local import Platform

HOME = Path(".bench/platform")
TENANT = "bench"


@dataclass(frozen=True, slots=True)
class Place:
    """Addresses of a running platform, pids of its parts, a key of the tenant that is measured."""

    endpoint: str
    engine: str
    addresses: dict[str, str]
    pids: dict[str, int]
    key: str
    admin_key: str
    queue: str
    cache: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every call brings."""
        return (("authorization", f"Bearer {self.key}"),)


@contextmanager
def place() -> Iterator[Place]:
    """Start the platform, make the tenant, and stop the platform afterwards."""
    HOME.mkdir(parents=True, exist_ok=True)
    platform = Platform(home=HOME.absolute(), profile="bench")
    platform.reset()  # or the million documents that another run has written would be searched as well
    platform.up()
    try:
        state = json.loads((HOME / "state.json").read_text(encoding="utf-8"))
        with Client(platform.endpoint, key=platform.admin_key) as admin:
            try:
                admin.create_tenant(TENANT, rate_limit=1_000_000)
            except AlreadyExists:
                pass  # an earlier run made it
            key = admin.create_key("service", tenant=TENANT, display_name="bench").secret
        yield Place(
            endpoint=platform.endpoint,
            engine=f"http://127.0.0.1:{state['ports']['opensearch']}",
            addresses={name: f"127.0.0.1:{state['ports'][name]}" for name in ("search", "index", "tenant")},
            pids={name: process["pid"] for name, process in state["processes"].items()},
            key=key,
            admin_key=platform.admin_key,
            queue=platform.queue_url,
            cache=platform.cache_url,
        )
    finally:
        platform.down()


SERVERS = ("search", "index", "tenant", "worker")


def processor_seconds(place: Place) -> dict[str, float]:
    """Return the processor time that each part has used so far, and this process, `client`."""
    used = {name: psutil.Process(pid).cpu_times() for name, pid in place.pids.items()}
    used["client"] = psutil.Process().cpu_times()
    return {name: times.user + times.system for name, times in used.items()}


def resident_mib(pid: int) -> float:
    """Resident memory of a server and its children, in MiB."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(member.memory_info().rss for member in family) / (1 << 20)
