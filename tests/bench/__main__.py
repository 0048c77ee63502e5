# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench [search|links|compile|identity|write|million|memory|attributes|isolation|tenants] [--quick]`: measures, prints, writes `.bench/report.json`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import attributes
from tests.bench.report import CONSOLE, Value, at_most, write

PARTS = ("attributes", "compile", "identity", "memory", "links", "search", "write", "isolation", "million", "tenants")
ON_ONE = {"memory", "links", "search", "write", "isolation", "million"}
"""Parts that are measured on one platform."""
REPORT = Path(".bench/report.json")
IDLE_SECONDS = 3.0


def main() -> int:
    """Run the parts that were asked for; the exit code tells whether everything could be measured, not whether it was fast."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "only", nargs="*", help=f"parts to run, of {', '.join(PARTS)}; all by default, or those in ONLY"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short run, to see that it works; its numbers say little"
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of queries and samples")
    chosen = parser.parse_args()
    only = parts_of(chosen.only or [os.environ.get("ONLY", "")]) or list(PARTS)
    if unknown := set(only) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    CONSOLE.print(
        f"seed {chosen.seed}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}{', quick' if chosen.quick else ''}"
    )
    values: list[Value] = []
    if "attributes" in only:
        values += attributes.run(quick=chosen.quick, seed=chosen.seed)
    if "compile" in only:
        from tests.bench import compiling  # as below

        values += compiling.run(quick=chosen.quick, seed=chosen.seed)
    if "identity" in only:
        from tests.bench import identity  # as below

        values += identity.run(quick=chosen.quick)
    if ON_ONE & set(only):
        values += _on_platform(only, quick=chosen.quick, seed=chosen.seed)
    if "tenants" in only:
        from tests.bench import tenants  # as below

        values += tenants.run(quick=chosen.quick, seed=chosen.seed)
    write(values, REPORT)
    return 0


def parts_of(given: Sequence[str]) -> list[str]:
    """Return the parts that are asked for, separated by commas or spaces."""
    return [part for words in given for part in words.replace(",", " ").split()]


def _on_platform(only: list[str], *, quick: bool, seed: int) -> list[Value]:
    """Run the parts that need the platform; memory first, while the servers are idle."""
    # Imported late: `ONLY=attributes` needs neither the platform nor the extras it comes with.
    from tests.bench import faceting, growing, isolation, links, searching, writing
    from tests.bench.place import SERVERS, place, resident_mib

    values: list[Value] = []
    with place() as here:
        if "memory" in only:
            time.sleep(IDLE_SECONDS)
            values += [
                at_most(f"memory.idle_mib.{name}", resident_mib(here.pids[name]), "MiB", 120) for name in SERVERS
            ]
        if "links" in only:
            values += links.run(here, quick=quick)
        if "search" in only:
            values += searching.run(here, quick=quick, seed=seed)
        if "write" in only:
            values += writing.run(here, quick=quick, seed=seed)
        if "isolation" in only:
            values += isolation.run(here, quick=quick, seed=seed)
        if "million" in only:
            # Last: whatever is measured after it has a million documents beside it.
            faceting.declare(here)
            values += growing.run(here, quick=quick)
            values += faceting.run(here)
    return values


if __name__ == "__main__":
    raise SystemExit(main())
