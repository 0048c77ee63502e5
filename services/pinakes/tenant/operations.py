# SPDX-License-Identifier: Apache-2.0
"""`google.longrunning.Operations`: what became of slow work, and how to stop it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2

from pinakes.core.faults import Fault, Kind, not_found
from pinakes.core.lifecycle import erasing
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import OperationRecord
from pinakes.core.operations.store import OperationStore
from pinakes.core.query.pages import page_size
from pinakes.core.resilience import deadline
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.v1 import operations_pb2 as verbs_pb2

if TYPE_CHECKING:
    import grpc

    from pinakes.core.identity.principal import Principal
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import TenantRecord

    Context = grpc.aio.ServicerContext[Any, Any]

# Outcomes of accepted batches: the queue's workers write these, and nobody can stop them.
QUEUED = "w-"
_FIRST_LOOK, _LONGEST_LOOK = 0.1, 1.0
# What is left of the deadline for the way back.
_MARGIN_SECONDS = 0.25


class OperationsServicer(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]  # published without types
    """Serves the operations of a tenant."""

    def __init__(self, platform: Platform) -> None:
        """Serve from these parts."""
        self._platform = platform
        self._store = OperationStore(platform.engine)

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """Read an operation as it is now."""
        return await self._read(names.parse(request.name).operation)

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        """List a tenant's operations in the order of their ids; outcomes of accepted batches aren't among them."""
        tenant = calls.current().tenant
        size = page_size(request.page_size, self._platform.settings.limits)
        after = self._platform.page_tokens.read(request, tenant.uid)
        found = await self._store.page(tenant.uid, after[0] if after else None, size + 1)
        seen = [one for one in found[:size] if one.visible_to(calls.current().principal)]
        answer = operations_pb2.ListOperationsResponse(operations=[operation_message(one) for one in seen])
        if len(found) > size:
            last = found[size - 1].operation_id
            answer.next_page_token = self._platform.page_tokens.make(request, tenant.uid, [last])
        return answer

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """Wait until an operation is done or the time is over, and say how it is then."""
        left = deadline.remaining(self._platform.settings.default_deadline_seconds) - _MARGIN_SECONDS
        if request.HasField("timeout"):
            left = min(left, request.timeout.seconds + request.timeout.nanos / 1e9)
        end = asyncio.get_running_loop().time() + left
        # A server that ends answers at once; the caller asks the next one.
        pause, drain = _FIRST_LOOK, self._platform.drain.begun
        operation_id = names.parse(request.name).operation
        while True:
            operation = await self._read(operation_id)
            left = end - asyncio.get_running_loop().time()
            if operation.done or left <= 0 or drain.is_set():
                return operation
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, left)):
                    await drain.wait()
            pause = min(pause * 2, _LONGEST_LOOK)

    async def CancelOperation(
        self, request: operations_pb2.CancelOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Ask an operation to stop. Asking again while it stops is fine."""
        tenant, operation_id = calls.current().tenant, names.parse(request.name).operation
        name = names.operation(tenant.tenant_id, operation_id)
        await self._refuse_queued(
            tenant, operation_id, "can't be cancelled: its writes are accepted and will be applied"
        )

        def refuse(now: OperationRecord | None) -> None:
            if not _known(now):
                raise _absent(name)
            if now.finished:
                text = f"{name} is done ({now.state}); there is nothing to cancel"
                raise Fault(Kind.PRECONDITION, "OPERATION_DONE", text, resource=("pinakes/Operation", name))
            if now.verb == erasing.VERB:
                text = f"{name} erases the tenant, part of which may be gone: it goes on to its end"
                raise Fault(Kind.PRECONDITION, "OPERATION_NOT_CANCELLABLE", text, resource=("pinakes/Operation", name))

        await self._store.cancel(tenant.uid, operation_id, refuse)
        return empty_pb2.Empty()

    async def DeleteOperation(
        self, request: operations_pb2.DeleteOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Forget a finished operation. Its request id goes on meaning it as long as it would have been kept."""
        tenant, operation_id = calls.current().tenant, names.parse(request.name).operation
        name = names.operation(tenant.tenant_id, operation_id)
        await self._refuse_queued(tenant, operation_id, "can't be deleted; it goes by itself")

        def decide(now: OperationRecord | None) -> OperationRecord:
            if not _known(now):
                raise _absent(name)
            if not now.finished:
                text = f"{name} isn't done; cancel it first"
                raise Fault(Kind.PRECONDITION, "OPERATION_NOT_DONE", text, resource=("pinakes/Operation", name))
            return now.changed(hidden=True)

        await self._store.change(tenant.uid, operation_id, decide)
        return empty_pb2.Empty()

    async def _read(self, operation_id: str) -> operations_pb2.Operation:
        tenant = calls.current().tenant
        if operation_id.startswith(QUEUED):
            found = await queued_operation(self._platform, tenant, operation_id)
        else:
            record = await self._store.get(tenant.uid, operation_id)
            found = operation_message(record) if _known(record) else None
        if found is None:
            raise _absent(names.operation(tenant.tenant_id, operation_id))
        return found

    async def _refuse_queued(self, tenant: TenantRecord, operation_id: str, text: str) -> None:
        """Refuse to change the outcome of an accepted batch, if there is one of that id."""
        if not operation_id.startswith(QUEUED):
            return
        name = names.operation(tenant.tenant_id, operation_id)
        if await queued_operation(self._platform, tenant, operation_id) is None:
            raise _absent(name)
        raise Fault(Kind.PRECONDITION, "OPERATION_OF_WRITES", f"{name} {text}", resource=("pinakes/Operation", name))


async def queued_operation(
    platform: Platform, tenant: TenantRecord, operation_id: str
) -> operations_pb2.Operation | None:
    """Return what became of an accepted batch as an operation, or None if nothing is known of it."""
    outcomes: Any = getattr(platform, "outcomes", None)
    if outcomes is None:
        return None
    found: operations_pb2.Operation | None = await outcomes.operation(tenant, operation_id)
    return found if found is None or _within(calls.current().principal, found) else None


def _within(principal: Principal, operation: operations_pb2.Operation) -> bool:
    """Whether the outcomes of writes are of a collection that a narrowed credential may know of."""
    if principal.filter:
        return False  # it writes nothing
    if principal.collections is None:
        return True
    state = verbs_pb2.OperationMetadata()
    operation.metadata.Unpack(state)
    return names.parse(state.target).collection in principal.collections


def _known(record: OperationRecord | None) -> TypeGuard[OperationRecord]:
    """Whether the caller may know of an operation."""
    return record is not None and not record.hidden and record.visible_to(calls.current().principal)


def _absent(name: str) -> Fault:
    return not_found("pinakes/Operation", name)
