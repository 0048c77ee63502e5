# SPDX-License-Identifier: Apache-2.0
"""What a batch and a message of a stream have in common: writes that are each checked and answered for themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pinakes.core.engine.documents import Examined
from pinakes.core.engine.revisions import STEP
from pinakes.core.faults import Fault, Kind, Violation, invalid
from pinakes.core.limits.quota import Incoming
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


@dataclass(slots=True)
class Items:
    """What became of a list of writes: their names, and the outcome of each; of those only checked it is unspecified.

    `repeated`: the message was written before, and nothing was done. `kept` is the answer to the same request before.
    """

    names: list[str]
    outcomes: list[Applied]
    mode: index_pb2.WriteMode
    operation: str = ""
    repeated: bool = False
    kept: bytes | None = field(default=None, repr=False)

    def results(self, etags: Etags) -> list[index_pb2.WriteResult]:
        """Return the messages of all."""
        return [result_of(name, applied, etags) for name, applied in zip(self.names, self.outcomes, strict=True)]


def result_of(name: str, applied: Applied, etags: Etags) -> index_pb2.WriteResult:
    """Return the message of what became of a write."""
    if applied.fault is not None:
        return index_pb2.WriteResult(name=name, outcome=applied.outcome, status=status_of(applied.fault))
    etag = etags.make(applied.revision, applied.content_hash) if applied.content_hash else ""
    return index_pb2.WriteResult(name=name, outcome=applied.outcome, revision=applied.revision, etag=etag)


async def write_items(  # the knobs of a batch and of a stream
    writes: Sequence[index_pb2.DocumentWrite],
    bad: Mapping[int, tuple[Violation, ...]],
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
    items = Items([_name(write) for write in writes], [_EMPTY] * len(writes), mode)
    if attempt is None and not validate_only:
        attempt = Attempt(writer.platform.revisions.take(len(writes)))
    good = _checked(writes, items, writer, bad, attempt)
    if attempt is None or validate_only or (not good and position is None):
        return items
    plain, conditional = await _within_quota(*_compiled(good, writer, attempt), items, writer)
    if mode == index_pb2.WRITE_MODE_ACCEPTED:
        await _accept(items, plain, writer, attempt.first, once, position, track=track)
    else:
        searchable = mode == index_pb2.WRITE_MODE_SEARCHABLE
        await asyncio.gather(
            _apply(plain, items, writer, searchable=searchable),
            _bound(conditional, items, writer, searchable=searchable),
        )
        await writer.acknowledge(searchable=searchable)
    if not items.repeated:
        count(items.outcomes)
    return items


# ---- checked and compiled


class _Good(NamedTuple):
    """A write that can be tried: its place, its document and what looking through it gave; None deletes it.

    `change` is the write itself, where it was compiled at first sight.
    """

    place: int
    document_id: str
    write: index_pb2.DocumentWrite
    examined: Examined | None
    etag: str
    change: Change | None = None


def _checked(
    writes: Sequence[index_pb2.DocumentWrite],
    items: Items,
    writer: Writer,
    bad: Mapping[int, tuple[Violation, ...]],
    attempt: Attempt | None,
) -> list[_Good]:
    """Reject what can't be written, and return the rest, usual ones compiled at the attempt's revisions already."""
    ids = _document_ids(items.names, writer)
    written = Counter(ids)
    good: list[_Good] = []
    quick = writer.quick()
    for i, (write, document_id) in enumerate(zip(writes, ids, strict=True)):
        is_put = write.WhichOneof("operation") == "put"
        etag = write.put.etag if is_put else write.delete.etag
        try:
            if i in bad:
                raise Fault(Kind.INVALID, "DOCUMENT_INVALID", f"{bad[i][0].field}: {bad[i][0].description}", bad[i])
            if (
                document_id is None
                or written[document_id] > 1
                or (etag and items.mode == index_pb2.WRITE_MODE_ACCEPTED)
            ):
                _refuse(f"writes[{i}].{'put' if is_put else 'delete'}", document_id, etag, written, writer)
            if quick is not None and is_put and not etag and attempt is not None:
                change = quick(write.put, document_id or "", attempt.first + i * STEP)
                if change is not None:
                    good.append(_Good(i, change.document_id, write, None, "", change))
                    continue
            examined = writer.check(write.put, f"writes[{i}].put") if is_put else None
        except Fault as fault:
            items.outcomes[i] = Applied(Outcome.OUTCOME_REJECTED, fault=fault)
        else:
            good.append(_Good(i, document_id or "", write, examined, etag))
    return good


def _refuse(place: str, document_id: str | None, etag: str, written: Mapping[str | None, int], writer: Writer) -> None:
    """Say why a write can't be one of these."""
    if document_id is None:
        parent = names.collection(writer.scope.owner.tenant_id, writer.scope.owner.collection_id)
        raise invalid(f"{place}.name", f"the document must be in {parent}", "DOCUMENT_OUTSIDE_PARENT")
    if written[document_id] > 1:
        raise invalid(f"{place}.name", "the batch writes this document more than once", "DUPLICATE_DOCUMENT")
    if etag:
        refuse_conditional(f"{place}.etag")


def _document_ids(given: Sequence[str], writer: Writer) -> list[str | None]:
    """Return the ids in names; None for a name outside of the collection. The caller's own tenant has two names."""
    owner = writer.scope.owner
    prefixes = tuple(names.document(tenant, owner.collection_id, "") for tenant in (owner.tenant_id, names.OWN))
    return [name.rpartition("/")[2] if name.startswith(prefixes) else None for name in given]


def _compiled(
    good: Sequence[_Good], writer: Writer, attempt: Attempt
) -> tuple[list[tuple[int, Change]], list[Conditional]]:
    """Give each write its revision; compile those that depend on nothing."""
    plain: list[tuple[int, Change]] = []
    conditional: list[Conditional] = []
    for item in good:
        if item.change is not None:
            plain.append((item.place, item.change))
            continue
        revision = attempt.first + item.place * STEP
        document = item.write.put if item.examined is not None else None
        if item.etag:
            own = Attempt(revision, resumed=attempt.resumed)
            conditional.append(Conditional(item.place, item.document_id, document, item.etag, own))
        else:
            plain.append((item.place, writer.change(document, item.document_id, revision, item.examined)))
    return plain, conditional


async def _within_quota(
    plain: list[tuple[int, Change]], conditional: list[Conditional], items: Items, writer: Writer
) -> tuple[list[tuple[int, Change]], list[Conditional]]:
    """Return the writes that the tenant has room for, and reject the others. Deletions need none."""
    if not writer.bounded:
        return plain, conditional
    incoming = {
        place: Incoming(change.document_id, change.size) for place, change in plain if not change.deletion
    } | {
        item.place: Incoming(item.document_id, item.document.ByteSize())
        for item in conditional
        if item.document is not None
    }  # fmt: skip
    faults = await writer.admit(list(incoming.values()))
    beyond = {place: fault for place, fault in zip(incoming, faults, strict=True) if fault is not None}
    for place, fault in beyond.items():
        items.outcomes[place] = Applied(Outcome.OUTCOME_REJECTED, fault=fault)
    if not beyond:
        return plain, conditional
    return [one for one in plain if one[0] not in beyond], [one for one in conditional if one.place not in beyond]


def _name(write: index_pb2.DocumentWrite) -> str:
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
