# SPDX-License-Identifier: Apache-2.0
"""The platform as one object: `up`, `down`, and each part by its name. The command and the tests use the same."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pinakes.local import envoy, machine, redis, s3, servers, supervisor
from pinakes.local.artifacts import fetch, read_lock
from pinakes.local.distribution import assemble, distribution
from pinakes.local.faults import LocalError
from pinakes.local.opensearch import OpenSearch
from pinakes.local.parts import Launch, Part, Profile, Site
from pinakes.local.places import Places, default_cache, default_home, places
from pinakes.local.state import State, complete, load, locked, port_free, save
from pinakes.local.supervisor import Owner

PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        OpenSearch(),
        redis.cache(),
        redis.queue(),
        s3.ObjectStorage(),
        servers.Server("search"),
        servers.Server("index"),
        servers.Server("tenant"),
        servers.Server("worker"),
        envoy.Envoy(),
    )
}
OPTIONAL = ("s3",)
"""What is started only when it is asked for, and goes on then until `down`."""

USUAL = tuple(name for name in PARTS if name not in OPTIONAL)
BASE = ("opensearch", "redis-cache", "redis-queue", "s3")
"""What the others find ready when they start."""

FRONT_SECONDS = 20.0
LOG_BYTES = 32 << 20


class Report(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """Take one line for the person who waits."""

    def download(self, done: int, total: int) -> None:
        """Take bytes done and bytes to do."""


class Silence:
    """Progress that nobody looks at."""

    def say(self, text: str) -> None:
        """Drop it."""

    def download(self, done: int, total: int) -> None:
        """Drop it."""


@dataclass(frozen=True, slots=True)
class PartStatus:
    """How one part is."""

    name: str
    state: str
    """`ready`, `not ready`, `stopped` or `died`."""
    address: str
    pid: int | None
    memory_mib: int | None
    detail: str


class Platform:
    """One platform: a home folder, the ports and secrets kept in it, and the processes it started."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        parts: Iterable[str] = USUAL,
        profile: Profile = "small",
        settings: Mapping[str, str] | None = None,
        cache: Path | None = None,
        random_ports: bool = False,
        report: Report | None = None,
    ) -> None:
        """Name home and parts; nothing is touched before `up`. `settings` are `PINAKES_*` variables of the servers.

        Raises LocalError for a part that doesn't exist.
        """
        self.home = (home or default_home()).resolve()
        self.parts = _known(parts)
        self.profile = profile
        self.settings = dict(settings or {})
        self.report: Report = report or Silence()
        self._cache = cache or default_cache()
        self._random_ports = random_ports
        self._state: State | None = None
        self._places: Places | None = None

    # What others need to know

    @property
    def places(self) -> Places:
        """Return the folders, made when they are missing."""
        self._places = self._places or places(self.home, self._cache)
        return self._places

    @property
    def state(self) -> State:
        """Return ports and secrets. Raises LocalError before the first `up`."""
        if self._state is None:
            self._state = load(self.places.state)
        if not self._state.ports:
            message = "this platform was never up"
            raise LocalError(message, "Run `pinakes local up`")
        return self._state

    @property
    def site(self) -> Site:
        """Return what parts need to know."""
        return Site(self.places, self.state, self.profile, self.settings, self.parts)

    @property
    def endpoint(self) -> str:
        """Return host:port of the front door, for gRPC, gRPC-Web and JSON."""
        return self.site.address("envoy")

    @property
    def opensearch_url(self) -> str:
        """Return the engine's URL."""
        return f"http://{self.site.address('opensearch')}"

    @property
    def cache_url(self) -> str:
        """Return the URL of the cache's Redis."""
        return f"redis://{self.site.address('redis-cache')}/0"

    @property
    def queue_url(self) -> str:
        """Return the URL of the queue's Redis."""
        return f"redis://{self.site.address('redis-queue')}/0"

    @property
    def admin_key(self) -> str:
        """Return the API key of the first administrator."""
        return self.state.bootstrap_admin_key

    def address(self, port: str) -> str:
        """Return host:port of a port by its name, such as `search` or `search-metrics`."""
        return self.site.address(port)

    def env_for(self, server: str) -> dict[str, str]:
        """Return the environment variables a server is started with."""
        return servers.environment(self.site, server)

    def log(self, part: str) -> Path:
        """Return the log file of a part."""
        return self.places.logs / f"{part}.log"

    # What can be done with it

    def add(self, *names: str) -> None:
        """Let the next `up` start these parts as well. Raises LocalError for a part that doesn't exist."""
        self.parts = _known({*self.parts, *names})

    def up(self, *, new_ports: bool = False) -> None:
        """Start what doesn't run, restart what would be started otherwise now, return when all of it serves.

        Raises LocalError with the part and the reason when it can't be.
        """
        with self._at_work() as kept:
            stopped = {name for name in PARTS if not self._adopt(kept, name)}
            if new_ports:
                self._drop_taken_ports(kept, stopped)
            complete(kept, random_ports=self._random_ports)
            save(self.places.state, kept)
            self._install(stopped)
            launches = {name: PARTS[name].launch(self.site) for name in self.parts}
            changed = {
                name
                for name in self.parts
                if name not in stopped and kept.processes[name].fingerprint != supervisor.fingerprint(launches[name])
            }
            for name in sorted(changed):
                self.report.say(f"{name}: other settings than it was started with; restarting")
                self._end(kept, name)
            to_start = [name for name in self.parts if name in stopped | changed]
            self._check_machine(kept, to_start)
            for stage in (BASE, tuple(set(PARTS) - set(BASE))):
                names = [name for name in to_start if name in stage]
                for name in names:
                    self._start(kept, name, launches[name])
                for name in [name for name in self.parts if name in stage]:
                    self._await(kept, name, fresh=name in names)
            self._await_front()

    def down(self) -> None:
        """End every process of this platform, whichever parts were asked for, front door first."""
        with self._at_work() as kept:
            for name in reversed(PARTS):
                self._end(kept, name)

    def start(self, *names: str) -> None:
        """Start single parts and wait until they serve. Raises LocalError when they can't."""
        with self._at_work() as kept:
            for name in names:
                fresh = not self._adopt(kept, name)
                if fresh:
                    launch = PARTS[name].launch(self.site)
                    machine.check_ports(kept, PARTS[name].ports)
                    self._start(kept, name, launch)
                self._await(kept, name, fresh=fresh)

    def stop(self, *names: str, kill: bool = False) -> None:
        """End single parts, by SIGKILL when asked for."""
        with self._at_work() as kept:
            for name in names:
                self._end(kept, name, seconds=0.0 if kill else None, kill=kill)

    def reset(self) -> None:
        """End everything and delete data, ports and secrets. Downloads are kept."""
        self.down()
        if self.places.engine != self.home / "engine":
            shutil.rmtree(self.places.engine)
        for path in self.home.iterdir():
            if path != self.places.lock:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._state = None
        self._places = None

    def status(self) -> list[PartStatus]:
        """Return how each part is, without changing anything."""
        self._state = load(self.places.state)
        self._add_optional(self._state)
        return [self._status(self._state, name) for name in self.parts]

    # How it is done

    @contextmanager
    def _at_work(self) -> Iterator[State]:
        """Hold the lock and the state as it is on disk."""
        with locked(self.places.lock, self.report.say):
            self._state = load(self.places.state)
            self._add_optional(self._state)
            yield self._state

    def _add_optional(self, kept: State) -> None:
        """Count what was asked for once, and not brought down since, among the parts."""
        self.add(*(name for name in OPTIONAL if name in kept.processes))

    def _owner(self, name: str) -> Owner:
        """Return whose marks the processes of a part carry."""
        return Owner(self.home, name)

    def _adopt(self, kept: State, name: str) -> bool:
        """Tell whether a part runs. Processes that a killed command left unrecorded are ended."""
        started = kept.processes.get(name)
        if supervisor.alive(started):
            return True
        if supervisor.leftovers(self._owner(name)):
            self.report.say(f"{name}: cleaning up after a command that was interrupted")
            supervisor.stop(self._owner(name), None, PARTS[name].stop_seconds)
        elif started:
            self.report.say(f"{name}: process {started.pid} has died; starting it again")
        if kept.processes.pop(name, None):
            save(self.places.state, kept)
        return False

    def _drop_taken_ports(self, kept: State, stopped: set[str]) -> None:
        """Forget the ports of stopped parts that somebody else listens on."""
        for name in stopped:
            for port in PARTS[name].ports:
                if port in kept.ports and not port_free(kept.ports[port]):
                    self.report.say(f"{port}: port {kept.ports.pop(port)} is taken; choosing another")

    def _install(self, stopped: set[str]) -> None:
        """Download and assemble what is missing of engine and object storage; of two who want the same, one waits."""
        self.places.cache.mkdir(parents=True, exist_ok=True)
        with locked(self.places.cache / "lock", self.report.say):
            self._install_missing(stopped)

    def _install_missing(self, stopped: set[str]) -> None:
        if "s3" in self.parts and "s3" in stopped:
            fetch(s3.ObjectStorage().artifacts(), self.places.cache, self.report.download)
        if "opensearch" not in self.parts or "opensearch" not in stopped:
            return
        artifacts = read_lock()
        if distribution(self.places.cache, artifacts).is_dir():
            return
        machine.check_disk([self.places.cache])
        self.report.say("downloading OpenSearch, once")
        fetch(artifacts, self.places.cache, self.report.download)
        assemble(self.places.cache, artifacts)

    def _check_machine(self, kept: State, names: list[str]) -> None:
        """Refuse to start what would fail later and less clearly."""
        if names:
            site = self.site
            machine.check_memory(sum(PARTS[name].memory_mib(site) for name in names), machine.available_mib())
            machine.check_disk([self.home])
            machine.check_ports(kept, [port for name in names for port in PARTS[name].ports])

    def _start(self, kept: State, name: str, launch: Launch) -> None:
        """Start a part and remember it at once."""
        log = self.log(name)
        if log.is_file() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".old.log"))
        self.report.say(f"{name}: starting")
        kept.processes[name] = supervisor.start(self._owner(name), launch, log)
        save(self.places.state, kept)

    def _end(self, kept: State, name: str, *, seconds: float | None = None, kill: bool = False) -> None:
        """End a part and forget it."""
        started = kept.processes.get(name)
        if supervisor.alive(started) or supervisor.leftovers(self._owner(name)):
            self.report.say(f"{name}: stopping")
            if kill and started:
                supervisor.kill(started)
            supervisor.stop(self._owner(name), started, PARTS[name].stop_seconds if seconds is None else seconds)
        if kept.processes.pop(name, None):
            save(self.places.state, kept)

    def _await(self, kept: State, name: str, *, fresh: bool) -> None:
        """Wait until a part serves. Raises LocalError with the end of its log when it ends or takes too long."""
        part, began, pause = PARTS[name], time.monotonic(), 0.05
        while True:
            ended = not supervisor.alive(kept.processes.get(name))
            reason = "its process has ended" if ended else part.ready(self.site, fresh=fresh)
            if reason is None:
                if fresh:
                    self.report.say(f"{name}: ready after {time.monotonic() - began:.1f} s")
                return
            if ended or time.monotonic() - began > part.ready_seconds:
                message = f"{name} doesn't get ready: {reason}\n{self._log_end(name)}"
                raise LocalError(message, f"The whole log: {self.log(name)}")
            time.sleep(pause)
            pause = min(0.5, pause * 1.5)

    def _await_front(self) -> None:
        """Wait until Envoy holds every server of ours for healthy."""
        if "envoy" not in self.parts:
            return
        until = time.monotonic() + FRONT_SECONDS
        while missing := [name for name in envoy.unhealthy(self.site) if name in self.parts]:
            if time.monotonic() > until:
                message = f"Envoy doesn't find {', '.join(missing)} healthy"
                raise LocalError(message, f"Look into {self.log(missing[0])}")
            time.sleep(0.2)

    def _log_end(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a part's log."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 20_000))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _status(self, kept: State, name: str) -> PartStatus:
        """Return how a part is."""
        started = kept.processes.get(name)
        port = PARTS[name].ports[0]
        address = self.site.address(port) if port in kept.ports else ""
        if started is None:
            return PartStatus(name, "stopped", address, None, None, "")
        if not supervisor.alive(started):
            return PartStatus(name, "died", address, None, None, f"see {self.log(name)}")
        reason = PARTS[name].ready(self.site, fresh=False)
        word = "ready" if reason is None else "not ready"
        return PartStatus(name, word, address, started.pid, supervisor.memory_mib(started), reason or "")


def _known(names: Iterable[str]) -> tuple[str, ...]:
    """Return parts in the order they are started in. Raises LocalError for one that doesn't exist."""
    wanted = set(names)
    if unknown := wanted - set(PARTS):
        message = f"there is no part {', '.join(sorted(unknown))}"
        raise LocalError(message, f"The parts are {', '.join(PARTS)}")
    return tuple(name for name in PARTS if name in wanted)
