# SPDX-License-Identifier: Apache-2.0
"""Checks the machine before anything is started: memory, disk, ports."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from pinakes.local.faults import LocalError
from pinakes.local.state import State, port_free
from pinakes.local.supervisor import listener

MEMORY_RESERVE_MIB = 300
DISK_MIB = 1500
MIB = 1 << 20
CGROUP = Path("/sys/fs/cgroup")


def available_mib(cgroup: Path = CGROUP) -> int:
    """Return the memory that can still be had: the machine's, or less where a container has its own limit."""
    free = int(psutil.virtual_memory().available)
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no limit, or not such a system
        return free // MIB
    return min(free, max(0, limit - used)) // MIB


def check_memory(needed_mib: int, available: int) -> None:
    """Raise LocalError when the memory isn't enough for what is to be started."""
    if available < needed_mib + MEMORY_RESERVE_MIB:
        message = f"the platform needs {needed_mib + MEMORY_RESERVE_MIB} MiB of memory, {available} MiB are available"
        raise LocalError(message, "Close other programs or use a larger machine")


def check_disk(folders: Iterable[Path]) -> None:
    """Raise LocalError when a folder's disk is nearly full."""
    for folder in folders:
        free = shutil.disk_usage(folder).free // MIB
        if free < DISK_MIB:
            message = f"{folder} has {free} MiB of free disk space, the platform needs {DISK_MIB} MiB"
            raise LocalError(message, "Free some, or choose other folders with PINAKES_HOME and XDG_CACHE_HOME")


PORT_SECONDS = 2.0


def check_ports(state: State, names: Iterable[str]) -> None:
    """Raise LocalError when a port that was chosen earlier has been taken by another program."""
    for name in names:
        port = state.ports[name]
        # A process that was just killed may hold its port for a moment longer.
        until = time.monotonic() + PORT_SECONDS
        while not (free := port_free(port)) and time.monotonic() < until:
            time.sleep(0.1)
        if not free:
            message = f"port {port} ({name}) is taken by {listener(port)}"
            raise LocalError(message, "Stop that program, or let `pinakes local up --new-ports` choose another port")
