# SPDX-License-Identifier: Apache-2.0
"""How large things really are: shards of document indices on disk, and every tenant's part of them.

One call tells of all shards that are there, another how many there should be; one aggregation a shard, page by page in the
order of tenants, tells who is in it. None grows with anything but what is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.setup import document_indices

Json = dict[str, Any]
PAGE = 2000
# What a body takes beside the content that it counts: keys, hashes, words. Only so that no document weighs nothing.
_BODY_BYTES = 500
_SHARDS = "indices.*.shards.*.routing.primary,indices.*.shards.*.docs,indices.*.shards.*.store.size_in_bytes"


@dataclass(frozen=True, slots=True)
class ShardSize:
    """A primary shard: the name of its alias, its number, how many documents and tombstones it has, and their size on disk."""

    alias: str
    number: int
    documents: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Share:
    """A tenant's part of a shard. `documents` are those that can be found, `bytes` what all it has there takes on disk.

    The bytes are the tenant's part of the shard's, by the sizes of the contents.
    """

    tenant_uid: str
    documents: int
    bytes: int


class Sizes:
    """Reads sizes of document indices. Raises faults of kind UNAVAILABLE or DEADLINE when the engine doesn't answer."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._engine = engine

    async def shards(self) -> list[ShardSize]:
        """Return the primary shards of all document indices, but those that are away just now."""
        path = f"/{document_indices(self._engine.prefix)}/_stats/docs,store"
        answer = await self._call("sizes", "GET", path, params={"level": "shards", "filter_path": _SHARDS})
        return [
            ShardSize(index.rpartition("-v")[0], int(number), int(copy["docs"]["count"]), _living(copy))
            for index, found in answer.get("indices", {}).items()
            for number, copies in found["shards"].items()
            for copy in copies
            if copy["routing"]["primary"]
        ]

    async def declared(self) -> Counter[str]:
        """Return how many primary shards each document index has by its alias, those too that are away just now."""
        path = f"/{document_indices(self._engine.prefix)}/_settings/index.number_of_shards"
        params = {"flat_settings": "true", "expand_wildcards": "open,closed"}
        found: Counter[str] = Counter()
        for index, kept in (await self._call("sizes", "GET", path, params=params)).items():
            found[index.rpartition("-v")[0]] += int(kept["settings"]["index.number_of_shards"])
        return found

    async def shares(self, shard: ShardSize) -> list[Share]:
        """Return what every tenant has in a shard, in the order of their uids."""
        found: list[tuple[str, int, float]] = []
        async for bucket in self._tenants(shard):
            weight = bucket["content"]["value"] + bucket["doc_count"] * _BODY_BYTES
            found.append((bucket["key"]["tenant"], bucket["living"]["doc_count"], weight))
        total = sum(weight for _, _, weight in found)
        return [
            Share(uid, documents, round(shard.bytes * weight / total) if total else 0)
            for uid, documents, weight in found
        ]

    async def _tenants(self, shard: ShardSize) -> AsyncIterator[Json]:
        """Yield a bucket for each tenant of a shard. Without a query, so that pages read only their own tenants."""
        composite: Json = {"size": PAGE, "sources": [{"tenant": {"terms": {"field": "tenant"}}}]}
        inner = {"living": {"filter": {"term": {"deleted": False}}}, "content": {"sum": {"field": "bytes"}}}
        params = {"preference": f"_shards:{shard.number}", "request_cache": "false"}
        while True:
            body = {"size": 0, "track_total_hits": False, "aggs": {"tenants": {"composite": composite, "aggs": inner}}}
            answer = await self._call("sizes", "POST", f"/{shard.alias}/_search", params=params, body=body)
            tenants = answer["aggregations"]["tenants"]
            for bucket in tenants["buckets"]:
                yield bucket
            if len(tenants["buckets"]) < PAGE:
                return
            composite["after"] = tenants["after_key"]

    async def _call(self, what: str, method: str, path: str, *, params: Json, body: Any = None) -> Json:
        try:
            return await self._engine.call(what, method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


def _living(copy: Json) -> int:
    """Return a shard's size less what is deleted in it and not merged away yet."""
    docs, stored = copy["docs"], int(copy["store"]["size_in_bytes"])
    living, deleted = int(docs["count"]), int(docs["deleted"])
    return round(stored * living / (living + deleted)) if living + deleted else 0
