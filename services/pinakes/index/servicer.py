# SPDX-License-Identifier: Apache-2.0
"""IndexService's transport: message in, message out; what an RPC means is in `commands` and `queries`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.core.rpc.once import once
from pinakes.core.rpc.scopes import open_scope
from pinakes.core.rpc.searching import Searching, not_a_search
from pinakes.core.tenancy import messages
from pinakes.index.commands import batch, bulk_movement, collections, failures, purge, reindex, stream, write
from pinakes.index.queries import collections as collection_queries
from pinakes.index.queries import read
from pinakes.v1 import failures_pb2, index_pb2, index_pb2_grpc, resources_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2

if TYPE_CHECKING:
    import grpc

    from pinakes.core.engine.scope import TenantScope
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.marks import Mark

    Context = grpc.aio.ServicerContext[Any, Any]

Answer = TypeVar("Answer")


class IndexServicer(index_pb2_grpc.IndexServiceServicer):
    """Serves collections and documents."""

    def __init__(self, platform: Platform) -> None:
        """Serve from these parts."""
        self._platform = platform
        self._searching = Searching(platform.usage)

    async def CreateCollection(
        self, request: index_pb2.CreateCollectionRequest, context: Context
    ) -> resources_pb2.Collection:
        """Create a collection."""
        call = calls.current()
        tenant = call.tenant

        async def work(mark: Mark) -> resources_pb2.Collection:
            record = await collections.create(request, tenant, self._platform, mark)
            return messages.collection(tenant.tenant_id, record, self._platform.etags)

        made = await once(self._platform, call, resources_pb2.Collection, work)
        call.resource = made.name
        return made

    async def GetCollection(
        self, request: index_pb2.GetCollectionRequest, context: Context
    ) -> resources_pb2.Collection:
        """Read a collection."""
        call = calls.current()
        _, record = await open_scope(self._platform, call, names.parse(request.name).collection)
        return messages.collection(
            call.tenant.tenant_id, record, self._platform.etags, curations=call.principal.sees_all
        )

    async def ListCollections(
        self, request: index_pb2.ListCollectionsRequest, context: Context
    ) -> index_pb2.ListCollectionsResponse:
        """List collections."""
        call = calls.current()
        return await collection_queries.list_collections(request, call.tenant, call.principal, self._platform)

    async def UpdateCollection(
        self, request: index_pb2.UpdateCollectionRequest, context: Context
    ) -> resources_pb2.Collection:
        """Change a collection."""
        call = calls.current()
        tenant = call.tenant

        async def work(mark: Mark) -> resources_pb2.Collection:
            record = await collections.update(request, tenant, call.principal, self._platform, mark)
            return messages.collection(tenant.tenant_id, record, self._platform.etags)

        return await once(self._platform, call, resources_pb2.Collection, work)

    async def DeleteCollection(self, request: index_pb2.DeleteCollectionRequest, context: Context) -> empty_pb2.Empty:
        """Delete a collection."""
        call = calls.current()

        async def work(mark: Mark) -> empty_pb2.Empty:
            await collections.delete(request, call.tenant, self._platform, mark)
            return empty_pb2.Empty()

        return await once(self._platform, call, empty_pb2.Empty, work)

    async def CreateDocument(
        self, request: index_pb2.CreateDocumentRequest, context: Context
    ) -> resources_pb2.Document:
        """Create a document."""
        _sent(1)
        writer = await self._writer(request.parent)
        return writer.scope.shown(await write.create(request, writer))

    async def GetDocument(self, request: index_pb2.GetDocumentRequest, context: Context) -> resources_pb2.Document:
        """Read a document."""
        scope, _ = await open_scope(self._platform, calls.current(), names.parse(request.name).collection)
        return await self._by_name(scope, lambda: read.get(request, scope, self._platform))

    async def UpdateDocument(
        self, request: index_pb2.UpdateDocumentRequest, context: Context
    ) -> resources_pb2.Document:
        """Change a document."""
        _sent(1)
        name = request.document.name
        writer = await self._writer(name)
        return writer.scope.shown(await write.update(request, names.parse(name).document, writer))

    async def DeleteDocument(self, request: index_pb2.DeleteDocumentRequest, context: Context) -> empty_pb2.Empty:
        """Delete a document."""
        return await write.delete(request, names.parse(request.name).document, await self._writer(request.name))

    async def UndeleteDocument(
        self, request: index_pb2.UndeleteDocumentRequest, context: Context
    ) -> resources_pb2.Document:
        """Bring a deleted document back."""
        _sent(1)
        writer = await self._writer(request.name)
        return writer.scope.shown(await write.undelete(request, names.parse(request.name).document, writer))

    async def ListDocuments(
        self, request: index_pb2.ListDocumentsRequest, context: Context
    ) -> index_pb2.ListDocumentsResponse:
        """List documents."""
        scope, record = await open_scope(self._platform, calls.current(), names.parse(request.parent).collection)
        return await self._searching.ask(scope, lambda: read.list_documents(request, scope, record, self._platform))

    async def BatchGetDocuments(
        self, request: index_pb2.BatchGetDocumentsRequest, context: Context
    ) -> index_pb2.BatchGetDocumentsResponse:
        """Read documents."""
        scope, _ = await open_scope(self._platform, calls.current(), names.parse(request.parent).collection)
        return await self._by_name(scope, lambda: read.batch_get(request, scope, self._platform))

    async def BatchWriteDocuments(
        self, request: index_pb2.BatchWriteDocumentsRequest, context: Context
    ) -> index_pb2.BatchWriteDocumentsResponse:
        """Write documents."""
        _sent(len(request.writes))
        call, writer = calls.current(), await self._writer(request.parent)
        return await batch.write(request, writer, call.item_violations, call.raw)

    async def StreamWriteDocuments(
        self, request_iterator: AsyncIterator[index_pb2.StreamWriteDocumentsRequest], context: Context
    ) -> AsyncGenerator[index_pb2.StreamWriteDocumentsResponse]:
        """Write messages of documents as they come."""
        opened = stream.WriteStream(request_iterator, calls.current(), self._writer, self._platform)
        async with aclosing(opened.answers()) as answers:
            async for answer in answers:
                yield answer

    async def ListFailedWrites(
        self, request: failures_pb2.ListFailedWritesRequest, context: Context
    ) -> failures_pb2.ListFailedWritesResponse:
        """List failed writes."""
        return await failures.list_failed(request, await self._writer(request.parent))

    async def RetryFailedWrites(
        self, request: failures_pb2.RetryFailedWritesRequest, context: Context
    ) -> failures_pb2.RetryFailedWritesResponse:
        """Queue failed writes again."""
        writer = await self._writer(request.parent)
        return await once(
            self._platform, calls.current(), failures_pb2.RetryFailedWritesResponse,
            lambda mark: failures.retry(request, writer, mark),
        )  # fmt: skip

    async def DiscardFailedWrites(
        self, request: failures_pb2.DiscardFailedWritesRequest, context: Context
    ) -> failures_pb2.DiscardFailedWritesResponse:
        """Give failed writes up."""
        writer = await self._writer(request.parent)
        return await once(
            self._platform, calls.current(), failures_pb2.DiscardFailedWritesResponse,
            lambda mark: failures.discard(request, writer, mark),
        )  # fmt: skip

    async def PurgeDocuments(
        self, request: verbs_pb2.PurgeDocumentsRequest, context: Context
    ) -> operations_pb2.Operation:
        """Count or delete what matches a filter."""
        call = calls.current()
        scope, record = await open_scope(self._platform, call, names.parse(request.parent).collection)
        return await self._searching.ask(
            scope, lambda: purge.purge(request, call, scope, record, self._platform), not_a_search
        )

    async def ReindexCollection(
        self, request: verbs_pb2.ReindexCollectionRequest, context: Context
    ) -> operations_pb2.Operation:
        """Index a collection anew."""
        call = calls.current()
        _, record = await open_scope(self._platform, call, names.parse(request.name).collection)
        return await reindex.reindex(request, call, record, self._platform)

    async def ImportDocuments(
        self, request: verbs_pb2.ImportDocumentsRequest, context: Context
    ) -> operations_pb2.Operation:
        """Start an import."""
        return await bulk_movement.import_documents(request, calls.current(), self._platform)

    async def ExportDocuments(
        self, request: verbs_pb2.ExportDocumentsRequest, context: Context
    ) -> operations_pb2.Operation:
        """Start an export."""
        return await bulk_movement.export_documents(request, calls.current(), self._platform)

    async def _by_name(self, scope: TenantScope, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Read documents by their names; under a filter of the caller's credential that is a search."""
        return await (self._searching.ask(scope, work) if scope.narrowing[0] else work())

    async def _writer(self, name: str) -> write.Writer:
        """Return what a write to the collection of a name works with, revisions among it."""
        scope, record = await open_scope(self._platform, calls.current(), names.parse(name).collection)
        await self._platform.revisions.ready()
        return write.Writer(scope, record, record.schema(), self._platform)


def _sent(documents: int) -> None:
    """Charge documents that came in the message of the running call."""
    call = calls.current()
    if call.budget is not None:
        call.budget.sent(documents, len(call.raw))
