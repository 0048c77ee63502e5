# SPDX-License-Identifier: Apache-2.0
"""Takes events down: at once in memory, within moments on disk, without ever making a call wait that didn't ask to.

Alike events are counted together for ten seconds after the first, so that a flood can't fill the log; each group of callers has
its own room for them, so that none can take away what is told of another. What can't be held any more is counted, told in a
metric, a log line and, as soon as the log takes events again, in an event of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
import time
from collections import Counter, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pinakes.core.audit.chain import Seal
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.spool import Packed, Spool
from pinakes.core.engine.client import EngineRefusal
from pinakes.core.faults import Fault
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.tenancy.models import TenantRecord

HELD = 10_000
"""Events that are held in memory at most."""

ALIKE_SECONDS = 10.0
ALIKE = 500
"""Kinds of alike events that are told apart at a time, of each group of callers; what is beyond is counted as one."""

DURABLE_SECONDS = 3.0
"""Time that a change waits, in an RPC its answer, until its event is on disk."""

STUCK_SECONDS = 5.0
_BATCH = 200
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_CLOSING_SECONDS = 3.0
_TOLD_SECONDS = 10.0
_log = logger("pinakes.audit")


@dataclass(frozen=True, slots=True)
class Group:
    """Callers whose events share one room: of each tenant those that are known, and apart from them those that aren't.

    `tenant` is where their credential belongs; empty for administrators of the platform, and for who shows no credential
    that is anybody's.
    """

    known: bool
    tenant: str = ""

    @property
    def trusted(self) -> bool:
        """Whether it is the administrators of the platform, of whom each event is told in full."""
        return self.known and not self.tenant


class AuditLog:
    """The audit log, as a process writes it. One per process."""

    def __init__(self, spool: Spool, seal: Seal, *, held: int = HELD, alike_seconds: float = ALIKE_SECONDS) -> None:
        """Begin empty."""
        self.spool = spool
        self._seal = seal
        self._held, self._alike_seconds = held, alike_seconds
        self._origin = secrets.token_hex(8)
        self._number = 0
        self._events: deque[Event] = deque()
        self._taken = self._written = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._alike: dict[tuple[Group, Hashable], Event] = {}
        self._apart: Counter[Group] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failing_since = 0.0
        self._lost = 0
        self._told = 0.0

    @property
    def stuck(self) -> bool:
        """Whether events can't be put on disk for a while now."""
        return bool(self._failing_since) and time.monotonic() - self._failing_since > STUCK_SECONDS

    def record(
        self,
        kind: Kind,
        action: str,
        *,
        tenant: TenantRecord | None = None,
        subject: str = "",
        resource: str = "",
        reason: str = "",
        details: Mapping[str, str] | None = None,
    ) -> int:
        """Take down what isn't an RPC, such as `tenant.purged`, and return its number for `durable`. Never waits.

        `subject` is who did it, such as `worker`; without a `tenant` only administrators of the platform see it.
        """
        event = Event(
            kind=kind, action=action, subject=subject, resource=resource, reason=reason, details=dict(details or {}),
            tenant=f"tenants/{tenant.tenant_id}" if tenant else "", tenant_uid=tenant.uid if tenant else "",
        )  # fmt: skip
        return self.take(event)

    def take(self, event: Event) -> int:
        """Take an event down, and return its number for `durable`. Never waits."""
        if len(self._events) >= self._held:
            self._lose(event.count)
            return 0
        self._events.append(event)
        self._taken += 1
        if self._flushing is None:
            # In a context of its own: what is written is of no one call, nor in its deadline or trace.
            loop = asyncio.get_running_loop()
            self._flushing = loop.create_task(self._flush(), name="audit", context=contextvars.Context())
        return self._taken

    def take_alike(self, key: Hashable, event: Event, group: Group) -> None:
        """Take an event down that may come often: the first at once, further ones of the same key together as one.

        Where a group has more kinds of them than are told apart, who and what it was isn't told any more, and the tenant is.
        """
        place: tuple[Group, Hashable] = (group, key)
        if place not in self._alike and self._apart[group] >= ALIKE:
            if group.trusted:
                self.take(event)
                return
            place = (group, (event.kind, event.reason, event.tenant_uid))
            event = replace(event, credential="", subject="", resource="", details={})
        seen = self._alike.get(place)
        if seen is None:
            self.take(event)
            self._alike[place] = replace(event, count=0)
            self._apart[group] += 1
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._alike_seconds, self._tell_alike, context=contextvars.Context())
            return
        if seen.count == 0:
            seen.time, seen.request_id = event.time, event.request_id
        seen.count += 1
        seen.last = event.time

    async def durable(self, number: int, seconds: float) -> bool:
        """Wait until an event is on disk, and return True; False if it isn't in time. It is then still on its way."""
        if not number:
            return False
        if self._written >= number:
            return True
        done = asyncio.get_running_loop().create_future()
        self._waiters.append((number, done))
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Put what is left on disk, within a few seconds."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell_alike()
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                if self._flushing is not None:
                    await self._flushing
        except TimeoutError:
            self._lose(sum(event.count for event in self._events), now=True)
        await self.spool.close()

    def _tell_alike(self) -> None:
        self._timer = None
        alike, self._alike, self._apart = self._alike, {}, Counter()
        for event in alike.values():
            if event.count:
                self.take(event)

    def _lose(self, events: int, *, now: bool = False) -> None:
        metrics.AUDIT_EVENTS.labels("lost").inc(events)
        self._lost += events
        if now or time.monotonic() - self._told > _TOLD_SECONDS:
            self._told = time.monotonic()
            _log.error("audit events lost", events=self._lost)

    async def _flush(self) -> None:
        """Put events on disk until there are none left, in their order: none before the one before it is there."""
        failures = 0
        try:
            while self._events:
                batch = [self._events[place] for place in range(min(_BATCH, len(self._events)))]
                packed = [self._pack(event, place) for place, event in enumerate(batch, self._number + 1)]
                try:
                    await self.spool.put(packed)
                except (Fault, EngineRefusal, TimeoutError) as error:
                    failures += 1
                    self._failing_since = self._failing_since or time.monotonic()
                    if failures in {1, 10} or failures % 100 == 0:
                        _log.warning("audit events wait", events=len(self._events), error=str(error))
                    await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(failures - 1, 8)))
                    continue
                failures, self._failing_since = 0, 0.0
                self._done(len(batch))
        except Exception:
            _log.exception("audit events can't be written")
        finally:
            self._flushing = None

    def _done(self, events: int) -> None:
        for _ in range(events):
            self._events.popleft()
        self._number += events
        self._written += events
        metrics.AUDIT_EVENTS.labels("recorded").inc(events)
        for number, done in self._waiters:
            if number <= self._written and not done.done():
                done.set_result(None)
        self._waiters = [(number, done) for number, done in self._waiters if not done.done()]
        if self._lost:
            lost, self._lost = self._lost, 0
            self.take(Event(kind=Kind.SYSTEM, action="audit.lost", count=1, details={"events": str(lost)}))

    def _pack(self, event: Event, number: int) -> Packed:
        body = event.to_json() | {"origin": self._origin, "number": number}
        return Packed(f"{self._origin}-{number:012}", self._seal.pack(body))
