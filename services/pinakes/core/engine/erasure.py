# SPDX-License-Identifier: Apache-2.0
"""All that the engine holds of one tenant, whatever its index: listed, removed, and counted once more.

Only for tenants that are stopped. System indices of kinds that came later are covered without being named here, because
every body in them says whose it is, by `parent` (records) or `tenant` (rows); what is left out is named with its reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pinakes.core.engine.bodies import whole
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.setup import document_indices, record_index

Json = dict[str, Any]
DOCUMENTS, TOMBSTONES, JOURNAL = "documents", "tombstones", "deletions"
PAGE = 2000
AT_ONCE = 2000
"""Documents removed in one call: less than a second, after which other tenants' calls have their turn."""

# What the general removal leaves out: the stub of the tenant, receipts, the journal (which has steps of its own), and the
# audit log, whose chain a gap would break.
_APART = ("tenants", "receipts", JOURNAL, "audit", "leases")
_NAMES = {"keys": "api_keys", "failures": "failed_writes", "requests": "request_ids"}
# Kinds that have ids of their own; rows of insights and usage have none that would mean anything.
WITH_IDS = frozenset({"api_keys", "collections", "operations", "failed_writes", "outcomes", "request_ids", JOURNAL})
_ROUNDS = 20_000


@dataclass(frozen=True, slots=True)
class Chain:
    """A checksum over ids in their order that can be gone on with: h = SHA-256(h + id + newline), from 32 zero bytes."""

    count: int = 0
    digest: str = "00" * 32

    def over(self, ids: list[str]) -> Chain:
        """Return the checksum after more ids."""
        value = bytes.fromhex(self.digest)
        for one in ids:
            value = hashlib.sha256(value + one.encode() + b"\n").digest()
        return Chain(self.count + len(ids), value.hex())


class Remains:
    """What is in the engine of the tenant with a uid. `spared` is the id of the one record that has to stay: the erasure's."""

    def __init__(self, engine: Engine, tenant_uid: str, spared: str = "") -> None:
        """Look at this engine."""
        self._engine = engine
        self._uid = tenant_uid
        prefix = engine.prefix
        self._documents = document_indices(prefix)
        self._records = ",".join([f"{prefix}-sys-*", *(f"-{prefix}-sys-{kind}-*" for kind in _APART)])
        self._journal = record_index(prefix, JOURNAL)
        mine: list[Json] = [
            {"term": {"parent": tenant_uid}}, {"prefix": {"parent": f"{tenant_uid}/"}}, {"term": {"tenant": tenant_uid}},
        ]  # fmt: skip
        self._mine: Json = {
            "bool": {"should": mine, "minimum_should_match": 1, "must_not": [{"term": {"rid": spared}}]}
        }
        self._of_tenant: Json = {"term": {"tenant": tenant_uid}}
        self._journalled: Json = {
            "bool": {"filter": [{"term": {"parent": tenant_uid}}, {"term": {"state": "deleted"}}]}
        }

    # ---- looking

    async def count(self) -> dict[str, int]:
        """Count what is there by kind, after a refresh, so that nothing is missed. Kinds of which nothing is there are left out."""
        await self._call("refresh", "POST", f"/{self._everything}/_refresh")
        found = Counter(await self._count_documents()) + Counter(await self._count_records())
        journal = await self._call("journal", "POST", f"/{self._journal}/_count", {"query": self._journalled})
        found[JOURNAL] = int(whole(journal)["count"])
        return {kind: count for kind, count in sorted(found.items()) if count}

    async def document_ids(self, after: tuple[str, str] | None = None) -> AsyncIterator[list[tuple[str, str, bool]]]:
        """Yield (collection uid, id, whether it is a tombstone) of all documents in pages, in the order of the two."""
        while True:
            body: Json = {
                "size": PAGE, "query": self._of_tenant, "_source": ["collection", "id", "deleted"],
                "sort": [{"collection": "asc"}, {"id": "asc"}],
            }  # fmt: skip
            if after is not None:
                body["search_after"] = list(after)
            hits = await self._hits(self._documents, body)
            if hits:
                page = [hit["_source"] for hit in hits]
                yield [(one["collection"], one["id"], bool(one.get("deleted"))) for one in page]
                after = (page[-1]["collection"], page[-1]["id"])
            if len(hits) < PAGE:
                return

    async def record_ids(self, kind: str) -> Chain:
        """Return count and checksum of all records of a kind that has ids."""
        names = {told: stored for stored, told in _NAMES.items()}
        index = record_index(self._engine.prefix, names.get(kind, kind))
        query = self._journalled if kind == JOURNAL else self._mine
        chain, after = Chain(), ""
        while True:
            body: Json = {"size": PAGE, "query": query, "_source": ["rid"], "sort": [{"rid": "asc"}]}
            if after:
                body["search_after"] = [after]
            ids = [str(hit["_source"]["rid"]) for hit in await self._hits(index, body)]
            chain = chain.over(ids)
            if len(ids) < PAGE:
                return chain
            after = ids[-1]

    # ---- removing

    async def remove_documents(self) -> int:
        """Remove some documents and tombstones, and return how many; 0 when there are none."""
        return await self._remove(self._documents, self._of_tenant)

    async def remove_records(self) -> int:
        """Remove some records and rows, and return how many; 0 when there are none."""
        return await self._remove(self._records, self._mine)

    async def remove_journal(self) -> int:
        """Remove some of what the journal knows of the tenant's documents; 0 when there is nothing."""
        return await self._remove(self._journal, self._journalled)

    async def drop(self, alias: str) -> None:
        """Delete the index behind an alias that is the tenant's own, unless it is gone."""
        for index in await self._call("drop", "GET", f"/{alias}-v*/_alias"):
            await self._engine.drop_index(index)

    async def remove_all(self) -> int:
        """Remove everything, and return how much that was: after a restore has brought it back."""
        await self._call("refresh", "POST", f"/{self._everything}/_refresh")
        total = 0
        for step in (self.remove_documents, self.remove_records, self.remove_journal):
            for _ in range(_ROUNDS):
                if not (removed := await step()):
                    break
                total += removed
        return total

    # ---- the engine

    @property
    def _everything(self) -> str:
        return f"{self._documents},{self._records},{self._journal}"

    async def _count_documents(self) -> dict[str, int]:
        body: Json = {
            "size": 0, "track_total_hits": True, "query": self._of_tenant,
            "aggs": {"tombstones": {"filter": {"term": {"deleted": True}}}},
        }  # fmt: skip
        answer = await self._search(self._documents, body)
        buried = int(answer["aggregations"]["tombstones"]["doc_count"])
        return {DOCUMENTS: int(answer["hits"]["total"]["value"]) - buried, TOMBSTONES: buried}

    async def _count_records(self) -> dict[str, int]:
        aggregations = {"indices": {"terms": {"field": "_index", "size": 10_000}}}
        answer = await self._search(self._records, {"size": 0, "query": self._mine, "aggs": aggregations})
        found: Counter[str] = Counter()
        for bucket in answer["aggregations"]["indices"]["buckets"]:
            kind = str(bucket["key"]).removeprefix(f"{self._engine.prefix}-sys-").partition("-")[0]
            found[_NAMES.get(kind, kind)] += int(bucket["doc_count"])
        return dict(found)

    async def _remove(self, indices: str, query: Json) -> int:
        params = {"conflicts": "proceed", "refresh": "true", "max_docs": AT_ONCE, "scroll_size": 1000}
        answer = await self._call("remove", "POST", f"/{indices}/_delete_by_query", {"query": query}, params)
        return int(answer["deleted"])

    async def _hits(self, index: str, body: Json) -> list[Json]:
        hits: list[Json] = (await self._search(index, body))["hits"]["hits"]
        return hits

    async def _search(self, index: str, body: Json) -> Json:
        # A shard that doesn't answer may hold something: what can't be seen isn't gone.
        return whole(await self._call("search", "POST", f"/{index}/_search", body))

    async def _call(self, what: str, method: str, path: str, body: Any = None, params: Json | None = None) -> Json:
        try:
            return await self._engine.call(f"erasure_{what}", method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None
