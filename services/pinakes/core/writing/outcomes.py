# SPDX-License-Identifier: Apache-2.0
"""What became of accepted batches: each entry's outcomes, kept by its worker, told as an operation."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from pinakes.core.engine.documents import revision_ms
from pinakes.core.engine.records import RecordStore
from pinakes.core.faults import not_found
from pinakes.core.tenancy.models import now_ms
from pinakes.queue.v1 import entry_pb2
from pinakes.v1 import index_pb2
from pinakes.v1 import operations_pb2 as pinakes_operations_pb2

if TYPE_CHECKING:
    from pinakes.core.engine.client import Engine
    from pinakes.core.tenancy.etags import Etags
    from pinakes.core.tenancy.models import TenantRecord
    from pinakes.core.writing.apply import Applied

Json = dict[str, Any]
State = pinakes_operations_pb2.OperationMetadata
_OPERATION = re.compile(r"w-([0-9a-f]{13,16})-(\d{1,4})-([A-Za-z0-9_-]{20})")


class Outcomes:
    """Outcomes of accepted batches. An operation's id tells its revision and entries, and can't be made up."""

    def __init__(self, engine: Engine, etags: Etags, hours: float) -> None:
        """Keep them in the engine for `hours`."""
        self._store = RecordStore(engine, "outcomes", listed=False)
        self._etags = etags
        self._ms = round(hours * 3_600_000)

    def operation_id(self, tenant_uid: str, revision: int, parts: int) -> str:
        """Return the id of the operation of a batch."""
        mac = self._etags.make("operation", tenant_uid, revision, parts)
        return f"w-{revision:x}-{parts}-{mac}"

    async def keep(self, parts: Sequence[tuple[entry_pb2.Entry, Sequence[Applied]]]) -> None:
        """Keep the outcomes of entries. Raises a fault of kind UNAVAILABLE."""
        await self._store.put_many(
            [(f"{e.operation}.{e.part}", e.tenant_uid, "done", self._record(e, applied)) for e, applied in parts]
        )

    async def operation(self, tenant: TenantRecord, operation_id: str) -> operations_pb2.Operation:
        """Return the operation of a batch. Raises a fault of kind NOT_FOUND for one that was never or is forgotten."""
        name = f"tenants/{tenant.tenant_id}/operations/{operation_id}"
        found = _OPERATION.fullmatch(operation_id)
        if found is None or operation_id != self.operation_id(tenant.uid, int(found[1], 16), int(found[2])):
            raise not_found("pinakes/Operation", name)
        accepted_ms = revision_ms(int(found[1], 16))
        if accepted_ms < now_ms() - self._ms:
            raise not_found("pinakes/Operation", name)
        records = await self._store.get_many([f"{operation_id}.{part}" for part in range(int(found[2]))])
        return _told(name, tenant.tenant_id, accepted_ms, records)

    async def expire(self) -> int:
        """Forget old outcomes, and return how many there were."""
        return await self._store.delete_older(now_ms() - self._ms)

    def _record(self, entry: entry_pb2.Entry, applied: Sequence[Applied]) -> Json:
        part = entry_pb2.PartOutcome()
        for write, result in zip(entry.writes, applied, strict=True):
            part.positions.append(write.position)
            part.outcomes.append(result.outcome)
            part.revisions.append(result.revision)
            part.document_ids.append(write.document_id)
            part.etags.append(self._etags.make(result.revision, result.content_hash) if result.content_hash else "")
            part.reasons.append(result.fault.reason if result.fault else "")
        data = base64.b64encode(zlib.compress(part.SerializeToString(), 1)).decode()
        return {"tenant": entry.tenant_uid, "collection": entry.collection_id, "data": data}


def _told(name: str, tenant_id: str, accepted_ms: int, records: Sequence[Json | None]) -> operations_pb2.Operation:
    """Return the operation: done when the outcomes of every entry are there."""
    parts = [(r["collection"], _read(r["data"])) for r in records if r]
    done = len(parts) == len(records)
    metadata = State(verb="write", state=State.STATE_SUCCEEDED if done else State.STATE_PENDING)
    metadata.create_time.FromMilliseconds(accepted_ms)
    answer = index_pb2.BatchWriteDocumentsResponse(mode=index_pb2.WRITE_MODE_APPLIED, operation=name)
    results: list[tuple[int, index_pb2.WriteResult]] = []
    for collection_id, part in parts:
        metadata.target = f"tenants/{tenant_id}/collections/{collection_id}"
        rows = zip(
            part.positions, part.outcomes, part.revisions, part.document_ids, part.etags, part.reasons, strict=True
        )
        for position, outcome, revision, document_id, etag, reason in rows:
            result = index_pb2.WriteResult(
                name=f"{metadata.target}/documents/{document_id}",
                outcome=index_pb2.WriteResult.Outcome.Name(outcome),
                revision=revision,
                etag=etag,
            )
            if reason:
                result.status.CopyFrom(_status(reason))
            results.append((position, result))
    metadata.done = len(results)
    metadata.failed = sum(result.outcome == index_pb2.WriteResult.OUTCOME_FAILED for _, result in results)
    operation = operations_pb2.Operation(name=name, done=done)
    operation.metadata.Pack(metadata)
    if done:
        answer.results.extend(result for _, result in sorted(results, key=lambda row: row[0]))
        operation.response.Pack(answer)
    return operation


def _status(reason: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.INTERNAL, message="the write is in the list of failed writes")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="pinakes"))
    return status


def _read(data: str) -> entry_pb2.PartOutcome:
    return entry_pb2.PartOutcome.FromString(zlib.decompress(base64.b64decode(data)))
