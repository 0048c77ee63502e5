# SPDX-License-Identifier: Apache-2.0
"""The verb `import`: JSON Lines of an object into a collection.

Every row has its revision beforehand: that of the request and its line number. So a row that was written before this
worker took over is known again, of two rows with one id the later one stands, and whatever callers write or delete later
stands above its rows: later than the call by a microsecond for each row, because a line number counts as one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.documents import revision_ms
from pinakes.core.faults import Fault, Kind, not_found, unavailable
from pinakes.core.limits.quota import Incoming
from pinakes.core.operations.job import PASSING, Context, Job
from pinakes.core.rpc import names
from pinakes.core.storage import uris
from pinakes.core.storage.compression import Compression
from pinakes.core.storage.faults import object_changed
from pinakes.core.storage.lines import JSON_GROWTH, Chunk, LineReader, Position
from pinakes.core.tenancy.models import now_ms
from pinakes.core.writing.apply import Applied, apply, count, outcome_name
from pinakes.core.writing.conditional import Conditional, write_conditional
from pinakes.core.writing.requests import Attempt
from pinakes.v1 import index_pb2, operations_pb2
from pinakes.worker.jobs.ahead import ahead
from pinakes.worker.jobs.loading import restore_refresh, slow_refresh
from pinakes.worker.jobs.patience import patiently
from pinakes.worker.jobs.rows import Refused, Row, Target, prepare, runs

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.storage.objects import Source
    from pinakes.core.tenancy.models import TenantRecord

Json = dict[str, Any]
Outcome = index_pb2.WriteResult
CHUNK_LINES = 500
CHUNK_BYTES = 4 << 20
_PATIENCE = 60.0
_PAUSE = 1.0
_DAY_MS, _MARGIN_MS = 86_400_000, 3_600_000
_UNCHANGED = outcome_name(Outcome.OUTCOME_UNCHANGED)


@dataclass(frozen=True, slots=True)
class State:
    """The checkpoint: which version of the object is read, how far (decompressed bytes), and what came of it."""

    version: str
    line: int = 0
    offset: int = 0
    written: int = 0
    unchanged: int = 0
    failed: int = 0

    @property
    def position(self) -> Position:
        """Where the next line begins."""
        return Position(self.line, self.offset)

    @property
    def rows(self) -> int:
        """Rows done, failed ones too."""
        return self.written + self.unchanged + self.failed


async def run(context: Context) -> Message:
    """Import, from the checkpoint on."""
    location = uris.parse(context.parameters["source_uri"], "source_uri")
    source = await context.platform.storage.source(location, context.tenant.tenant_id)
    try:
        async with slow_refresh(context):
            state = await _import(context, source)
    finally:
        await source.close()
    return operations_pb2.ImportDocumentsResponse(
        written_count=state.written, unchanged_count=state.unchanged, failed_count=state.failed
    )


async def _import(context: Context, source: Source) -> State:
    state = State(**context.checkpoint) if context.checkpoint else State(version=source.version)
    if state.version != source.version:
        raise object_changed(source.uri)
    reader = LineReader(
        source,
        Compression[context.parameters["compression"]],
        line_bytes=JSON_GROWTH * context.platform.settings.limits.document_bytes,
        chunk_lines=CHUNK_LINES,
        chunk_bytes=CHUNK_BYTES,
    )
    await context.advance(asdict(state), total_bytes=source.size)
    async with aclosing(ahead(_pieces(context, reader, state.position))) as pieces:
        async for piece in pieces:
            tenant = await _in_turn(context, piece)
            outcomes, failed = await _write(context, tenant, piece)
            for one in failed:
                context.fail_row(one.line, one.reason, one.message)
            unchanged = outcomes.pop(_UNCHANGED, 0)
            state = replace(
                state,
                line=piece.chunk.position.line,
                offset=piece.chunk.position.offset,
                written=state.written + outcomes.total(),
                unchanged=state.unchanged + unchanged,
                failed=state.failed + len(failed),
            )
            await context.advance(asdict(state), done=state.rows, done_bytes=piece.chunk.read_bytes)
    await context.advance(total=state.rows, done=state.rows, done_bytes=source.size)
    return state


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of lines, checked and compiled."""

    chunk: Chunk
    target: Target
    rows: list[Row]
    refused: list[Refused]


async def _pieces(context: Context, reader: LineReader, start: Position) -> AsyncGenerator[Piece]:
    """Yield what lies behind a position, ready to be written."""
    async for chunk in reader.chunks(start):
        target = await _target(context)
        # In a thread: half a thousand documents take tens of milliseconds, and heartbeats can't wait.
        prepared = await asyncio.to_thread(prepare, chunk.lines, target)
        rows = [one for one in prepared if isinstance(one, Row)]
        yield Piece(chunk, target, rows, [one for one in prepared if isinstance(one, Refused)])


async def _in_turn(context: Context, piece: Piece) -> TenantRecord:
    """Wait until the tenant's ingest rate lets a piece in, and charge it. Returns the tenant as its limits are now.

    Raises a fault of kind NOT_FOUND if it was deleted: another that has its id since has nothing to do with this.
    """
    mine = context.tenant
    while True:
        tenant = await context.platform.directory.whole_tenant(mine.tenant_id, mine.uid)
        if tenant is None:
            raise not_found("pinakes/Tenant", names.tenant(mine.tenant_id))
        budget = context.platform.limiter.work(tenant)
        try:
            await budget.take()
        except Fault as fault:
            # Not longer at once: the limit may be another by then.
            await context.sleep(min(fault.retry_after or _PAUSE, _PAUSE))
        else:
            budget.sent(len(piece.rows), sum(row.change.size for row in piece.rows))
            return tenant


async def _with_room(context: Context, tenant: TenantRecord, rows: Sequence[Row]) -> tuple[list[Row], list[Refused]]:
    """Return the rows that the tenant has room for, and those it hasn't."""
    incoming = [Incoming(row.change.document_id, row.change.size) for row in rows]
    faults = (await context.platform.quota.admit(context.scope, tenant, incoming)).faults
    beyond = [
        Refused(row.line, fault.reason, fault.message)
        for row, fault in zip(rows, faults, strict=True)
        if fault is not None
    ]
    return [row for row, fault in zip(rows, faults, strict=True) if fault is None], beyond


async def _write(context: Context, tenant: TenantRecord, piece: Piece) -> tuple[Counter[str], list[Refused]]:
    """Write the rows of a piece. Returns how many came to which outcome, and those that failed."""
    failed = list(piece.refused)
    count(Applied(Outcome.OUTCOME_REJECTED) for _ in failed)
    outcomes: Counter[str] = Counter()
    for run_ in runs(piece.rows):
        rows, beyond = await _with_room(context, tenant, run_)
        count(Applied(Outcome.OUTCOME_REJECTED) for _ in beyond)
        failed += beyond
        # Done again, a row that was written is known by its revision.
        applied = await patiently(context, partial(_apply, context, rows, piece.target), _PATIENCE)
        count(applied)
        for row, result in zip(rows, applied, strict=True):
            if result.fault is None:
                outcomes[outcome_name(result.outcome)] += 1
            else:
                failed.append(Refused(row.line, result.fault.reason, result.fault.message))
    return outcomes, sorted(failed, key=lambda one: one.line)


async def _target(context: Context) -> Target:
    """Return where rows go, by the collection's present schema.

    Raises a fault of kind NOT_FOUND if the collection was deleted, and of kind PRECONDITION if the import is too old.
    """
    wanted, platform = context.collection, context.platform
    record = await platform.directory.collection(context.tenant, wanted.collection_id)
    if record is None or record.uid != wanted.uid:
        # Another server may know a newer record than this process's cache.
        record = await platform.directory.fresh_collection(context.tenant, wanted.collection_id)
    if record is None or record.uid != wanted.uid:
        raise not_found("pinakes/Collection", names.collection(context.tenant.tenant_id, wanted.collection_id))
    first = int(context.parameters["revision"])
    # Beyond that a deletion made since then may have been forgotten, and a row would bring its document back.
    if now_ms() > revision_ms(first) + platform.settings.tombstone_days * _DAY_MS - _MARGIN_MS:
        days = f"{platform.settings.tombstone_days:g} days"
        text = f"the import was asked for {days} ago, longer than deletions are remembered; start it again"
        raise Fault(Kind.PRECONDITION, "IMPORT_TOO_OLD", text)
    return Target(context.scope.owner, record.schema(), platform.settings.limits, first)


async def _apply(context: Context, rows: Sequence[Row], target: Target) -> list[Applied]:
    """Write rows of different documents. Raises a fault of kind UNAVAILABLE if it must be done again."""
    plain = [row for row in rows if not row.document.etag]

    async def older_queued() -> bool:
        return await context.platform.queue.older_queued(context.tenant.uid)

    written = await apply(context.scope, [row.change for row in plain], older_queued)
    bound = [
        Conditional(row.line, row.change.document_id, row.document, row.document.etag, Attempt(row.change.revision))
        for row in rows
        if row.document.etag
    ]
    written += await write_conditional(bound, context.scope, target.schema, context.platform)
    if any(one.outcome == Outcome.OUTCOME_FAILED and one.fault and one.fault.kind in PASSING for one in written):
        raise unavailable("the search engine")
    lines = [row.line for row in plain] + [item.place for item in bound]
    by_line = dict(zip(lines, written, strict=True))
    return [by_line[row.line] for row in rows]


JOB = Job("import", run, abandon=restore_refresh)
