# SPDX-License-Identifier: Apache-2.0
"""Names in the queue's Redis, and which partition a document's writes go to."""

from __future__ import annotations

import hashlib
from functools import lru_cache

PREFIX = "pinakes:queue:1:"
GROUP = "workers"
DOCUMENTS = PREFIX + "documents"
"""Hash: queued writes by tenant's uid; `*` is all of them."""
BYTES = PREFIX + "bytes"
"""Hash: bytes of queued writes by tenant's uid; `*` is all of them."""
SINCE = PREFIX + "since"
"""Hash: since when (ms) a tenant's queue hasn't been empty."""
APPLIED = PREFIX + "applied"
"""Hash: when (ms) the write was accepted that was applied last, by tenant's uid."""
PARTITIONS = PREFIX + "partitions"
"""The number of partitions in use."""
WORKERS = PREFIX + "workers"
"""Sorted set: workers by the time (ms) they were last seen."""
FENCE = PREFIX + "fence"
"""Counter of the fencing numbers of leases."""


def stream(partition: int) -> str:
    """Return the stream of a partition."""
    return f"{PREFIX}partition:{partition}"


def lease(partition: int) -> str:
    """Return the key that says which worker holds a partition."""
    return f"{PREFIX}lease:{partition}"


def request(tenant_uid: str, request_id: str) -> str:
    """Return the key of a request id that was used."""
    return f"{PREFIX}request:{tenant_uid}:{request_id}"


def position(tenant_uid: str, stream_id: str) -> str:
    """Return the key of the last message written by a caller's stream."""
    return f"{PREFIX}stream:{tenant_uid}:{stream_id}"


def failed(tenant_uid: str) -> str:
    """Return the key that is there while a tenant has failed writes that could be retried."""
    return f"{PREFIX}failed:{tenant_uid}"


@lru_cache(maxsize=4096)
def partitions_of(tenant_uid: str, partitions: int, each: int) -> tuple[int, ...]:
    """Return the partitions of a tenant (shuffle sharding): few tenants share all of theirs, so few wait for a flood."""
    ranked = sorted(range(partitions), key=lambda number: _digest(f"{tenant_uid}\0{number}"))
    return tuple(ranked[:each])


def partition_of(document_id: str, mine: tuple[int, ...]) -> int:
    """Return the partition of a document, of those of its tenant: always the same one, so its writes stay in order."""
    return mine[int.from_bytes(_digest(document_id)) % len(mine)]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
