# SPDX-License-Identifier: Apache-2.0
"""Starting an operation: what every RPC that answers with one does, whatever its verb."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pinakes.core.engine.records import Conflict
from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.operations.messages import operation_message, packed_json
from pinakes.core.operations.records import SUCCEEDED, OperationRecord, Progress
from pinakes.core.operations.store import OperationStore
from pinakes.core.rpc import names
from pinakes.core.tenancy.models import now_ms
from pinakes.core.writing.requests import check_digest, payload_digest

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import CollectionRecord, TenantRecord

Json = dict[str, Any]
_ID_CHARS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an operation on a collection, or on a whole tenant: then there is no `collection`.

        asked = Asked(platform, "purge", tenant, collection, request, call.principal.readers, call.principal.role)
        if (earlier := await asked.repeated()) is not None:
            return earlier                       # before anything is looked up that may have changed since
        …refuse what can't be done…
        return await asked.start({"filter": …})  # or asked.finished(…) for what is done already

    `request` has a `request_id`, and names the collection or tenant by `parent` or `name`. `readers` and `role` are those
    of the caller; the job sees no document that they may not read, nor personal data that the role may not see. No readers
    means every document. `narrowing` is the filter of the caller's credential: with another one the same request is another.
    """

    platform: Platform
    verb: str
    tenant: TenantRecord
    collection: CollectionRecord | None
    request: Message
    readers: tuple[str, ...] | None = None
    role: Role = Role.SERVICE
    narrowing: str = ""
    administrative: bool = False

    async def repeated(self) -> operations_pb2.Operation | None:
        """Return the operation that the same request with the same request id has started, or None.

        Raises a fault with reason REQUEST_ID_REUSED if the id was used for another request.
        """
        if not self._request_id:
            return None
        store = OperationStore(self.platform.engine)
        found = await store.get(self.tenant.uid, self._operation_id(), hidden=True)
        return None if found is None else self._same(found)

    async def start(self, parameters: Json) -> operations_pb2.Operation:
        """Store the operation for a worker to find, and return it.

        Raises a fault of kind EXHAUSTED when the tenant has as many unfinished operations as it may.
        """
        most = self.platform.settings.limits.operations
        if await OperationStore(self.platform.engine).count_unfinished(self.tenant.uid) >= most:
            raise Fault(
                Kind.EXHAUSTED, "OPERATIONS_EXHAUSTED",
                f"a tenant may have {most} unfinished operations; wait for some, or cancel them",
                quota=names.tenant(self.tenant.tenant_id), retry_after=10.0,
            )  # fmt: skip
        return await self._store(self._record(parameters))

    async def finished(self, parameters: Json, response: Message, progress: Progress) -> operations_pb2.Operation:
        """Store an operation that is done already, with its answer, and return it."""
        now = now_ms()
        done = self._record(parameters).changed(
            state=SUCCEEDED, start_ms=now, end_ms=now, response=packed_json(response), progress=progress
        )
        return await self._store(done)

    async def _store(self, record: OperationRecord) -> operations_pb2.Operation:
        store = OperationStore(self.platform.engine)
        try:
            await store.create(record)
        except Conflict:
            found = await store.get(self.tenant.uid, record.operation_id, hidden=True)
            if found is None:
                raise
            return self._same(found)
        return operation_message(record)

    def _same(self, found: OperationRecord) -> operations_pb2.Operation:
        check_digest(found.payload, self._payload())
        return operation_message(found)

    def _record(self, parameters: Json) -> OperationRecord:
        return OperationRecord(
            operation_id=self._operation_id(),
            tenant_uid=self.tenant.uid, tenant_id=self.tenant.tenant_id,
            collection_uid=self.collection.uid if self.collection else "",
            collection_id=self.collection.collection_id if self.collection else "",
            administrative=self.administrative,
            verb=self.verb, parameters=parameters, readers=self.readers,
            role=self.role.value, payload=self._payload(), create_ms=now_ms(),
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Name of the operation that the request's id leads to, whether it is there yet or not."""
        return names.operation(self.tenant.tenant_id, self._operation_id())

    @property
    def _request_id(self) -> str:
        given: str = self.request.request_id  # type: ignore[attr-defined]  # every such request has the field
        return given

    def _operation_id(self) -> str:
        """Return a random id, or the one that a request id always leads to."""
        if not self._request_id:
            return secrets.token_hex(_ID_CHARS // 2)
        text = f"operation\0{self.tenant.uid}\0{self._request_id}".encode()
        return hashlib.sha256(text).hexdigest()[:_ID_CHARS]

    def _payload(self) -> str:
        """Digest what was asked for: `tenants/-` and the tenant's own id are the same."""
        same = type(self.request)()
        same.CopyFrom(self.request)
        same.ClearField("request_id")
        field = "parent" if "parent" in same.DESCRIPTOR.fields_by_name else "name"
        if self.collection is None:
            setattr(same, field, names.tenant(self.tenant.tenant_id))
        else:
            setattr(same, field, names.collection(self.tenant.tenant_id, self.collection.collection_id))
        uid = self.collection.uid if self.collection is not None else self.tenant.uid
        text = f"{uid}\0{payload_digest(same)}".encode()
        if self.narrowing:
            text += b"\0" + self.narrowing.encode()
        return hashlib.sha256(text).hexdigest()[:32]
