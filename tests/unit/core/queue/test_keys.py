# SPDX-License-Identifier: Apache-2.0
"""Which partitions a tenant's writes go to."""

from __future__ import annotations

from itertools import combinations

from pinakes.core.queue import keys

TENANTS = [f"uid-{number}" for number in range(300)]


def test_a_tenant_has_the_same_few_partitions_in_every_process() -> None:
    assert keys.partitions_of("uid-1", 16, 4) == (10, 6, 4, 3)
    for tenant in TENANTS:
        mine = keys.partitions_of(tenant, 16, 4)
        assert len(set(mine)) == 4
        assert set(mine) <= set(range(16))


def test_few_tenants_share_all_their_partitions() -> None:
    shared = [
        len(set(keys.partitions_of(a, 16, 4)) & set(keys.partitions_of(b, 16, 4))) for a, b in combinations(TENANTS, 2)
    ]
    # By chance 4 of 4 out of 16 meet once in 1,820 pairs.
    assert sum(count == 4 for count in shared) / len(shared) < 2 / 1820


def test_a_document_is_always_in_the_same_partition_of_its_tenant() -> None:
    mine = keys.partitions_of("uid-1", 16, 4)
    places = [keys.partition_of(f"document-{number}", mine) for number in range(1000)]
    assert places == [keys.partition_of(f"document-{number}", mine) for number in range(1000)]
    assert {places.count(partition) > 150 for partition in mine} == {True}


def test_more_partitions_for_a_tenant_than_there_are_means_all() -> None:
    assert set(keys.partitions_of("uid-1", 2, 4)) == {0, 1}
