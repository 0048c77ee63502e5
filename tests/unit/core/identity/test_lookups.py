# SPDX-License-Identifier: Apache-2.0
"""Look-ups of keys that a process doesn't know: bounded for ids that are made up, free for keys that are there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.identity import keys
from pinakes.core.identity.lookups import AT_ONCE, PER_SECOND, KeyLookups
from pinakes.core.resilience import deadline
from pinakes.core.tenancy.directory import CachedRecords
from pinakes.core.tenancy.models import KeyRecord
from tests.unit.core.limits._world import Clock

KNOWN = "a" * 16


class Counting:
    """A directory whose keys are in a dictionary in place of the engine; `reads` counts what the engine would be asked."""

    def __init__(self) -> None:
        store: Any = self
        self.keys = CachedRecords(store, KeyRecord.from_json, 3600, 0)
        self.there: dict[str, KeyRecord] = {}
        self.reads = 0
        self.fails: Fault | None = None

    async def get(self, rid: str) -> Any:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        record = self.there.get(rid)
        return None if record is None else _Stored(record.to_json())

    async def key(self, key_id: str, *, administration: bool = False) -> KeyRecord | None:
        return await self.keys.get(key_id, administration=administration)

    def add(self, key_id: str) -> None:
        self.there[key_id] = KeyRecord(
            key_id=key_id, tenant_id="acme", tenant_uid="u", role="service", digest="d", public_key="p"
        )


class _Stored:
    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record


class World:
    """Look-ups in a directory that counts, by a clock that only the test turns."""

    def __init__(self) -> None:
        self.directory, self.clock = Counting(), Clock()
        directory: Any = self.directory
        self.lookups = KeyLookups(directory, self.clock)

    async def ask(self, key_id: str) -> str:
        """Ask for a key: `found`, `absent`, `failed` as the engine does, or `unavailable` because too many are asked for."""
        try:
            found = await self.lookups.find(key_id, administration=False)
        except Fault as fault:
            if fault is self.directory.fails:
                return "failed"
            assert fault.kind is Kind.UNAVAILABLE
            assert fault.retry_after
            return "unavailable"
        return "absent" if found is None else "found"

    async def flood(self, calls: int) -> list[str]:
        """Ask for as many ids as were never given out, all at once."""
        return await asyncio.gather(*(self.ask(keys.generate().key_id) for _ in range(calls)))


@pytest.fixture
def world() -> World:
    return World()


async def test_a_flood_of_ids_that_are_made_up_is_looked_up_to_a_bound_and_known_keys_are_let_in(world: World) -> None:
    world.directory.add(KNOWN)
    assert await world.ask(KNOWN) == "found"
    for seconds in range(4):
        told = await world.flood(1000)
        assert set(told) <= {"absent", "unavailable"}
        assert world.directory.reads == 1 + AT_ONCE + PER_SECOND * seconds
        assert await world.ask(KNOWN) == "found"
        world.clock.now += 1
    assert world.directory.reads == 1 + AT_ONCE + PER_SECOND * 3


async def test_keys_that_are_there_use_up_nothing(world: World) -> None:
    there = [keys.generate().key_id for _ in range(3 * AT_ONCE)]
    for key_id in there:
        world.directory.add(key_id)
        assert await world.ask(key_id) == "found"
    assert (await world.flood(AT_ONCE + 1)).count("unavailable") == 1


async def test_look_ups_that_the_engine_fails_use_up_nothing(world: World) -> None:
    world.directory.fails = unavailable("the engine")
    for _ in range(3):
        assert set(await world.flood(AT_ONCE)) == {"failed"}
    assert (await world.flood(AT_ONCE + 1)).count("unavailable") == 1, "so many may be under way at once"
    world.directory.fails = None
    assert (await world.flood(AT_ONCE + 1)).count("unavailable") == 1


async def test_look_ups_whose_callers_have_no_time_for_them_count(world: World) -> None:
    world.directory.fails = deadline.exceeded()
    assert set(await world.flood(10)) == {"failed"}
    world.directory.fails = None
    leaving = [asyncio.create_task(world.ask(keys.generate().key_id)) for _ in range(10)]
    await asyncio.sleep(0)
    for call in leaving:
        call.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert (await world.flood(AT_ONCE)).count("unavailable") == 20


async def test_a_new_key_is_looked_up_again_when_the_flood_is_over(world: World) -> None:
    await world.flood(2 * AT_ONCE)
    world.directory.add(KNOWN)
    assert await world.ask(KNOWN) == "unavailable"
    world.clock.now += 2 / PER_SECOND
    assert await world.ask(KNOWN) == "found"


async def test_who_goes_on_with_a_key_that_is_gone_uses_up_one_look_up_a_second(world: World) -> None:
    for seconds in range(3):
        assert {await world.ask(KNOWN) for _ in range(2 * AT_ONCE)} == {"absent"}
        assert world.directory.reads == 1 + seconds
        world.directory.keys._absent.clear()
        world.clock.now += 1
    world.directory.add(KNOWN)
    assert await world.ask(KNOWN) == "found"


async def test_ids_that_are_not_there_are_remembered_to_a_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinakes.core.identity.lookups._ENTRIES", 10)
    await world.flood(30)
    assert len(world.lookups._absent) == 10
