# SPDX-License-Identifier: Apache-2.0
"""Placements: where reads and writes go at each step, and what of a record is read by another version."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any, cast

import pytest

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.tenancy.directory import CachedRecords
from pinakes.core.tenancy.lease import PlacementLease
from pinakes.core.tenancy.models import DELETED, ERASED, TenantRecord
from pinakes.core.tenancy.placement import DEDICATED, UNMOVED, Place, Step

OWN = Place(DEDICATED, name="u-2", shards=3)


def test_a_record_of_before_tenants_could_move_is_in_its_pool() -> None:
    old = {"tenant_id": "a", "uid": "u", "pool": 4, "epoch": 7, "version": 2, "labels": {}}
    found = TenantRecord.from_json(old)
    assert (found.placement.active.pool, found.placement.epoch, found.placement.settled) == (4, 7, True)


def test_a_placement_is_read_as_it_was_written_and_fields_of_a_newer_version_are_passed_over() -> None:
    moving = UNMOVED.begun(OWN, "op", 5).at(Step.COPYING, 6).at(Step.WINDOW, 7, active=OWN, window_ms=9)
    record = TenantRecord(tenant_id="a", uid="u", placement=moving)
    kept = record.to_json()
    assert TenantRecord.from_json(kept).placement == moving
    kept["placement"]["later"] = 1
    kept["placement"]["target"]["later"] = 1
    kept["later"] = 1
    assert TenantRecord.from_json(kept).placement == moving


def test_writes_go_to_both_places_from_the_copy_to_the_end_of_the_window() -> None:
    begun = UNMOVED.begun(OWN, "op", 1)
    assert begun.partner is None
    for step in (Step.COPYING, Step.SWITCHING):
        assert begun.at(step, 2).partner == OWN
    window = begun.at(Step.WINDOW, 3, active=OWN)
    assert window.partner == UNMOVED.active
    last = window.at(Step.FINISHING, 4)
    assert last.partner is None
    assert last.places == (OWN, UNMOVED.active), "what is left has to be emptied"
    settled = last.at(Step.SETTLED, 5)
    assert settled.places == (OWN,)
    assert settled.epoch == UNMOVED.epoch + 4
    assert [step for step, _ in settled.times] == ["preparing", "window", "finishing", "settled"]


def test_an_index_of_its_own_is_routed_by_the_documents_ids() -> None:
    assert (Place(pool=12).alias("p"), Place(pool=12).routing("u")) == ("p-pool-012", "u")
    assert (OWN.alias("p"), OWN.routing("u")) == ("p-own-u-2", "")
    assert OWN.same(Place(DEDICATED, name="u-2"))
    assert not OWN.same(Place())


class Stored:
    """A store of one record, which can be changed behind the cache's back, and be away."""

    def __init__(self) -> None:
        self.record = TenantRecord(tenant_id="a", uid="u")
        self.away = self.gone = False
        self.reads = 0
        self.seconds = 0.01

    async def get(self, _rid: str) -> Any:
        """Read the record."""
        self.reads += 1
        await asyncio.sleep(self.seconds)
        if self.away:
            raise unavailable("the search engine")

        if self.gone:
            return None

        class Found:
            record = self.record.to_json()

        return Found

    async def changed_since(self, _when: int) -> dict[str, Any]:
        """Return what changed."""
        return {"a": asdict(self.record)}


async def test_a_write_goes_by_a_placement_that_was_confirmed_within_the_lease_and_reads_go_on_without() -> None:
    stored = Stored()
    tenants = CachedRecords(cast("Any", stored), TenantRecord.from_json, 60.0, 0)
    lease = PlacementLease(tenants, 0.2)
    tenant = stored.record
    found, until = await lease.to_write(tenant)
    assert found == UNMOVED
    assert time.monotonic() < until <= time.monotonic() + 0.2
    stored.record = tenant.changed(placement=UNMOVED.begun(OWN, "op", 1))
    assert (await lease.to_write(tenant))[0] == UNMOVED, "for as long as whoever changed it waits"
    await asyncio.sleep(until - time.monotonic())
    reads = stored.reads
    both = await asyncio.gather(*(lease.to_write(tenant) for _ in range(20)))
    assert {one[0].step for one in both} == {"preparing"}
    assert stored.reads == reads + 1, "callers at the same time share the request"
    await asyncio.sleep(0.21)
    await tenants.poll()
    await lease.to_write(tenant)
    assert stored.reads == reads + 1, "a poll confirms, too"
    stored.away = True
    await asyncio.sleep(0.21)
    with pytest.raises(Fault):
        await lease.to_write(tenant)
    assert (await lease.to_read(tenant)).step == "preparing"


async def test_a_confirmation_that_takes_longer_than_the_lease_is_no_reason_to_go_by_what_was_known_before() -> None:
    stored = Stored()
    tenant = stored.record
    lease = PlacementLease(CachedRecords(cast("Any", stored), TenantRecord.from_json, 60.0, 0), 0.05)
    moved = UNMOVED.begun(OWN, "op", 1).at(Step.COPYING, 2).at(Step.WINDOW, 3, active=OWN)
    stored.record, stored.seconds = tenant.changed(placement=moved), 0.06
    with pytest.raises(Fault) as caught:
        await lease.to_write(tenant)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert stored.reads == 2, "the second may be quicker"
    assert await lease.to_read(tenant) == moved, "which is where documents were a moment ago"

    async def quicker(rid: str) -> Any:
        stored.seconds = 0.06 if stored.seconds == 0.01 else 0.01
        return await Stored.get(stored, rid)

    stored.get = quicker  # type: ignore[method-assign,assignment]
    await asyncio.sleep(0.05)
    stored.seconds = 0.01
    found, until = await lease.to_write(tenant)
    assert found == moved
    assert time.monotonic() < until <= time.monotonic() + 0.05


@pytest.mark.parametrize(
    "now",
    [
        TenantRecord(tenant_id="a", uid="another", version=2),
        TenantRecord(tenant_id="a", uid="u", version=2, state=DELETED, delete_ms=1, erase_ms=2),
        TenantRecord(tenant_id="a", uid="u", version=2, state=ERASED, delete_ms=1, erase_ms=2),
        None,
    ],
)
async def test_nothing_is_written_for_a_tenant_that_is_erased_or_replaced_once_its_lease_is_over(
    now: TenantRecord | None,
) -> None:
    stored = Stored()
    tenant = stored.record.changed(placement=UNMOVED.begun(OWN, "op", 1))
    stored.record = tenant
    lease = PlacementLease(CachedRecords(cast("Any", stored), TenantRecord.from_json, 60.0, 0), 0.1)
    _, until = await lease.to_write(tenant)
    stored.record, stored.gone = now or tenant, now is None
    assert (await lease.to_write(tenant))[1] == until, "for as long as an erasure waits"
    await asyncio.sleep(until - time.monotonic())
    for _ in range(2):  # known as gone it isn't either
        with pytest.raises(Fault) as caught:
            await lease.to_write(tenant)
        assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "TENANT_NOT_FOUND")
    await lease.to_read(tenant)


async def test_what_was_let_in_before_a_tenant_was_deleted_is_written_as_it_may_come_back() -> None:
    stored = Stored()
    tenant = stored.record
    stored.record = tenant.changed(state=DELETED, delete_ms=1, purge_ms=2)
    lease = PlacementLease(CachedRecords(cast("Any", stored), TenantRecord.from_json, 60.0, 0), 0.1)
    assert (await lease.to_write(tenant))[0] == UNMOVED
