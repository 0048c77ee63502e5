# SPDX-License-Identifier: Apache-2.0
"""What a bench run says: values with their targets, printed as a table and written to `.bench/report.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

CONSOLE = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Value:
    """One measured value. `target` is `<= 0.7`, `>= 1.5`, or empty for what is only told; `ok` says whether it holds."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool


def at_most(name: str, value: float, unit: str, bound: float) -> Value:
    """Make a value that must not be over its bound."""
    return Value(name, round(value, 4), unit, f"<= {bound:g}", ok=value <= bound)


def at_least(name: str, value: float, unit: str, bound: float) -> Value:
    """Make a value that must not be under its bound."""
    return Value(name, round(value, 4), unit, f">= {bound:g}", ok=value >= bound)


def told(name: str, value: float, unit: str) -> Value:
    """Make a value without a target."""
    return Value(name, round(value, 4), unit, "", ok=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is words and whose others are numbers."""
    printed = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        printed.add_column(column, justify="right" if number else "left")
    for row in rows:
        printed.add_row(*row)
    CONSOLE.print(printed)


def write(values: Sequence[Value], path: Path) -> None:
    """Print the values against their targets and write them as a JSON list."""
    table(
        "Report",
        ["value", "measured", "target", ""],
        [
            [v.name, f"{v.value:.3g} {v.unit}".strip(), v.target, ("ok" if v.ok else "MISSED") if v.target else "told"]
            for v in values
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([asdict(value) for value in values], indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
