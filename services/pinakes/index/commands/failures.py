# SPDX-License-Identifier: Apache-2.0
"""What listing, retrying and discarding failed writes means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from google.rpc import code_pb2, error_details_pb2, status_pb2

from pinakes.core.engine.documents import content_bytes, revision_ms
from pinakes.core.faults import invalid
from pinakes.core.limits.quota import Incoming
from pinakes.core.query.pages import page_size
from pinakes.core.rpc import names
from pinakes.core.rpc.errors import DOMAIN
from pinakes.core.writing.failures import change_of
from pinakes.v1 import failures_pb2

if TYPE_CHECKING:
    from pinakes.core.faults import Fault
    from pinakes.core.tenancy.marks import Mark
    from pinakes.core.writing.changes import Change
    from pinakes.index.commands.write import Writer

Json = dict[str, Any]
_AT_ONCE = 500
# No version of a collection: what failed may have been compiled long ago, so it is compiled anew.
_COMPILED_ONCE = 0


async def list_failed(
    request: failures_pb2.ListFailedWritesRequest, writer: Writer
) -> failures_pb2.ListFailedWritesResponse:
    """List a collection's failed writes, oldest first."""
    platform, owner = writer.platform, writer.scope.owner
    size = page_size(request.page_size, platform.settings.limits)
    after = platform.page_tokens.read(request, owner.tenant_uid)
    found = await writer.platform.failures.page(owner, after[0] if after else None, size + 1)
    answer = failures_pb2.ListFailedWritesResponse(failed_writes=[_message(record, writer) for record in found[:size]])
    if len(found) > size:
        answer.next_page_token = platform.page_tokens.make(request, owner.tenant_uid, [found[size - 1]["id"]])
    return answer


async def retry(
    request: failures_pb2.RetryFailedWritesRequest, writer: Writer, mark: Mark
) -> failures_pb2.RetryFailedWritesResponse:
    """Queue failed writes again. Queued first, then taken from the list: a crash between leaves one in both, harmlessly.

    Those that the tenant has no room for stay in the list. Raises a fault of kind EXHAUSTED if there is room for none.
    """
    queue, owner = writer.platform.queue, writer.scope.owner
    count, kept, fault = 0, 0, None
    async for records in _batches(request, writer, mark):
        changes, beyond = await _with_room([change_of(record) for record in records], writer)
        if changes:
            await queue.enqueue(owner, queue.parts(owner, changes, _COMPILED_ONCE), len(changes))
            await writer.platform.failures.delete(owner, [records[place]["id"] for place, _ in changes])
        count, kept, fault = count + len(changes), kept + len(records) - len(changes), fault or beyond
    if fault is not None and not count:
        raise fault
    return failures_pb2.RetryFailedWritesResponse(count=count, kept=kept)


async def _with_room(changes: list[Change], writer: Writer) -> tuple[list[tuple[int, Change]], Fault | None]:
    """Return the writes, with their places, that the tenant has room for, and why not all. Deletions need none."""
    placed = list(enumerate(changes))
    if not writer.bounded:
        return placed, None
    beyond, _ = await writer.beyond(
        {
            place: Incoming(change.document_id, content_bytes(orjson.loads(change.data)))
            for place, change in placed
            if not change.deletion
        }
    )
    return [one for one in placed if one[0] not in beyond], next(iter(beyond.values()), None)


async def discard(
    request: failures_pb2.DiscardFailedWritesRequest, writer: Writer, mark: Mark
) -> failures_pb2.DiscardFailedWritesResponse:
    """Delete failed writes."""
    count = 0
    async for records in _batches(request, writer, mark):
        await writer.platform.failures.delete(writer.scope.owner, [record["id"] for record in records])
        count += len(records)
    return failures_pb2.DiscardFailedWritesResponse(count=count)


async def _batches(request: Any, writer: Writer, mark: Mark) -> Any:
    """Yield the failed writes that a request means, some at a time.

    In another attempt `all` are those that had failed when the first began: what failed since wasn't meant.
    """
    owner, store = writer.scope.owner, writer.platform.failures
    if request.all == bool(request.names):
        text = "name the failed writes, or set all; one of the two"
        raise invalid("names" if request.names else "all", text)
    if request.names:
        yield await store.get_many(owner, [_id(name, place, writer) for place, name in enumerate(request.names)])
        return
    after = None
    while records := await store.page(owner, after, _AT_ONCE):
        after = records[-1]["id"]
        meant = [record for record in records if not mark.again or record["failed_ms"] <= mark.begun_ms]
        if meant:
            yield meant


def _id(name: str, place: int, writer: Writer) -> str:
    """Return the id in a failed write's name, which must be in the parent."""
    parsed, owner = names.parse(name), writer.scope.owner
    if parsed.tenant not in {names.OWN, owner.tenant_id} or parsed.collection != owner.collection_id:
        parent = names.collection(owner.tenant_id, owner.collection_id)
        raise invalid(f"names[{place}]", f"the failed write must be in {parent}")
    return parsed.failed_write


def _message(record: Json, writer: Writer) -> failures_pb2.FailedWrite:
    owner = writer.scope.owner
    change = change_of(record)
    message = failures_pb2.FailedWrite(
        name=names.failed_write(owner.tenant_id, owner.collection_id, record["id"]),
        deletion=change.deletion, revision=record["revision"], retries=record["retries"],
        status=status_pb2.Status(code=code_pb2.INTERNAL, message=record["message"]),
    )  # fmt: skip
    message.status.details.add().Pack(error_details_pb2.ErrorInfo(reason=record["reason"], domain=DOMAIN))
    source = None if change.deletion else orjson.loads(change.data)
    if source is not None and writer.scope.may_read(source):
        message.document.CopyFrom(writer.scope.shown(writer.message(source)))
    else:
        message.document.name = owner.name(record["document_id"])
    message.accept_time.FromMilliseconds(revision_ms(record["revision"]))
    message.fail_time.FromMilliseconds(record["failed_ms"])
    message.expire_time.FromMilliseconds(writer.platform.failures.expires_ms(record))
    return message
