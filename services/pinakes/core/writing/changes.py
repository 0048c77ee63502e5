# SPDX-License-Identifier: Apache-2.0
"""Writes that depend on nothing, compiled and at their revision; in this form they are queued, applied and retried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from pinakes.core.engine.documents import KEPT, compile_document, read_document, revision_ms

if TYPE_CHECKING:
    from pinakes.core.engine.documents import Examined, Owner
    from pinakes.core.query.schema import Schema
    from pinakes.v1 import resources_pb2

Json = dict[str, Any]
# A body begins with its creation time, 13 digits from 2001 to 2286: a document that is replaced keeps its time, and
# putting that in needs no parsing of a body that may be long.
_CREATED = b'{"create_time":'
_DIGITS = slice(len(_CREATED), len(_CREATED) + 13)


class Change(NamedTuple):
    """One write: `data` is the compiled body, empty for a deletion. `retries` counts those after it had failed.

    `over` is the body that a deletion overtook in its batch: it was accepted, and is what an undelete brings back. `size`
    is that of the content, 0 where it isn't known, as of what comes out of the queue.
    """

    document_id: str
    revision: int
    data: bytes
    content_hash: str = ""
    retries: int = 0
    over: bytes = b""
    size: int = 0

    @property
    def deletion(self) -> bool:
        """Whether the document is to be deleted."""
        return not self.data


def put(  # what a body is made of
    document: resources_pb2.Document,
    owner: Owner,
    schema: Schema,
    document_id: str,
    revision: int,
    examined: Examined | None = None,
) -> Change:
    """Compile a checked document that replaces whatever is there; `examined` saves looking through it again."""
    return of_body(compile_document(document, owner, schema, document_id, revision, revision_ms(revision), examined))


def of_body(body: Json) -> Change:
    """Return the change that writes a compiled body."""
    return Change(body["id"], body["revision"], orjson.dumps(body), body["hash"], size=body["bytes"])


def recompiled(change: Change, owner: Owner, schema: Schema) -> Change:
    """Return a change compiled anew at its revision, by a schema that may be another than it was compiled by."""
    if change.deletion:
        return change
    source = orjson.loads(change.data)
    document = read_document(source, owner, KEPT, "")
    body = compile_document(document, owner, schema, change.document_id, change.revision, source["create_time"])
    return of_body(body)._replace(retries=change.retries)


def deletion(document_id: str, revision: int) -> Change:
    """Make the deletion of a document."""
    return Change(document_id, revision, b"")


def created_at(data: bytes, create_ms: int) -> bytes:
    """Return a body with another creation time."""
    if not (data.startswith(_CREATED) and data[_DIGITS].isdigit() and len(str(create_ms)) == 13):
        return orjson.dumps(orjson.loads(data) | {"create_time": create_ms})
    return b"%b%d%b" % (_CREATED, create_ms, data[_DIGITS.stop :])
