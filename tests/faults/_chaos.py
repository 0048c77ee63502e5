# SPDX-License-Identifier: Apache-2.0
"""Faults at random: parts of a platform are killed, paused and restarted while others use it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pinakes.local import Platform
from pinakes.local.servers import import_roots

PARTS = ("worker", "index", "redis-queue", "opensearch", "envoy")
KINDS = ("kill", "pause", "restart")
SLOW = frozenset({"opensearch"})
"""Parts that take seconds to come back: fewer of their faults fit into a run."""


@dataclass(slots=True)
class Chaos:
    """A seeded plan of faults and what has been done of it."""

    platform: Platform
    dice: random.Random
    faults: int
    """How many; the first ones are one of each kind and each part."""
    pause_seconds: float
    """The longest pause."""
    done: Counter[str] = field(default_factory=Counter)

    def plan(self) -> list[tuple[str, str]]:
        """Return the faults in their order: every part and every kind is among them as early as can be."""
        parts, kinds = list(PARTS), list(KINDS)
        self.dice.shuffle(parts)
        self.dice.shuffle(kinds)
        planned = [(kinds[number % len(kinds)], part) for number, part in enumerate(parts)]
        weights = [1 if part in SLOW else 3 for part in PARTS]
        while len(planned) < self.faults:
            planned.append((self.dice.choice(KINDS), self.dice.choices(PARTS, weights)[0]))
        return planned[: self.faults]

    async def run(self) -> None:
        """Inject the faults one after the other, with pauses of other parts in between."""
        for kind, part in self.plan():
            await asyncio.sleep(self.dice.uniform(0.2, 2.0))
            other = self.dice.choice([name for name in PARTS if name != part])
            if kind != "pause" and self.dice.random() < 0.4:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pause(other))
                    group.create_task(self._inject(kind, part))
            else:
                await self._inject(kind, part)

    async def _inject(self, kind: str, part: str) -> None:
        if kind == "pause":
            await self._pause(part)
            return
        self.done[f"{kind} {part}"] += 1
        began = time.monotonic()
        await asyncio.to_thread(operate, self.platform, "kill" if kind == "kill" else "stop", part)
        await asyncio.sleep(self.dice.choice([0.0, 0.3, 2.0]))
        await asyncio.to_thread(operate, self.platform, "start", part)
        print(f"{kind} {part}: {time.monotonic() - began:.1f} s")

    async def _pause(self, part: str) -> None:
        """Stop a process for a while where it is: it keeps its sockets and answers nothing."""
        with paused(self.platform, part):
            self.done[f"pause {part}"] += 1
            seconds = self.dice.uniform(0.5, self.pause_seconds)
            await asyncio.sleep(seconds)
            print(f"pause {part}: {seconds:.1f} s")


def operate(platform: Platform, verb: str, *parts: str) -> None:
    """Do something to a platform: `up`, `start`, `stop` or `kill`.

    Another process does it: one that forks while gRPC is at work in it may die before it becomes what it should be.
    """
    script = (
        "import pathlib, sys; from pinakes.local import Platform;"
        "platform = Platform(pathlib.Path(sys.argv[1]), random_ports=True); verb, parts = sys.argv[2], sys.argv[3:];"
        "platform.stop(*parts, kill=True) if verb == 'kill' else getattr(platform, verb)(*parts)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(platform.home), verb, *parts], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(import_roots())},
    )  # fmt: skip
    assert done.returncode == 0, f"{verb} {' '.join(parts)}: {done.stderr[-3000:]}"
    platform.status()  # reads which processes there are now


@contextmanager
def paused(platform: Platform, part: str) -> Iterator[None]:
    """Keep the process of a part from running."""
    pid = platform.state.processes[part].pid
    _signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
