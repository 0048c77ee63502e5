# SPDX-License-Identifier: Apache-2.0
"""Entries of the queue whose tenant goes while they are applied."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault, Kind, not_found
from pinakes.core.queue.consumer import Delivered
from pinakes.core.queue.entry import pack
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.core.writing.apply import Applied
from pinakes.core.writing.changes import Change
from pinakes.queue.v1 import entry_pb2
from pinakes.v1 import index_pb2
from pinakes.worker import applier
from pinakes.worker.applier import Applier
from pinakes.worker.batches import AdaptiveSize

Outcome = index_pb2.WriteResult
TENANTS = {uid: TenantRecord(tenant_id=f"id-{uid}", uid=uid) for uid in ("gone", "there")}


class Directory:
    """Tenants as they were when an entry was looked at, each with one collection."""

    async def whole_tenant(self, _tenant_id: str, uid: str) -> TenantRecord:
        """Return a tenant."""
        return TENANTS[uid]

    async def collection(self, tenant: TenantRecord, collection_id: str) -> CollectionRecord:
        """Return a collection."""
        return CollectionRecord(tenant_uid=tenant.uid, collection_id=collection_id, uid=f"c-{tenant.uid}")


class Outcomes:
    """Keeps what became of writes."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Applied]] = {}

    async def keep(self, outcomes: Sequence[tuple[entry_pb2.Entry, list[Applied]]]) -> None:
        """Keep the outcomes of entries."""
        self.kept |= {entry.tenant_uid: applied for entry, applied in outcomes}


def delivered(uid: str) -> Delivered:
    """Return an entry with two writes of a tenant."""
    owner = Owner(uid, f"c-{uid}", f"id-{uid}", "default")
    (packed,) = pack(owner, [(n, Change("d", n + 1, b"{}", "h")) for n in range(2)], (0,), 1, "")
    data = packed.data("asked for")
    return Delivered(uid.encode(), uid, data, entry_pb2.Entry.FromString(data))


async def applied(scope: TenantScope, changes: Sequence[Change], *_: object) -> list[Applied]:
    """Apply changes, but for the tenant that is gone by now."""
    if scope.owner.tenant_uid == "gone":
        raise not_found("pinakes/Tenant", "tenants/id-gone")
    return [Applied(Outcome.OUTCOME_CREATED, change.revision) for change in changes]


async def test_writes_of_a_tenant_that_goes_meanwhile_are_given_up_and_others_of_their_batch_are_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(applier, "apply", applied)
    outcomes = Outcomes()
    engine = SimpleNamespace(prefix="p", placements=None, limits=Limits(), pseudonyms=None)
    platform = SimpleNamespace(directory=Directory(), engine=engine, outcomes=outcomes)
    batch = [delivered("gone"), delivered("there")]
    done = await Applier(cast("Any", platform), cast("Any", None), AdaptiveSize(10)).run(batch)
    assert done == batch, "they leave the queue"
    found = {uid: [one.outcome for one in kept] for uid, kept in outcomes.kept.items()}
    assert found == {
        "gone": [Outcome.OUTCOME_SUPERSEDED, Outcome.OUTCOME_NOT_FOUND],
        "there": [Outcome.OUTCOME_SUPERSEDED, Outcome.OUTCOME_CREATED],
    }


async def test_another_fault_is_no_reason_to_give_a_write_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> list[Applied]:
        raise Fault(Kind.INTERNAL, "INTERNAL", "a bug")

    monkeypatch.setattr(applier, "apply", broken)
    engine = SimpleNamespace(prefix="p", placements=None, limits=Limits(), pseudonyms=None)
    platform = SimpleNamespace(directory=Directory(), engine=engine, outcomes=Outcomes())
    with pytest.raises(Fault):
        await Applier(cast("Any", platform), cast("Any", None), AdaptiveSize(10)).run([delivered("there")])
