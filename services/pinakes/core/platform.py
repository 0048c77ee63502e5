# SPDX-License-Identifier: Apache-2.0
"""What a server stands on: the engine, the directory, identity, limits, the cache and the revision clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from pinakes.core.audit.chain import Seal
from pinakes.core.audit.log import AuditLog
from pinakes.core.audit.spool import Spool
from pinakes.core.cache.responses import ResponseCache
from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.revisions import RevisionSource
from pinakes.core.engine.setup import prepare
from pinakes.core.faults import Fault
from pinakes.core.identity.authenticator import Authenticator
from pinakes.core.limits.limiter import Limiter
from pinakes.core.limits.quota import Quota
from pinakes.core.placement.newcomers import Newcomers
from pinakes.core.queue.producer import Producer
from pinakes.core.rpc.paging import PageTokens
from pinakes.core.settings import Settings
from pinakes.core.storage.objects import Storage
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.etags import Etags
from pinakes.core.tenancy.key_uses import KeyUses
from pinakes.core.tenancy.lease import PlacementLease, poll_seconds
from pinakes.core.usage.ledger import Usage
from pinakes.core.writing.failures import FailedWrites
from pinakes.core.writing.outcomes import Outcomes
from pinakes.core.writing.requests import Requests

_log = logger("pinakes.platform")


@dataclass(slots=True)
class Drain:
    """That the server ends: streams see it, tell their callers and finish within `seconds`."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: float = 0.0

    def begin(self, seconds: float) -> None:
        """Let streams know that they have so many seconds."""
        self.seconds = seconds
        self.begun.set()


@dataclass(slots=True)
class Platform:
    """The parts that the services share. One per process.

    `closing` is what a service has to do before the stores are closed, when its last call is over.
    """

    settings: Settings
    engine: Engine
    directory: Directory
    key_uses: KeyUses
    authenticator: Authenticator
    limiter: Limiter
    quota: Quota
    cache: ResponseCache
    revisions: RevisionSource
    etags: Etags
    queue: Producer
    requests: Requests
    outcomes: Outcomes
    failures: FailedWrites
    page_tokens: PageTokens
    storage: Storage
    usage: Usage
    newcomers: Newcomers
    seal: Seal
    audit: AuditLog
    prepared: asyncio.Event = field(default_factory=asyncio.Event)
    drain: Drain = field(default_factory=Drain)
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _preparing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, settings: Settings) -> Platform:
        """Open everything. Doesn't wait for the stores: health tells when they are there."""
        secret = settings.secret_key.get_secret_value().encode()
        engine = Engine(settings)
        lease = settings.placement_lease_seconds
        directory = Directory(engine, settings.identity_hold_seconds, poll_seconds(lease))
        engine.placements = PlacementLease(directory.tenants, lease)
        key_uses = KeyUses(engine, directory)
        revisions = RevisionSource(engine, settings.max_clock_skew_seconds)
        etags = Etags(secret)
        queue = Producer(settings)
        usage = Usage(engine, settings.usage_flush_seconds)
        engine.written = usage.wrote
        cache = ResponseCache.open(settings.cache_url, settings.cache_seconds)
        engine.searchable = cache.tell_searchable
        limiter = Limiter.open(settings)
        seal = Seal(settings.audit_key)
        audit = AuditLog(Spool(settings, engine, seal), seal)
        platform = cls(
            settings=settings,
            engine=engine,
            directory=directory,
            key_uses=key_uses,
            authenticator=Authenticator(settings, directory, key_uses),
            limiter=limiter,
            quota=Quota(usage, limiter.in_force),
            cache=cache,
            revisions=revisions,
            etags=etags,
            queue=queue,
            requests=Requests(engine, revisions, queue, settings.outcome_hours),
            outcomes=Outcomes(engine, etags, settings.outcome_hours),
            failures=FailedWrites(engine, settings.tombstone_days),
            page_tokens=PageTokens(secret),
            storage=Storage(settings),
            usage=usage,
            newcomers=Newcomers(engine, settings.placement_pool_tenants),
            seal=seal,
            audit=audit,
        )
        platform._preparing = asyncio.create_task(platform._prepare(), name="prepare")
        return platform

    async def ready(self, *, queues: bool = False) -> bool:
        """Tell whether the service can do its work: the engine is prepared and answers, or `queues` and the queue does.

        The cache isn't needed for that.
        """
        return self.prepared.is_set() and (await self.engine.ready() or (queues and await self.queue.ready()))

    async def prepared_or(self, stop: asyncio.Event) -> bool:
        """Wait until the engine is prepared, and return True; False if `stop` is set before that."""
        waiting = [asyncio.ensure_future(event.wait()) for event in (self.prepared, stop)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        return not stop.is_set()

    async def close(self) -> None:
        """Close everything."""
        if self._preparing:
            self._preparing.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparing
        for close in self.closing:
            await close()
        await self.audit.close()
        await self.usage.close()
        await self.key_uses.close()
        await self.directory.close()
        await self.revisions.close()
        await self.authenticator.close()
        await self.limiter.close()
        await self.cache.close()
        await self.queue.close()
        await self.engine.close()

    async def _prepare(self) -> None:
        """Prepare the engine as soon as it answers, then begin to follow it."""
        while True:
            try:
                await prepare(self.engine, self.settings)
            except (Fault, EngineRefusal) as error:
                _log.info("waiting for the engine", error=error)
                await asyncio.sleep(1)
            else:
                break
        self.directory.start()
        self.key_uses.start()
        self.prepared.set()
