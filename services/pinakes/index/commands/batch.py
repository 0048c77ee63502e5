# SPDX-License-Identifier: Apache-2.0
"""What BatchWriteDocuments means: each write checked and answered for itself, all plain ones in one bulk."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pinakes.core.engine.scope import Found, Put
from pinakes.core.faults import Fault, Kind, Violation, etag_mismatch, invalid, unavailable
from pinakes.core.rpc import names
from pinakes.core.rpc.errors import fault_of, status_of
from pinakes.core.telemetry import metrics
from pinakes.index.commands.write import Writer
from pinakes.v1 import index_pb2

Json = dict[str, Any]
Outcome = index_pb2.WriteResult
_SEEN_FIELDS = ("create_time", "hash")
_CONDITIONAL_AT_ONCE = 16


async def write(
    request: index_pb2.BatchWriteDocumentsRequest, writer: Writer, bad: Mapping[int, tuple[Violation, ...]]
) -> index_pb2.BatchWriteDocumentsResponse:
    """Write a batch. `bad` are the writes that break the contract's constraints, by position."""
    limits = writer.platform.settings.limits
    if len(request.writes) > limits.batch_documents:
        raise invalid(
            "writes",
            f"there are {len(request.writes)}; at most {limits.batch_documents} are allowed",
            "BATCH_TOO_LARGE",
        )
    if (size := request.ByteSize()) > limits.batch_bytes:
        raise invalid(
            "writes", f"the batch has {size} bytes; at most {limits.batch_bytes} are allowed", "BATCH_TOO_LARGE"
        )
    results = [index_pb2.WriteResult(name=_name(w)) for w in request.writes]
    good = _checked(request, results, writer, bad)
    if not request.validate_only and good:
        await _apply(request, results, good, writer)
        await writer.acknowledge(searchable=request.mode == index_pb2.WRITE_MODE_SEARCHABLE)
    for result in () if request.validate_only else results:
        metrics.WRITES.labels(Outcome.Outcome.Name(result.outcome).removeprefix("OUTCOME_").lower()).inc()
    mode = request.mode or index_pb2.WRITE_MODE_APPLIED
    return index_pb2.BatchWriteDocumentsResponse(results=results, mode=mode)


def _checked(
    request: index_pb2.BatchWriteDocumentsRequest,
    results: list[index_pb2.WriteResult],
    writer: Writer,
    bad: Mapping[int, tuple[Violation, ...]],
) -> dict[int, str]:
    """Reject what can't be written, and return the document ids of the rest by position."""
    # By parsed name: `tenants/-` and the tenant's own id are two names of one document.
    targets = [_target(result.name, writer) for result in results]
    written = Counter(targets)
    good: dict[int, str] = {}
    for i, (item, result, name) in enumerate(zip(request.writes, results, targets, strict=True)):
        place = f"writes[{i}].{item.WhichOneof('operation')}"
        try:
            if i in bad:
                raise Fault(Kind.INVALID, "DOCUMENT_INVALID", f"{bad[i][0].field}: {bad[i][0].description}", bad[i])
            owner = writer.scope.owner
            if (name.tenant, name.collection) != (owner.tenant_id, owner.collection_id):
                raise invalid(f"{place}.name", f"the document must be in {request.parent}", "DOCUMENT_OUTSIDE_PARENT")
            if written[name] > 1:
                raise invalid(f"{place}.name", "the batch writes this document more than once", "DUPLICATE_DOCUMENT")
            if item.WhichOneof("operation") == "put":
                writer.check(item.put, place)
        except Fault as fault:
            _fail(result, Outcome.OUTCOME_REJECTED, fault)
        else:
            good[i] = name.document
    return good


async def _apply(
    request: index_pb2.BatchWriteDocumentsRequest,
    results: list[index_pb2.WriteResult],
    good: dict[int, str],
    writer: Writer,
) -> None:
    """Read what is there, then write: conditional items by compare-and-set, all others in one bulk."""
    positions = list(good)
    seen = dict(zip(positions, await writer.scope.mget([good[i] for i in positions], _SEEN_FIELDS), strict=True))
    searchable = request.mode == index_pb2.WRITE_MODE_SEARCHABLE
    plain: list[tuple[int, Put]] = []
    conditional: list[tuple[int, Put]] = []
    for i in positions:
        there = seen[i] if seen[i] is not None and not seen[i].gone else None  # type: ignore[union-attr]
        item, result = request.writes[i], results[i]
        is_put = item.WhichOneof("operation") == "put"
        etag = item.put.etag if is_put else item.delete.etag
        if there is None and (etag or not is_put):
            _fail(result, Outcome.OUTCOME_NOT_FOUND, writer.absent(good[i]))
            continue
        try:
            if there is not None:
                writer.check_etag(etag, there)
        except Fault as fault:
            _fail(result, Outcome.OUTCOME_CONFLICT, fault)
            continue
        created = there.source.get("create_time") if there else None
        body = writer.compile(item.put, good[i], created) if is_put else writer.tombstone(good[i])
        result.outcome = (
            Outcome.OUTCOME_DELETED if not is_put else Outcome.OUTCOME_UPDATED if there else Outcome.OUTCOME_CREATED
        )
        result.revision = body["revision"]
        if is_put:
            result.etag = writer.etag(body)
        (conditional if etag else plain).append((i, Put(good[i], body)))
    await _write_plain(plain, results, writer, searchable=searchable)
    await _write_conditional(conditional, seen, results, writer, searchable=searchable)


async def _write_plain(
    plain: list[tuple[int, Put]], results: list[index_pb2.WriteResult], writer: Writer, *, searchable: bool
) -> None:
    if not plain:
        return
    answers = await writer.scope.bulk([put for _, put in plain], searchable=searchable)
    for (i, _), answer in zip(plain, answers, strict=True):
        status = answer["status"]
        if status == 409:
            results[i].outcome = Outcome.OUTCOME_SUPERSEDED
        elif status >= 300:
            busy = status in {429, 503}
            fault = unavailable("the search engine") if busy else fault_of(RuntimeError(str(answer.get("error"))))
            _fail(results[i], Outcome.OUTCOME_FAILED, fault)


async def _write_conditional(
    conditional: list[tuple[int, Put]],
    seen: dict[int, Found | None],
    results: list[index_pb2.WriteResult],
    writer: Writer,
    *,
    searchable: bool,
) -> None:
    gate = asyncio.Semaphore(_CONDITIONAL_AT_ONCE)

    async def one(i: int, put: Put) -> None:
        try:
            async with gate:
                won = await writer.scope.write_if(put, seen[i], searchable=searchable)
        except Fault as fault:
            _fail(results[i], Outcome.OUTCOME_FAILED, fault)
            return
        if not won:
            _fail(results[i], Outcome.OUTCOME_CONFLICT, etag_mismatch("document"))

    await asyncio.gather(*(one(i, put) for i, put in conditional))


def _target(name: str, writer: Writer) -> names.Name:
    """Return the document that a name means: the caller's own tenant has two names."""
    parsed = names.parse(name)
    return replace(parsed, tenant=writer.scope.owner.tenant_id) if parsed.tenant == names.OWN else parsed


def _name(item: index_pb2.DocumentWrite) -> str:
    return item.delete.name if item.WhichOneof("operation") == "delete" else item.put.name


def _fail(result: index_pb2.WriteResult, outcome: index_pb2.WriteResult.Outcome, fault: Fault) -> None:
    result.outcome = outcome
    result.etag, result.revision = "", 0
    result.status.CopyFrom(status_of(fault))
