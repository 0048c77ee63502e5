# SPDX-License-Identifier: Apache-2.0
"""What the servers and the worker of a local platform are told."""

from __future__ import annotations

from pathlib import Path

from pinakes.local.parts import Site
from pinakes.local.places import Places
from pinakes.local.servers import environment
from pinakes.local.state import DEFAULT_PORTS, State


def test_who_queues_or_empties_the_queue_knows_it_and_nobody_else(tmp_path: Path) -> None:
    places = Places(home=tmp_path, cache=tmp_path, engine=tmp_path)
    site = Site(places, State(ports=dict(DEFAULT_PORTS), secret_key="k" * 32, bootstrap_admin_key="pk"))
    told = {name: environment(site, name).get("PINAKES_QUEUE_URL") for name in ("search", "index", "tenant", "worker")}
    queue = "redis://127.0.0.1:6380/0"
    assert told == {"search": None, "index": queue, "tenant": queue, "worker": queue}
    assert environment(site, "worker")["PINAKES_LISTEN"] == "127.0.0.1:7304"
    assert environment(site, "worker")["PINAKES_METRICS_LISTEN"] == "127.0.0.1:9467"
