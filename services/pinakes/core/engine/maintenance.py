# SPDX-License-Identifier: Apache-2.0
"""Work on the document indices that is of no one tenant: documents whose time is over, tombstones beyond the horizon.

It reads no content and decides by fields that every body has; what it writes is bound to the tenant that each body names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pinakes.core.engine.bulk import Line, line
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.documents import Owner, tombstone
from pinakes.core.engine.journal import journal_line
from pinakes.core.engine.setup import document_indices, routing_of
from pinakes.core.tenancy.models import now_ms

Json = dict[str, Any]
PAGE = 500
TOGETHER = 200
"""Collections whose documents are looked for in one search."""
# Longer than any process's clock may be behind: a document isn't buried while another still shows it.
GRACE_MS = 10_000
_FIELDS = ("tenant", "collection", "id", "revision", "readers")


@dataclass(frozen=True, slots=True)
class Kept:
    """A collection, by the id of its record and by uids, and how long it keeps documents after a change, in ms."""

    rid: str
    tenant_uid: str
    collection_uid: str
    kept_ms: int


Now = Callable[[Sequence[Kept]], Awaitable[Sequence[Kept]]]
"""Tells how long these collections keep documents as it was last written; those that keep them for ever are left out."""

Moving = Callable[[], Awaitable[Sequence[str]]]
"""Tells the uids of the tenants that are being moved."""


class Maintenance:
    """Maintenance of the document indices."""

    def __init__(self, engine: Engine, moving: Moving) -> None:
        """Work on this engine, but leave tenants alone that are `moving`: each of their documents is there twice."""
        self._engine = engine
        self._moving = moving
        self._index = document_indices(engine.prefix)

    async def _settled(self, *filters: Json) -> Json:
        """Return a query for documents of tenants that aren't moved at the moment."""
        return {"bool": {"filter": list(filters), "must_not": [{"terms": {"tenant": list(await self._moving())}}]}}

    async def bury_expired(self, next_revision: Callable[[], int]) -> int:
        """Write tombstones for documents that expired, and return how many. One that is written meanwhile stays."""
        before = now_ms() - GRACE_MS

        async def over() -> Json:
            return {"range": {"expire_time": {"lte": before}}}

        return await self._bury_all("expired", over, "expire_time", next_revision)

    async def bury_outlived(self, kept: Sequence[Kept], now: Now, next_revision: Callable[[], int]) -> int:
        """Write tombstones for documents that weren't changed for as long as their collection keeps them; return how many.

        One that is written meanwhile stays. `now` is asked before each page, so that a time that was a mistake and has
        been made longer takes no more documents.
        """
        buried, until = 0, now_ms() - GRACE_MS
        for start in range(0, len(kept), TOGETHER):
            some = kept[start : start + TOGETHER]

            async def over(some: Sequence[Kept] = some) -> Json | None:
                conditions = [_outlived(one, until) for one in await now(some)]
                return {"bool": {"should": conditions, "minimum_should_match": 1}} if conditions else None

            buried += await self._bury_all("outlived", over, "update_time", next_revision)
        return buried

    async def _bury_all(
        self, operation: str, over: Callable[[], Awaitable[Json | None]], time: str, next_revision: Callable[[], int]
    ) -> int:
        """Bury all that a condition finds, the oldest by the field `time` first; it is asked for before each page.

        A page of which nothing was buried, because the engine takes no writes for instance, would be found again at once:
        the rest waits for the next time.
        """
        buried = 0
        while (condition := await over()) is not None:
            query = await self._settled(condition, {"term": {"deleted": False}})
            body = {"size": PAGE, "query": query, "_source": list(_FIELDS), "seq_no_primary_term": True,
                    "sort": [{time: "asc"}]}  # fmt: skip
            answer = await self._call(operation, f"/{self._index}/_search", body=body)
            hits = answer["hits"]["hits"]
            done = await self._bury(hits, next_revision)
            buried += done
            if len(hits) < PAGE or not done:
                break
            await self._call("refresh", f"/{self._index}/_refresh")
        return buried

    async def _bury(self, hits: list[Json], next_revision: Callable[[], int]) -> int:
        """Replace each of the bodies that were found, if it is still the same, by a tombstone."""
        lines: list[bytes] = []
        for hit in hits:
            source = hit["_source"]
            owner = Owner(source["tenant"], source["collection"], "", "")
            body = tombstone(owner, source["id"], next_revision())
            if "readers" in source:
                body["readers"] = source["readers"]
            action = {
                "_index": hit["_index"], "_id": hit["_id"], **routing_of(hit),
                "if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"],
            }  # fmt: skip
            lines += (orjson.dumps({"index": action}), orjson.dumps(body))
        if not lines:
            return 0
        compared = await self._call("bury", "/_bulk", body=b"\n".join(lines) + b"\n")
        # The comparison raised the version by one only: the same bodies again at their revisions (see TenantScope.write_if).
        again: list[Line] = []
        for item, hit, data in zip(compared["items"], hits, lines[1::2], strict=True):
            if item["index"]["status"] < 300:
                action = {
                    "_index": hit["_index"], "_id": hit["_id"], **routing_of(hit),
                    "version": orjson.loads(data)["revision"], "version_type": "external_gte",
                }  # fmt: skip
                again.append(line(orjson.dumps(action), data))
                # The index behind the alias may be another by the time of a restore.
                alias = hit["_index"].rpartition("-v")[0]
                routing = hit.get("_routing", "")
                again.append(journal_line(self._engine.prefix, alias, hit["_id"], routing, orjson.loads(data)))
        await self._engine.bulk.write(again, searchable=False)
        return len(again) // 2

    async def forget_tombstones(self, days: float) -> int:
        """Delete tombstones that are older than `days` for good, and return how many there were."""
        before = now_ms() - round(days * 86_400_000)
        query = await self._settled({"term": {"deleted": True}}, {"range": {"update_time": {"lt": before}}})
        answer = await self._call(
            "forget", f"/{self._index}/_delete_by_query", params={"conflicts": "proceed"}, body={"query": query}
        )
        return int(answer["deleted"])

    async def _call(self, operation: str, path: str, *, params: Json | None = None, body: Any = None) -> Json:
        try:
            return await self._engine.call(operation, "POST", path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


def _outlived(kept: Kept, until: int) -> Json:
    """Return the condition that a collection's documents have outlived its retention at a time in ms."""
    whose = [{"term": {"tenant": kept.tenant_uid}}, {"term": {"collection": kept.collection_uid}}]
    return {"bool": {"filter": [*whose, {"range": {"update_time": {"lte": until - kept.kept_ms}}}]}}
