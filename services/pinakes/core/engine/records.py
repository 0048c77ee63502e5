# SPDX-License-Identifier: Apache-2.0
"""Records in system indices: realtime reads, compare-and-set writes, ordered lists and the feed of changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.engine.setup import record_index

Json = dict[str, Any]
FORMAT = 1
_CHANGES = 1000


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

    def __init__(self, engine: Engine, kind: str) -> None:
        """Use the system index of `kind`."""
        self._engine = engine
        self._index = record_index(engine.prefix, kind)
        self.kind = kind

    async def get(self, rid: str) -> Stored | None:
        """Read a record as it was last written."""
        try:
            answer = await self._engine.call(f"{self.kind}_get", "GET", f"/{self._index}/_doc/{_path(rid)}")
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return Stored(rid, answer["_source"]["record"], answer["_seq_no"], answer["_primary_term"])

    async def create(self, rid: str, parent: str, state: str, record: Json) -> None:
        """Write a record that must not exist. Raises `Conflict` if it does."""
        await self._write(rid, parent, state, record, {"op_type": "create"})

    async def replace(self, old: Stored, parent: str, state: str, record: Json) -> None:
        """Write a record that must still be `old`. Raises `Conflict` if it isn't."""
        params = {"if_seq_no": old.seq_no, "if_primary_term": old.primary_term}
        await self._write(old.rid, parent, state, record, params)

    async def _write(self, rid: str, parent: str, state: str, record: Json, params: Json) -> None:
        body = {
            "v": FORMAT,
            "rid": rid,
            "parent": parent,
            "state": state,
            "changed": time.time_ns() // 1_000_000,
            "record": record,
        }
        try:
            # Refreshed at once: records change rarely, and lists and other processes should see it soon.
            # A retried create could meet its own first attempt, so these aren't retried.
            await self._engine.call(
                f"{self.kind}_write", "PUT", f"/{self._index}/_doc/{_path(rid)}", params=params | {"refresh": "true"},
                body=body, retry=False,
            )  # fmt: skip
        except EngineRefusal as refusal:
            if refusal.status == 409:
                raise Conflict from None
            raise

    async def page(self, parent: str | None, states: tuple[str, ...], after: str | None, size: int) -> list[Json]:
        """Return up to `size` records in the order of their ids, those after the id `after`."""
        filters: list[Json] = [{"terms": {"state": list(states)}}]
        if parent is not None:
            filters.append({"term": {"parent": parent}})
        body: Json = {"size": size, "query": {"bool": {"filter": filters}}, "sort": [{"rid": "asc"}]}
        if after is not None:
            body["search_after"] = [after]
        answer = await self._engine.call(f"{self.kind}_list", "POST", f"/{self._index}/_search", body=body)
        return [hit["_source"]["record"] for hit in answer["hits"]["hits"]]

    async def count(self, parent: str, state: str) -> int:
        """Count the records of a parent."""
        query = {"bool": {"filter": [{"term": {"parent": parent}}, {"term": {"state": state}}]}}
        answer = await self._engine.call(f"{self.kind}_count", "POST", f"/{self._index}/_count", body={"query": query})
        return int(answer["count"])

    async def changed_since(self, when: int) -> dict[str, Json] | None:
        """Return the records changed since a time in ms, by id, or None if there are too many to tell."""
        body = {"size": _CHANGES, "query": {"range": {"changed": {"gte": when}}}, "sort": [{"changed": "asc"}]}
        answer = await self._engine.call(f"{self.kind}_poll", "POST", f"/{self._index}/_search", body=body, retry=False)
        hits = answer["hits"]["hits"]
        if len(hits) == _CHANGES:
            return None
        return {hit["_source"]["rid"]: hit["_source"]["record"] for hit in hits}


def _path(rid: str) -> str:
    """Return an id as it stands in an address."""
    return quote(rid, safe="")
