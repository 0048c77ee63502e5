# SPDX-License-Identifier: Apache-2.0
"""An engine of two nodes, each a real process of its own: what one node alone can't show, such as a replica's promotion."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from pinakes.local import machine, supervisor
from pinakes.local.artifacts import fetch, read_lock
from pinakes.local.distribution import assemble, distribution
from pinakes.local.opensearch import OpenSearch, configuration
from pinakes.local.parts import HOST, Site
from pinakes.local.places import default_cache, places
from pinakes.local.platform import Silence
from pinakes.local.state import RANDOM_PORTS, Started, State, port_free
from pinakes.local.supervisor import Owner

NAMES = ("a", "b")
MANAGER = "a"
"""The only node that may manage the cluster, so that the cluster goes on without the other one."""


@dataclass(slots=True)
class Node:
    """One node: its folders, its ports and its process."""

    name: str
    home: Path
    site: Site
    started: Started | None = None

    @property
    def url(self) -> str:
        """Return the URL of its HTTP port."""
        return f"http://{self.site.address('opensearch')}"

    def start(self, seed: str) -> None:
        """Start the process as the platform starts its node, but as a part of the cluster that is known at `seed`."""
        launch = OpenSearch().launch(self.site)
        settings = dict(line.split(": ", 1) for line in configuration(self.site).splitlines())
        del settings["discovery.type"]
        manages = self.name == MANAGER
        changed = {
            "node.name": self.name,
            "node.roles": ["cluster_manager", "data"] if manages else ["data"],
            "discovery.seed_hosts": [seed],
        } | ({"cluster.initial_cluster_manager_nodes": [self.name]} if manages else {})
        settings |= {name: json.dumps(value) for name, value in changed.items()}
        content = "".join(f"{name}: {value}\n" for name, value in settings.items())
        (self.site.places.engine / "config/opensearch.yml").write_text(content, encoding="utf-8")
        self.started = supervisor.start(self._owner, launch, self._log)

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + OpenSearch.ready_seconds
        while reason := OpenSearch().ready(self.site, fresh=False):
            alive = supervisor.alive(self.started) and time.monotonic() < end
            assert alive, (
                f"node {self.name}: {reason}\n{self._log.read_text(encoding='utf-8', errors='replace')[-3000:]}"
            )
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the process, as a crash would."""
        assert self.started is not None
        supervisor.kill(self.started)

    def remove(self) -> None:
        """End the process, if it runs, and delete all that it had."""
        supervisor.stop(self._owner, self.started, 0.0)
        end = time.monotonic() + 10
        # A killed Java counts as ended with its first thread, and can be reaped (which `alive` does) after its last.
        while self.started and (supervisor.alive(self.started) or psutil.pid_exists(self.started.pid)):
            assert time.monotonic() < end, f"process {self.started.pid} doesn't end"
            time.sleep(0.02)
        for folder in {self.site.places.engine, self.home}:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _owner(self) -> Owner:
        return Owner(self.home, "opensearch")

    @property
    def _log(self) -> Path:
        return self.site.places.logs / "opensearch.log"


@contextmanager
def cluster() -> Iterator[dict[str, Node]]:
    """Give nodes that answer, by their names; nothing of them is left afterwards."""
    ports = [port for port in random.sample(RANDOM_PORTS, 200) if port_free(port)]
    with ExitStack() as stack:
        nodes = {}
        for name in NAMES:
            home = Path(tempfile.mkdtemp(prefix=f"pinakes-node-{name}-"))
            state = State(ports={"opensearch": ports.pop(), "opensearch-transport": ports.pop()})
            nodes[name] = Node(name, home, Site(places(home, default_cache()), state))
            stack.callback(nodes[name].remove)
        sites = [node.site for node in nodes.values()]
        machine.check_memory(sum(OpenSearch().memory_mib(site) for site in sites), machine.available_mib())
        _install(sites[0].places.cache)
        seed = f"{HOST}:{nodes[MANAGER].site.state.ports['opensearch-transport']}"
        for node in nodes.values():
            node.start(seed)
        for node in nodes.values():
            node.wait()
        yield nodes


def _install(cache: Path) -> None:
    """Assemble the engine unless a platform has done it before."""
    artifacts = read_lock()
    if not distribution(cache, artifacts).is_dir():
        fetch(artifacts, cache, Silence().download)
        assemble(cache, artifacts)
