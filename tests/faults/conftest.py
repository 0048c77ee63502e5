# SPDX-License-Identifier: Apache-2.0
"""A platform of the fault tests' own: what they do to it must not meet other tests."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pinakes.core.engine.client import Engine
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.local import Platform
from tests.faults._chaos import operate
from tests.integration._engine import Direct

LONG = os.environ.get("PINAKES_FAULTS") == "long"


def seeds() -> list[int]:
    """Return the seeds to run: `PINAKES_SEED`, else the clock, and in the long form `SEEDS` of them."""
    first = int(os.environ.get("PINAKES_SEED") or time.time())
    return [first + number for number in range(int(os.environ.get("SEEDS") or 1) if LONG else 1)]


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Give what prints a line also while output is captured: a seed is of use only to those who see it."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(text, flush=True)

    return say


@pytest.fixture(scope="session")
def breakable() -> Iterator[Platform]:
    """Give a whole platform that may be broken; whoever breaks it mends it."""
    home = Path(tempfile.mkdtemp(prefix="pinakes-faults-"))
    platform = Platform(home, random_ports=True)
    try:
        operate(platform, "up")
        yield platform
    finally:
        platform.reset()
        shutil.rmtree(home)


@pytest.fixture
async def inside(breakable: Platform) -> AsyncIterator[Direct]:
    """Give the core on that platform's engine, to see what really is there."""
    settings = Settings(opensearch_urls=[breakable.opensearch_url], secret_key=SecretStr(breakable.state.secret_key))
    engine = Engine(settings)
    yield Direct(engine, Directory(engine, settings.identity_hold_seconds))
    await engine.close()
