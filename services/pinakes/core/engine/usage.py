# SPDX-License-Identifier: Apache-2.0
"""What tenants use, in an index a month: what each process counted of a day, and what was counted in the engine itself.

A row holds the totals of one process of one tenant and day, so writing it again changes nothing; a day is the sum of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pinakes.core.engine.bodies import answered
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.faults import unavailable
from pinakes.core.tenancy.models import TenantRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

Json = dict[str, Any]
FORMAT = 1
KIND = "usage"
MOST_DAYS = 400
"""Days that can be asked for at once."""

_COUNTED = "counted"
_WORK_PAGE = 5000
_SUMS = ("searches", "writes", "cost")


@dataclass(slots=True)
class Row:
    """What one process has counted of a tenant on a day (UTC) until now."""

    tenant_uid: str
    day: date
    searches: int = 0
    writes: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a tenant has: documents that can be found, and the bytes of their content."""

    documents: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a tenant. `counts` is what it had when that was last counted, None if it wasn't on that day."""

    day: date
    searches: int
    writes: int
    cost: float
    counts: Counts | None


class UsageStore:
    """The rows of all tenants, and counting in the document indices."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._engine = engine
        self._base = f"{engine.prefix}-sys-{KIND}"
        self._made: set[str] = set()

    # ---- rows

    async def keep(self, process: str, rows: Sequence[Row]) -> None:
        """Write what a process has counted. Raises a fault of kind UNAVAILABLE if a row isn't taken."""
        await self._put([(row.tenant_uid, row.day, process, _body(row)) for row in rows])

    async def keep_counts(self, counts: Sequence[tuple[str, Counts]], day: date) -> None:
        """Write what tenants, by uid, have on a day. Raises a fault of kind UNAVAILABLE if a row isn't taken."""
        await self._put([
            (uid, day, _COUNTED, {"documents": one.documents, "bytes": one.bytes}) for uid, one in counts
        ])  # fmt: skip

    async def read(self, tenant_uid: str, first: date, last: date) -> list[Day]:
        """Return the days of a tenant from one to another that anything is known of, the first one first."""
        filters: list[Json] = [
            {"term": {"tenant": tenant_uid}},
            {"range": {"day": {"gte": first.isoformat(), "lte": last.isoformat()}}},
        ]
        sums: Json = {name: {"sum": {"field": name}} for name in _SUMS}
        counted: Json = {name: {"max": {"field": name}} for name in ("documents", "bytes")}
        days = {"terms": {"field": "day", "size": MOST_DAYS, "order": {"_key": "asc"}}, "aggs": sums | counted}
        body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": {"days": days}}
        answer = await self._call("read", "POST", f"/{self._base}-*/_search", body)
        return [_day(bucket) for bucket in answer.get("aggregations", {}).get("days", {}).get("buckets", [])]

    async def counted_before(self, tenant_uid: str, day: date) -> Counts | None:
        """Return what a tenant had when it was last counted before a day, None if it never was or that isn't kept any more."""
        filters: list[Json] = [
            {"term": {"tenant": tenant_uid}},
            {"range": {"day": {"lt": day.isoformat()}}},
            {"exists": {"field": "documents"}},
        ]
        body: Json = {"size": 1, "query": {"bool": {"filter": filters}}, "sort": [{"day": "desc"}]}
        answer = await self._call("before", "POST", f"/{self._base}-*/_search", body)
        found = [hit["_source"] for hit in answer["hits"]["hits"]]
        return Counts(found[0]["documents"], found[0]["bytes"]) if found else None

    async def work(self, first: date) -> dict[str, tuple[int, int]]:
        """Return searches and writes of every tenant from a day on, by uid, as far as processes have written them."""
        sums: Json = {name: {"sum": {"field": name}} for name in ("searches", "writes")}
        composite: Json = {"size": _WORK_PAGE, "sources": [{"tenant": {"terms": {"field": "tenant"}}}]}
        query = {"range": {"day": {"gte": first.isoformat()}}}
        found: dict[str, tuple[int, int]] = {}
        while True:
            body = {"size": 0, "query": query, "aggs": {"tenants": {"composite": composite, "aggs": sums}}}
            answer = await self._call("work", "POST", f"/{self._base}-*/_search", body)
            tenants = answer.get("aggregations", {}).get("tenants", {"buckets": []})
            for one in tenants["buckets"]:
                found[one["key"]["tenant"]] = (int(one["searches"]["value"]), int(one["writes"]["value"]))
            if len(tenants["buckets"]) < _WORK_PAGE:
                return found
            composite["after"] = tenants["after_key"]

    async def erase(self, tenant_uid: str) -> int:
        """Delete all rows of a tenant, and return how many there were."""
        body = {"query": {"term": {"tenant": tenant_uid}}}
        params = {"conflicts": "proceed", "refresh": "true"}
        answer = await self._call("erase", "POST", f"/{self._base}-*/_delete_by_query", body, params)
        return int(answer["deleted"])

    async def expire(self, days: float) -> int:
        """Delete the months whose last day is over for longer than `days`, and return how many there were."""
        before = datetime.now(UTC).date() - timedelta(days=days)
        kept = await self._call("months", "GET", f"/{self._base}-*/_alias")
        over = [index for index in kept if _end(index.removeprefix(f"{self._base}-")) < before]
        for index in over:
            await self._engine.drop_index(index)
        return len(over)

    async def _put(self, rows: Sequence[tuple[str, date, str, Json]]) -> None:
        if not rows:
            return
        for index in {f"{self._base}-{day:%Y.%m}" for _, day, _, _ in rows} - self._made:
            await self._make(index)
        # However long they were held: an erasure waits for what was let through here before it counts.
        gone = await DeletionJournal(self._engine).erased_of(tenant_uid for tenant_uid, *_ in rows)
        lines: list[bytes] = []
        for tenant_uid, day, process, body in (row for row in rows if row[0] not in gone):
            index = f"{self._base}-{day:%Y.%m}"
            lines += (
                orjson.dumps({"index": {"_index": index, "_id": f"{tenant_uid}-{day}-{process}"}}),
                orjson.dumps({"v": FORMAT, "tenant": tenant_uid, "day": day, **body}),
            )
        if not lines:
            return
        answer = await self._call(
            "keep", "POST", "/_bulk", b"\n".join(lines) + b"\n", {"filter_path": "items.*.status"}
        )
        if any(item["index"]["status"] >= 300 for item in answer["items"]):
            raise unavailable("the search engine")

    async def _make(self, index: str) -> None:
        """Create the index of a month, unless it is there."""
        try:
            await self._engine.call("usage_make", "PUT", f"/{index}", body={})
        except EngineRefusal as refusal:
            if refusal.error_type != "resource_already_exists_exception":
                raise engine_fault(refusal) from None
        self._made = {*sorted(self._made)[-1:], index}

    # ---- documents

    async def count(self, tenants: Sequence[TenantRecord]) -> list[Counts | None]:
        """Count what tenants have, as searches see it now; None for one that couldn't be counted in time.

        Raises a fault of kind UNAVAILABLE or DEADLINE when the engine doesn't answer.
        """
        if not tenants:
            return []
        lines: list[bytes] = []
        for tenant in tenants:
            place = tenant.placement.active
            routing = place.routing(tenant.uid)
            header = {"index": place.alias(self._engine.prefix), **({"routing": routing} if routing else {})}
            lines += (orjson.dumps(header), orjson.dumps(_count(tenant.uid)))
        answer = await self._call("count", "POST", "/_msearch", b"\n".join(lines) + b"\n")
        return [_counts(one) for one in answer["responses"]]

    async def _call(self, what: str, method: str, path: str, body: Any = None, params: Json | None = None) -> Json:
        try:
            return await self._engine.call(f"usage_{what}", method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


def template(prefix: str, settings: Settings) -> Json:
    """Return the template of the months' indices."""
    number: Json = {"type": "long", "index": False}
    return {
        "index_patterns": [f"{prefix}-sys-{KIND}-*"],
        "priority": 200,  # above that of the system's other indices, whose pattern fits these too
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "number_of_replicas": settings.replicas,
                    "refresh_interval": "1s",
                    "replication.type": "DOCUMENT",
                }
            },
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "v": {"type": "short", "index": False},
                    "tenant": {"type": "keyword"},
                    "day": {"type": "keyword"},
                    "searches": number,
                    "writes": number,
                    "cost": {"type": "double", "index": False},
                    "documents": number,
                    "bytes": number,
                },
            },
        },
        "version": FORMAT,
    }


def _body(row: Row) -> Json:
    return {"searches": row.searches, "writes": row.writes, "cost": round(row.cost, 6)}


def _day(bucket: Json) -> Day:
    documents = bucket["documents"]["value"]
    counts = None if documents is None else Counts(int(documents), int(bucket["bytes"]["value"]))
    return Day(
        date.fromisoformat(bucket["key"]), int(bucket["searches"]["value"]), int(bucket["writes"]["value"]),
        round(bucket["cost"]["value"], 6), counts,
    )  # fmt: skip


def _count(tenant_uid: str) -> Json:
    filters: list[Json] = [{"term": {"tenant": tenant_uid}}, {"term": {"deleted": False}}]
    # Rounded to a second, so that the engine's filter cache can hold it.
    over = {"range": {"expire_time": {"lte": now_ms() // 1000 * 1000}}}
    query = {"bool": {"filter": filters, "must_not": [over]}}
    return {"size": 0, "track_total_hits": True, "query": query, "aggs": {"bytes": {"sum": {"field": "bytes"}}}}


def _counts(answer: Json) -> Counts | None:
    if answer.get("status") != 200 or answer["timed_out"] or not answered(answer):
        return None
    return Counts(int(answer["hits"]["total"]["value"]), int(answer["aggregations"]["bytes"]["value"]))


def _end(month: str) -> date:
    """Return the last day of a month."""
    year, number = (int(part) for part in month.split("."))
    return date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
