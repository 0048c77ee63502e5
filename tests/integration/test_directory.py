# SPDX-License-Identifier: Apache-2.0
"""The feed of changed records that every process follows, when much changes at once."""

from __future__ import annotations

from pinakes.core.engine.records import RecordStore
from pinakes.core.platform import Platform as Parts
from pinakes.core.tenancy.models import now_ms
from tests.integration._workers import parts

__all__ = ["parts"]


async def test_thousands_of_changes_at_once_are_told_one_by_one(parts: Parts) -> None:
    store, later = RecordStore(parts.engine, "requests"), now_ms() + 86_400_000
    rids = [f"feed-{number:04}" for number in range(2100)]
    await store.put_many(
        [(rid, "feed", "active", {"of": rid}) for rid in rids],
        changed=[later + number % 3 for number in range(len(rids))],
    )
    try:
        found = await store.changed_since(later)
        assert found == {rid: {"of": rid} for rid in rids}
        assert await store.changed_since(later + 3) == {}
    finally:
        await store.delete_many(rids)
