# SPDX-License-Identifier: Apache-2.0
"""Follows a change of peppers: puts hashes that the servers have made with the newest one into the records of their keys."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import Fault
from pinakes.core.identity.peppers import Peppers
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.platform import Platform

SECONDS = 30.0
_log = logger("pinakes.tenant")


async def renew_hashes(platform: Platform, stop: asyncio.Event) -> None:
    """Look for new hashes every half a minute until the server ends."""
    if not await platform.prepared_or(stop):
        return
    newest = Peppers(platform.settings).newest
    while not stop.is_set():
        try:
            if taken := await platform.key_uses.take_over(newest):
                _log.info("hashes of keys renewed", keys=taken)
        except (Fault, EngineRefusal, TimeoutError) as error:
            _log.warning("hashes of keys can't be renewed", error=error)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await stop.wait()
