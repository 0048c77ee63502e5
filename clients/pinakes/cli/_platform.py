# SPDX-License-Identifier: Apache-2.0
"""`pinakes serve`, `demo` and `local`: parts that come with extras, loaded only when they are asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pinakes.cli._failures import Failure

SERVERS = ("search", "index", "tenant", "worker")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command("serve", rich_help_panel="Platform")(serve)
    app.command("demo", context_settings=_PASS_ON, rich_help_panel="Platform")(demo)
    app.command("local", context_settings=_PASS_ON, rich_help_panel="Platform")(local)


def serve(name: Annotated[str, typer.Argument(help="search, index, tenant or worker.", metavar="NAME")]) -> None:
    """Run one server in the foreground; its settings are the variables PINAKES_*."""
    if name not in SERVERS:
        raise Failure("USAGE", f"{name} is no server", f"one of {', '.join(SERVERS)}", 2)
    _entry(f"pinakes.{name}.__main__", "main", "server", f"pinakes.{name}")()


def demo(context: typer.Context) -> None:
    """Fill a local platform with this machine's Python documentation, and search it."""
    _run(_entry("pinakes.demo", "main", "local", "pinakes.demo"), "pinakes demo", context.args)


def local(context: typer.Context) -> None:
    """Run the whole platform on this machine: up, down, status, logs, reset."""
    _run(_entry("pinakes.local.cli", "app", "local", "pinakes.local"), "pinakes local", context.args)


def _entry(module: str, attribute: str, extra: str, part: str) -> Callable[..., Any]:
    """Load a part of the platform; raises Failure that names the extra it comes with."""
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        raise Failure(
            "NOT_INSTALLED",
            f"{part} needs {missing}, which isn't installed here",
            f"pip install 'pinakes[{extra}]'",
        ) from error
    return found


def _run(entry: Callable[..., Any], program: str, arguments: list[str]) -> None:
    """Run a part as if it were a command of its own: its arguments, its help, its exit code."""
    before, sys.argv = sys.argv, [program, *arguments]
    try:
        code = entry()
    finally:
        sys.argv = before
    if isinstance(code, int) and code:
        raise SystemExit(code)
