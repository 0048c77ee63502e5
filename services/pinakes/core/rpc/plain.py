# SPDX-License-Identifier: Apache-2.0
"""A quick look at the most frequent requests: what plainly keeps the contract's constraints needn't be taken through them.

Of what a streamed document costs the server, the constraints were a fifth (docs/decisions/0009). This look is only ever on the safe side: whatever it isn't sure of is checked by the contract,
and a test holds it against that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from pinakes.core.writing.quick import all_plain
from pinakes.v1 import index_pb2, ranking_pb2, resources_pb2, search_pb2

_NAME = re.compile(
    r"tenants/(-|[a-z][a-z0-9-]{1,38}[a-z0-9])/collections/[a-z][a-z0-9-]{0,62}/documents/[A-Za-z0-9._~:-]{1,128}",
    re.ASCII,
)
_COLLECTION = re.compile(r"tenants/(-|[a-z][a-z0-9-]{1,38}[a-z0-9])/collections/[a-z][a-z0-9-]{0,62}", re.ASCII)
_LANGUAGE = re.compile(r"([a-z]{2,3})?", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9._~:-]{0,128}", re.ASCII)
_MODES, _MATCHING, _TYPOS = (
    frozenset(kind.values()) for kind in (index_pb2.WriteMode, ranking_pb2.Matching, ranking_pb2.Typos)
)


def plain(request: Message) -> bool:
    """Tell whether a request is sure to keep all constraints."""
    look = _LOOKS.get(type(request))
    if look is None:
        return False
    fields, right = look
    # Whoever adds a field with constraints adds it to the contract alone.
    return all(field.name in fields for field, _ in request.ListFields()) and right(request)


def _update(request: index_pb2.UpdateDocumentRequest) -> bool:
    return (
        request.HasField("document")
        and _NAME.fullmatch(request.document.name) is not None
        and _document(request.document)
        and request.mode in _MODES
        and _ID.fullmatch(request.request_id) is not None
    )


def _create(request: index_pb2.CreateDocumentRequest) -> bool:
    return (
        request.HasField("document")
        and _COLLECTION.fullmatch(request.parent) is not None
        and len(request.document.name) <= 400
        and _document(request.document)
        and _ID.fullmatch(request.document_id) is not None
        and request.mode in _MODES
        and _ID.fullmatch(request.request_id) is not None
    )


def _search(request: search_pb2.SearchRequest) -> bool:
    return (
        _COLLECTION.fullmatch(request.parent) is not None
        and len(request.order_by) <= 500
        and request.page_size >= 0
        and len(request.page_token) <= 65536
        and request.matching in _MATCHING
        and request.typos in _TYPOS
    )


_Look = tuple[frozenset[str], Callable[[Any], bool]]
_LOOKS: dict[type[Message], _Look] = {
    index_pb2.UpdateDocumentRequest: (
        frozenset({"document", "update_mask", "allow_missing", "mode", "validate_only", "request_id"}),
        _update,
    ),
    index_pb2.CreateDocumentRequest: (
        frozenset({"parent", "document", "document_id", "mode", "validate_only", "request_id"}),
        _create,
    ),
    search_pb2.SearchRequest: (
        frozenset({
            "parent", "query", "filter", "order_by", "page_size", "page_token", "read_mask", "matching", "typos", "explain",
            "without_curation",
        }),
        _search,
    ),
}  # fmt: skip


def without_plain(request: Message, raw: bytes, field: str) -> Message:
    """Return a request whose items in `field` all plainly keep the constraints with one of them only; any other as it is.

    `raw` is the request as it came.
    """
    writes: Sequence[index_pb2.DocumentWrite] = getattr(request, field)
    if not writes:
        return request
    number = request.DESCRIPTOR.fields_by_name[field].number
    if not (all_plain(raw, number) or all(map(plainly_right, writes))):
        return request
    rest: Any = type(request)()
    for descriptor, value in request.ListFields():
        if descriptor.name != field:
            setattr(rest, descriptor.name, value)
    getattr(rest, field).append(writes[0])
    return rest  # type: ignore[no-any-return]  # it is of the request's type


def plainly_right(write: index_pb2.DocumentWrite) -> bool:
    """Tell whether a write is sure to keep the constraints of `DocumentWrite`."""
    operation = write.WhichOneof("operation")
    if operation == "put":
        return _NAME.fullmatch(write.put.name) is not None and _document(write.put)
    return operation == "delete" and _NAME.fullmatch(write.delete.name) is not None and len(write.delete.etag) <= 128


def _document(document: resources_pb2.Document) -> bool:
    return (
        # A character has at most four bytes.
        len(document.title) <= 250
        and len(document.source_uri) <= 500
        and len(document.etag) <= 128
        and _texts(document.tags, 100)
        and _texts(document.readers, 128)
        and _LANGUAGE.fullmatch(document.language) is not None
    )


def _texts(texts: Sequence[str], longest: int) -> bool:
    return len(texts) <= 100 and all(0 < len(text) <= longest for text in texts)
