# SPDX-License-Identifier: Apache-2.0
"""What a tenant may hold: documents and bytes, by what the engine counts and what was let in since.

Far from a limit nothing is asked. Near it, what was counted is at most a second old, and each write is looked at: a
document that is there already isn't one more.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pinakes.core.faults import Fault
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.refusals import refusal, would_refuse
from pinakes.core.usage.ledger import KNOWN_SECONDS, REFRESH_SECONDS
from pinakes.core.usage.recent import Recent

if TYPE_CHECKING:
    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.engine.usage import Counts
    from pinakes.core.limits.figures import InForce
    from pinakes.core.tenancy.models import TenantRecord
    from pinakes.core.usage.ledger import Usage
    from pinakes.core.usage.recent import Part

NEAR = 0.9
"""Part of a limit from which on each write is looked at."""
COUNT_SECONDS = 1.0
"""Age of a count that decides."""
_COUNTING_SHARE = 0.05
_TENANTS = 10_000


class Incoming(NamedTuple):
    """A document that is to be written: its id, and the bytes of its content."""

    document_id: str
    size: int


@dataclass(slots=True)
class Admitted:
    """What became of documents that are to be written: of each None or its fault, and the room that the others take."""

    faults: list[Fault | None]
    _part: Part | None = None
    _documents: int = 0
    _size: int = 0

    def give_back(self) -> None:
        """Give the room back, because nothing was written."""
        if self._part is not None:
            self._part.documents -= self._documents
            self._part.size -= self._size
            self._part = None


@dataclass(slots=True)
class _Held:
    """What a tenant had at the last count near a limit, and what this process has let in."""

    counts: Counts | None = None
    begun: float = 0.0
    good_until: float = 0.0
    took: float = math.inf
    let_in: Recent = field(default_factory=Recent)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def since(self, when: float) -> tuple[int, int]:
        """Return the documents and bytes that were let in since then, and forget what is too old to matter."""
        now = time.monotonic()
        counted = now - self.begun if now < self.good_until else 0.0
        self.let_in.forget(now - max(KNOWN_SECONDS, counted) - REFRESH_SECONDS)
        return self.let_in.since(when)

    def admit(self, faults: list[Fault | None], documents: int, size: int) -> Admitted:
        """Let documents and bytes in."""
        return Admitted(faults, self.let_in.add(documents, size), documents, size)


class Quota:
    """Holds tenants to what they may hold. One per process."""

    def __init__(self, usage: Usage, in_force: Callable[[TenantRecord], InForce]) -> None:
        """Count by `usage`; `in_force` tells a tenant's limits."""
        self._usage = usage
        self._in_force = in_force
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def bounds(self, tenant: TenantRecord) -> bool:
        """Tell whether there is anything that the tenant's documents could go beyond."""
        limits = self._in_force(tenant)
        return bool(limits.documents or limits.bytes)

    async def admit(self, scope: TenantScope, tenant: TenantRecord, incoming: Sequence[Incoming]) -> Admitted:
        """Tell for each document whether it may be written: None, or the fault of kind EXHAUSTED that refuses it.

        What changes a document without making it larger may always be written. While the engine can't count, all may.
        What may be written counts at once; who writes nothing after all, gives it back.
        """
        if not incoming or not self.bounds(tenant):
            return Admitted([None] * len(incoming))
        limits = self._in_force(tenant)
        held = self._of(tenant.uid)
        try:
            known = await self._usage.known(tenant)
            documents, size = held.since(time.monotonic() - KNOWN_SECONDS - REFRESH_SECONDS)
            more, larger = len(incoming), sum(one.size for one in incoming)
            documents, size = known.documents + documents + more, known.bytes + size + larger
            if _below(documents, limits.documents) and _below(size, limits.bytes):
                return held.admit([None] * more, more, larger)
            async with held.lock:
                counts = await self._counted(tenant, held)
                return await self._one_by_one(scope, incoming, limits, held, counts)
        except Fault:
            # The engine is away. What is accepted now is counted when it is applied, and the next writes are refused.
            return Admitted([None] * len(incoming))

    def _of(self, tenant_uid: str) -> _Held:
        """Return what is known of a tenant, and forget the one that has written nothing for longest when there are too many."""
        held = self._held.get(tenant_uid)
        if held is None:
            held = self._held[tenant_uid] = _Held()
            if len(self._held) > _TENANTS:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(tenant_uid)
        return held

    async def _counted(self, tenant: TenantRecord, held: _Held) -> Counts:
        """Return what a tenant has, counted just now or a second ago."""
        begun = time.monotonic()
        if held.counts is None or begun >= held.good_until:
            (counts,) = await self._usage.store.count([tenant])
            ended = time.monotonic()
            # A pause of the engine makes one count slow; it isn't what counting this tenant takes.
            usual, held.took = min(ended - begun, held.took), ended - begun
            held.good_until = ended + max(COUNT_SECONDS, usual / _COUNTING_SHARE)
            if counts is not None:
                held.counts, held.begun = counts, begun
        if held.counts is None:
            return await self._usage.known(tenant)
        return held.counts

    async def _one_by_one(
        self, scope: TenantScope, incoming: Sequence[Incoming], limits: InForce, held: _Held, counts: Counts
    ) -> Admitted:
        """Let in what there is room for, in order."""
        there = await scope.mget([one.document_id for one in incoming], ("bytes",))
        documents, size = held.since(held.begun - REFRESH_SECONDS)
        documents, size = counts.documents + documents, counts.bytes + size
        before = (documents, size)
        answers: list[Fault | None] = []
        for one, found in zip(incoming, there, strict=True):
            replaced = found if found is not None and not found.gone else None
            more = replaced is None
            larger = one.size - (replaced.source.get("bytes", 0) if replaced is not None else 0)
            beyond = None
            if more and limits.documents and documents + 1 > limits.documents:
                beyond = (Limit.DOCUMENTS, limits.documents)
            elif larger > 0 and limits.bytes and size + larger > limits.bytes:
                beyond = (Limit.BYTES, limits.bytes)
            if beyond is not None and not limits.dry_run:
                answers.append(refusal(*beyond, "tenant", None))
                continue
            if beyond is not None:
                would_refuse(beyond[0], scope.owner.tenant_uid)
            documents, size = documents + more, size + larger
            answers.append(None)
        return held.admit(answers, documents - before[0], size - before[1])


def check_count(limit: Limit, most: int, count: int, tenant_uid: str, *, dry_run: bool) -> None:
    """Refuse one more of what a tenant has `count` of. Raises a fault of kind EXHAUSTED."""
    if count < most or not most:
        return
    if not dry_run:
        raise refusal(limit, most, "tenant", None)
    would_refuse(limit, tenant_uid)


def _below(held: int, limit: int) -> bool:
    return not limit or held <= limit * NEAR
