# SPDX-License-Identifier: Apache-2.0
"""What a process keeps of records is bounded, by number and by size, however many tenants there are."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pinakes.core.tenancy import directory
from pinakes.core.tenancy.directory import CachedRecords
from pinakes.core.tenancy.models import CollectionRecord


def record(number: int, search: int = 0) -> CollectionRecord:
    return CollectionRecord(tenant_uid=f"u{number}", collection_id="default", uid=f"c{number}", search="x" * search)


async def kept(records: CachedRecords[CollectionRecord], count: int) -> list[int]:
    """Return the numbers of the records that are there without asking the store."""
    return [number for number in range(count) if records.confirmed(str(number))[0] is not None]


async def test_only_so_many_records_are_kept_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_ENTRIES", 100)
    records = CachedRecords(cast("Any", None), CollectionRecord.from_json, 60.0)
    for number in range(100):
        records.remember(str(number), record(number))
    assert await records.get("0") is not None
    records.remember("100", record(100))
    assert await kept(records, 101) == [0, *range(2, 101)]


async def test_only_so_many_bytes_of_records_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "_BYTES", 1_000_000)
    records = CachedRecords(cast("Any", None), CollectionRecord.from_json, 60.0)
    for number in range(50):
        records.remember(str(number), record(number, search=300_000))
    assert await kept(records, 50) == [47, 48, 49]
    # A record that is replaced by a smaller one makes room.
    records.remember("49", record(49).changed())
    records.remember("50", record(50, search=300_000))
    assert await kept(records, 51) == [47, 48, 49, 50]
