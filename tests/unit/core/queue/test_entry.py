# SPDX-License-Identifier: Apache-2.0
"""Writes packed into entries and read back."""

from __future__ import annotations

import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.queue import entry, keys
from pinakes.core.writing import quick
from pinakes.core.writing.changes import Change
from pinakes.queue.v1 import entry_pb2

OWNER = Owner("tenant-uid", "collection-uid", "acme", "default")
MINE = (3, 5, 7)


def changes(count: int, size: int) -> list[tuple[int, Change]]:
    """Return so many changes of a size."""
    return [(n, Change(f"d{n}", 1000 + n, b"x" * size, f"hash{n}")) for n in range(count)]


def test_what_is_packed_is_read_back() -> None:
    given = [*changes(50, 100), (50, Change("gone", 2000, b"", retries=2))]
    packed = entry.pack(OWNER, given, MINE, 7, "00-trace")
    read = [entry_pb2.Entry.FromString(made.data("operation")) for made in packed]
    found = {
        write.position: change
        for made in read
        for write, change in zip(made.writes, entry.changes_of(made), strict=True)
    }
    assert found == dict(given)
    assert {(made.tenant_uid, made.tenant_id, made.collection_uid, made.collection_id) for made in read} == {
        ("tenant-uid", "acme", "collection-uid", "default")
    }
    assert [made.part for made in read] == list(range(len(read)))
    assert {(made.traceparent, made.operation) for made in read} == {("00-trace", "operation")}
    assert all((made.format, made.collection_version) == (entry.FORMAT, 7) for made in read)


def test_an_entry_holds_documents_of_one_partition() -> None:
    packed = entry.pack(OWNER, changes(100, 10), MINE, 7, "")
    assert len(packed) == len(MINE)
    for made in packed:
        writes = entry_pb2.Entry.FromString(made.data("")).writes
        assert {keys.partition_of(write.document_id, MINE) for write in writes} == {made.partition}


def test_entries_are_bounded_but_for_a_single_document() -> None:
    packed = entry.pack(OWNER, [*changes(40, 30_000), (40, Change("large", 1, b"x" * (1 << 20)))], MINE, 7, "")
    assert sum(len(made.writes) for made in packed) == 41
    for made in packed:
        assert len(made.data("")) < entry.BYTES + 4096 or len(made.writes) == 1


def test_an_unbuilt_part_packs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        *changes(3, 100), (200, Change("gone", 1 << 62, b"", retries=2)), (1 << 20, Change("é", 0, b"x" * 70_000, "h"))
    ]  # fmt: skip
    quickly = [made.writes for made in entry.pack(OWNER, given, MINE, 7, "")]
    monkeypatch.setattr(quick, "BUILT", False)
    slowly = [made.writes for made in entry.pack(OWNER, given, MINE, 7, "")]
    assert quickly == slowly
