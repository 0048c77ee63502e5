# SPDX-License-Identifier: Apache-2.0
"""The real platform for tests: one for the whole session (of each process that runs tests), in a folder and on ports of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from pinakes.local import USUAL, Platform

_TOLD = pytest.StashKey[list[str]]()
ENGINE_PARTS = ("opensearch", "redis-cache", "redis-queue")

PlatformWith = Callable[[tuple[str, ...]], Platform]


class _Lines:
    """Progress as lines that pytest shows when something fails."""

    def say(self, text: str) -> None:
        """Print it."""
        print(text)

    def download(self, done: int, total: int) -> None:
        """Print the end of it."""
        if done == total:
            print(f"downloaded {total >> 20} MiB")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests on Python's own loop, and those of transports on the servers' too: theirs differ."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("both_loops"):
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def platform_with() -> Iterator[PlatformWith]:
    """Give the session's platform with at least the parts that are asked for; parts are added as tests need them."""
    kept = os.environ.get("PINAKES_TEST_HOME")  # of a platform that outlives the run
    home = Path(kept or tempfile.mkdtemp(prefix="pinakes-test-"))
    platform = Platform(home, parts=(), random_ports=True, report=_Lines())

    def with_parts(parts: tuple[str, ...]) -> Platform:
        missing = set(parts) - set(platform.parts)
        if missing:
            platform.add(*missing)
            platform.up(new_ports=True)  # of parts that wait to be needed, another platform may have taken them by now
        return platform

    try:
        yield with_parts
    finally:
        if not kept:
            platform.reset()
            shutil.rmtree(home)


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what adds a line to the summary of the run, for figures that people want to see."""
    return request.config.stash.setdefault(_TOLD, []).append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process that runs a part of the tests, hand over what they told."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["told"] = session.config.stash.get(_TOLD, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what the tests of another process told."""
    told = getattr(node, "workeroutput", {}).get("told", [])
    node.config.stash.setdefault(_TOLD, []).extend(told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what tests told."""
    for line in config.stash.get(_TOLD, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def engine(platform_with: PlatformWith) -> Platform:
    """Give the platform with OpenSearch and both Redis instances only."""
    return platform_with(ENGINE_PARTS)


@pytest.fixture(scope="session")
def platform(platform_with: PlatformWith) -> Platform:
    """Give the platform with all its usual parts."""
    return platform_with(USUAL)
