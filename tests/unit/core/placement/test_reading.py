# SPDX-License-Identifier: Apache-2.0
"""What is planned while a part of the engine's indices is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.placement.memory import Look
from pinakes.core.placement.model import OWN, Facts, Thresholds, Why
from pinakes.core.placement.plan import make_plan
from pinakes.core.placement.reading import read_facts
from pinakes.core.tenancy.models import TenantRecord
from pinakes.core.tenancy.placement import DEDICATED, Place, Placement

Json = dict[str, Any]
LIMITS = Thresholds(
    dedicated_documents=1000, dedicated_bytes=20_000, shard_bytes=40_000, pool_shards=1, pool_documents=5000, pool_tenants=10,
    fill=0.8, return_share=0.5, noise_share=0.5, noise_looks=3, noise_work=10.0, cooldown_ms=60_000, moves=2,
)  # fmt: skip
LARGE = Placement(active=Place(DEDICATED, name="u-1", shards=2))
POOL, INDEX = "p-pool-000-v1", "p-own-u-1-v1"


class Engine:
    """An engine with a pool of one shard and an index of two, of which it shows so many documents in the shards that are there."""

    prefix = "p"

    def __init__(self, **documents: list[int]) -> None:
        self.shown = {"pool": [5], "own": [400, 400], **documents}

    async def call(self, operation: str, method: str, path: str, **_: Any) -> Json:
        if path.endswith("/_settings/index.number_of_shards"):
            return {name: {"settings": {"index.number_of_shards": n}} for name, n in ((POOL, "1"), (INDEX, "2"))}
        if path.endswith("/_stats/docs,store"):
            shown = {POOL: self.shown["pool"], INDEX: self.shown["own"]}
            return {"indices": {name: {"shards": _shards(counts)} for name, counts in shown.items() if counts}}
        assert path == "/p-pool-000/_search"
        return {"aggregations": {"tenants": {"buckets": []}}}


def _shards(counts: list[int]) -> Json:
    return {
        str(number): [
            {"routing": {"primary": True}, "docs": {"count": count, "deleted": 0}, "store": {"size_in_bytes": count}}
        ]
        for number, count in enumerate(counts)
    }


async def read(engine: Any) -> Facts:
    """Return the facts of one tenant, whom the controller gave the index that is its own."""
    record = TenantRecord(tenant_id="large", uid="u", placement=LARGE)

    async def page(*_: Any) -> list[Json]:
        return [record.to_json()]

    directory: Any = SimpleNamespace(tenants=SimpleNamespace(store=SimpleNamespace(page=page)))
    return await read_facts(engine, directory, Look(own={"u": 1}))


async def test_a_tenant_comes_back_when_its_index_is_all_there_and_small() -> None:
    facts = await read(Engine(own=[10, 10]))
    assert [(move.tenant_id, move.why) for move in make_plan(facts, LIMITS).moves] == [("large", Why.SMALL)]
    assert make_plan(await read(Engine()), LIMITS).moves == ()


@pytest.mark.parametrize("shown", [[], [400]])
async def test_a_tenant_whose_index_is_not_all_there_is_not_taken_for_small(shown: list[int]) -> None:
    facts = await read(Engine(own=shown))
    assert [(one.place, one.fixed) for one in facts.tenants] == [(OWN, True)]
    assert make_plan(facts, LIMITS).moves == ()


async def test_without_a_pool_that_should_be_there_nothing_is_planned() -> None:
    with pytest.raises(Fault) as caught:
        await read(Engine(pool=[]))
    assert caught.value.kind is Kind.UNAVAILABLE
