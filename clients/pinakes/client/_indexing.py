# SPDX-License-Identifier: Apache-2.0
"""Calls of IndexService that write and read documents."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from google.protobuf.empty_pb2 import Empty

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, mask, mode_number, paged
from pinakes.client._documents import DocumentLike, as_document, as_write
from pinakes.client._pages import Pages
from pinakes.client._streaming import Acknowledged, Place, StreamWriter
from pinakes.client._writing import Writable, Written, write_batches
from pinakes.v1 import index_pb2
from pinakes.v1.resources_pb2 import Document


class DocumentCalls(Calls):
    """Documents.

    `mode` is `accepted` (the platform has the write on disk and will apply it, also if its search engine is away now),
    `applied` (reads by name see it; the default but for `stream_write`) or `searchable` (so does every later search).
    A `request_id` makes a write idempotent for a day: sent again with it, it is answered as it was and done once.
    """

    async def create_document(
        self,
        document: DocumentLike,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Document:
        """Create a document; the server chooses an id if there is none. Raises AlreadyExists if there is one."""
        made = as_document(document)
        request = index_pb2.CreateDocumentRequest(
            parent=_names.collection(collection, tenant),
            document=made,
            document_id=_names.last(made.name),
            mode=mode_number(mode),
            request_id=request_id,
        )
        request.document.ClearField("name")
        return await self._channel.call("IndexService/CreateDocument", request, Document, timeout)

    async def get_document(
        self,
        document: str,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        read_mask: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Document:
        """Read a document as it was last written, whole unless `read_mask` names fields."""
        name = _names.document(document, collection, tenant)
        request = index_pb2.GetDocumentRequest(name=name, read_mask=mask(read_mask))
        return await self._channel.call("IndexService/GetDocument", request, Document, timeout)

    async def get_documents(
        self,
        documents: Iterable[str],
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        read_mask: Iterable[str] = (),
        timeout: float | None = None,
    ) -> index_pb2.BatchGetDocumentsResponse:
        """Read up to 50 documents; those that are absent are in the answer's `missing`."""
        parent = _names.collection(collection, tenant)
        names = [_names.document_of(parent, document) for document in documents]
        request = index_pb2.BatchGetDocumentsRequest(parent=parent, names=names, read_mask=mask(read_mask))
        return await self._channel.call(
            "IndexService/BatchGetDocuments", request, index_pb2.BatchGetDocumentsResponse, timeout
        )

    async def put_document(
        self,
        document: DocumentLike,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Document:
        """Write a document whole, whether it exists or not. Raises Conflict if it has an etag that isn't current."""
        return await self.update_document(
            document,
            ("*",),
            collection=collection,
            tenant=tenant,
            allow_missing=True,
            mode=mode,
            request_id=request_id,
            timeout=timeout,
        )

    async def update_document(
        self,
        document: DocumentLike,
        update_mask: Iterable[str] = (),
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        allow_missing: bool = False,
        mode: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Document:
        """Change the fields of `update_mask` (or those that are set; `*` replaces the whole).

        Raises NotFound if there is no such document, unless `allow_missing`; Conflict if a set etag isn't current.
        """
        made = as_document(document)
        request = index_pb2.UpdateDocumentRequest(
            document=made,
            update_mask=mask(update_mask),
            allow_missing=allow_missing,
            mode=mode_number(mode),
            request_id=request_id,
        )
        request.document.name = _names.document(made.name, collection, tenant)
        return await self._channel.call("IndexService/UpdateDocument", request, Document, timeout)

    async def delete_document(
        self,
        document: str,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        etag: str = "",
        allow_missing: bool = False,
        mode: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> None:
        """Delete a document; raises NotFound if it is absent, unless `allow_missing`."""
        request = index_pb2.DeleteDocumentRequest(
            name=_names.document(document, collection, tenant),
            etag=etag,
            allow_missing=allow_missing,
            mode=mode_number(mode),
            request_id=request_id,
        )
        await self._channel.call("IndexService/DeleteDocument", request, Empty, timeout)

    async def undelete_document(
        self,
        document: str,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Document:
        """Bring a deleted document back as it was, within seven days.

        Raises NotFound if none was deleted, AlreadyExists if it is there.
        """
        name = _names.document(document, collection, tenant)
        request = index_pb2.UndeleteDocumentRequest(name=name, mode=mode_number(mode), request_id=request_id)
        return await self._channel.call("IndexService/UndeleteDocument", request, Document, timeout)

    def list_documents(
        self,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        filter: str = "",
        order_by: str = "",
        page_size: int = LARGEST_PAGE,
        read_mask: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Pages[Document]:
        """List documents in the order of their ids, or of `order_by`; `filter` is AIP-160 as in `search`."""
        request = index_pb2.ListDocumentsRequest(
            parent=_names.collection(collection, tenant),
            page_size=page_size,
            filter=filter,
            order_by=order_by,
            read_mask=mask(read_mask),
        )

        async def ask(token: str) -> index_pb2.ListDocumentsResponse:
            request.page_token = token
            return await self._channel.call(
                "IndexService/ListDocuments", request, index_pb2.ListDocumentsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.documents))

    async def batch_write(
        self,
        writes: Iterable[Writable],
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> index_pb2.BatchWriteDocumentsResponse:
        """Send one batch, at most 1,000 documents or 8 MiB, as it is. For more, and for patience: `stream_write`."""
        parent = _names.collection(collection, tenant)
        request = index_pb2.BatchWriteDocumentsRequest(
            parent=parent,
            writes=[as_write(given, parent) for given in writes],
            mode=mode_number(mode),
            validate_only=validate_only,
            request_id=request_id,
        )
        return await self._channel.call(
            "IndexService/BatchWriteDocuments", request, index_pb2.BatchWriteDocumentsResponse, timeout
        )

    def write_many(
        self,
        items: Iterable[Writable] | AsyncIterable[Writable],
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        in_flight: int = 4,
        patience: float = 60.0,
        timeout: float | None = None,
    ) -> Pages[Written]:
        """Write any number of documents and deletions; yields what became of each, in the order of the items.

        Args:
            items: documents, mappings and `deletion(id)`s. What can't be sent is REJECTED, and the others go on.
            collection: where to.
            tenant: whose; `-` is the key's own.
            mode: `accepted`, `applied` or `searchable`.
            in_flight: batches under way at once. Two writes of one document never are: the later one stands.
            patience: seconds a batch is tried again while the platform is busy or away, waiting as long as it asks.
            timeout: seconds for one batch; 60, or the client's if longer, if None.

        Raises:
            PinakesError: a whole batch was refused for good, or patience ran out. What had been yielded is written.
        """
        parent, number = _names.collection(collection, tenant), mode_number(mode)
        seconds = max(60.0, self._channel.timeout) if timeout is None else timeout

        async def send(writes: list[index_pb2.DocumentWrite]) -> index_pb2.BatchWriteDocumentsResponse:
            request = index_pb2.BatchWriteDocumentsRequest(parent=parent, writes=writes, mode=number)
            return await self._channel.call(
                "IndexService/BatchWriteDocuments", request, index_pb2.BatchWriteDocumentsResponse, seconds
            )

        return Pages(write_batches(items, parent, send, max(1, in_flight), patience))

    def stream_write(
        self,
        items: Iterable[Writable] | AsyncIterable[Writable],
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        mode: str = "",
        stream_id: str = "",
        resume_after: int = 0,
        patience: float = 60.0,
        on_acknowledged: Acknowledged | None = None,
    ) -> Pages[Written]:
        """Write any number of documents and deletions by stream, the fastest way; yields what became of each, in order.

        A stream that breaks or is asked to end is gone on with by another: nothing is lost or done twice by that.

        Args:
            items: documents, mappings and `deletion(id)`s. What can't be sent is REJECTED, and the others go on.
            collection: where to.
            tenant: whose; `-` is the key's own.
            mode: `accepted` if empty; `applied` or `searchable`. Etags need one of the latter two.
            stream_id: 1 to 64 of `A-Z a-z 0-9 . _ ~ : -`, by which another process can go on with the stream for a day;
                a random one if empty. It must be given the same items again from a place that `on_acknowledged` told.
            resume_after: number of the last message that an earlier process saw acknowledged, if there was one.
            patience: seconds without an acknowledgement while the platform is busy or away; pauses it asks for count.
            on_acknowledged: told the stream's id and the number of a message before the results of it are yielded.

        Raises:
            PinakesError: the stream was refused for good, or patience ran out. What had been yielded is written.
        """
        writer = StreamWriter(
            self._channel,
            items,
            _names.collection(collection, tenant),
            mode_number(mode),
            Place(stream_id, resume_after),
            patience=patience,
            on_acknowledged=on_acknowledged,
        )
        return Pages(writer.pages())
