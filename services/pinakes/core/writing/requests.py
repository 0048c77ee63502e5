# SPDX-License-Identifier: Apache-2.0
"""Idempotent requests: one with a `request_id` is done once, and answered again as it was (design §5).

Before the work a request is claimed in the engine under its id: a write of documents with its revisions, a change of a
record with its mark. Whoever takes a broken attempt over works at the same revisions or with the same mark, so what the
first one had done is known again, and nothing is done twice.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from pinakes.core.engine.records import Conflict, RecordStore, Stored
from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.resilience import deadline
from pinakes.core.tenancy.marks import Mark, outcome_unknown
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.engine.bodies import Found
    from pinakes.core.engine.client import Engine
    from pinakes.core.engine.revisions import RevisionSource
    from pinakes.core.queue.producer import Producer

Json = dict[str, Any]
M = TypeVar("M", bound=Message)
# After these nobody knows what was done: the claim stays, and the next attempt goes on at its revisions.
_UNKNOWN = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE, Kind.INTERNAL})
_HOLD_MS = 60_000
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a write of documents: its first revision. `resumed`: an earlier one broke off, and may have done its work."""

    first: int
    resumed: bool = False

    def revision(self, seen: Found | None, take: Callable[[], int]) -> int:
        """Return the revision to write over what was `seen` by comparison: it must be higher than that.

        Raises a fault of kind CONFLICT if an earlier attempt may have written something that has been written over.
        """
        if seen is None or seen.revision < self.first:
            return self.first
        if self.resumed:
            raise outcome_unknown()
        return take()


class Requests:
    """Request ids of writes and changes that don't go through the queue. Those that do are claimed there."""

    def __init__(self, engine: Engine, revisions: RevisionSource, queue: Producer, hours: float) -> None:
        """Keep them in the engine for `hours`. The `queue` knows those of accepted writes."""
        self._ms = round(hours * 3_600_000)
        self._store = RecordStore(engine, "requests", listed=False)
        self._revisions = revisions
        self._queue = queue

    async def once(
        self, tenant_uid: str, request_id: str, request: Message, count: int, answer: type[M],
        work: Callable[[Attempt], Awaitable[M]], worth: Callable[[M], bool] = lambda _: True,
    ) -> M:  # fmt: skip
        """Do `work` at the first of `count` revisions and return its answer; with a known request id, that of then.

        Without a request id the work is just done. A fault leaves nothing behind, unless it isn't known what was done;
        nor does an answer that isn't `worth` keeping, because nothing was done.
        Raises a fault of kind INVALID when the id was another request's, and of kind CONFLICT while it is under way.
        """
        if not request_id:
            return await work(Attempt(self._revisions.take(count)))
        await self._check_accepted(tenant_uid, request_id, request)

        def new() -> Json:
            return {"first": self._revisions.take(count)}

        def resume(claim: Json) -> Awaitable[M]:
            return work(Attempt(claim["first"], resumed=claim.get("resumed", False)))

        rid = _rid(tenant_uid, request_id)
        return await self._done(rid, tenant_uid, request, new, answer, resume, lambda _: tenant_uid, worth)

    async def change(
        self, tenant_uid: str, request_id: str, request: Message, answer: type[M], work: Callable[[Mark], Awaitable[M]],
        *, within: str = "", owner: Callable[[M], str] | None = None,
    ) -> M:  # fmt: skip
        """Do `work`, which changes records, with the request's mark and return its answer; with a known id, that of then.

        `within` is what request ids are told apart in, if that isn't the tenant, whose documents' ids they then don't meet.
        `owner` tells the uid of the tenant that an answer is about, if there is none before. The rest is as in `once`.
        """
        if not request_id:
            return await work(Mark.new())
        if not within:
            await self._check_accepted(tenant_uid, request_id, request)

        def new() -> Json:
            mark = Mark.new()
            return {"mark": mark.text, "begun": mark.begun_ms}

        def resume(claim: Json) -> Awaitable[M]:
            return work(Mark(claim["mark"], claim["begun"], again=claim.get("resumed", False)))

        rid = _rid(within or tenant_uid, request_id)
        return await self._done(rid, tenant_uid, request, new, answer, resume, owner or (lambda _: tenant_uid))

    async def check_unused(self, tenant_uid: str, request_id: str) -> None:
        """Refuse the id of a request that didn't go through the queue; while the engine is away that can't be known."""
        try:
            stored = await self._store.get(_rid(tenant_uid, request_id))
        except Fault:
            return
        if stored is not None:
            check_digest(stored.record["digest"], "")

    async def expire(self) -> int:
        """Forget old request ids, and return how many there were."""
        return await self._store.delete_older(now_ms() - self._ms)

    async def _check_accepted(self, tenant_uid: str, request_id: str, request: Message) -> None:
        """Refuse the id of another request that went through the queue; while that is away it can't be known."""
        try:
            accepted = await self._queue.claimed(tenant_uid, request_id) if self._queue.on else None
        except Fault:
            return
        if accepted is not None:
            recalled(accepted, request)

    async def _done(
        self, rid: str, tenant_uid: str, request: Message, new: Callable[[], Json], answer: type[M],
        resume: Callable[[Json], Awaitable[M]], owner: Callable[[M], str], worth: Callable[[M], bool] = lambda _: True,
    ) -> M:  # fmt: skip
        """Claim a request with what `new` returns, do it, and keep its answer, as one of the tenant's that `owner` tells.

        `resume` does the work by what was claimed.
        """
        claim = await self._claim(tenant_uid, rid, payload_digest(request), new)
        if "answer" in claim.record:
            return answer.FromString(zlib.decompress(base64.b64decode(claim.record["answer"])))
        try:
            done = await resume(claim.record)
        except BaseException as error:
            # Shielded, so that a caller who goes away doesn't leave the claim held.
            keep = not isinstance(error, Fault) or error.kind in _UNKNOWN
            await asyncio.shield(self._give_up(tenant_uid, claim, keep=keep))
            raise
        if not worth(done):
            await self._give_up(tenant_uid, claim, keep=False)
            return done
        packed = base64.b64encode(zlib.compress(done.SerializeToString(), 1)).decode()
        try:
            await self._store.replace(claim, owner(done), "done", claim.record | {"answer": packed})
        except Conflict:
            pass  # another took over, and comes to the same
        return done

    async def _claim(self, tenant_uid: str, rid: str, digest: str, new: Callable[[], Json]) -> Stored:
        """Return the claim of a request: a new one, one that was given up or abandoned, or one with its answer."""
        for _ in range(3):
            held = now_ms() + min(_HOLD_MS, round(deadline.remaining(_HOLD_MS / 1000) * 1000) + 1000)
            stored = await self._store.get(rid)
            try:
                if stored is None:
                    record = new() | {"digest": digest, "until": held}
                    return await self._store.create(rid, tenant_uid, "active", record)
                check_digest(stored.record["digest"], digest)
                if "answer" in stored.record:
                    return stored
                if stored.record["until"] > now_ms():
                    raise under_way((stored.record["until"] - now_ms()) / 1000)
                resumed = stored.record | {"until": held, "resumed": True}
                return await self._store.replace(stored, tenant_uid, "active", resumed)
            except Conflict:
                continue
        raise under_way(1.0)

    async def _give_up(self, tenant_uid: str, claim: Stored, *, keep: bool) -> None:
        """Forget a claim, or keep its revisions for the next attempt."""
        try:
            if keep:
                await self._store.replace(claim, tenant_uid, "active", claim.record | {"until": 0})
            else:
                await self._store.delete(claim)
        except (Conflict, Fault):
            pass  # it runs out by itself


def remembered(request: Message, answer: Message) -> bytes:
    """Return what the queue remembers of an accepted request: its digest and its answer."""
    return payload_digest(request).encode() + answer.SerializeToString()


def recalled(kept: bytes, request: Message) -> bytes:
    """Return the answer in what the queue remembers. Raises a fault of kind INVALID if it was another request's."""
    check_digest(kept[:_DIGEST].decode(), payload_digest(request))
    return kept[_DIGEST:]


def payload_digest(request: Message) -> str:
    """Return the digest of a request, by which another one under the same id is known."""
    data = request.DESCRIPTOR.full_name.encode() + b"\0" + request.SerializeToString(deterministic=True)
    return hashlib.sha256(data).hexdigest()[:_DIGEST]


def check_digest(known: str, given: str) -> None:
    """Refuse a request id that was another request's."""
    if known != given:
        text = "was used for another request within a day; take a new one"
        raise Fault(Kind.INVALID, "REQUEST_ID_REUSED", f"request_id: {text}", (Violation("request_id", text),))


def under_way(seconds: float) -> Fault:
    """Make the fault of a request that is being done already."""
    text = "a request with this request_id is under way; try again to get its answer"
    return Fault(Kind.CONFLICT, "REQUEST_UNDER_WAY", text, retry_after=min(max(seconds, 0.05), 1.0))


def _rid(tenant_uid: str, request_id: str) -> str:
    return hashlib.sha256(f"{tenant_uid}\0{request_id}".encode()).hexdigest()[:40]
