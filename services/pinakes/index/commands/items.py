# SPDX-License-Identifier: Apache-2.0
"""What a batch and a message of a stream have in common: writes that are each checked and answered for themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from pinakes.core.engine.documents import document_bytes
from pinakes.core.engine.revisions import STEP
from pinakes.core.faults import Fault, Kind, Violation, invalid
from pinakes.core.limits.quota import Admitted, Incoming
from pinakes.core.queue.producer import Claim, StreamPosition
from pinakes.core.rpc import names
from pinakes.core.rpc.errors import status_of
from pinakes.core.tenancy.etags import Etags
from pinakes.core.writing.apply import Applied, apply, count
from pinakes.core.writing.changes import Change
from pinakes.core.writing.conditional import Conditional, write_conditional
from pinakes.core.writing.requests import Attempt, remembered
from pinakes.index.commands.write import Writer, refuse_conditional
from pinakes.v1 import index_pb2

Outcome = index_pb2.WriteResult
_UNSAID = Outcome.OUTCOME_UNSPECIFIED
_EMPTY = Applied(_UNSAID)


class Given(NamedTuple):
    """Writes as they came: the messages, those of them that break the contract's constraints, by position, and where in
    which message they stand as `field`.
    """

    writes: Sequence[index_pb2.DocumentWrite]
    bad: Mapping[int, tuple[Violation, ...]]
    message: bytes
    field: int


@dataclass(slots=True)
class Items:
    """What became of a list of writes: the outcome of each; of those only checked it is unspecified.

    `repeated`: the message was written before, and nothing was done. `kept` is the answer to the same request before.
    """

    writes: Sequence[index_pb2.DocumentWrite]
    outcomes: list[Applied]
    mode: index_pb2.WriteMode
    operation: str = ""
    repeated: bool = False
    kept: bytes | None = field(default=None, repr=False)

    def results(self, etags: Etags) -> list[index_pb2.WriteResult]:
        """Return the messages of all."""
        return [
            result_of(name_of(write), applied, etags) for write, applied in zip(self.writes, self.outcomes, strict=True)
        ]


def result_of(name: str, applied: Applied, etags: Etags) -> index_pb2.WriteResult:
    """Return the message of what became of a write."""
    if applied.fault is not None:
        return index_pb2.WriteResult(name=name, outcome=applied.outcome, status=status_of(applied.fault))
    etag = etags.make(applied.revision, applied.content_hash) if applied.content_hash else ""
    return index_pb2.WriteResult(name=name, outcome=applied.outcome, revision=applied.revision, etag=etag)


async def write_items(  # the knobs of a batch and of a stream
    given: Given,
    writer: Writer,
    mode: index_pb2.WriteMode,
    *,
    validate_only: bool = False,
    attempt: Attempt | None = None,
    once: index_pb2.BatchWriteDocumentsRequest | None = None,
    position: StreamPosition | None = None,
    track: bool = False,
) -> Items:
    """Write in a mode, at an attempt's revisions, and return what became of each write, in order.

    In mode ACCEPTED: the request id of `once` and `position` are claimed together with the queueing, and with `track` an
    operation will tell the outcomes. Faults of the whole leave nothing written that was answered.
    """
    items = Items(given.writes, [_EMPTY] * len(given.writes), mode)
    if attempt is None and not validate_only:
        attempt = Attempt(writer.platform.revisions.take(len(given.writes)))
    plain, conditional = _checked(given, items, writer, attempt)
    if attempt is None or validate_only or not (plain or conditional or position is not None):
        return items
    plain, conditional, room = await _within_quota(plain, conditional, items, writer)
    try:
        if mode == index_pb2.WRITE_MODE_ACCEPTED:
            await _accept(items, plain, writer, attempt.first, once, position, track=track)
        else:
            searchable = mode == index_pb2.WRITE_MODE_SEARCHABLE
            await asyncio.gather(
                _apply(plain, items, writer, searchable=searchable),
                _bound(conditional, items, writer, searchable=searchable),
            )
            await writer.acknowledge(searchable=searchable)
    except Fault as fault:
        if fault.kind is Kind.EXHAUSTED:  # of others it isn't known whether something was written
            room.give_back()  # who tries again asks for it again
        raise
    if items.repeated or items.kept is not None:
        room.give_back()
    if not items.repeated:
        count(items.outcomes)
    return items


# ---- checked and compiled


def _checked(
    given: Given, items: Items, writer: Writer, attempt: Attempt | None
) -> tuple[list[tuple[int, Change]], list[Conditional]]:
    """Reject what can't be written, and return the rest at the attempt's revisions, with their places.

    Compiled are those that depend on nothing; without an attempt nothing is, and all is only checked.
    """
    quick = _quick(given, writer, attempt)
    ids = [change.document_id if change is not None else _id(given.writes[i], writer) for i, change in enumerate(quick)]
    repeated = {one for one, times in Counter(ids).items() if times > 1} if len(set(ids)) < len(ids) else set()
    plain: list[tuple[int, Change]] = []
    conditional: list[Conditional] = []
    for i, (change, document_id) in enumerate(zip(quick, ids, strict=True)):
        if change is not None and i not in given.bad and document_id not in repeated:
            plain.append((i, change))
            continue
        write = given.writes[i]
        document = write.put if write.WhichOneof("operation") == "put" else None
        etag = write.put.etag if document is not None else write.delete.etag
        try:
            if i in given.bad:
                first = given.bad[i][0]
                raise Fault(Kind.INVALID, "DOCUMENT_INVALID", f"{first.field}: {first.description}", given.bad[i])
            place = f"writes[{i}].{'delete' if document is None else 'put'}"
            if document_id is None or document_id in repeated:
                _refuse(f"{place}.name", document_id, writer)
            if etag and items.mode == index_pb2.WRITE_MODE_ACCEPTED:
                refuse_conditional(f"{place}.etag")
            examined = writer.check(document, place) if document is not None else None
        except Fault as fault:
            items.outcomes[i] = Applied(Outcome.OUTCOME_REJECTED, fault=fault)
            continue
        if attempt is None or document_id is None:
            continue
        revision = attempt.first + i * STEP
        if etag:
            own = Attempt(revision, resumed=attempt.resumed)
            conditional.append(Conditional(i, document_id, document, etag, own))
        else:
            plain.append((i, writer.change(document, document_id, revision, examined)))
    return plain, conditional


def _quick(given: Given, writer: Writer, attempt: Attempt | None) -> list[Change | None]:
    """Return the writes that are compiled at first sight: usual documents whatever is there. None stands for the others."""
    compiler = writer.quick() if attempt is not None else None
    made = compiler.all(given.message, given.field, attempt.first) if compiler and attempt else []
    return made if len(made) == len(given.writes) else [None] * len(given.writes)


def _refuse(place: str, document_id: str | None, writer: Writer) -> NoReturn:
    """Say why the document of a write can't be one of these."""
    if document_id is None:
        parent = names.collection(writer.scope.owner.tenant_id, writer.scope.owner.collection_id)
        raise invalid(place, f"the document must be in {parent}", "DOCUMENT_OUTSIDE_PARENT")
    raise invalid(place, "the batch writes this document more than once", "DUPLICATE_DOCUMENT")


def _id(write: index_pb2.DocumentWrite, writer: Writer) -> str | None:
    """Return the id in a write's name; None for a name outside of the collection."""
    name, owner = name_of(write), writer.scope.owner
    prefixes = names.document_prefixes(owner.tenant_id, owner.collection_id)
    return name.rpartition("/")[2] if name.startswith(prefixes) else None


async def _within_quota(
    plain: list[tuple[int, Change]], conditional: list[Conditional], items: Items, writer: Writer
) -> tuple[list[tuple[int, Change]], list[Conditional], Admitted]:
    """Return the writes that the tenant has room for, with that room, and reject the others. Deletions need none."""
    if not writer.bounded:
        return plain, conditional, Admitted([])
    incoming = {
        place: Incoming(change.document_id, change.size) for place, change in plain if not change.deletion
    } | {
        item.place: Incoming(item.document_id, document_bytes(item.document))
        for item in conditional
        if item.document is not None
    }  # fmt: skip
    beyond, room = await writer.beyond(incoming)
    for place, fault in beyond.items():
        items.outcomes[place] = Applied(Outcome.OUTCOME_REJECTED, fault=fault)
    if beyond:
        plain = [one for one in plain if one[0] not in beyond]
        conditional = [one for one in conditional if one.place not in beyond]
    return plain, conditional, room


def name_of(write: index_pb2.DocumentWrite) -> str:
    """Return the name of the document that a write means."""
    return write.delete.name if write.WhichOneof("operation") == "delete" else write.put.name


# ---- applied


async def _apply(plain: list[tuple[int, Change]], items: Items, writer: Writer, *, searchable: bool) -> None:
    if not plain:
        return
    changes = [change for _, change in plain]
    applied = await apply(writer.scope, changes, writer.older_queued, searchable=searchable)
    for (place, change), outcome in zip(plain, applied, strict=True):
        if outcome.outcome == Outcome.OUTCOME_NOT_FOUND:
            outcome.fault = writer.absent(change.document_id)
        items.outcomes[place] = outcome


async def _bound(conditional: list[Conditional], items: Items, writer: Writer, *, searchable: bool) -> None:
    outcomes = await write_conditional(conditional, writer.scope, writer.schema, writer.platform, searchable=searchable)
    for item, outcome in zip(conditional, outcomes, strict=True):
        items.outcomes[item.place] = outcome


# ---- accepted


async def _accept(  # the parts of one queueing
    items: Items,
    plain: list[tuple[int, Change]],
    writer: Writer,
    first: int,
    once: index_pb2.BatchWriteDocumentsRequest | None,
    position: StreamPosition | None,
    *,
    track: bool,
) -> None:
    """Queue the writes, and say so in the outcomes."""
    platform, owner = writer.platform, writer.scope.owner
    for place, change in plain:
        items.outcomes[place] = Applied(Outcome.OUTCOME_ACCEPTED, change.revision, change.content_hash)
    parts = platform.queue.parts(owner, plain, writer.collection.version)
    operation = platform.outcomes.operation_id(owner.tenant_uid, first, len(parts)) if track and parts else ""
    items.operation = names.operation(owner.tenant_id, operation) if operation else ""
    claim = None
    if once is not None and once.request_id:
        claim = Claim(once.request_id, remembered(once, answer_of(items, platform.etags)))
    done = await platform.queue.enqueue(owner, parts, len(plain), operation=operation, claim=claim, position=position)
    items.repeated, items.kept = done.repeated, done.seen


def answer_of(items: Items, etags: Etags) -> index_pb2.BatchWriteDocumentsResponse:
    """Return the answer to a batch."""
    results = items.results(etags)
    return index_pb2.BatchWriteDocumentsResponse(results=results, mode=items.mode, operation=items.operation)
