# SPDX-License-Identifier: Apache-2.0
"""`TenantScope`: the one door to document indices. It is made from a verified principal and adds what keeps tenants apart.

Every search body gets the filters of tenant, collection, readers, not-deleted and not-expired; every id is derived from
the tenant's and collection's uids; every document that a read returns is checked against the scope once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from pinakes.core.engine.bulk import Item, Line
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.dictionary import read_similar, similar_body
from pinakes.core.engine.documents import Owner, read_document
from pinakes.core.engine.journal import journal_line
from pinakes.core.engine.searches import MANY_CLAUSES, MANY_VALUES, Refused, Search
from pinakes.core.engine.setup import pool_alias
from pinakes.core.faults import Fault, Kind, Violation, invalid, unavailable
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.privacy.sight import mask_document, sees_personal_data
from pinakes.core.query import allowlist
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord, now_ms
from pinakes.v1 import resources_pb2

Json = dict[str, Any]
_log = logger("pinakes.scope")
TOTAL_HITS = 10_000
# Nothing else is looked at, and most of what a write looks for isn't there yet.
_MGET = "docs.found,docs._source,docs._seq_no,docs._primary_term,docs.error.type"


@dataclass(frozen=True, slots=True)
class Found:
    """A document in the engine, a tombstone too, with the position that a compare-and-set must find unchanged.

    `kept_ms` is the collection's retention, 0 for ever.
    """

    source: Json
    seq_no: int
    primary_term: int
    kept_ms: int = 0

    @property
    def gone(self) -> bool:
        """Whether callers see it no more: it is a tombstone, has expired, or has outlived the collection's retention."""
        if self.source.get("deleted"):
            return True
        expires: int | None = self.source.get("expire_time")
        return (expires is not None and expires <= now_ms()) or self.outlived

    @property
    def outlived(self) -> bool:
        """Whether it was last changed longer ago than the collection keeps documents."""
        return self.kept_ms > 0 and self.source["update_time"] <= now_ms() - self.kept_ms

    @property
    def revision(self) -> int:
        """The revision it was written at."""
        return int(self.source["revision"])


class Hit(NamedTuple):
    """One search result: the engine body, its score and the values that it was sorted by.

    `highlights` are passages by engine field, `matched` the names of the clauses that it matches.
    """

    source: Json
    score: float
    sort: list[Any]
    highlights: Json
    matched: list[str]


class Page(NamedTuple):
    """The results of a search, the aggregations asked for, and how many shards were to answer and did."""

    hits: list[Hit]
    total: int
    capped: bool
    aggregations: Json
    shards: int
    answered: int
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Put:
    """A body to be written at a revision: a document or a tombstone."""

    document_id: str
    body: Json

    @property
    def revision(self) -> int:
        """The revision it is written at."""
        revision: int = self.body["revision"]
        return revision

    @property
    def data(self) -> bytes:
        """The body as JSON."""
        return orjson.dumps(self.body)

    @property
    def tombstone(self) -> Json | None:
        """The body, if it is a tombstone."""
        return self.body if self.body.get("deleted") else None


@dataclass(frozen=True, slots=True)
class PackedPut:
    """A document whose body is JSON already, such as one out of the queue. Tombstones aren't packed."""

    document_id: str
    revision: int
    data: bytes
    tombstone: None = None


class TenantScope:
    """One collection of one tenant, as one principal sees it."""

    def __init__(
        self, engine: Engine, principal: Principal, tenant: TenantRecord, collection: CollectionRecord
    ) -> None:
        """Bind the scope. Raises a fault of kind DENIED if the principal isn't of the tenant."""
        mine = principal.tenants is None or tenant.tenant_id in principal.tenants
        if not mine or principal.tenant_uid not in {None, tenant.uid} or collection.tenant_uid != tenant.uid:
            raise Fault(Kind.DENIED, "PERMISSION_DENIED", "the resource isn't the caller's, or doesn't exist")
        self._engine = engine
        self._readers = principal.readers
        self._index = pool_alias(engine.prefix, tenant.pool)
        self._kept_ms = collection.retention_ms
        self._classes = collection.classes
        self.masked = bool(self._classes) and not sees_personal_data(
            principal, masked_for_services=collection.masked_for_services
        )
        """Whether the principal may not see what is classed as personal data."""
        self.owner = Owner(tenant.uid, collection.uid, tenant.tenant_id, collection.collection_id)

    @property
    def readers(self) -> tuple[str, ...] | None:
        """Whose documents the principal may read beside those without readers; None means everybody's."""
        return self._readers

    @classmethod
    def for_work(cls, engine: Engine, tenant: TenantRecord, collection: CollectionRecord) -> TenantScope:
        """Make the scope of work that has no caller: a queue entry or a maintenance job, which name one tenant."""
        worker = Principal("worker", Role.TENANT_ADMIN, (tenant.tenant_id,), None, tenant.uid)
        return cls(engine, worker, tenant, collection)

    # ---- reading

    def document(self, source: Mapping[str, Any], paths: frozenset[str], etag: str) -> resources_pb2.Document:
        """Return the document in a body as the principal may see it, with the fields of `paths`."""
        return self.shown(read_document(source, self.owner, paths, etag))

    def shown(self, document: resources_pb2.Document) -> resources_pb2.Document:
        """Return a document of the collection with what the principal may not see replaced in it."""
        if self.masked:
            pseudonyms, tenant = self._engine.pseudonyms, self.owner.tenant_uid
            mask_document(document, self._classes, lambda value: pseudonyms.make(tenant, value))
        return document

    async def get(self, document_id: str, fields: Sequence[str] | None = None) -> Found | None:
        """Read one document or tombstone as it was last written, or None. `fields` are engine fields; None means all.

        A document that the principal may not read is None.
        """
        found = await self.mget([document_id], fields)
        return found[0]

    async def mget(self, document_ids: Sequence[str], fields: Sequence[str] | None = None) -> list[Found | None]:
        """Read documents and tombstones as they were last written, in the order of the ids."""
        params = {"routing": self.owner.tenant_uid, "filter_path": _MGET}
        if fields is not None:
            params["_source_includes"] = ",".join(sorted({*fields, *_CHECKED}))
        body = {"ids": [self.owner.engine_id(i) for i in document_ids]}
        answer = await self._call("mget", "POST", f"/{self._index}/_mget", params=params, body=body)
        return [self._checked(doc, wanted) for doc, wanted in zip(answer["docs"], document_ids, strict=True)]

    def _checked(self, doc: Mapping[str, Any], document_id: str) -> Found | None:
        """Return a document that is in the scope; whatever else the engine returned is None."""
        if not doc.get("found"):
            if "error" in doc:
                raise unavailable("the search engine")
            return None
        source = doc["_source"]
        if (
            source.get("tenant") != self.owner.tenant_uid
            or source.get("collection") != self.owner.collection_uid
            or source.get("id") != document_id
        ):
            return None
        if not self.may_read(source):
            return None
        return Found(source, doc["_seq_no"], doc["_primary_term"], self._kept_ms)

    def may_read(self, source: Mapping[str, Any]) -> bool:
        """Tell whether the principal may read the document of a body."""
        readers = source.get("readers")
        return self._readers is None or not readers or not set(readers).isdisjoint(self._readers)

    async def search(self, body: Json, seconds: float, *, cheap: bool = False, partial: bool = False) -> Page:
        """Search. `body` is what `allowlist.check_body` lets through; the scope adds its filters to query and filter.

        `seconds` is the time the engine may take, within the caller's deadline; `cheap` searches share round trips;
        `partial` takes what some of the shards found, or what was found in time.
        Raises a fault of kind DEADLINE or UNAVAILABLE if that isn't all, or nothing.
        """
        search = self._search(body, cheap=cheap)
        try:
            return _page(await self._engine.searches.run(search, seconds), seconds, partial=partial)
        except Refused as refused:
            raise self._refused(refused) from None

    async def search_many(self, bodies: Sequence[Json], seconds: float) -> list[Page | Fault]:
        """Search several times in one round trip; each has a page or the fault that `search` would have raised."""
        outcomes: list[Page | Fault] = []
        searches = [self._search(body, cheap=False) for body in bodies]
        for answer in await self._engine.searches.run_all(searches, seconds):
            try:
                if isinstance(answer, Refused):
                    outcomes.append(self._refused(answer))
                elif isinstance(answer, Fault):
                    outcomes.append(answer)
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    outcomes.append(_page(answer, seconds, partial=True))
            except Fault as fault:
                outcomes.append(fault)
        return outcomes

    async def similar_words(self, words: Sequence[tuple[str, int]], seconds: float) -> list[list[str]]:
        """Return, for each word, words of the collection's titles and tags within so many edits of it.

        They may be of documents that are deleted, or that the principal may not read: to be confirmed by a search.
        """
        body = similar_body(self.owner, words)
        search = Search(self._index, self.owner.tenant_uid, orjson.dumps(body), cheap=False)
        try:
            answer = await self._engine.searches.run(search, seconds)
        except Refused as refused:
            raise self._refused(refused) from None
        return read_similar(self.owner, answer, len(words))

    def _search(self, body: Json, *, cheap: bool) -> Search:
        """Return a search with the scope's filters in it."""
        allowlist.check_body(body)
        request = dict(body)
        if "aggs" in request:
            request["aggs"] = allowlist.with_background(request["aggs"], {"bool": {"filter": self.filters()[:2]}})
        query, condition = request.pop("query", None), request.pop("filter", None)
        filters = self.filters()
        if condition is not None:
            filters.append(condition)
        inner: Json = {"filter": filters}
        if query is not None:
            inner["must"] = [query]
        request["query"] = {"bool": inner}
        return Search(self._index, self.owner.tenant_uid, orjson.dumps(request), cheap)

    def _refused(self, refused: Refused) -> Fault:
        if refused.error_type == MANY_CLAUSES:
            text = "with the filter, comes to more clauses than the search engine takes; send fewer or shorter words"
            return invalid("query", text, "QUERY_TOO_MANY_CLAUSES")
        if refused.error_type == MANY_VALUES:
            text = (
                "a document found has several values in this field; only a field of single values can be collapsed by"
            )
            return Fault(Kind.PRECONDITION, "COLLAPSE_MANY_VALUES", f"collapse: {text}", (Violation("collapse", text),))
        _log.warning("engine refused", operation="search", status=refused.status, error=refused.detail)
        return Fault(
            Kind.INTERNAL, "INTERNAL", f"the search engine refused a search of the platform ({refused.status})"
        )

    def filters(self) -> list[Json]:
        """Return the filters that every body gets."""
        filters: list[Json] = [
            {"term": {"tenant": self.owner.tenant_uid}},
            {"term": {"collection": self.owner.collection_uid}},
            {"term": {"deleted": False}},
            # Rounded to a second, so that the engine's filter cache can hold it.
            {"bool": {"must_not": [{"range": {"expire_time": {"lte": now_ms() // 1000 * 1000}}}]}},
        ]
        if self._kept_ms:
            # Rounded as well; it is what makes a document disappear on time, however late it is swept up.
            filters.append({"range": {"update_time": {"gt": (now_ms() - self._kept_ms) // 1000 * 1000}}})
        if self._readers is not None:
            unrestricted = {"bool": {"must_not": [{"exists": {"field": "readers"}}]}}
            mine = [{"terms": {"readers": list(self._readers)}}] if self._readers else []
            filters.append({"bool": {"should": [unrestricted, *mine], "minimum_should_match": 1}})
        return filters

    async def refresh(self) -> None:
        """Make all that was written so far searchable. For jobs: it costs every tenant of the index something."""
        await self._call("refresh", "POST", f"/{self._index}/_refresh")

    async def count_tombstones(self, revision: int) -> int:
        """Return how many tombstones of just this revision searches can see."""
        owner = self.owner
        terms = {"tenant": owner.tenant_uid, "collection": owner.collection_uid, "deleted": True, "revision": revision}
        query = {"bool": {"filter": [{"term": {field: value}} for field, value in terms.items()]}}
        answer = await self._call(
            "count", "POST", f"/{self._index}/_count", params={"routing": owner.tenant_uid}, body={"query": query}
        )
        return int(answer["count"])

    # ---- writing

    def line(self, put: Put | PackedPut) -> Line:
        """Return a body as a line of a bulk call: bound to this tenant's id, routing and index, at its revision."""
        action = (
            f'{{"index":{{"_index":"{self._index}","_id":"{self.owner.engine_id(put.document_id)}",'
            f'"routing":"{self.owner.tenant_uid}","version":{put.revision},"version_type":"external_gte"}}}}'
        )
        return Line(action.encode(), put.data)

    async def bulk(self, puts: Sequence[Put | PackedPut], *, searchable: bool) -> list[Item]:
        """Write bodies at their revisions; of two writes of a document the higher revision stands.

        Returns what became of each, in order; a status of 409 means that a higher revision stood already. The call may
        be shared with others'. Replays and reordering are harmless, so it is retried.
        """
        lines = [self.line(put) for put in puts]
        buried = [place for place, put in enumerate(puts) if put.tombstone is not None]
        lines += [self._journal_line(puts[place]) for place in buried]
        try:
            items = await self._engine.bulk.write(lines, searchable=searchable)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None
        for place, journalled in zip(buried, items[len(puts) :], strict=True):
            # A deletion counts when both have been written; 409 says that a later one is in the journal.
            if journalled.status >= 300 and journalled.status != 409:
                items[place] = journalled
        return items[: len(puts)]

    def wrote(self, writes: int, documents: int = 0, size: int = 0) -> None:
        """Count documents that were written or deleted for the tenant, and what it has grown by."""
        if writes:
            self._engine.written(self.owner.tenant_uid, writes, documents, size)

    def _journal_line(self, put: Put | PackedPut) -> Line:
        engine_id, routing = self.owner.engine_id(put.document_id), self.owner.tenant_uid
        return journal_line(self._engine.prefix, self._index, engine_id, routing, put.tombstone or {})

    async def write_if(self, put: Put, seen: Found | None, *, searchable: bool) -> bool:
        """Write a body only if the document is still what was seen (None: absent). False if it isn't.

        Two writes: the first compares; it raises the engine's version by one only, so the second writes the same body
        with its revision as external version, and an older write that is still queued can't win. If the second finds a
        newer one, that superseded ours after it had been applied: success all the same.
        """
        path = f"/{self._index}/_doc/{self.owner.engine_id(put.document_id)}"
        routing = {"routing": self.owner.tenant_uid}
        if seen is None:
            params: Json = {"op_type": "create"}
        else:
            params = {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
        try:
            # Not retried: a second try could meet the first one's own effect and call it a conflict.
            await self._engine.call("compare_and_set", "PUT", path, params=params | routing, body=put.body, retry=False)
        except EngineRefusal as refusal:
            if refusal.status == 409:
                return False
            raise engine_fault(refusal) from None
        external: Json = {"version": put.body["revision"], "version_type": "external_gte"}
        if searchable:
            external["refresh"] = "wait_for"
        try:
            await self._engine.call("write", "PUT", path, params=external | routing, body=put.body)
        except EngineRefusal as refusal:
            if refusal.status != 409:
                raise engine_fault(refusal) from None
        if put.tombstone is not None:
            # After the comparison: a deletion that wasn't done must not be replayed.
            (journalled,) = await self._engine.bulk.write([self._journal_line(put)], searchable=False)
            if journalled.status >= 300 and journalled.status != 409:
                raise unavailable("the search engine")
        before = seen.source if seen is not None and not seen.source.get("deleted") else None
        grown = (put.tombstone is None) - (before is not None)
        self.wrote(1, grown, put.body.get("bytes", 0) - (before or {}).get("bytes", 0))
        return True

    async def _call(
        self, operation: str, method: str, path: str, *, params: Json | None = None, body: Any = None
    ) -> Json:
        try:
            return await self._engine.call(operation, method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


_CHECKED = ("tenant", "collection", "id", "deleted", "revision", "readers", "expire_time", "update_time")


def _page(answer: Json, seconds: float, *, partial: bool) -> Page:
    """Return what a search found; without `partial` it is all there is, or a fault."""
    shards, found = answer["_shards"], answer["hits"]
    hits = [
        Hit(
            h.get("_source", {}),
            h.get("_score") or 0.0,
            h.get("sort", []),
            h.get("highlight", {}),
            h.get("matched_queries", []),
        )
        for h in found["hits"]
    ]
    if answer.get("timed_out") and not (partial and hits):
        raise Fault(Kind.DEADLINE, "SEARCH_TIMEOUT", f"the search took longer than {seconds:g} s; narrow it")
    if shards["failed"] and not (partial and shards["successful"]):
        raise unavailable("the search engine")
    total = found.get("total", {"value": 0, "relation": "eq"})
    return Page(
        hits, total["value"], total["relation"] == "gte", answer.get("aggregations", {}), shards["total"],
        shards["successful"], bool(answer.get("timed_out")),
    )  # fmt: skip
