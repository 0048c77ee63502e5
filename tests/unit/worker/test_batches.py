# SPDX-License-Identifier: Apache-2.0
"""What a worker takes at once: fair between tenants, no more than the engine bears."""

from __future__ import annotations

from pinakes.core.queue.consumer import Delivered
from pinakes.queue.v1 import entry_pb2
from pinakes.worker.batches import SMALLEST, AdaptiveSize, FairBuffer


def delivered(tenant: str, number: int, documents: int = 10, size: int = 100) -> Delivered:
    """Return an entry with so many writes."""
    entry = entry_pb2.Entry(tenant_uid=tenant, writes=[entry_pb2.Write(document_id=str(n)) for n in range(documents)])
    return Delivered(f"{tenant}-{number}".encode(), tenant, b"x" * size, entry)


def test_a_tenant_with_one_entry_does_not_wait_for_anothers_flood() -> None:
    buffer = FairBuffer()
    buffer.add([delivered("loud", number) for number in range(100)])
    buffer.add([delivered("quiet", 0)])
    first = buffer.take(20, 1 << 20)
    assert [item.tenant_uid for item in first] == ["loud", "quiet"]


def test_the_entries_of_a_tenant_stay_in_order_and_none_is_lost() -> None:
    buffer = FairBuffer()
    given = [delivered("abc"[number % 3], number) for number in range(60)]
    buffer.add(given)
    taken: list[Delivered] = []
    while buffer:
        taken += buffer.take(35, 1 << 20)
    assert sorted(item.entry_id for item in taken) == sorted(item.entry_id for item in given)
    for tenant in "abc":
        numbers = [int(item.entry_id.split(b"-")[1]) for item in taken if item.tenant_uid == tenant]
        assert numbers == sorted(numbers)
    assert buffer.bytes == 0


def test_a_batch_is_bounded_by_documents_and_bytes_and_has_at_least_one_entry() -> None:
    buffer = FairBuffer()
    buffer.add([delivered("a", number, documents=10, size=100) for number in range(10)])
    assert len(buffer.take(35, 1 << 20)) == 3
    assert len(buffer.take(1000, 250)) == 2
    assert len(buffer.take(1, 1)) == 1


def test_a_batch_halves_when_the_engine_is_busy_and_grows_back() -> None:
    size = AdaptiveSize(1000)
    assert size.now == 1000
    size.busy()
    assert size.now == 500
    for _ in range(20):
        size.busy()
    assert size.now == SMALLEST
    steps = 0
    while size.now < 1000:
        size.ok()
        steps += 1
    assert 20 < steps < 100
    size.ok()
    assert size.now == 1000
