# SPDX-License-Identifier: Apache-2.0
"""`make mutate`: takes one check, filter, part or row out at a time, and expects a test to notice each time.

In copies of the tree, so that the tree itself is never touched. All mutants meet the quick tests of their target first;
those that pass meet the slow ones, on one platform whose servers are started anew with each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mutate.edits import Mutant
from tests.mutate.running import ROOT, Fork, Result, changed, copy_tree, load_libraries, run_slow
from tests.mutate.targets import SLOW, Target, mutants

SERVERS = ("search", "index", "tenant", "worker")
QUICK_SECONDS, SLOW_SECONDS = 45, 1800
Found = tuple[Target, Mutant]


def quick(found: Sequence[Found], trees: Sequence[Path]) -> Iterator[tuple[Mutant, Result]]:
    """Yield each mutant with what the quick tests of its target came to, as they end, one at a time in each tree."""
    free, waiting = list(trees), list(reversed(found))
    under_way: dict[int, tuple[Fork, Mutant, Path, Any]] = {}
    while waiting or under_way:
        while waiting and free:
            target, mutant = waiting.pop()
            tree = free.pop()
            change = changed(tree, mutant)
            change.__enter__()
            fork = Fork.start(tree, target.quick, QUICK_SECONDS)
            under_way[fork.pid] = (fork, mutant, tree, change)
        pid, status = os.wait()
        fork, mutant, tree, change = under_way.pop(pid)
        change.__exit__(None, None, None)
        free.append(tree)
        yield mutant, fork.ended(status)


def without_mutant(found: Sequence[Found], tree: Path) -> None:
    """Stop here if tests fail without any mutant, because then they say nothing."""
    for tests in dict.fromkeys(target.quick for target, _ in found):
        fork = Fork.start(tree, tests, QUICK_SECONDS)
        result = fork.ended(os.waitpid(fork.pid, 0)[1])
        if result.noticed:
            sys.exit(f"{' '.join(tests)} fail without a mutant: {result.by}")


@contextmanager
def platform(home: Path, tree: Path) -> Iterator[Any]:
    """Give the platform of the slow tests: its stores stay up, its servers come and go."""
    from pinakes.local import Platform  # not before the forks, or they would have our modules and not the mutant's

    made = Platform(home, parts=(), random_ports=True)
    try:
        result = run_slow(tree, SLOW, SLOW_SECONDS, home)
        if result.noticed:
            sys.exit(f"the slow tests fail without a mutant: {result.by}")
        yield made
    finally:
        made.reset()


def slow(found: Sequence[Mutant], tree: Path, home: Path) -> Iterator[tuple[Mutant, Result]]:
    """Yield each mutant with what the slow tests came to; servers that don't start notice it, too."""
    with platform(home, tree) as made:
        for mutant in found:
            made.stop(*SERVERS)
            with changed(tree, mutant):
                yield mutant, run_slow(tree, SLOW, SLOW_SECONDS, home)


def main() -> int:
    """Run the check; the exit code is 1 if a mutant survives."""
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="only mutants whose line or target has one of these in it"
    )
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--quick", action="store_true", help="only quick tests: what they don't notice survives")
    parser.add_argument("--jobs", type=int, default=2, help="quick runs at a time")
    given = parser.parse_args()
    found = list(mutants(ROOT, given.only))
    if given.list:
        print("\n".join(f"{target.name}: {mutant}" for target, mutant in found))
        return 0
    began, passed = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="pinakes-mutate-") as folder:
        trees = [copy_tree(Path(folder) / f"tree-{number}") for number in range(given.jobs)]
        load_libraries()
        without_mutant(found, trees[0])
        for mutant, result in quick(found, trees):
            tell(mutant, result, "passed  ")
            if not result.noticed:
                passed.append(mutant)
        survivors = passed
        if passed and not given.quick:
            survivors = []
            for mutant, result in slow(passed, trees[0], Path(folder) / "home"):
                tell(mutant, result, "SURVIVED")
                if not result.noticed:
                    survivors.append(mutant)
    for mutant in survivors:
        print(f"survived: {mutant}")
    killed, seconds = len(found) - len(survivors), time.monotonic() - began
    print(f"mutation check: {len(found)} mutants, {killed} killed, {len(survivors)} survived, {seconds:.0f} s")
    return 1 if survivors else 0


def tell(mutant: Mutant, result: Result, otherwise: str) -> None:
    """Print what became of a mutant."""
    print(f"{'killed  ' if result.noticed else otherwise} {mutant}  [{result.by}]", flush=True)


if __name__ == "__main__":
    sys.exit(main())
