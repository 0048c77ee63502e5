# SPDX-License-Identifier: Apache-2.0
"""Limits on the command line: the option `--limit`, and how those in force are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pinakes.cli._session import usage
from pinakes.client import _limits
from pinakes.v1.limits_pb2 import LimitsInForce

LimitOption = Annotated[
    list[str],
    typer.Option(
        "--limit", metavar="NAME=VALUE",
        help=f"A limit; 0 is the platform's default. Names: {', '.join(_limits.TENANT_NAMES)} (default, refuse, dry_run).",
    ),
]  # fmt: skip
KeyLimitOption = Annotated[
    list[str],
    typer.Option("--limit", metavar="NAME=VALUE", help=f"A limit of the key: {', '.join(_limits.KEY_NAMES)}."),
]


def read(given: Sequence[str], known: Sequence[str]) -> dict[str, float | str]:
    """Return limits by name."""
    found: dict[str, float | str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name not in known:
            raise usage(f"--limit {text}: not NAME=VALUE with a name of {', '.join(known)}")
        try:
            found[name] = value if name == "enforcement" else float(value.replace("_", ""))
        except ValueError:
            raise usage(f"--limit {text}: {value!r} isn't a number") from None
        if name == "enforcement" and value not in {"default", "refuse", "dry_run"}:
            raise usage(f"--limit {text}: enforcement is default, refuse or dry_run")
    return found


def shown(force: LimitsInForce) -> str:
    """Return the limits in force, a line each; those that there aren't are left out."""
    lines = [f"{field.name} {value:.15g}" for field, value in force.ListFields() if field.name != "dry_run"]
    return "\n".join([*lines, *(["dry run: these refuse nothing"] if force.dry_run else [])])
