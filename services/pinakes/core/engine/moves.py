# SPDX-License-Identifier: Apache-2.0
"""All documents of one tenant in two indices: copied by the engine, compared by id and revision, mended, removed.

Tombstones are documents too: without them a late write would bring back at the target what was deleted. Nothing here knows
when it may be done; that is the worker's job of moving a tenant.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from pinakes.core.engine.bodies import whole
from pinakes.core.engine.bulk import Line, line
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.documents import Owner
from pinakes.core.engine.setup import create_place
from pinakes.core.faults import unavailable
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.placement import Place

Json = dict[str, Any]
Key = tuple[str, str]
"""A document: uid of its collection, id."""
Entry = tuple[str, str, int]
"""A document and its revision."""
PAGE = 5000
# The engine holds so many bodies at once when it copies.
COPIED_AT_ONCE = 200
MENDED_AT_ONCE = 50
# More differences than this are copied again rather than mended one by one.
MANY = 50_000
# Between two looks at documents that differ: a write that is under way is in one index before it is in the other.
SETTLING_SECONDS = 0.5
_MASK = (1 << 128) - 1
_log = logger("pinakes.moves")


@dataclass(frozen=True, slots=True)
class Copying:
    """How far a task is. `lost` says that the engine knows nothing of it any more: its node went away.

    One that is lost or `failed` has ended, and is to be begun again.
    """

    finished: bool
    total: int = 0
    done: int = 0
    lost: bool = False
    failed: bool = False


@dataclass(slots=True)
class Compared:
    """What comparing two indices came to: how many documents are the same in both, and the checksum over them.

    The checksum is the sum of the hashes of all ids with their revisions, so that their order doesn't count. `mended`
    documents were older or missing in one of them, and were brought to the newer; `stuck` of these aren't there all the
    same. `many` says that there were too many to mend.
    """

    count: int = 0
    checksum: str = ""
    mended: int = 0
    stuck: int = 0
    many: bool = False

    @property
    def equal(self) -> bool:
        """Whether both have everything that either had."""
        return not self.stuck and not self.many


@dataclass(slots=True)
class _Side:
    """One of the two indices, as far as it was read: entries that the other side hasn't shown yet, and the sum of all."""

    place: Place
    pages: AsyncIterator[list[Entry]]
    unmatched: set[Entry] = field(default_factory=set)
    count: int = 0
    total: int = 0
    last: Key = ("", "")
    ended: bool = False

    def add(self, entries: Iterable[Entry], sign: int = 1) -> None:
        """Add entries to the sum, or take them out."""
        for entry in entries:
            self.count += sign
            self.total = (self.total + sign * _hash(entry)) & _MASK


class TenantMove:
    """The documents of one tenant, of all its collections, in the indices that it is moved between."""

    def __init__(self, engine: Engine, tenant_uid: str) -> None:
        """Work for this tenant."""
        self._engine = engine
        self._tenant = tenant_uid
        self._everything: Json = {"bool": {"filter": [{"term": {"tenant": tenant_uid}}]}}

    # ---- the target, and what is left

    async def prepare(self, target: Place) -> None:
        """Make the target, unless it is there; in a pool, see that the engine forgets its own deletions soon."""
        await create_place(self._engine, target)
        if target.pooled:
            settings = {"index": {"gc_deletes": "1s"}}
            await self._call("move_settings", "PUT", f"/{self._alias(target)}/_settings", body=settings)

    async def begin_removal(self, place: Place) -> str:
        """Begin to delete the tenant's documents in a pool, and return the task that does it."""
        return await self._task(f"/{self._alias(place)}/_delete_by_query", {"conflicts": "proceed"}, self._query())

    async def remove_index(self, place: Place) -> None:
        """Delete a tenant's own index, if it is there."""
        try:
            behind = await self._engine.call("move_alias", "GET", f"/_alias/{self._alias(place)}")
            for index in behind:
                await self._engine.drop_index(index)
        except EngineRefusal as refusal:
            if refusal.status != 404:
                raise engine_fault(refusal) from None

    async def count(self, place: Place) -> int:
        """Count the tenant's documents and tombstones in an index, those just written too."""
        await self.refresh(place)
        answer = await self._call("move_count", "POST", f"/{self._alias(place)}/_count", body=self._query())
        return int(whole(answer)["count"])

    async def refresh(self, place: Place) -> None:
        """Make what was written so far visible."""
        await self._call("move_refresh", "POST", f"/{self._alias(place)}/_refresh")

    # ---- copying

    async def begin_copy(self, source: Place, target: Place, per_second: int) -> str:
        """Begin to copy, at the documents' own versions, and return the task that does it. 0 a second is no limit.

        What stands in the target at a version as high is newer, and stays.
        """
        routing = f"={self._tenant}" if target.pooled else "discard"
        body = {
            "conflicts": "proceed",
            "source": {"index": self._alias(source), "size": COPIED_AT_ONCE, **self._query()},
            "dest": {"index": self._alias(target), "version_type": "external", "routing": routing},
        }  # fmt: skip
        # A target that was given up meanwhile mustn't be made anew.
        params = {"requests_per_second": per_second or -1, "require_alias": "true"}
        return await self._task("/_reindex", params, body)

    async def look(self, task: str) -> Copying:
        """Tell how far a task is. Raises a fault if the engine can't be asked; the task may go on all the same."""
        try:
            answer = await self._engine.call("move_task", "GET", f"/_tasks/{task}")
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return Copying(finished=True, lost=True)
            raise engine_fault(refusal) from None
        status = answer["task"]["status"]
        done = sum(status.get(name, 0) for name in ("created", "updated", "deleted", "version_conflicts"))
        if not answer["completed"]:
            return Copying(finished=False, total=status["total"], done=done)
        response = answer.get("response", {})
        if "error" in answer or response.get("failures") or response.get("timed_out"):
            failures = response.get("failures") or [{}]
            kind = answer.get("error", failures[0].get("cause", {})).get("type", "")
            _log.warning("a task of a move failed", task=task, kind=kind)
            return Copying(finished=True, total=status["total"], done=done, failed=True)
        return Copying(finished=True, total=status["total"], done=done)

    async def cancel(self, task: str) -> None:
        """Stop a task, if it goes on."""
        try:
            await self._engine.call("move_cancel", "POST", f"/_tasks/{task}/_cancel")
        except EngineRefusal as refusal:
            if refusal.status != 404:
                raise engine_fault(refusal) from None

    async def stop(self, task: str) -> bool:
        """Stop a task, if it goes on, and tell whether it has come to its end."""
        await self.cancel(task)
        try:
            answer = await self._engine.call("move_task", "GET", f"/_tasks/{task}")
        except EngineRefusal as refusal:
            if refusal.status == 404:
                return True
            raise engine_fault(refusal) from None
        return bool(answer["completed"])

    async def _task(self, path: str, params: Json, body: Json) -> str:
        answer = await self._call(
            "move_begin", "POST", path, params={**params, "wait_for_completion": "false"}, body=body
        )
        return str(answer["task"])

    # ---- comparing

    async def compare(self, one: Place, other: Place, since: int = 0) -> Compared:
        """Compare all entries, or those of revisions from `since` on, and bring both up to the newer of each.

        What is written meanwhile may differ for a moment; it is looked at again before it is mended.
        """
        await asyncio.gather(self.refresh(one), self.refresh(other))
        a, b = (_Side(place, self._entries(place, since)) for place in (one, other))
        while not (a.ended and b.ended):
            # The one that is behind goes on; what the other has shown already matches or differs by then.
            side, against = (a, b) if b.ended or (not a.ended and a.last <= b.last) else (b, a)
            page = await anext(side.pages, None)
            if page is None:
                side.ended = True
                continue
            side.last = page[-1][:2]
            side.add(page)
            fresh = set(page)
            side.unmatched |= fresh - against.unmatched
            against.unmatched -= fresh
            if len(a.unmatched) + len(b.unmatched) > MANY:
                return Compared(many=True)
        return await self._settle(a, b)

    async def _settle(self, a: _Side, b: _Side) -> Compared:
        """Look at the documents that differ as they were last written, mend those that do still, and add it all up."""
        keys = sorted({entry[:2] for entry in a.unmatched | b.unmatched})
        for side in (a, b):
            side.add(side.unmatched, -1)
        mended = stuck = 0
        for start in range(0, len(keys), MENDED_AT_ONCE):
            part = keys[start : start + MENDED_AT_ONCE]
            seen = await self._both(a.place, b.place, part)
            if differing := _differing(part, seen):
                await asyncio.sleep(SETTLING_SECONDS)
                again = await self._both(a.place, b.place, differing)
                left = _differing(differing, again)
                await self._mend(a.place, b.place, left, again)
                last = await self._both(a.place, b.place, left) if left else again
                mended += len(left)
                stuck += sum(not _reached(key, again, last) for key in left)
                for mine, newer, newest in zip(seen, again, last, strict=True):
                    mine |= newer | newest
            # One that is being written at this moment is in both soon, and in no sum.
            same = [key for key in part if key in seen[0] and seen[0][key] == seen[1].get(key)]
            for side, found in zip((a, b), seen, strict=True):
                side.add((*key, found[key]) for key in same)
        if (a.count, a.total) != (b.count, b.total):
            stuck += 1  # what isn't the same has been left out, so this can't be; the next look tells
        return Compared(a.count, f"{a.total:032x}", mended, stuck)

    async def _both(self, one: Place, other: Place, keys: Sequence[Key]) -> tuple[dict[Key, int], dict[Key, int]]:
        a, b = await asyncio.gather(self._revisions(one, keys), self._revisions(other, keys))
        return a, b

    async def _revisions(self, place: Place, keys: Sequence[Key]) -> dict[Key, int]:
        """Return the revisions of documents as they were last written; those that aren't there are left out."""
        docs = await self._mget(place, keys, {"_source_includes": "revision"})
        return {key: doc["_source"]["revision"] for key, doc in zip(keys, docs, strict=True) if doc.get("found")}

    async def _mend(
        self, one: Place, other: Place, keys: Sequence[Key], revisions: tuple[dict[Key, int], dict[Key, int]]
    ) -> None:
        """Write documents to the place where they are older or missing."""
        a, b = revisions
        for source, target, ahead, behind in ((one, other, a, b), (other, one, b, a)):
            chosen = [key for key in keys if ahead.get(key, 0) > behind.get(key, 0)]
            docs = await self._mget(source, chosen, {})
            lines = [
                self._line(target, doc) for doc in docs if doc.get("found") and doc["_source"]["tenant"] == self._tenant
            ]
            for item in await self._engine.bulk.write(lines, searchable=False):
                if item.status >= 300 and item.status != 409:
                    raise unavailable("the search engine")

    async def _mget(self, place: Place, keys: Sequence[Key], params: Json) -> list[Json]:
        if not keys:
            return []
        ids = [Owner(self._tenant, collection, "", "").engine_id(document) for collection, document in keys]
        routing = place.routing(self._tenant)
        answer = await self._call(
            "move_mget", "POST", f"/{self._alias(place)}/_mget",
            params=params | ({"routing": routing} if routing else {}), body={"ids": ids},
        )  # fmt: skip
        if any("error" in doc for doc in answer["docs"]):
            raise unavailable("the search engine")  # what can't be read isn't missing
        return list(answer["docs"])

    def _line(self, target: Place, doc: Json) -> Line:
        """Return the line that writes a document as it is, unless one of its revision or a newer one is there."""
        routing = target.routing(self._tenant)
        action = {
            "_index": self._alias(target), "_id": doc["_id"], "version": doc["_source"]["revision"],
            "version_type": "external", "require_alias": True, **({"routing": routing} if routing else {}),
        }  # fmt: skip
        return line(orjson.dumps(action), orjson.dumps(doc["_source"]))

    async def _entries(self, place: Place, since: int) -> AsyncIterator[list[Entry]]:
        """Yield the entries of an index in the order of collection and id, in pages."""
        filters: list[Json] = [{"term": {"tenant": self._tenant}}]
        if since:
            filters.append({"range": {"revision": {"gte": since}}})
        body: Json = {
            "size": PAGE, "query": {"bool": {"filter": filters}}, "track_total_hits": False, "stored_fields": "_none_",
            "sort": [{"collection": "asc"}, {"id": "asc"}, {"revision": "asc"}],
        }  # fmt: skip
        routing = place.routing(self._tenant)
        params = {"filter_path": "hits.hits.sort,timed_out,_shards.total,_shards.successful"} | (
            {"routing": routing} if routing else {}
        )
        while True:
            answer = await self._call("move_page", "POST", f"/{self._alias(place)}/_search", params=params, body=body)
            page: list[Entry] = [tuple(hit["sort"]) for hit in whole(answer).get("hits", {}).get("hits", [])]
            if page:
                yield page
                body["search_after"] = page[-1]
            if len(page) < PAGE:
                return

    # ---- what they have in common

    def _query(self) -> Json:
        return {"query": self._everything}

    def _alias(self, place: Place) -> str:
        return place.alias(self._engine.prefix)

    async def _call(
        self, operation: str, method: str, path: str, *, params: Json | None = None, body: Any = None
    ) -> Json:
        try:
            return await self._engine.call(operation, method, path, params=params, body=body)
        except EngineRefusal as refusal:
            raise engine_fault(refusal) from None


Revisions = tuple[dict[Key, int], dict[Key, int]]


def _differing(keys: Sequence[Key], seen: Revisions) -> list[Key]:
    """Return the documents whose revisions aren't the same in both."""
    return [key for key in keys if seen[0].get(key) != seen[1].get(key)]


def _reached(key: Key, before: Revisions, after: Revisions) -> bool:
    """Tell whether both have a document as it was in either before, or newer."""
    newest = max(side.get(key, 0) for side in before)
    return all(side.get(key, 0) >= newest for side in after)


def _hash(entry: Entry) -> int:
    collection, document, revision = entry
    text = f"{collection}\0{document}\0{revision}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
