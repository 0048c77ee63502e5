# SPDX-License-Identifier: Apache-2.0
"""`pinakes local`: the platform on this machine, for people and for scripts."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from pinakes.local.faults import LocalError
from pinakes.local.platform import OPTIONAL, PARTS, Platform

app = typer.Typer(help="Run the whole platform on this machine.", no_args_is_help=True)
CLIENT_VARIABLES = frozenset(
    {"PINAKES_HOME", "PINAKES_ENDPOINT", "PINAKES_API_KEY", "PINAKES_PROFILE", "PINAKES_MAVEN_REPOSITORY"}
)
FAILED = 1


class Screen:
    """Progress on standard error: a bar for downloads on a terminal, lines elsewhere."""

    def __init__(self) -> None:
        """Start with nothing on the screen."""
        self.console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told = 0

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def download(self, done: int, total: int) -> None:
        """Move the bar; elsewhere than on a terminal, print a line for each quarter."""
        if not self.console.is_terminal:
            quarter = 4 * done // max(1, total)
            if quarter > self._told:
                self._told = quarter
                self.say(f"  {done >> 20} of {total >> 20} MiB")
            return
        if self._bar is None:
            columns = (TextColumn("  "), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._task = self._bar.add_task("download", total=total)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=done)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Take the bar from the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


@contextmanager
def _platform(profile: Literal["small", "bench"] = "small") -> Iterator[Platform]:
    """Give the platform of the environment; turn what goes wrong into one clear message and an exit code."""
    screen = Screen()
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PINAKES_") and name not in CLIENT_VARIABLES
    }
    try:
        yield Platform(profile=profile, settings=settings, report=screen)
    except LocalError as error:
        screen.close()
        screen.console.print(f"pinakes local: {error.message}", style="red", markup=False, soft_wrap=True)
        if error.hint:
            screen.console.print(error.hint, markup=False, soft_wrap=True)
        raise typer.Exit(FAILED) from None
    finally:
        screen.close()


@app.command()
def up(
    *,
    profile: Annotated[str, typer.Option(help="`small`, or `bench` for a larger engine.")] = "small",
    new_ports: Annotated[bool, typer.Option("--new-ports", help="Choose other ports for taken ones.")] = False,
    extra: Annotated[
        list[str] | None,
        typer.Option(
            "--with", help=f"Start this too, until `down`: {', '.join(OPTIONAL)} (object storage).", metavar="PART"
        ),
    ] = None,
) -> None:
    """Start what doesn't run and wait until all of it serves. Safe to run again."""
    if profile not in {"small", "bench"}:
        message = "it is `small` or `bench`"
        raise typer.BadParameter(message, param_hint="--profile")
    began = time.monotonic()
    with _platform("bench" if profile == "bench" else "small") as platform:
        platform.add(*(extra or ()))
        platform.up(new_ports=new_ports)
        platform.report.say(f"The platform is up after {time.monotonic() - began:.1f} s: {platform.endpoint}")
        platform.report.say('For other commands: eval "$(pinakes local env)"')


@app.command()
def down() -> None:
    """Stop what was started, and nothing else. Data stays."""
    with _platform() as platform:
        platform.down()


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Show how each part is. Ends with 1 when one isn't ready."""
    with _platform() as platform:
        rows = platform.status()
    if as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    else:
        table = Table("part", "state", "address", "process", "MiB", "")
        for row in rows:
            memory, pid = str(row.memory_mib or ""), str(row.pid or "")
            table.add_row(row.name, row.state, row.address, pid, memory, row.detail)
        Console().print(table)
    if any(row.state != "ready" for row in rows):
        raise typer.Exit(FAILED)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(PARTS)}; all when left out.")] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 50,
) -> None:
    """Print the logs of one part or of all."""
    with _platform() as platform:
        if name and name not in PARTS:
            message = f"there is no part {name}"
            raise LocalError(message, f"The parts are {', '.join(PARTS)}")
        paths = {part: platform.log(part) for part in ([name] if name else PARTS)}
        read = {part: _tail(path, lines, "" if name else part) for part, path in paths.items()}
        while follow:
            try:
                time.sleep(0.3)
            except KeyboardInterrupt:
                return
            for part, path in paths.items():
                read[part] = _rest(path, read[part], "" if name else part)


@app.command()
def reset(*, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Stop everything and delete all data, keys and ports of the local platform. Downloads are kept."""
    with _platform() as platform:
        if not yes:
            typer.confirm(f"Delete all data in {platform.home}?", abort=True)
        platform.reset()


@app.command()
def env() -> None:
    """Print the variables that other commands need: endpoint and the first administrator's key."""
    with _platform() as platform:
        values = {"PINAKES_ENDPOINT": platform.endpoint, "PINAKES_API_KEY": platform.admin_key}
    for variable, value in values.items():
        sys.stdout.write(f"export {variable}={shlex.quote(value)}\n")


def _tail(path: Path, lines: int, part: str) -> int:
    """Print the last lines of a log; return how far it was read, in bytes."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    _print(content.splitlines()[-lines:] if lines else [], part)
    return len(content)


def _rest(path: Path, read: int, part: str) -> int:
    """Print whole lines that came since; return how far it was read, in bytes."""
    if not path.is_file():
        return 0
    size = path.stat().st_size
    if size == read:
        return read
    with path.open("rb") as file:
        start = read if size > read else 0  # a shorter file is a new one
        file.seek(start)
        whole = file.read().rpartition(b"\n")[0]
    _print(whole.splitlines(), part)
    return start + len(whole) + 1 if whole else start


def _print(lines: list[bytes], part: str) -> None:
    """Print lines, each with the name of its part when there are several."""
    prefix = f"{part:12} " if part else ""
    for line in lines:
        sys.stdout.write(f"{prefix}{line.decode('utf-8', 'replace')}\n")
    sys.stdout.flush()
