# SPDX-License-Identifier: Apache-2.0
"""Starts and ends processes, and finds those that an earlier, killed command left behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from pinakes.local.faults import LocalError
from pinakes.local.parts import Launch
from pinakes.local.state import Started

HOME_MARK = "PINAKES_LOCAL_HOME_MARK"
PART_MARK = "PINAKES_LOCAL_PART_MARK"
"""Every process carries whose it is in its environment, so nothing is lost when the state file is late or gone."""

CREATE_TOLERANCE = 0.05
"""Seconds; the create time of a process is a fixed number of clock ticks, printed as a float."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Processes started by this very process, which has to reap them."""


_BECOME = """
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
os.execvp(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Which part of which platform a process belongs to."""

    home: Path
    part: str


def _as_user(launch: Launch) -> list[str]:
    """Return the command line that becomes the launch's user first.

    Popen could do that too, but only by a real fork, which kills the child of a process in which gRPC is at work.
    """
    if launch.user is None:
        return list(launch.argv)
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(launch.user), str(launch.group), *launch.argv]


def fingerprint(launch: Launch) -> str:
    """Return a digest of everything that a running process would have to be restarted for."""
    content = json.dumps([launch.argv, sorted(launch.env.items()), launch.config])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def start(owner: Owner, launch: Launch, log: Path) -> Started:
    """Start a process in a session of its own, its output appended to a log. Raises LocalError when it can't be."""
    log.parent.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PINAKES_")}
    env = {**inherited, **launch.env}
    if "PYTHONPATH" in launch.env and "PYTHONPATH" in inherited:
        env["PYTHONPATH"] = os.pathsep.join((launch.env["PYTHONPATH"], inherited["PYTHONPATH"]))
    marks = {HOME_MARK: str(owner.home), PART_MARK: owner.part}
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(  # commands of our own
                _as_user(launch),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**env, **marks},
                cwd=launch.cwd or owner.home,
                start_new_session=True,
            )
    except OSError as error:
        message = f"{owner.part} can't be started: {error}"
        raise LocalError(message) from error
    _children[process.pid] = process
    try:
        created = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:
        created = 0.0
    return Started(pid=process.pid, created=created, fingerprint=fingerprint(launch))


def alive(started: Started | None) -> bool:
    """Tell whether a process runs and is the one that was started."""
    return started is not None and _process(started) is not None


def leftovers(owner: Owner, besides: Started | None = None) -> list[psutil.Process]:
    """Return processes that carry the owner's marks, those of `besides` and its session left out."""
    found = []
    for process in _marked(owner):
        try:
            own_session = besides is not None and os.getsid(process.pid) == besides.pid
        except OSError:
            continue
        if not own_session:
            found.append(process)
    return found


def stop(owner: Owner, started: Started | None, seconds: float) -> None:
    """End a process: ask it, wait so long, kill it and whatever else carries its marks."""
    process = _process(started) if started else None
    targets = [process] if process else [left for left in leftovers(owner) if _leads(left)]
    for target in targets:
        _signal(target, signal.SIGTERM)
    _wait(targets, seconds)
    rest = [*(target for target in targets if _runs(target)), *leftovers(owner)]
    for target in rest:
        _signal(target, signal.SIGKILL)
    _wait(rest, 10.0)
    if any(_runs(target) for target in rest):
        message = f"{owner.part} doesn't end, not even when killed"
        raise LocalError(message, f"Look at process {rest[0].pid}")
    for target in (*targets, *rest):
        _reap(target.pid)


def _reap(pid: int) -> None:
    """Take leave of a child. It counts as a zombie when its first thread has ended; only after the last it can be reaped."""
    if child := _children.pop(pid, None):
        with suppress(subprocess.TimeoutExpired):
            child.wait(10.0)


def kill(started: Started) -> None:
    """Kill a process without asking it, as a crash would."""
    if process := _process(started):
        _signal(process, signal.SIGKILL)


def memory_mib(started: Started) -> int | None:
    """Return the resident memory of a process, None when it is gone."""
    try:
        process = _process(started)
        return int(process.memory_info().rss) >> 20 if process else None
    except psutil.Error:
        return None


def listener(port: int) -> str:
    """Describe who listens on a port, as far as we may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            try:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
            except (psutil.Error, TypeError, ValueError):
                break
    return "another program"


def _process(started: Started) -> psutil.Process | None:
    """Return the process if it runs and is the one that was started."""
    if child := _children.get(started.pid):
        child.poll()
    try:
        process = psutil.Process(started.pid)
        same = abs(process.create_time() - started.created) < CREATE_TOLERANCE
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None


def _marked(owner: Owner) -> Iterator[psutil.Process]:
    """Return every process that carries an owner's marks. What we may not read isn't ours."""
    for process in psutil.process_iter():
        try:
            env = process.environ()
            if env.get(HOME_MARK) == str(owner.home) and env.get(PART_MARK) == owner.part and _runs(process):
                yield process
        except (psutil.Error, OSError):
            continue


def _leads(process: psutil.Process) -> bool:
    """Tell whether a process leads its session, as those that we start do."""
    try:
        return os.getsid(process.pid) == process.pid
    except OSError:
        return False


def _runs(process: psutil.Process) -> bool:
    """Tell whether a process still runs; reap it if it is a child that doesn't."""
    if child := _children.get(process.pid):
        child.poll()
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    """Send a signal unless the process is gone. psutil makes sure that the id wasn't given to another."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until none of them runs, or so long."""
    until = time.monotonic() + seconds
    while any(_runs(process) for process in processes) and time.monotonic() < until:
        time.sleep(0.05)
