# SPDX-License-Identifier: Apache-2.0
"""A caller at the front door with a tenant of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2_grpc
from google.protobuf import empty_pb2

from pinakes.local import Platform
from pinakes.v1 import failures_pb2, index_pb2, resources_pb2
from tests.integration._servers import Stubs, Tenant, bearer, new_tenant, open_channel, reason, stubs

ACCEPTED, APPLIED, SEARCHABLE = (
    index_pb2.WRITE_MODE_ACCEPTED, index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_SEARCHABLE
)  # fmt: skip
Document = resources_pb2.Document


class Caller:
    """A tenant's administrator at the front door."""

    def __init__(self, tenant: Tenant, services: Stubs, channel: grpc.aio.Channel) -> None:
        self.tenant = tenant
        self.index = services.index
        self.operations: Any = operations_pb2_grpc.OperationsStub(channel)
        self.metadata = bearer(tenant.key)

    async def put(self, document_id: str, title: str, mode: index_pb2.WriteMode, **more: Any) -> dict[str, str]:
        """Write a document whole; return what the trailing metadata tell."""
        request = index_pb2.UpdateDocumentRequest(
            document=Document(name=self.tenant.document(document_id), title=title),
            allow_missing=True,
            mode=mode,
            **more,
        )
        request.update_mask.paths.append("*")
        call = self.index.UpdateDocument(request, metadata=self.metadata)
        await call
        return {key: str(value) for key, value in (await call.trailing_metadata()) or () if key.startswith("x-pinakes")}

    async def get(self, document_id: str) -> Document | None:
        """Read a document, or None."""
        try:
            return await self.index.GetDocument(
                index_pb2.GetDocumentRequest(name=self.tenant.document(document_id)), metadata=self.metadata
            )
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            return None

    async def delete(self, document_id: str, mode: index_pb2.WriteMode = APPLIED, **more: Any) -> empty_pb2.Empty:
        """Delete a document."""
        request = index_pb2.DeleteDocumentRequest(name=self.tenant.document(document_id), mode=mode, **more)
        return await self.index.DeleteDocument(request, metadata=self.metadata)

    async def undelete(self, document_id: str, **more: Any) -> Document:
        """Bring a document back."""
        request = index_pb2.UndeleteDocumentRequest(name=self.tenant.document(document_id), **more)
        return await self.index.UndeleteDocument(request, metadata=self.metadata)

    async def batch(
        self, titles: dict[str, str | None], mode: index_pb2.WriteMode, **more: Any
    ) -> index_pb2.BatchWriteDocumentsResponse:
        """Write documents by id; a title of None is a deletion."""
        request = index_pb2.BatchWriteDocumentsRequest(parent=self.tenant.collection, mode=mode, **more)
        for document_id, title in titles.items():
            name, write = self.tenant.document(document_id), request.writes.add()
            if title is None:
                write.delete.name = name
            else:
                write.put.CopyFrom(Document(name=name, title=title))
        return await self.index.BatchWriteDocuments(request, metadata=self.metadata)

    async def failed(self) -> list[failures_pb2.FailedWrite]:
        """List the failed writes."""
        request = failures_pb2.ListFailedWritesRequest(parent=self.tenant.collection, page_size=50)
        return list((await self.index.ListFailedWrites(request, metadata=self.metadata)).failed_writes)


@pytest.fixture
async def caller(platform: Platform) -> AsyncIterator[Caller]:
    """Give a tenant of the test's own."""
    async with open_channel(platform.endpoint) as channel:
        yield Caller(await new_tenant(platform), stubs(channel), channel)


async def until(what: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """Wait until something is true, and return it."""
    async with asyncio.timeout(seconds):
        while not (found := await what()):
            await asyncio.sleep(0.05)
    return found


async def refused(call: Awaitable[Any], code: grpc.StatusCode) -> str:
    """Expect a call to be refused; return the reason."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert error.value.code() is code, error.value
    return reason(error.value)
