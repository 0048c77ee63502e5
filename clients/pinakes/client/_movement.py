# SPDX-License-Identifier: Apache-2.0
"""Documents from and to objects: the platform itself reads and writes them, as an operation."""

from __future__ import annotations

import uuid

from pinakes.client import _names
from pinakes.client._calls import Calls
from pinakes.client._operations import Operation, ask_operation
from pinakes.v1 import operations_pb2 as verbs_pb2

_COMPRESSIONS = {
    "": verbs_pb2.COMPRESSION_UNSPECIFIED,
    "none": verbs_pb2.COMPRESSION_NONE,
    "gzip": verbs_pb2.COMPRESSION_GZIP,
    "zstd": verbs_pb2.COMPRESSION_ZSTD,
}


class MovementCalls(Calls):
    """Imports and exports. A `request_id` makes a start idempotent; a random one is sent if none is given."""

    async def import_documents(
        self,
        source_uri: str,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        compression: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Write the documents of an object of JSON Lines. What is written after the call stands above its rows.

        Args:
            source_uri: `s3://bucket/{tenant}/…`, or `file:///name` in the tenant's part of the platform's import folder.
            collection: where to.
            tenant: whose; `-` is the key's own.
            compression: `none`, `gzip` or `zstd`; empty goes by the ending of the name, `.gz` or `.zst`.
            request_id: the same for tries of the same call.
            timeout: seconds for the start; the work goes on after it.

        Raises:
            PinakesError: OBJECT_NOT_FOUND, OBJECT_FORBIDDEN, URI_INVALID, URI_NOT_ALLOWED and others.
        """
        request = verbs_pb2.ImportDocumentsRequest(
            parent=_names.collection(collection, tenant),
            source_uri=source_uri,
            compression=compression_number(compression),
            request_id=request_id or uuid.uuid4().hex,
        )
        return await ask_operation(self._channel, "IndexService/ImportDocuments", request, timeout)

    async def export_documents(
        self,
        destination_uri: str,
        *,
        collection: str = _names.DEFAULT_COLLECTION,
        tenant: str = _names.MINE,
        filter: str = "",
        compression: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Write documents to an object as JSON Lines that `import_documents` takes. It appears when it is complete.

        Args:
            destination_uri: `s3://bucket/{tenant}/…`, or `file:///name` in the tenant's part of the platform's export folder.
            collection: where from.
            tenant: whose; `-` is the key's own.
            filter: AIP-160 as in `search`; empty means all documents that the key may read.
            compression: `none`, `gzip` or `zstd`; empty goes by the ending of the name, `.gz` or `.zst`.
            request_id: the same for tries of the same call.
            timeout: seconds for the start; the work goes on after it.

        Raises:
            PinakesError: OBJECT_FORBIDDEN, URI_INVALID, URI_NOT_ALLOWED and others.
        """
        request = verbs_pb2.ExportDocumentsRequest(
            parent=_names.collection(collection, tenant),
            destination_uri=destination_uri,
            filter=filter,
            compression=compression_number(compression),
            request_id=request_id or uuid.uuid4().hex,
        )
        return await ask_operation(self._channel, "IndexService/ExportDocuments", request, timeout)


def compression_number(name: str) -> verbs_pb2.Compression:
    """Return the number of a compression. Raises ValueError for one that isn't known."""
    if name not in _COMPRESSIONS:
        message = f"compression is none, gzip or zstd, not {name!r}"
        raise ValueError(message)
    return _COMPRESSIONS[name]
