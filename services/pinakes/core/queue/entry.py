# SPDX-License-Identifier: Apache-2.0
"""Queue entries: the writes of one call, split by partition and packed to a bounded size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pinakes.core.engine.documents import Owner
from pinakes.core.queue import keys
from pinakes.core.writing import quick
from pinakes.core.writing.changes import Change
from pinakes.queue.v1 import entry_pb2

FORMAT = 1
BYTES = 256 << 10
"""Entries are closed when they reach this; a single document may be larger."""
_WRITES = entry_pb2.Entry.WRITES_FIELD_NUMBER


@dataclass(slots=True)
class Packed:
    """An entry on its way into the queue: its partition, what it says of all its writes, and each of these as it stands in it."""

    partition: int
    head: entry_pb2.Entry
    writes: list[bytes]

    def data(self, operation: str) -> bytes:
        """Return the entry's message; its outcomes are kept for an operation, if one is given."""
        self.head.operation = operation
        # A message's fields may follow one another in any order.
        return self.head.SerializeToString() + b"".join(self.writes)


def pack(
    owner: Owner, changes: Sequence[tuple[int, Change]], mine: tuple[int, ...], version: int, traceparent: str
) -> list[Packed]:
    """Return the entries of changes, each with its place in the batch: `mine` are the tenant's partitions.

    `version` is that of the collection's record by which the changes were compiled.
    The field `part` of an entry is its place among them.
    """
    open_entries: dict[int, Packed] = {}
    sizes: dict[int, int] = {}
    made: list[Packed] = []
    now = time.time_ns() // 1_000_000
    for position, change in changes:
        partition = keys.partition_of(change.document_id, mine)
        write = _framed(position, change)
        if partition not in open_entries or sizes[partition] + len(write) > BYTES:
            head = entry_pb2.Entry(
                format=FORMAT, tenant_uid=owner.tenant_uid, tenant_id=owner.tenant_id,
                collection_uid=owner.collection_uid, collection_id=owner.collection_id, accepted_ms=now,
                traceparent=traceparent, part=len(made), collection_version=version,
            )  # fmt: skip
            open_entries[partition] = entry = Packed(partition, head, [])
            sizes[partition] = 0
            made.append(entry)
        sizes[partition] += len(write)
        open_entries[partition].writes.append(write)
    return made


def _framed(position: int, change: Change) -> bytes:
    """Return a write as it stands in an entry."""
    if (quickly := quick.framed(_WRITES, position, change)) is not None:
        return quickly
    write = entry_pb2.Write(
        document_id=change.document_id, revision=change.revision, body=change.data, content_hash=change.content_hash,
        position=position, retries=change.retries,
    )  # fmt: skip
    return entry_pb2.Entry(writes=[write]).SerializeToString()


def changes_of(entry: entry_pb2.Entry) -> list[Change]:
    """Return the changes in an entry."""
    return [Change(w.document_id, w.revision, w.body, w.content_hash, w.retries) for w in entry.writes]
