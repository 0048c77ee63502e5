# SPDX-License-Identifier: Apache-2.0
"""What a server stands on: the engine, the directory, identity, limits, the cache and the revision clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from pinakes.core.cache.responses import ResponseCache
from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.revisions import RevisionSource
from pinakes.core.engine.setup import prepare
from pinakes.core.faults import Fault
from pinakes.core.identity.authenticator import Authenticator
from pinakes.core.limits.rate import TenantLimiter
from pinakes.core.rpc.paging import PageTokens
from pinakes.core.settings import Settings
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.etags import Etags

_log = logger("pinakes.platform")


@dataclass(slots=True)
class Platform:
    """The parts that the services share. One per process."""

    settings: Settings
    engine: Engine
    directory: Directory
    authenticator: Authenticator
    limiter: TenantLimiter
    cache: ResponseCache
    revisions: RevisionSource
    etags: Etags
    page_tokens: PageTokens
    prepared: asyncio.Event = field(default_factory=asyncio.Event)
    _preparing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: Settings) -> Platform:
        """Open everything. Doesn't wait for the stores: health tells when they are there."""
        secret = settings.secret_key.get_secret_value().encode()
        engine = Engine(settings)
        directory = Directory(engine, settings.identity_hold_seconds)
        platform = cls(
            settings=settings,
            engine=engine,
            directory=directory,
            authenticator=Authenticator(settings, directory),
            limiter=TenantLimiter.open(settings.cache_url, settings.rate_limit),
            cache=ResponseCache.open(settings.cache_url, settings.cache_seconds),
            revisions=RevisionSource(engine, settings.max_clock_skew_seconds),
            etags=Etags(secret),
            page_tokens=PageTokens(secret),
        )
        platform._preparing = asyncio.create_task(platform._prepare(), name="prepare")
        return platform

    async def ready(self) -> bool:
        """Tell whether the service can do its work: the engine is prepared and answers. Redis isn't needed for that."""
        return self.prepared.is_set() and await self.engine.ready()

    async def close(self) -> None:
        """Close everything."""
        if self._preparing:
            self._preparing.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparing
        await self.directory.close()
        await self.revisions.close()
        await self.authenticator.close()
        await self.limiter.close()
        await self.cache.close()
        await self.engine.close()

    async def _prepare(self) -> None:
        """Prepare the engine as soon as it answers, then begin to follow it."""
        while True:
            try:
                await prepare(self.engine, self.settings)
            except (Fault, EngineRefusal) as error:
                _log.info("waiting for the engine", error=str(error))
                await asyncio.sleep(1)
            else:
                break
        self.directory.start()
        self.prepared.set()
