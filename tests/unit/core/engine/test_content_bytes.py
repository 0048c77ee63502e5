# SPDX-License-Identifier: Apache-2.0
"""The size of a document is that of its content, however it is stored."""

from __future__ import annotations

from pinakes.core.engine.documents import Owner, compile_document, content_bytes, document_bytes
from pinakes.core.query.schema import Schema
from pinakes.v1 import resources_pb2

OWNER = Owner("t", "c", "tenant", "collection")


def size_of(**fields: object) -> int:
    """Return the size that a compiled document says, which is known before it is compiled."""
    document = resources_pb2.Document(**fields)
    size: int = compile_document(document, OWNER, Schema(), "d", 1 << 40, 1)["bytes"]
    assert document_bytes(document) == size
    return size


def test_texts_count_in_utf_8() -> None:
    assert size_of(title="abc", body="de", language="en") == 5
    assert size_of(title="żółw", language="pl") == len("żółw".encode())
    assert size_of(title="a", tags=["bb", "ö"], readers=["me"], source_uri="https://x", language="en") == 16


def test_attributes_count_as_the_contract_has_them() -> None:
    for length in range(6):
        document = resources_pb2.Document(title="x", language="en")
        document.attributes["kind"] = "y" * length
        body = compile_document(document, OWNER, Schema(), "d", 1 << 40, 1)
        assert body["bytes"] == document_bytes(document) == 1 + document.attributes.ByteSize()


def test_names_and_what_the_engine_needs_beside_the_content_count_nothing() -> None:
    assert size_of() == 0
    assert size_of(name="tenants/t/collections/c/documents/d", etag="e", title="x", language="en") == 1


def test_a_body_of_an_earlier_format_has_the_same_size() -> None:
    assert content_bytes({"language": "fi", "title_und": "talo", "body_und": "ja"}) == 6
