# SPDX-License-Identifier: Apache-2.0
"""Queue entries: the writes of one call, split by partition and packed to a bounded size."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pinakes.core.engine.documents import Owner
from pinakes.core.queue import keys
from pinakes.core.writing.changes import Change
from pinakes.queue.v1 import entry_pb2

FORMAT = 1
BYTES = 256 << 10
"""Entries are closed when they reach this; a single document may be larger."""


def pack(
    owner: Owner, changes: Sequence[tuple[int, Change]], mine: tuple[int, ...], version: int, traceparent: str
) -> list[entry_pb2.Entry]:
    """Return the entries of changes, each with its place in the batch: `mine` are the tenant's partitions.

    `version` is that of the collection's record by which the changes were compiled.
    The field `part` of an entry is its place among them.
    """
    open_entries: dict[int, entry_pb2.Entry] = {}
    sizes: dict[int, int] = {}
    made: list[entry_pb2.Entry] = []
    now = time.time_ns() // 1_000_000
    for position, change in changes:
        partition = keys.partition_of(change.document_id, mine)
        if partition not in open_entries or sizes[partition] + len(change.data) > BYTES:
            entry = entry_pb2.Entry(
                format=FORMAT, tenant_uid=owner.tenant_uid, tenant_id=owner.tenant_id,
                collection_uid=owner.collection_uid, collection_id=owner.collection_id, accepted_ms=now,
                traceparent=traceparent, part=len(made), collection_version=version,
            )  # fmt: skip
            open_entries[partition] = entry
            sizes[partition] = 0
            made.append(entry)
        sizes[partition] += len(change.data) + 64
        open_entries[partition].writes.add(
            document_id=change.document_id, revision=change.revision, body=change.data,
            content_hash=change.content_hash, position=position, retries=change.retries,
        )  # fmt: skip
    return made


def partition_of(entry: entry_pb2.Entry, mine: tuple[int, ...]) -> int:
    """Return the partition that an entry belongs to."""
    return keys.partition_of(entry.writes[0].document_id, mine)


def changes_of(entry: entry_pb2.Entry) -> list[Change]:
    """Return the changes in an entry."""
    return [Change(w.document_id, w.revision, w.body, w.content_hash, w.retries) for w in entry.writes]
