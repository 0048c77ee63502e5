# SPDX-License-Identifier: Apache-2.0
"""The placement lease: a process writes only by a placement that it has confirmed a few seconds ago (design §4).

So whoever changes a placement knows how long to wait until nothing is written by the one before: the lease, and the
time that a write takes which began at its end.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, not_found, unavailable
from pinakes.core.rpc import names
from pinakes.core.tenancy.directory import POLL_SECONDS

if TYPE_CHECKING:
    from pinakes.core.settings import Settings
    from pinakes.core.tenancy.directory import CachedRecords
    from pinakes.core.tenancy.models import TenantRecord
    from pinakes.core.tenancy.placement import Placement

# What a clock that a lease is measured by may be slow.
MARGIN_SECONDS = 0.1
# Of a confirmation: one that others have asked for may be of before, and one may take longer than the lease is.
_TRIES = 2


def poll_seconds(lease_seconds: float) -> float:
    """Return how often records are asked for: so that a lease seldom has to be renewed by a request of its own.

    However long the lease, revocations and limits aren't to wait for it.
    """
    return min(POLL_SECONDS, lease_seconds * 0.4)


def fence_seconds(settings: Settings) -> float:
    """Return the time after a change of a placement after which nothing is written by the one before."""
    return settings.placement_lease_seconds + settings.engine_timeout_seconds + MARGIN_SECONDS


class PlacementLease:
    """Gives placements that are confirmed."""

    def __init__(self, tenants: CachedRecords[TenantRecord], seconds: float) -> None:
        """Confirm by these records, for so many seconds."""
        self._tenants = tenants
        self._seconds = seconds
        self._asking: dict[str, asyncio.Task[TenantRecord | None]] = {}

    async def to_write(self, tenant: TenantRecord) -> tuple[Placement, float]:
        """Return the tenant's placement and until when (monotonic) a write by it may begin.

        Raises a fault of kind NOT_FOUND if the tenant is gone: what was let in before isn't written any more, so an erasure
        waits no longer for it than a move does. Raises one of kind UNAVAILABLE if that can't be known.
        """
        if (found := self._known(tenant)) is not None:
            return found
        record = None
        for _ in range(_TRIES):
            record = await self._ask(tenant)
            if (found := self._known(tenant)) is not None:
                return found
        if record is None or not _there(record, tenant.uid):
            raise not_found("pinakes/Tenant", names.tenant(tenant.tenant_id))
        # What took longer to read than the lease is says where documents were, not where they are.
        raise unavailable("the search engine")

    def known(self, tenant: TenantRecord) -> Placement:
        """Return the tenant's placement as it was last known, confirmed or not."""
        record, _ = self._tenants.confirmed(tenant.tenant_id)
        return record.placement if record is not None and record.uid == tenant.uid else tenant.placement

    async def to_read(self, tenant: TenantRecord) -> Placement:
        """Return the tenant's placement, confirmed if that can be done, else as it was last known."""
        if (found := self._known(tenant)) is not None:
            return found[0]
        with suppress(Fault):
            await self._ask(tenant)
        return self.known(tenant)

    def _known(self, tenant: TenantRecord) -> tuple[Placement, float] | None:
        record, at = self._tenants.confirmed(tenant.tenant_id)
        until = at + self._seconds
        if record is None or not _there(record, tenant.uid) or time.monotonic() >= until:
            return None
        return record.placement, until

    async def _ask(self, tenant: TenantRecord) -> TenantRecord | None:
        """Read the record as it was last written; callers at the same time share the request."""
        rid = tenant.tenant_id
        task = self._asking.get(rid)
        if task is None:
            # A context of its own: it has no caller's deadline.
            work = self._tenants.fresh(rid)
            task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
            self._asking[rid] = task
            task.add_done_callback(lambda _: self._asking.pop(rid, None))
        return await asyncio.shield(task)


def _there(record: TenantRecord, uid: str) -> bool:
    """Tell whether the record is of the tenant with this uid, and isn't to be erased. One that is deleted may come back."""
    return record.uid == uid and not record.erase_ms
