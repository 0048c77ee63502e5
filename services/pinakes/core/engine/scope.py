# SPDX-License-Identifier: Apache-2.0
"""`TenantScope`: the one door to document indices. It is made from a verified principal and adds what keeps tenants apart.

Every search body gets the filters of tenant, collection, readers, not-deleted and not-expired, and the one that the caller's
credential is narrowed by; every id is derived from the tenant's and collection's uids; every document that a read returns is
checked against the scope once more.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from pinakes.core.engine.bodies import Found, PackedPut, Page, Put, page_of, whole
from pinakes.core.engine.bulk import Item, Line, Stale, line
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.dictionary import read_similar, similar_body
from pinakes.core.engine.documents import Owner, read_document
from pinakes.core.engine.journal import journal_line
from pinakes.core.engine.searches import Moment, Refused, Search, fault_of
from pinakes.core.faults import Fault, Kind, concurrent_change, unavailable
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.limits.cost import cost_of, cost_of_failed
from pinakes.core.privacy.sight import mask_document, narrowed_blindly, sees_personal_data
from pinakes.core.query import allowlist
from pinakes.core.query.narrowing import narrowing_condition
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord, now_ms
from pinakes.core.tenancy.placement import Place, Placement
from pinakes.v1 import resources_pb2

Json = dict[str, Any]
T = TypeVar("T")
_log = logger("pinakes.scope")
TOTAL_HITS = 10_000
# A document that is older has been refreshed, so that searches see it: in a pool, and in an index that may be being loaded.
REFRESHED_MS, REFRESHED_OWN_MS = 5_000, 90_000
# Of a write whose time by the placement lease ran out before it was its turn.
_TRIES = 3
_SETTLING_TRIES = 10
# Nothing else is looked at, and most of what a write looks for isn't there yet.
MGET_FILTER = "docs.found,docs._source,docs._seq_no,docs._primary_term,docs._version,docs.error.type"


class TenantScope:
    """One collection of one tenant, as one principal sees it."""

    def __init__(
        self, engine: Engine, principal: Principal, tenant: TenantRecord, collection: CollectionRecord
    ) -> None:
        """Bind the scope. Raises a fault of kind DENIED if the principal isn't of the tenant."""
        within = principal.collections is None or collection.collection_id in principal.collections
        if not (principal.belongs_to(tenant) and within) or collection.tenant_uid != tenant.uid:
            raise Fault(Kind.DENIED, "PERMISSION_DENIED", "the resource isn't the caller's, or doesn't exist")
        self._engine = engine
        self._readers = principal.readers
        self._tenant = tenant
        self._kept_ms = collection.retention_ms
        self._classes = collection.classes
        self.masked = bool(self._classes) and not sees_personal_data(
            principal, masked_for_services=collection.masked_for_services
        )
        """Whether the principal may not see what is classed as personal data."""
        self._narrowing = principal.filter, narrowed_blindly(principal, collection)
        # Compiled before anything is read, so that a filter that means nothing here lets nothing through.
        self._condition = (
            narrowing_condition(principal.filter, collection, engine.limits, masked=self._narrowing[1])
            if principal.filter
            else None
        )
        self.owner = Owner(tenant.uid, collection.uid, tenant.tenant_id, collection.collection_id)
        self.moment: Moment | None = None  # the present
        self.cost = 0.0
        """What the searches of this scope have cost so far (`core/limits/cost.py`)."""

    @property
    def readers(self) -> tuple[str, ...] | None:
        """Whose documents the principal may read beside those without readers; None means everybody's."""
        return self._readers

    @property
    def narrowing(self) -> tuple[str, bool]:
        """The filter that the principal's credential is narrowed by, empty for none, and whether it is blind to personal data."""
        return self._narrowing

    @classmethod
    def for_work(cls, engine: Engine, tenant: TenantRecord, collection: CollectionRecord) -> TenantScope:
        """Make the scope of work that has no caller: a queue entry or a maintenance job, which name one tenant."""
        worker = Principal("worker", Role.TENANT_ADMIN, (tenant.tenant_id,), None, (tenant.uid,))
        return cls(engine, worker, tenant, collection)

    def as_seen(self, collection: CollectionRecord) -> CollectionRecord:
        """Return the collection's record for compiling by it: marked as masked for who may not see personal data."""
        return replace(collection, masked=True) if self.masked else collection

    # ---- reading

    def document(
        self, source: Mapping[str, Any], paths: frozenset[str], etag: str, into: resources_pb2.Document | None = None
    ) -> resources_pb2.Document:
        """Return the document in a body as the principal may see it, with the fields of `paths`; read `into` this one."""
        return self.shown(read_document(source, self.owner, paths, etag, into))

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
        return (await self.mget([document_id], fields))[0]

    async def mget(self, document_ids: Sequence[str], fields: Sequence[str] | None = None) -> list[Found | None]:
        """Read documents and tombstones as they were last written, in the order of the ids.

        Under a credential's filter they are read as searches see them: only there can a filter be asked, and what a document
        was when it matched must not show what it has become since.
        """
        if self._condition is not None:
            return await self._mget_searched(document_ids, fields)
        place = (await self._to_read()).active
        params = {**self._routing(place), "filter_path": MGET_FILTER}
        if fields is not None:
            params["_source_includes"] = ",".join(sorted({*fields, *_CHECKED}))
        body = {"ids": [self.owner.engine_id(i) for i in document_ids]}
        answer = await self._call("mget", "POST", f"/{self._alias(place)}/_mget", params=params, body=body)
        return [self._checked(doc, wanted, place) for doc, wanted in zip(answer["docs"], document_ids, strict=True)]

    async def settled(self, document_ids: Sequence[str]) -> list[Found | None]:
        """Read documents that are to be compared with and replaced (`write_if`), whole, in the order of the ids.

        One whose writer has compared and hasn't yet raised its version, or never will, is raised here first: what is
        compared before that would be overwritten by the raising, and be lost.
        Raises a fault of kind CONFLICT if others change them all the time.
        """
        for _ in range(_SETTLING_TRIES):
            found = await self.mget(document_ids)
            raising = [
                Put(document_id, one.source)
                for document_id, one in zip(document_ids, found, strict=True)
                if one is not None and not one.settled
            ]
            if not raising:
                return found
            await self.bulk(raising, searchable=False, raising=True)
        raise concurrent_change("document")

    async def _mget_searched(self, document_ids: Sequence[str], fields: Sequence[str] | None) -> list[Found | None]:
        """Read documents that match the credential's filter. They can't be compared and set: writes are refused before."""
        body: Json = {
            "size": len(document_ids), "filter": {"terms": {"id": list(document_ids)}}, "sort": [{"id": "asc"}],
            "track_total_hits": False,
        }  # fmt: skip
        if fields is not None:
            body["_source"] = sorted({*fields, *_CHECKED})
        place = (await self._to_read()).active
        page = await self.search(body, self._engine.limits.search_seconds)
        docs = {
            hit.source["id"]: {
                "found": True,
                "_source": hit.source,
                "_seq_no": -1,
                "_primary_term": 0,
                "_version": hit.source["revision"],
            }
            for hit in page.hits
        }
        return [self._checked(docs.get(wanted, {}), wanted, place) for wanted in document_ids]

    def _checked(self, doc: Mapping[str, Any], document_id: str, place: Place) -> Found | None:
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
        return Found(source, doc["_seq_no"], doc["_primary_term"], doc["_version"], self._kept_ms, place)

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
        search = self._search(body, await self._to_read(), cheap=cheap)
        try:
            answer = await self.charged(self._engine.searches.run(search, seconds))
        except Refused as refused:
            raise fault_of(refused) from None
        self.cost += cost_of(answer.get("took", 0), len(body.get("aggs", ())))
        return page_of(answer, seconds, partial=partial)

    async def search_many(self, bodies: Sequence[Json], seconds: float) -> list[Page | Fault]:
        """Search several times in one round trip; each has a page or the fault that `search` would have raised."""
        outcomes: list[Page | Fault] = []
        placement = await self._to_read()
        searches = [self._search(body, placement, cheap=False) for body in bodies]
        answers = await self.charged(self._engine.searches.run_all(searches, seconds))
        for body, answer in zip(bodies, answers, strict=True):
            try:
                if isinstance(answer, Refused):
                    outcomes.append(fault_of(answer))
                elif isinstance(answer, Fault):
                    outcomes.append(answer)
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    self.cost += cost_of(answer.get("took", 0), len(body.get("aggs", ())))
                    outcomes.append(page_of(answer, seconds, partial=True))
            except Fault as fault:
                outcomes.append(fault)
        return outcomes

    async def similar_words(self, words: Sequence[tuple[str, int]], seconds: float) -> list[list[str]]:
        """Return, for each word, words of the collection's titles and tags within so many edits of it.

        They may be of documents that are deleted, or that the principal may not read: to be confirmed by a search.
        """
        body, place = similar_body(self.owner, words), (await self._to_read()).active
        routing = place.routing(self.owner.tenant_uid)
        search = Search(self._alias(place), routing, orjson.dumps(body), cheap=False)
        try:
            answer = await self.charged(self._engine.searches.run(search, seconds))
        except Refused as refused:
            raise fault_of(refused) from None
        self.cost += cost_of(answer.get("took", 0), 0)
        page_of(answer, seconds, partial=False)  # a fault, if it isn't whole
        return read_similar(self.owner, answer, len(words))

    async def charged(self, asked: Awaitable[T]) -> T:
        """Wait for searches; those that fail, or whose caller has gone, cost the time that they took."""
        began = time.monotonic()
        try:
            return await asked
        except BaseException:
            self.cost += cost_of_failed(time.monotonic() - began)
            raise

    def _search(self, body: Json, placement: Placement, *, cheap: bool) -> Search:
        """Return a search of the active place with the scope's filters in it."""
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
        place = placement.active
        routing = place.routing(self.owner.tenant_uid)
        return Search(self._alias(place), routing, orjson.dumps(request), cheap, self.moment)

    def filters(self) -> list[Json]:
        """Return the filters that every body gets."""
        now = (now_ms() if self.moment is None else self.moment.at_ms) // 1000 * 1000
        filters: list[Json] = [
            {"term": {"tenant": self.owner.tenant_uid}},
            {"term": {"collection": self.owner.collection_uid}},
            {"term": {"deleted": False}},
            # Rounded to a second, so that the engine's filter cache can hold it.
            {"bool": {"must_not": [{"range": {"expire_time": {"lte": now}}}]}},
        ]
        if self._kept_ms:
            # It is what makes a document disappear on time, however late it is swept up.
            filters.append({"range": {"update_time": {"gt": (now - self._kept_ms) // 1000 * 1000}}})
        if self._readers is not None:
            unrestricted = {"bool": {"must_not": [{"exists": {"field": "readers"}}]}}
            mine = [{"terms": {"readers": list(self._readers)}}] if self._readers else []
            filters.append({"bool": {"should": [unrestricted, *mine], "minimum_should_match": 1}})
        if self._condition is not None:
            filters.append(self._condition)
        return filters

    async def refresh(self) -> None:
        """Make all that was written so far searchable. For jobs: it costs every tenant of the index something."""
        placement = await self._to_read()
        for place in filter(None, (placement.active, placement.partner)):
            await self._call("refresh", "POST", f"/{self._alias(place)}/_refresh")

    @asynccontextmanager
    async def at_one_moment(self, keep_seconds: float) -> AsyncIterator[TenantScope]:
        """Give a scope whose searches all find what has been written so far, and nothing that is changed later. For jobs.

        `keep_seconds` after the latest one, or if what keeps it goes, they raise a fault of the reason `MOMENT_GONE`.
        """
        await self.refresh()
        place = (await self._to_read()).active
        async with self._engine.moment(self._alias(place), self._routing(place), keep_seconds) as moment:
            scope = copy(self)
            scope.moment = moment
            yield scope

    async def count_tombstones(self, revision: int) -> int:
        """Return how many tombstones of just this revision searches can see."""
        owner = self.owner
        terms = {"tenant": owner.tenant_uid, "collection": owner.collection_uid, "deleted": True, "revision": revision}
        query = {"bool": {"filter": [{"term": {field: value}} for field, value in terms.items()]}}
        place = (await self._to_read()).active
        path = f"/{self._alias(place)}/_count"
        answer = await self._call("count", "POST", path, params=self._routing(place), body={"query": query})
        return int(whole(answer)["count"])

    # ---- places

    @property
    def moving(self) -> bool:
        """Whether writes go to two places, as far as is known: then what one place has says nothing of the other."""
        return self._known().partner is not None

    @property
    def refreshed_ms(self) -> int:
        """How old a document must be, in ms, for searches to be sure to see it."""
        return REFRESHED_MS if self._known().active.pooled else REFRESHED_OWN_MS

    def _known(self) -> Placement:
        leases = self._engine.placements
        return self._tenant.placement if leases is None else leases.known(self._tenant)

    async def _to_read(self) -> Placement:
        leases = self._engine.placements
        return self._tenant.placement if leases is None else await leases.to_read(self._tenant)

    async def _to_write(self) -> tuple[Placement, float]:
        """Return the placement and until when (monotonic) writes by it may begin."""
        leases = self._engine.placements
        return (self._tenant.placement, math.inf) if leases is None else await leases.to_write(self._tenant)

    def _alias(self, place: Place) -> str:
        return place.alias(self._engine.prefix)

    def _routing(self, place: Place) -> Json:
        routing = place.routing(self.owner.tenant_uid)
        return {"routing": routing} if routing else {}

    # ---- writing

    def lines(self, puts: Sequence[Put | PackedPut], place: Place, *, raising: bool = False) -> list[Line]:
        """Return bodies as lines of a bulk call: bound to this tenant's ids, routing and index, at their revisions.

        `raising` is for what is there already and only gets its version: then it isn't written again where it has it.
        """
        # An index of a tenant's own may be gone when the line arrives; it mustn't be made anew then.
        routing = f'"routing":"{self.owner.tenant_uid}"' if place.pooled else '"require_alias":true'
        kind = "external" if raising else "external_gte"
        same = f'{{"_index":"{self._alias(place)}",{routing},"version_type":"{kind}","_id":'.encode()
        engine_id = self.owner.engine_id
        return [
            line(b'%b"%b","version":%d}' % (same, engine_id(put.document_id).encode(), put.revision), put.data)
            for put in puts
        ]

    async def bulk(self, puts: Sequence[Put | PackedPut], *, searchable: bool, raising: bool = False) -> list[Item]:
        """Write bodies at their revisions; of two writes of a document the higher revision stands.

        While the tenant is being moved they are written to both places, and a write counts when both have it.
        Returns what became of each, in order; a status of 409 means that a higher revision stood already. The call may
        be shared with others'. Replays and reordering are harmless, so it is retried.
        """
        for _ in range(_TRIES):
            placement, until = await self._to_write()
            try:
                return await self._bulk(puts, placement, until, searchable=searchable, raising=raising)
            except Stale:
                continue
            except EngineRefusal as refusal:
                raise engine_fault(refusal) from None
        raise unavailable("the search engine", 0.5)

    async def _bulk(
        self, puts: Sequence[Put | PackedPut], placement: Placement, until: float, *, searchable: bool, raising: bool
    ) -> list[Item]:
        if searchable and not placement.active.pooled:
            await self._engine.searchable(self.owner.tenant_uid)
        lines = self.lines(puts, placement.active, raising=raising)
        twice = placement.partner is not None
        if placement.partner is not None:
            lines += self.lines(puts, placement.partner)
        buried = [place for place, put in enumerate(puts) if put.tombstone is not None]
        lines += [self._journal_line(puts[place], placement.active) for place in buried]
        tenant = self.owner.tenant_uid
        items = await self._engine.bulk.write(lines, searchable=searchable, until=until, caller=tenant)
        count = len(puts)
        if twice:
            for place, other in enumerate(items[count : 2 * count]):
                if other.status >= 300 and other.status != 409:
                    items[place] = other
        for place, journalled in zip(buried, items[len(lines) - len(buried) :], strict=True):
            # A deletion counts when both have been written; 409 says that a later one is in the journal.
            if journalled.status >= 300 and journalled.status != 409:
                items[place] = journalled
        return items[:count]

    def wrote(self, writes: int, documents: int = 0, size: int = 0) -> None:
        """Count documents that were written or deleted for the tenant, and what it has grown by."""
        if writes:
            self._engine.written(self.owner.tenant_uid, writes, documents, size)

    def _journal_line(self, put: Put | PackedPut, place: Place) -> Line:
        engine_id, routing = self.owner.engine_id(put.document_id), place.routing(self.owner.tenant_uid)
        return journal_line(self._engine.prefix, self._alias(place), engine_id, routing, put.tombstone or {})

    async def write_if(self, put: Put, seen: Found | None, *, searchable: bool) -> bool:
        """Write a body only if the document is still what was seen (None: absent). False if it isn't.

        Two writes: the first compares; it raises the engine's version by one only, so the second writes the same body
        with its revision as external version, and an older write that is still queued can't win. If the second finds a
        newer one, that superseded ours after it had been applied: success all the same. A deletion is journalled with
        the second: one that wasn't done must not be replayed. `seen` is what `settled` read: nothing is compared with
        what is between its two writes.

        Raises a fault of kind CONFLICT while the tenant's documents change their place.
        """
        if seen is not None and not seen.settled:
            message = "only what `settled` has read may be compared with"
            raise ValueError(message)
        placement, until = await self._to_write()
        if placement.switching:
            raise _switching()
        place = placement.active
        if seen is None:
            params: Json = {"op_type": "create"}
        elif not seen.place.same(place):
            return False  # it is to be looked at where it is now
        else:
            params = {"if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
        path = f"/{self._alias(place)}/_doc/{self.owner.engine_id(put.document_id)}"
        if not place.pooled:
            params["require_alias"] = "true"
        try:
            # Not retried: a second try could meet the first one's own effect and call it a conflict.
            await self._engine.call(
                "compare_and_set", "PUT", path, params=params | self._routing(place), body=put.body, retry=False,
                until=until,
            )  # fmt: skip
        except EngineRefusal as refusal:
            if refusal.status == 409:
                return False
            raise engine_fault(refusal) from None
        (item,) = await self.bulk([put], searchable=searchable, raising=True)
        if item.status >= 300 and item.status != 409:
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


def _switching() -> Fault:
    text = (
        "the tenant's documents are changing their place; a write that depends on what is there can be made in a moment"
    )
    return Fault(Kind.CONFLICT, "TENANT_MOVING", text, retry_after=1.0)


_CHECKED = ("tenant", "collection", "id", "deleted", "revision", "readers", "expire_time", "update_time")
