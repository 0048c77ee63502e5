# SPDX-License-Identifier: Apache-2.0
"""The journal of deletions: kept apart from the documents, so that what a snapshot still holds stays deleted after a restore.

An entry is a tombstone without content and where it was written. It is written with the tombstone, in the same bulk call or
before the deletion is acknowledged, and outlives every snapshot; replaying it writes the tombstones at their own revisions,
to where their tenants are now: a tenant may have been moved since, and what was restored may be older than that. Of an
erased tenant there is one entry, that it is erased.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from pinakes.core.engine.bodies import whole
from pinakes.core.engine.bulk import Line, line
from pinakes.core.engine.records import RecordStore
from pinakes.core.engine.setup import record_index
from pinakes.core.tenancy.models import ERASED, TenantRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine

Json = dict[str, Any]
FORMAT = 1
KIND = "deletions"
PAGE = 1000
_HITS = 10_000


def journal_line(prefix: str, index: str, engine_id: str, routing: str, tombstone: Json) -> Line:
    """Return the line of a bulk call that journals a tombstone. The latest deletion of a document is the one that counts."""
    kept = {key: value for key, value in tombstone.items() if key != "content"}
    revision = tombstone["revision"]
    action = {
        "_index": record_index(prefix, KIND), "_id": engine_id, "version": revision, "version_type": "external_gte",
    }  # fmt: skip
    body = {
        "v": FORMAT, "rid": engine_id, "parent": tombstone["tenant"], "state": "deleted", "changed": now_ms(),
        "record": {"index": index, "routing": routing, "tombstone": kept},
    }  # fmt: skip
    return line(orjson.dumps(action), orjson.dumps(body))


class DeletionJournal:
    """The journal of all tenants."""

    def __init__(self, engine: Engine) -> None:
        """Use this engine's journal."""
        self._engine = engine
        self._index = record_index(engine.prefix, KIND)

    async def replay(self) -> tuple[int, int]:
        """Write every journalled tombstone, and return how many there were and how many changed something.

        Documents that were written after their deletion stay: their revision is higher.
        """
        await self._engine.call("journal_refresh", "POST", f"/{self._index}/_refresh")
        places = await self._places()
        seen = changed = 0
        async for records in self._pages():
            lines = [
                _replayed(rid, record, at)
                for rid, record in records
                for at in places.get(record["tombstone"]["tenant"], [(record["index"], record["routing"])])
            ]
            items = await self._engine.bulk.write(lines, searchable=False)
            # Of a tenant that is gone for good the index may be gone, too.
            if failed := [item for item in items if item.status >= 300 and item.status not in {404, 409}]:
                message = f"a tombstone wasn't taken: {failed[0].status} {failed[0].error}"
                raise RuntimeError(message)
            seen += len(records)
            changed += sum(item.status < 300 for item in items)
        return seen, changed

    async def _places(self) -> dict[str, list[tuple[str, str]]]:
        """Return aliases and routings of every tenant's documents, by its uid; of deleted tenants, too."""
        store, after = RecordStore(self._engine, "tenants"), None
        places: dict[str, list[tuple[str, str]]] = {}
        prefix = self._engine.prefix
        while True:
            page = await store.page_with_ids(after, PAGE)
            for rid, kept in page:
                tenant, after = TenantRecord.from_json(kept), rid
                # The record by a tenant's own id comes before a copy that is kept beside it, which may be older.
                places.setdefault(
                    tenant.uid, [(place.alias(prefix), place.routing(tenant.uid)) for place in tenant.placement.places]
                )
            if len(page) < PAGE:
                return places

    async def erased(self, tenant_id: str, tenant_uid: str) -> None:
        """Note that a tenant is erased: what a restore brings back of it goes again. Noting it once more changes nothing."""
        record = {"tenant_id": tenant_id, "tenant_uid": tenant_uid}
        await RecordStore(self._engine, KIND).put_many([(f"{ERASED}/{tenant_uid}", "", ERASED, record)])

    async def erased_of(self, tenant_uids: Iterable[str]) -> set[str]:
        """Return those of these uids whose tenants are noted as erased. Raises a fault of kind UNAVAILABLE if it isn't known."""
        rids = sorted({f"{ERASED}/{uid}" for uid in tenant_uids})
        body: Json = {"size": min(len(rids), _HITS), "query": {"terms": {"rid": rids}}, "_source": ["rid"]}
        answer = whole(await self._engine.call("journal_erased", "POST", f"/{self._index}/_search", body=body))
        return {hit["_source"]["rid"].removeprefix(f"{ERASED}/") for hit in answer["hits"]["hits"]}

    async def erasures(self) -> list[tuple[str, str]]:
        """Return id and uid of all tenants that are noted as erased."""
        store, after = RecordStore(self._engine, KIND), ""
        found: list[tuple[str, str]] = []
        while True:
            page = await store.page(None, (ERASED,), after or None, PAGE)
            found += [(one["tenant_id"], one["tenant_uid"]) for one in page]
            if len(page) < PAGE:
                return found
            after = f"{ERASED}/{page[-1]['tenant_uid']}"

    async def forget(self, days: float) -> int:
        """Delete entries older than `days`, longer than any snapshot is kept, and return how many there were."""
        query = {"range": {"changed": {"lt": now_ms() - round(days * 86_400_000)}}}
        answer = await self._engine.call(
            "journal_forget", "POST", f"/{self._index}/_delete_by_query", params={"conflicts": "proceed"},
            body={"query": query},
        )  # fmt: skip
        return int(answer["deleted"])

    async def _pages(self) -> AsyncIterator[list[tuple[str, Json]]]:
        """Yield all deletions of documents in the order of their ids."""
        after: str | None = None
        while True:
            body: Json = {"size": PAGE, "query": {"term": {"state": "deleted"}}, "sort": [{"rid": "asc"}]}
            if after is not None:
                body["search_after"] = [after]
            answer = whole(await self._engine.call("journal_page", "POST", f"/{self._index}/_search", body=body))
            hits = answer["hits"]["hits"]
            if hits:
                yield [(hit["_id"], hit["_source"]["record"]) for hit in hits]
                after = hits[-1]["_source"]["rid"]
            if len(hits) < PAGE:
                return


def _replayed(rid: str, record: Json, at: tuple[str, str]) -> Line:
    """Return the line that writes an entry's tombstone to an alias by a routing."""
    tombstone, (alias, routing) = record["tombstone"], at
    action = {
        "_index": alias, "_id": rid, "require_alias": True, "version": tombstone["revision"],
        "version_type": "external_gte", **({"routing": routing} if routing else {}),
    }  # fmt: skip
    return line(orjson.dumps(action), orjson.dumps(tombstone))
