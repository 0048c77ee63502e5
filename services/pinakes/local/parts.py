# SPDX-License-Identifier: Apache-2.0
"""What a part of the platform is: how it is started, and how one knows that it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pinakes.local.places import Places
from pinakes.local.state import State

HOST = "127.0.0.1"
Profile = Literal["small", "bench"]


@dataclass(frozen=True, slots=True)
class Site:
    """All that parts need to know of their platform."""

    places: Places
    state: State
    profile: Profile = "small"
    settings: Mapping[str, str] = field(default_factory=dict)
    """`PINAKES_*` variables that the servers get besides those the platform sets."""

    parts: tuple[str, ...] = ()
    """The parts that this platform is meant to have."""

    def address(self, port: str) -> str:
        """Return host:port of a named port."""
        return f"{HOST}:{self.state.ports[port]}"


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start. `user` and `group` are ids, None for our own."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: int | None = None
    group: int | None = None
    config: str = ""
    """Configuration the process reads at its start; a change of it means a restart."""


class Part(Protocol):
    """One process of the platform."""

    @property
    def name(self) -> str:
        """Return the name, as in `pinakes local logs NAME`."""

    @property
    def ports(self) -> tuple[str, ...]:
        """Return the names of the ports it listens on."""

    @property
    def ready_seconds(self) -> float:
        """Return how long it may take to get ready."""

    @property
    def stop_seconds(self) -> float:
        """Return how long it may take to end before it is killed."""

    def memory_mib(self, site: Site) -> int:
        """Return the memory it needs, in MiB."""

    def launch(self, site: Site) -> Launch:
        """Write its configuration and say how to start it. Raises LocalError when something is missing."""

    def ready(self, site: Site, *, fresh: bool) -> str | None:
        """Return None when it serves, else why not. `fresh` asks for the thorough check of a new process."""
