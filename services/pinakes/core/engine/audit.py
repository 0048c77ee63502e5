# SPDX-License-Identifier: Apache-2.0
"""The audit log's entries, in an index a month: created once, never replaced, found by filter, gone as a whole month."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.records import Conflict, RecordStore, Stored
from pinakes.core.faults import unavailable
from pinakes.core.tenancy.models import ACTIVE

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

Json = dict[str, Any]
FORMAT = 1
KIND = "audit"
PAGE = 1000
_BATCH = "audit-batch"
_NEWEST_FIRST = [{"time": "desc"}, {"sequence": "desc"}]


class Overtaken(Exception):
    """Another writer has put an entry, or a batch of them, where this one wanted to put its own."""


class AuditStore:
    """The entries of the chain. Only one writer at a time; that it is alone, the engine decides."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._engine = engine
        self._base = f"{engine.prefix}-sys-{KIND}"
        self._leases = RecordStore(engine, "leases", listed=False)
        self._made = ""

    # ---- writing

    async def batch(self) -> Stored | None:
        """Return the batch that was agreed on last, as `agree` keeps it, or None if there was none yet."""
        return await self._leases.get(_BATCH)

    async def agree(self, before: Stored | None, data: bytes) -> Stored:
        """Keep a batch that is to be written next, behind all of `before`, and return it. Raises `Overtaken` if it isn't next."""
        record = {"data": base64.b64encode(data).decode()}
        try:
            if before is None:
                return await self._leases.create(_BATCH, "", ACTIVE, record)
            return await self._leases.replace(before, "", ACTIVE, record)
        except Conflict:
            raise Overtaken from None

    async def append(self, month: str, entries: Sequence[Json]) -> None:
        """Create the entries of a batch, all in one shard of a month's index. Those that are there already are left.

        Raises `Overtaken` if another entry stands in one's place, and a fault of kind UNAVAILABLE if one isn't taken;
        then all of it is to be done again.
        """
        index = f"{self._base}-{month}"
        if index != self._made:
            await self._make(index)
        lines: list[bytes] = []
        for entry in entries:
            lines += (orjson.dumps({"create": {"_id": _rid(entry["sequence"])}}), orjson.dumps(entry))
        params = {"filter_path": "items.*.status"}
        answer = await self._call("append", "POST", f"/{index}/_bulk", b"\n".join(lines) + b"\n", params)
        statuses = [item["create"]["status"] for item in answer["items"]]
        if 409 in statuses:
            await self._check(index, [e for e, status in zip(entries, statuses, strict=True) if status == 409])
        if any(status >= 300 and status != 409 for status in statuses):
            raise unavailable("the search engine")

    async def _check(self, index: str, entries: Sequence[Json]) -> None:
        body = {"ids": [_rid(entry["sequence"]) for entry in entries]}
        answer = await self._call("check", "POST", f"/{index}/_mget", body)
        for doc, entry in zip(answer["docs"], entries, strict=True):
            if not doc.get("found") or doc["_source"].get("hash") != entry["hash"]:
                raise Overtaken

    async def _make(self, index: str) -> None:
        try:
            await self._engine.call("audit_make", "PUT", f"/{index}", body={})
        except EngineRefusal as refusal:
            if refusal.error_type != "resource_already_exists_exception":
                raise engine_fault(refusal) from None
        self._made = index

    # ---- reading

    async def refresh(self) -> None:
        """Make all that was written searchable."""
        await self._call("refresh", "POST", f"/{self._base}-*/_refresh")

    async def last(self, month: str = "*") -> Json | None:
        """Return the entry with the greatest number, of a month (`2026.01`) or of all, or None if there is none."""
        body = {"size": 1, "query": {"match_all": {}}, "sort": [{"sequence": "desc"}]}
        answer = await self._call("last", "POST", f"/{self._base}-{month}/_search", body)
        hits = answer["hits"]["hits"]
        return hits[0]["_source"] if hits else None

    async def known(self, event_ids: Sequence[str]) -> set[str]:
        """Return those of these ids of events that are in the chain, as far as searches see it."""
        body: Json = {"size": len(event_ids), "query": {"terms": {"event": list(event_ids)}}, "_source": ["event"]}
        answer = await self._call("known", "POST", f"/{self._base}-*/_search", body)
        return {hit["_source"]["event"] for hit in answer["hits"]["hits"]}

    async def page(self, filters: Sequence[Json], after: list[Any] | None, size: int) -> list[Json]:
        """Return up to `size` entries that match all filters, the newest first, those behind the sort values `after`."""
        body: Json = {"size": size, "query": {"bool": {"filter": list(filters)}}, "sort": _NEWEST_FIRST}
        if after is not None:
            body["search_after"] = after
        answer = await self._call("list", "POST", f"/{self._base}-*/_search", body)
        return [hit["_source"] for hit in answer["hits"]["hits"]]

    async def walk(self) -> AsyncIterator[list[Json]]:
        """Yield all entries in the order of their numbers, in pages."""
        body: Json = {"size": PAGE, "query": {"match_all": {}}, "sort": [{"sequence": "asc"}, {"_index": "asc"}]}
        while True:
            answer = await self._call("walk", "POST", f"/{self._base}-*/_search", body)
            hits = answer["hits"]["hits"]
            if hits:
                yield [hit["_source"] for hit in hits]
            if len(hits) < PAGE:
                return
            body["search_after"] = hits[-1]["sort"]

    # ---- months

    async def over(self, days: float) -> list[str]:
        """Return the months whose last day is over for longer than `days`, the oldest first."""
        before = datetime.now(UTC).date() - timedelta(days=days)
        kept = await self._call("months", "GET", f"/{self._base}-*/_alias")
        months = sorted(index.removeprefix(f"{self._base}-") for index in kept)
        return [month for month in months if _end(month) < before]

    async def drop(self, month: str) -> None:
        """Delete a month with all its entries."""
        await self._engine.drop_index(f"{self._base}-{month}")

    async def _call(self, what: str, method: str, path: str, body: Any = None, params: Json | None = None) -> Json:
        try:
            return await self._engine.call(f"audit_{what}", method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


def template(prefix: str, settings: Settings) -> Json:
    """Return the template of the months' indices."""
    keyword: Json = {"type": "keyword"}
    kept: Json = {"type": "keyword", "index": False, "doc_values": False}
    date_field: Json = {"type": "date", "format": "epoch_millis"}
    found = ("event", "kind", "action", "subject", "role", "credential", "tenant", "tenant_uid", "resource", "code",
             "reason", "request_id")  # fmt: skip
    return {
        "index_patterns": [f"{prefix}-sys-{KIND}-*"],
        "priority": 200,  # above that of the system's other indices, whose pattern fits these too
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "number_of_replicas": settings.replicas,
                    "refresh_interval": "1s",
                    "translog.durability": "request",
                    "replication.type": "DOCUMENT",
                }
            },
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "v": {"type": "short", "index": False},
                    "sequence": {"type": "long"},
                    "time": date_field,
                    "last": date_field | {"index": False},
                    "count": {"type": "long", "index": False},
                    "number": {"type": "long", "index": False},
                    "details": {"type": "object", "enabled": False},
                    **dict.fromkeys(found, keyword),
                    **dict.fromkeys(("origin", "justification", "fields", "previous", "key", "hash"), kept),
                },
            },
        },
        "version": FORMAT,
    }


def _rid(sequence: int) -> str:
    return f"{sequence:015}"


def _end(month: str) -> date:
    """Return the last day of a month."""
    year, number = (int(part) for part in month.split("."))
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
