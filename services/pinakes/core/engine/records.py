# SPDX-License-Identifier: Apache-2.0
"""Records in system indices: realtime reads, compare-and-set writes, ordered lists and the feed of changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.setup import record_index
from pinakes.core.faults import unavailable
from pinakes.core.tenancy.models import now_ms

Json = dict[str, Any]
FORMAT = 1
_CHANGES = 1000
# A thousand tenants that are made or moved within seconds are no reason to read all others again.
_MOST_CHANGES = 20_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it is stored, and the position that a compare-and-set must find unchanged."""

    rid: str
    record: Json
    seq_no: int
    primary_term: int


class Conflict(Exception):
    """Somebody else wrote the record first."""


class RecordStore:
    """The records of one kind. `parent` groups them (the tenant's uid), `state` is `active` or `deleted`."""

    def __init__(self, engine: Engine, kind: str, *, listed: bool = True, apart: bool = False) -> None:
        """Use the system index of `kind`. Records that are only read by id needn't be `listed`, and cost no refresh.

        `apart`: on the engine's way that no other traffic stops.
        """
        self._engine, self._apart = engine, apart
        # At once, where records are listed: they change rarely, and lists and other processes should see it soon.
        self._refresh = "true" if listed else "false"
        self._index = record_index(engine.prefix, kind)
        self.kind = kind

    async def get(self, rid: str) -> Stored | None:
        """Read a record as it was last written."""
        try:
            answer = await self._call("get", "GET", f"/_doc/{_path(rid)}")
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return Stored(rid, answer["_source"]["record"], answer["_seq_no"], answer["_primary_term"])

    async def get_many(self, rids: list[str]) -> list[Json | None]:
        """Read records as they were last written, in the order of the ids; None for those that aren't there."""
        body = {"ids": rids}
        answer = await self._call("mget", "POST", "/_mget", body=body)
        return [doc["_source"]["record"] if doc.get("found") else None for doc in answer["docs"]]

    async def versions(self, rids: list[str]) -> dict[str, int]:
        """Return the versions of records as they were last written, by id; 0 of those that aren't there."""
        params = {"_source_includes": "record.version", "filter_path": "docs._id,docs.found,docs._source"}
        answer = await self._call("versions", "POST", "/_mget", params=params, body={"ids": rids})
        # Of a shard that isn't there nothing is known.
        told = [doc for doc in answer["docs"] if "found" in doc]
        return {doc["_id"]: doc["_source"]["record"]["version"] if doc["found"] else 0 for doc in told}

    async def create(self, rid: str, parent: str, state: str, record: Json) -> Stored:
        """Write a record that must not exist, and return it as stored. Raises `Conflict` if it does."""
        return await self._write(rid, parent, state, record, {"op_type": "create"})

    async def replace(self, old: Stored, parent: str, state: str, record: Json) -> Stored:
        """Write a record that must still be `old`, and return it as stored. Raises `Conflict` if it isn't."""
        params = {"if_seq_no": old.seq_no, "if_primary_term": old.primary_term}
        return await self._write(old.rid, parent, state, record, params)

    async def delete(self, old: Stored) -> None:
        """Delete a record that must still be `old`. Raises `Conflict` if it isn't."""
        params = {"if_seq_no": old.seq_no, "if_primary_term": old.primary_term, "refresh": self._refresh}
        try:
            await self._call("delete", "DELETE", f"/_doc/{_path(old.rid)}", params=params, retry=False)
        except EngineRefusal as refusal:
            if refusal.status in {404, 409}:
                raise Conflict from None
            raise

    async def put_many(
        self, records: list[tuple[str, str, str, Json]], *, changed: Sequence[int] | None = None
    ) -> None:
        """Write (id, parent, state, record)s, whatever was there. Raises a fault of kind UNAVAILABLE if one isn't taken.

        `changed` are the times (ms) they count as written at, if not now.
        """
        lines: list[bytes] = []
        for (rid, parent, state, record), when in zip(records, changed or [now_ms()] * len(records), strict=True):
            body = _body(rid, parent, state, record) | {"changed": when}
            lines += (orjson.dumps({"index": {"_id": rid}}), orjson.dumps(body))
        await self._bulk(lines)

    async def delete_many(self, rids: list[str]) -> None:
        """Delete records; those that aren't there are passed over. Raises a fault of kind UNAVAILABLE if one can't be."""
        await self._bulk([orjson.dumps({"delete": {"_id": rid}}) for rid in rids])

    async def delete_older(self, changed_before: int, states: tuple[str, ...] = ()) -> int:
        """Delete the records (in these states only, if given) that were last written before a time in ms; return how many."""
        filters: list[Json] = [{"range": {"changed": {"lt": changed_before}}}]
        if states:
            filters.append({"terms": {"state": list(states)}})
        answer = await self._call("expire", "POST", "/_delete_by_query",
            params={"conflicts": "proceed", "refresh": self._refresh}, body={"query": {"bool": {"filter": filters}}},
        )  # fmt: skip
        return int(answer["deleted"])

    async def _bulk(self, lines: list[bytes]) -> None:
        if not lines:
            return
        answer = await self._call("bulk", "POST", "/_bulk", body=b"\n".join(lines) + b"\n",
            params={"filter_path": "items.*.status", "refresh": self._refresh},
        )  # fmt: skip
        if any(status >= 300 and status != 404 for item in answer["items"] for status in (_status(item),)):
            raise unavailable("the search engine")

    async def _write(self, rid: str, parent: str, state: str, record: Json, params: Json) -> Stored:
        try:
            # A retried create could meet its own first attempt, so these aren't retried.
            answer = await self._call("write", "PUT", f"/_doc/{_path(rid)}",
                params=params | {"refresh": self._refresh}, body=_body(rid, parent, state, record), retry=False,
            )  # fmt: skip
        except EngineRefusal as refusal:
            if refusal.status == 409:
                raise Conflict from None
            raise
        return Stored(rid, record, answer["_seq_no"], answer["_primary_term"])

    async def page(self, parent: str | None, states: tuple[str, ...], after: str | None, size: int) -> list[Json]:
        """Return up to `size` records in the order of their ids, those after the id `after`."""
        filters: list[Json] = [{"terms": {"state": list(states)}}]
        if parent is not None:
            filters.append({"term": {"parent": parent}})
        body: Json = {"size": size, "query": {"bool": {"filter": filters}}, "sort": [{"rid": "asc"}]}
        if after is not None:
            body["search_after"] = [after]
        answer = await self._call("list", "POST", "/_search", body=body)
        return [hit["_source"]["record"] for hit in answer["hits"]["hits"]]

    async def page_with_ids(self, after: str | None, size: int) -> list[tuple[str, Json]]:
        """Return up to `size` records of any state with their ids, in the order of these, those after the id `after`."""
        body: Json = {"size": size, "query": {"match_all": {}}, "sort": [{"rid": "asc"}]}
        if after is not None:
            body["search_after"] = [after]
        answer = await self._call("list", "POST", "/_search", body=body)
        return [(hit["_source"]["rid"], hit["_source"]["record"]) for hit in answer["hits"]["hits"]]

    async def count(self, parent: str, *states: str) -> int:
        """Count the records of a parent in any of these states."""
        query = {"bool": {"filter": [{"term": {"parent": parent}}, {"terms": {"state": list(states)}}]}}
        answer = await self._call("count", "POST", "/_count", body={"query": query})
        return int(answer["count"])

    async def changed_since(self, when: int) -> dict[str, Json] | None:
        """Return the records changed since a time in ms, by id, or None if there are too many to tell."""
        sort = [{"changed": "asc"}, {"rid": "asc"}]
        body: Json = {"size": _CHANGES, "query": {"range": {"changed": {"gte": when}}}, "sort": sort}
        found: dict[str, Json] = {}
        while len(found) < _MOST_CHANGES:
            answer = await self._call("poll", "POST", "/_search", body=body, retry=False)
            hits = answer["hits"]["hits"]
            found |= {hit["_source"]["rid"]: hit["_source"]["record"] for hit in hits}
            if len(hits) < _CHANGES:
                return found
            body["search_after"] = hits[-1]["sort"]
        return None

    async def _call(self, operation: str, method: str, path: str, **more: Any) -> Json:
        """Send a request about records of this kind; `path` is below their index."""
        name = f"{self.kind}_{operation}"
        return await self._engine.call(name, method, f"/{self._index}{path}", apart=self._apart, **more)


def _body(rid: str, parent: str, state: str, record: Json) -> Json:
    changed = now_ms()
    return {"v": FORMAT, "rid": rid, "parent": parent, "state": state, "changed": changed, "record": record}


def _status(item: Json) -> int:
    status: int = next(iter(item.values()))["status"]
    return status


def _path(rid: str) -> str:
    """Return an id as it stands in an address."""
    return quote(rid, safe="")
