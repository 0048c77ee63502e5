# SPDX-License-Identifier: Apache-2.0
"""Long-running operations: starting them, looking at them, waiting for them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, paged
from pinakes.client._channel import Channel
from pinakes.client._errors import PinakesError, Unavailable, from_status
from pinakes.client._pages import Pages
from pinakes.v1 import index_pb2, lifecycle_pb2, placement_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2

_SERVICE = "/google.longrunning.Operations/"
_RESPONSES: tuple[type[Message], ...] = (
    verbs_pb2.PurgeDocumentsResponse,
    verbs_pb2.ReindexCollectionResponse,
    verbs_pb2.ImportDocumentsResponse,
    verbs_pb2.ExportDocumentsResponse,
    index_pb2.BatchWriteDocumentsResponse,
    lifecycle_pb2.EraseTenantResponse,
    lifecycle_pb2.ExportTenantResponse,
    placement_pb2.MoveTenantResponse,
)
# Servers answer a wait within half a minute, whatever they are asked for.
_LONGEST_WAIT = 20.0
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Operation:
    """Work that goes on after the call, as it was when it was read.

    `metadata` tells verb, state, times and progress, and the first hundred failed rows. Once it is `done` there is either
    a `response`, the answer of its verb (such as `PurgeDocumentsResponse`), or an `error`.
    """

    name: str
    done: bool
    metadata: verbs_pb2.OperationMetadata
    response: Message | None = None
    error: PinakesError | None = None

    @property
    def operation_id(self) -> str:
        """The id at the end of the name."""
        return _names.last(self.name)

    @property
    def state(self) -> str:
        """The state in lower case: pending, running, cancelling, succeeded, failed, cancelled."""
        return verbs_pb2.OperationMetadata.State.Name(self.metadata.state).removeprefix("STATE_").lower()

    def result(self) -> Message:
        """Return the response. Raises its error if it failed or was cancelled, and ValueError if it isn't done."""
        if self.error is not None:
            raise self.error
        if self.response is None:
            message = f"{self.name} isn't done"
            raise ValueError(message)
        return self.response


def as_operation(message: operations_pb2.Operation) -> Operation:
    """Read an operation's message."""
    metadata = verbs_pb2.OperationMetadata()
    message.metadata.Unpack(metadata)
    response: Message | None = None
    for kind in _RESPONSES:
        if message.HasField("response") and message.response.Is(kind.DESCRIPTOR):
            response = kind()
            message.response.Unpack(response)
    error = from_status(message.error) if message.HasField("error") else None
    return Operation(message.name, message.done, metadata, response, error)


class OperationCalls(Calls):
    """Operations. A `request_id` makes a start idempotent; a random one is sent if none is given."""

    async def purge_documents(
        self,
        filter: str = "",
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        force: bool = False,
        all_documents: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Delete the documents that match an AIP-160 filter; without `force` only count them and show a sample.

        The operation of a mere count is done at once. `all_documents` must be set with `force` if the filter is empty
        or matches everything. What is written after the call stands.
        """
        request = verbs_pb2.PurgeDocumentsRequest(
            parent=_names.collection(collection, tenant),
            filter=filter,
            force=force,
            all_documents=all_documents,
            request_id=request_id or uuid.uuid4().hex,
        )
        return await self._start("IndexService/PurgeDocuments", request, timeout)

    async def reindex_collection(
        self,
        collection: str = _names.DEFAULT_COLLECTION,
        *,
        tenant: str = _names.MINE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Index every document of a collection anew by its present attributes, while reads and writes go on."""
        request = verbs_pb2.ReindexCollectionRequest(
            name=_names.collection(collection, tenant), request_id=request_id or uuid.uuid4().hex
        )
        return await self._start("IndexService/ReindexCollection", request, timeout)

    async def move_tenant(
        self,
        tenant: str,
        *,
        pool: int | None = None,
        shards: int = 0,
        rollback_window: float | None = None,
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Move a tenant's documents to a pool, or, without one, to an index of its own with so many shards (0: as a pool).

        The tenant goes on reading and writing. The place that is left is kept up to date for `rollback_window` seconds
        (None: the deployment's setting); until then, cancelling the operation rolls the move back. Raises PinakesError
        (MOVE_RUNNING, ALREADY_PLACED).
        """
        request = placement_pb2.MoveTenantRequest(
            name=_names.tenant(tenant), validate_only=validate_only, request_id=request_id or uuid.uuid4().hex
        )
        if pool is None:
            request.dedicated.shards = shards
        else:
            request.pool = pool
        if rollback_window is not None:
            request.rollback_window.CopyFrom(_duration(rollback_window))
        return await self._start("TenantService/MoveTenant", request, timeout)

    async def get_operation(
        self, operation: str, *, tenant: str = _names.MINE, timeout: float | None = None
    ) -> Operation:
        """Read an operation as it is now, by its id or name."""
        request = operations_pb2.GetOperationRequest(name=_names.operation(operation, tenant))
        return await self._start(f"{_SERVICE}GetOperation", request, timeout)

    def list_operations(self, *, tenant: str = _names.MINE, timeout: float | None = None) -> Pages[Operation]:
        """List a tenant's operations in the order of their ids; those of accepted batches aren't among them."""
        parent = _names.tenant(tenant)

        async def ask(token: str) -> operations_pb2.ListOperationsResponse:
            request = operations_pb2.ListOperationsRequest(name=parent, page_size=LARGEST_PAGE, page_token=token)
            return await self._channel.call(
                f"{_SERVICE}ListOperations", request, operations_pb2.ListOperationsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: [as_operation(one) for one in answer.operations]))

    async def cancel_operation(
        self, operation: str, *, tenant: str = _names.MINE, timeout: float | None = None
    ) -> None:
        """Ask an operation to stop; what it has done stands. Raises PinakesError (OPERATION_DONE) if it is done."""
        request = operations_pb2.CancelOperationRequest(name=_names.operation(operation, tenant))
        await self._channel.call(f"{_SERVICE}CancelOperation", request, Empty, timeout)

    async def delete_operation(
        self, operation: str, *, tenant: str = _names.MINE, timeout: float | None = None
    ) -> None:
        """Forget a finished operation. Raises PinakesError (OPERATION_NOT_DONE) if it isn't done."""
        request = operations_pb2.DeleteOperationRequest(name=_names.operation(operation, tenant))
        await self._channel.call(f"{_SERVICE}DeleteOperation", request, Empty, timeout)

    async def wait_operation(
        self,
        operation: str,
        *,
        tenant: str = _names.MINE,
        timeout: float | None = None,
        poll: float = _LONGEST_WAIT,
        watch: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Wait until an operation is done, and return it; `result()` of it is the answer or raises the error.

        Args:
            operation: its id or name.
            tenant: whose it is; `-` is the key's own.
            timeout: seconds to wait at most; then it is returned as it is. None waits as long as it takes.
            poll: seconds between two looks at it at most.
            watch: called with each look; for progress.

        Raises:
            PinakesError: it can't be read. That the platform can't be reached is borne for a minute.
        """
        name = _names.operation(operation, tenant)
        end = None if timeout is None else time.monotonic() + timeout
        reached = time.monotonic()
        while True:
            left = _LONGEST_WAIT if end is None else max(0.0, end - time.monotonic())
            seconds = min(poll, _LONGEST_WAIT, left)
            request = operations_pb2.WaitOperationRequest(name=name, timeout=_duration(seconds))
            try:
                found = await self._start(f"{_SERVICE}WaitOperation", request, seconds + self._channel.timeout)
            except Unavailable as error:
                if time.monotonic() - reached > _PATIENCE_SECONDS or (end is not None and time.monotonic() > end):
                    raise
                await asyncio.sleep(min(error.retry_after or 1.0, 5.0))
                continue
            reached = time.monotonic()
            if watch is not None:
                watch(found)
            if found.done or (end is not None and time.monotonic() >= end):
                return found

    async def _start(self, method: str, request: Message, timeout: float | None) -> Operation:
        return await ask_operation(self._channel, method, request, timeout)


async def ask_operation(channel: Channel, method: str, request: Message, timeout: float | None) -> Operation:
    """Make a call that answers with an operation."""
    return as_operation(await channel.call(method, request, operations_pb2.Operation, timeout))


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromNanoseconds(round(seconds * 1e9))
    return made
