# SPDX-License-Identifier: Apache-2.0
"""What is kept of searches, in an index a day: what was asked how often, found nothing, took how long, was opened.

A row is what one process saw of one query of one collection in a few seconds. It says nothing of who asked. A day's index
goes as a whole when its time is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.faults import unavailable
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

Json = dict[str, Any]
FORMAT = 1
KIND = "insights"
# Queries that a shard puts forward for each list: lists of several days are exact as long as no more are near the top.
_SHARD_SIZE = 1000
_DAY_MS = 86_400_000
_DAY = "%Y.%m.%d"
_SUMS = ("searches", "without_results", "clicks", "conversions", "placed", "position")
_LISTS = {"top": "searches", "without_results_list": "without_results", "slow": "took[95.0]"}
LISTS = len(_LISTS)
"""Lists of queries that a summary has; the engine counts each as it does a facet."""
_log = logger("pinakes.insights")


@dataclass(slots=True)
class Row:
    """What was seen of a query since `at_ms`. `took` are milliseconds, a sample of them if there were many.

    `placed` are clicks whose position was told, `position` the sum of those. `query` is empty where only clicks were seen.
    """

    rid: str
    tenant_uid: str
    collection_uid: str
    digest: str
    at_ms: int
    query: str = ""
    searches: int = 0
    without_results: int = 0
    clicks: int = 0
    conversions: int = 0
    placed: int = 0
    position: int = 0
    took: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """A query, or all of them: `took_ms` is the time that 19 of 20 answers came within."""

    query: str
    searches: int
    without_results: int
    clicks: int
    conversions: int
    mean_position: float = 0.0
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What is kept of a collection's searches: all together, and the lists of queries, longest first.

    `worked_ms` is the time that the engine took to sum it up.
    """

    total: Told
    top: list[Told]
    without_results: list[Told]
    slow: list[Told]
    worked_ms: int


class InsightStore:
    """The rows of all tenants."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine."""
        self._engine = engine
        self._base = f"{engine.prefix}-sys-{KIND}"
        self._made: set[str] = set()

    async def keep(self, rows: Sequence[Row]) -> None:
        """Write rows; one that was written before is replaced. Raises a fault of kind UNAVAILABLE if one isn't taken.

        Those of tenants that are being erased are dropped, however long they were held: the erasure waits for what was let
        through here before it counts.
        """
        for index in {f"{self._base}-{_day(row.at_ms)}" for row in rows} - self._made:
            await self._make(index)
        gone = await DeletionJournal(self._engine).erased_of(row.tenant_uid for row in rows)
        lines: list[bytes] = []
        for row in (row for row in rows if row.tenant_uid not in gone):
            index = f"{self._base}-{_day(row.at_ms)}"
            lines += (orjson.dumps({"index": {"_index": index, "_id": row.rid}}), orjson.dumps(_body(row)))
        if not lines:
            return
        answer = await self._call(
            "bulk", "POST", "/_bulk", b"\n".join(lines) + b"\n", {"filter_path": "items.*.status"}
        )
        statuses = {item["index"]["status"] for item in answer["items"]}
        if any(status == 429 or status >= 500 for status in statuses):
            raise unavailable("the search engine")
        if refused := {status for status in statuses if status >= 300}:
            _log.warning("insights refused", statuses=sorted(refused))

    async def read(self, tenant_uid: str, collection_uid: str, start_ms: int, end_ms: int, limit: int) -> Summary:
        """Sum up what is kept of a collection's searches from a time on, until before another; lists of `limit` queries."""
        filters: list[Json] = [
            {"term": {"tenant": tenant_uid}},
            {"term": {"collection": collection_uid}},
            {"range": {"at": {"gte": start_ms, "lt": end_ms}}},
        ]
        aggregations = _sums() | {name: _list(order, limit) for name, order in _LISTS.items()}
        body = {"size": 0, "query": {"bool": {"filter": filters}}, "aggs": aggregations}
        answer = await self._call("read", "POST", f"/{self._base}-*/_search", body)
        found = answer.get("aggregations")
        if found is None:  # not a day is kept
            return Summary(Told("", 0, 0, 0, 0), [], [], [], answer["took"])
        top, without, slow = ([_told(bucket) for bucket in found[name]["buckets"]] for name in _LISTS)
        return Summary(
            _told(found),
            [told for told in top if told.query and told.searches],
            [told for told in without if told.query and told.without_results],
            [told for told in slow if told.query and told.searches],
            answer["took"],
        )

    async def expire(self, days: float) -> int:
        """Delete the days that are over for longer than `days`, and return how many there were."""
        before = now_ms() - round(days * _DAY_MS) - _DAY_MS
        kept = await self._call("days", "GET", f"/{self._base}-*/_alias")
        over = [index for index in kept if _begin(index.removeprefix(f"{self._base}-")) < before]
        for index in over:
            await self._engine.drop_index(index)
        return len(over)

    async def _make(self, index: str) -> None:
        """Create the index of a day, unless it is there."""
        try:
            await self._engine.call("insights_make", "PUT", f"/{index}", body={})
        except EngineRefusal as refusal:
            if refusal.error_type != "resource_already_exists_exception":
                raise engine_fault(refusal) from None
        self._made = {*sorted(self._made)[-2:], index}

    async def _call(self, what: str, method: str, path: str, body: Any = None, params: Json | None = None) -> Json:
        try:
            return await self._engine.call(f"insights_{what}", method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


def template(prefix: str, settings: Settings) -> Json:
    """Return the template of the days' indices."""
    keyword: Json = {"type": "keyword"}
    number: Json = {"type": "long", "index": False}
    return {
        "index_patterns": [f"{prefix}-sys-{KIND}-*"],
        "priority": 200,  # above that of the system's other indices, whose pattern fits these too
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "number_of_replicas": settings.replicas,
                    "refresh_interval": "5s",
                    "replication.type": "DOCUMENT",
                }
            },
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "v": {"type": "short", "index": False},
                    "tenant": keyword,
                    "collection": keyword,
                    "digest": keyword,
                    "query": {"type": "keyword", "index": False},
                    "at": {"type": "date", "format": "epoch_millis"},
                    "took": {"type": "float", "index": False},
                    **dict.fromkeys(_SUMS, number),
                },
            },
        },
        "version": FORMAT,
    }


def _body(row: Row) -> Json:
    body: Json = {
        "v": FORMAT, "tenant": row.tenant_uid, "collection": row.collection_uid, "digest": row.digest, "at": row.at_ms,
    }  # fmt: skip
    body |= {name: value for name in _SUMS if (value := getattr(row, name))}
    if row.query:
        body |= {"query": row.query, "took": row.took}
    return body


def _sums() -> Json:
    sums: Json = {name: {"sum": {"field": name}} for name in _SUMS}
    return sums | {"took": {"percentiles": {"field": "took", "percents": [95.0]}}}


def _list(order: str, limit: int) -> Json:
    """Return the aggregation of queries, by what they are told apart by; the text comes with it."""
    terms = {"field": "digest", "size": limit, "shard_size": _SHARD_SIZE, "order": [{order: "desc"}, {"_key": "asc"}]}
    return {"terms": terms, "aggs": _sums() | {"query": {"terms": {"field": "query", "size": 1}}}}


def _told(found: Json) -> Told:
    sums = {name: round(found[name]["value"]) for name in _SUMS}
    texts = found["query"]["buckets"] if "query" in found else []
    took = found["took"]["values"]["95.0"]
    return Told(
        query=texts[0]["key"] if texts else "",
        searches=sums["searches"],
        without_results=sums["without_results"],
        clicks=sums["clicks"],
        conversions=sums["conversions"],
        mean_position=sums["position"] / sums["placed"] if sums["placed"] else 0.0,
        took_ms=float(took) if isinstance(took, int | float) else 0.0,
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime(_DAY)


def _begin(day: str) -> int:
    """Return when a day begins, in ms since 1970; of what isn't a day, the far future."""
    try:
        return round(datetime.strptime(day, _DAY).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return 1 << 62
