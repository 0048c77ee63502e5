# SPDX-License-Identifier: Apache-2.0
"""What a platform remembers between two commands: ports, secrets and the processes it started."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pinakes.local.faults import LocalError

DEFAULT_PORTS = {
    "envoy": 7300,
    "search": 7301,
    "index": 7302,
    "tenant": 7303,
    "worker": 7304,
    "s3": 7305,
    "search-metrics": 9464,
    "index-metrics": 9465,
    "tenant-metrics": 9466,
    "worker-metrics": 9467,
    "opensearch": 9200,
    "opensearch-transport": 9300,
    "redis-cache": 6379,
    "redis-queue": 6380,
    "envoy-admin": 9901,
}
RANDOM_PORTS = range(20000, 32000)
"""Below what Linux gives to outgoing connections."""

LOCK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Started:
    """A process that the platform started. The create time tells it from a later one with the same id."""

    pid: int
    created: float
    fingerprint: str
    """Digest of command, environment and configuration: another one means it must be restarted."""


@dataclass(slots=True)
class State:
    """Ports, secrets and processes of one platform."""

    ports: dict[str, int] = field(default_factory=dict)
    secret_key: str = ""
    bootstrap_admin_key: str = ""
    processes: dict[str, Started] = field(default_factory=dict)


def load(path: Path) -> State:
    """Read the state; a platform that was never up has an empty one. Raises LocalError when it can't be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        processes = {name: Started(**values) for name, values in content.pop("processes").items()}
        return State(processes=processes, **content)
    except FileNotFoundError:
        return State()
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} is damaged"
        raise LocalError(message, "`pinakes local reset` starts over with an empty platform") from error


def save(path: Path, state: State) -> None:
    """Write the state whole or not at all, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def complete(state: State, *, random_ports: bool) -> None:
    """Generate the secrets and choose the ports that are missing: the default ones, or free ones when taken."""
    state.secret_key = state.secret_key or secrets.token_urlsafe(48)
    if not state.bootstrap_admin_key:
        random_part = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        state.bootstrap_admin_key = f"pk_bootstrap_{random_part}"
    for name, default in DEFAULT_PORTS.items():
        if name not in state.ports:
            wanted = [] if random_ports else [default]
            state.ports[name] = _choose(wanted, taken=set(state.ports.values()))


def port_free(port: int) -> bool:
    """Tell whether a port of this machine can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the platform's lock; wait up to 300 s for another command. It falls with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + LOCK_SECONDS
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    say("another `pinakes local` is at work on this platform; waiting for it")
                    waiting = True
                if time.monotonic() > until:
                    message = "another `pinakes local` has been at work on this platform for five minutes"
                    raise LocalError(message, "Stop it and try again") from None
                time.sleep(0.2)
        yield
    finally:
        os.close(handle)


def _choose(wanted: list[int], taken: set[int]) -> int:
    """Return the first port that is free. Raises LocalError when none is."""
    for port in [*wanted, *random.sample(RANDOM_PORTS, 200)]:
        if port not in taken and port_free(port):
            return port
    message = "no free port was found"
    raise LocalError(message)
