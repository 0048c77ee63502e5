# SPDX-License-Identifier: Apache-2.0
"""Taking down: nothing waits, nothing goes unseen, and a flood is a few events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import orjson
import pytest

from pinakes.core.audit import log
from pinakes.core.audit.chain import Seal
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.log import AuditLog, Group
from pinakes.core.audit.spool import Packed
from pinakes.core.faults import unavailable

Json = dict[str, Any]
STRANGERS, ADMINISTRATORS, TENANT = Group(known=False), Group(known=True), Group(known=True, tenant="u1")


class Disk:
    """Takes events, unless it is away."""

    def __init__(self) -> None:
        self.events: list[Packed] = []
        self.away = False

    async def put(self, events: Sequence[Packed]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise unavailable("the disk")
        self.events += events

    async def close(self) -> None:
        """Nothing to do."""

    @property
    def bodies(self) -> list[Json]:
        return [orjson.loads(event.data)["body"] for event in self.events]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failures be tried again soon."""
    monkeypatch.setattr(log, "_LONGEST_WAIT", 0.02)
    monkeypatch.setattr(log, "STUCK_SECONDS", 0.05)


def made(disk: Disk, **options: Any) -> AuditLog:
    """Return a log that writes to a disk."""
    return AuditLog(cast("Any", disk), Seal(b"s"), **options)


def event(action: str = "a", kind: Kind = Kind.SECURITY, **fields: Any) -> Event:
    """Return an event."""
    return Event(kind=kind, action=action, **fields)


async def test_events_come_to_the_disk_in_their_order_each_with_a_number() -> None:
    disk = Disk()
    audit = made(disk)
    numbers = [audit.take(event(f"a{n}")) for n in range(450)]
    assert await audit.durable(numbers[-1], 2.0)
    assert [body["action"] for body in disk.bodies] == [f"a{n}" for n in range(450)]
    assert [body["number"] for body in disk.bodies] == list(range(1, 451))
    assert len({one.event_id for one in disk.events}) == 450


async def test_while_the_disk_is_away_events_wait_and_changes_are_told() -> None:
    disk = Disk()
    audit = made(disk)
    disk.away = True
    number = audit.take(event())
    assert not await audit.durable(number, 0.1)
    assert audit.stuck
    disk.away = False
    assert await audit.durable(number, 2.0)
    assert not audit.stuck
    assert len(disk.events) == 1


async def test_what_cannot_be_held_is_told_by_an_event_of_its_own() -> None:
    disk = Disk()
    audit = made(disk, held=10)
    disk.away = True
    taken = [audit.take(event(f"a{n}", count=2)) for n in range(15)]
    assert taken[10:] == [0] * 5
    assert not await audit.durable(0, 0.1)
    disk.away = False
    await audit.close()
    assert [body["action"] for body in disk.bodies] == [f"a{n}" for n in range(10)] + ["audit.lost"]
    assert disk.bodies[-1]["details"] == {"events": "10"}
    assert [body["number"] for body in disk.bodies] == list(range(1, 12)), "what is lost takes no number"


async def test_alike_events_are_told_at_once_and_then_together() -> None:
    disk = Disk()
    audit = made(disk, alike_seconds=0.1)
    for _ in range(1000):
        audit.take_alike("key", event(time=5, last=0), TENANT)
    await asyncio.sleep(0.03)
    assert [body["count"] for body in disk.bodies] == [1]
    await asyncio.sleep(0.15)
    assert [body["count"] for body in disk.bodies] == [1, 999]
    audit.take_alike("key", event(), TENANT)
    await audit.close()
    assert [body["count"] for body in disk.bodies] == [1, 999, 1]


async def test_a_flood_of_different_ones_is_bounded_and_counted() -> None:
    disk = Disk()
    audit = made(disk, alike_seconds=5.0)
    for number in range(20_000):
        audit.take_alike(number, event(credential=f"key:{number}", reason="API_KEY_UNKNOWN"), STRANGERS)
    await audit.close()
    assert len(disk.events) <= log.ALIKE + 2
    assert sum(body["count"] for body in disk.bodies) == 20_000
    assert disk.bodies[-1]["credential"] == "", "those that aren't told apart name nobody"


async def test_a_flood_takes_nothing_away_of_what_is_told_of_others() -> None:
    disk = Disk()
    audit = made(disk, alike_seconds=5.0)
    for number in range(log.ALIKE + 1):
        audit.take_alike(number, event(reason="API_KEY_UNKNOWN"), STRANGERS)
        audit.take_alike(number, event(subject=f"s{number}", tenant_uid="u1"), TENANT)
    told = {"subject": "ann", "tenant_uid": "u2", "resource": "tenants/b/collections/c", "credential": "key:a"}
    audit.take_alike("ann", event(kind=Kind.ACCESS, **told), ADMINISTRATORS)
    audit.take_alike("bob", event(subject="bob"), Group(known=True, tenant="u2"))
    await audit.close()
    ann, bob = disk.bodies[-2:]
    assert {name: ann[name] for name in told} == told
    assert bob["subject"] == "bob"
    folded = [body for body in disk.bodies if body["tenant_uid"] == "u1" and not body["subject"]]
    assert len(folded) == 1, "who belongs there is told in the tenant itself"


async def test_what_came_before_a_flood_is_counted_apart_while_it_lasts() -> None:
    disk = Disk()
    audit = made(disk, alike_seconds=5.0)
    for number in range(log.ALIKE + 10):
        audit.take_alike(number, event(subject=f"s{number}", tenant_uid="u1"), TENANT)
    for _ in range(3):
        audit.take_alike(0, event(subject="s0", tenant_uid="u1"), TENANT)
    await audit.close()
    assert sum(body["count"] for body in disk.bodies if body["subject"] == "s0") == 4


async def test_of_administrators_every_event_is_told_in_full() -> None:
    disk = Disk()
    audit = made(disk, alike_seconds=5.0)
    for number in range(log.ALIKE + 20):
        audit.take_alike(number, event(kind=Kind.ACCESS, subject="ann", resource=f"r{number}"), ADMINISTRATORS)
    await audit.close()
    assert [body["resource"] for body in disk.bodies] == [f"r{number}" for number in range(log.ALIKE + 20)]


async def test_what_is_left_is_written_at_the_end_or_told_to_be_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "_CLOSING_SECONDS", 0.1)
    disk = Disk()
    audit = made(disk)
    audit.take(event())
    await audit.close()
    assert len(disk.events) == 1
    disk.away = True
    audit = made(disk)
    audit.take(event())
    before = log.metrics.AUDIT_EVENTS.labels("lost")._value.get()
    await audit.close()
    assert log.metrics.AUDIT_EVENTS.labels("lost")._value.get() == before + 1


def test_texts_are_cut_to_what_the_log_takes() -> None:
    body = event(resource="x" * 5000, details={"a": "y" * 5000}, fields=tuple(f"f{n}" for n in range(500))).to_json()
    assert len(orjson.dumps(body)) < 2000
