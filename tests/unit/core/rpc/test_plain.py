# SPDX-License-Identifier: Apache-2.0
"""The quick look at requests never lets through what the contract's constraints refuse."""

from __future__ import annotations

from typing import Any

import protovalidate
import pytest
from google.protobuf import field_mask_pb2
from google.protobuf.message import Message
from hypothesis import event, given
from hypothesis import strategies as st

from buf.validate import validate_pb2
from pinakes.core.rpc.plain import plain, plainly_right, without_plain
from pinakes.core.writing.quick import all_plain
from pinakes.v1 import index_pb2, resources_pb2, search_pb2

RIGHT = "tenants/-/collections/default/documents/a"
NAMES = st.one_of(
    st.just(RIGHT),
    st.builds(
        "tenants/{}/collections/{}/documents/{}".format,
        st.sampled_from(["-", "acme", "a", "a-", "-a", "A", "a" * 40, "a" * 41, "ä"]),
        st.sampled_from(["default", "d", "1d", "d" * 63, "d" * 64, "D"]),
        st.one_of(
            st.sampled_from(["a", "", "a/b", "a b", "a\n", "~:._-", "x" * 128, "x" * 129, "é"]), st.text(max_size=5)
        ),
    ),
    st.text(max_size=20),
)


def near(limit: int) -> st.SearchStrategy[str]:
    """Texts about as long as a limit, in characters of one to four bytes."""
    lengths = st.sampled_from([0, 1, limit // 4, limit // 4 + 1, limit // 2, limit - 1, limit, limit + 1])
    return st.builds(lambda c, n: c * n, st.sampled_from("aé€😀"), lengths)


def lists(limit: int) -> st.SearchStrategy[list[str]]:
    """Lists of texts about as long as is allowed."""
    return st.one_of(
        st.lists(near(limit), max_size=3), st.builds(lambda n: ["x"] * n, st.sampled_from([0, 1, 99, 100, 101]))
    )


DOCUMENTS = st.builds(
    resources_pb2.Document,
    name=NAMES, title=near(1000), tags=lists(100), readers=lists(128), source_uri=near(2000), etag=near(128),
    language=st.one_of(st.sampled_from(["", "en", "eng", "e", "EN", "engl", "e1", "ẽn", "en\n"]), st.text(max_size=3)),
    body=st.text(max_size=10),
)  # fmt: skip
WRITES = st.one_of(
    st.just(index_pb2.DocumentWrite()),
    st.builds(lambda document: index_pb2.DocumentWrite(put=document), DOCUMENTS),
    st.builds(
        lambda name, etag: index_pb2.DocumentWrite(delete=index_pb2.DocumentDeletion(name=name, etag=etag)),
        NAMES, near(128),
    ),
)  # fmt: skip


@given(WRITES)
def test_what_is_plainly_right_keeps_the_constraints(write: index_pb2.DocumentWrite) -> None:
    right, violations = plainly_right(write), protovalidate.collect_violations(write)
    event(f"plain {right}, right {not violations}")
    assert not (right and violations), violations
    compiled = all_plain(index_pb2.BatchWriteDocumentsRequest(writes=[write]).SerializeToString(), 2)
    assert not (compiled and violations), violations


PARENTS = st.one_of(NAMES.map(lambda name: name.partition("/documents/")[0]), st.text(max_size=8))
IDS = st.one_of(st.sampled_from(["", "a", "~:._-", "a b", "é", "a\n", "x" * 128, "x" * 129]), st.text(max_size=4))
MODES = st.sampled_from([0, 1, 2, 3, 4, -1, 77])
MASKS = st.sampled_from([None, field_mask_pb2.FieldMask(paths=["title"])])
MAYBE = st.one_of(st.none(), DOCUMENTS)
UPDATES = st.builds(
    index_pb2.UpdateDocumentRequest,
    document=MAYBE, update_mask=MASKS, allow_missing=st.booleans(), mode=MODES, request_id=IDS,
)  # fmt: skip
CREATIONS = st.builds(
    index_pb2.CreateDocumentRequest, parent=PARENTS, document=MAYBE, document_id=IDS, mode=MODES, request_id=IDS
)
SEARCHES = st.builds(
    search_pb2.SearchRequest,
    parent=PARENTS, query=st.text(max_size=5), order_by=near(500), page_size=st.sampled_from([0, 1, 1000, -1]),
    page_token=near(65536), read_mask=MASKS, matching=MODES, typos=MODES, languages=st.sampled_from([[], ["en"], ["E"]]),
    collapse=st.sampled_from(["", "attributes.a", "x" * 201]), explain=st.booleans(),
    highlight=st.sampled_from([None, search_pb2.Highlight(passages=7)]),
)  # fmt: skip


@given(st.one_of(UPDATES, CREATIONS, SEARCHES))
def test_a_plain_request_keeps_the_constraints(request: Message) -> None:
    found, violations = plain(request), protovalidate.collect_violations(request)
    event(f"plain {found}, right {not violations}")
    assert not (found and violations), violations


PARENT = "tenants/-/collections/default"
USUAL_DOCUMENT = resources_pb2.Document(name=RIGHT, title="T" * 250, tags=["x"], language="en")
USUAL: dict[type[Message], Message] = {
    type(request): request
    for request in (
        index_pb2.UpdateDocumentRequest(
            document=USUAL_DOCUMENT, allow_missing=True, update_mask={"paths": ["*"]}, mode="WRITE_MODE_APPLIED"
        ),
        index_pb2.CreateDocumentRequest(parent=PARENT, document=USUAL_DOCUMENT, document_id="a", request_id="b"),
        search_pb2.SearchRequest(parent=PARENT, query="words", filter='tags:"a"', page_size=20),
    )
}
_WRONG_WRITE: dict[str, Any] = {"mode": 77, "request_id": "a b"}
_WRONG_DOCUMENT: dict[str, Any] = {
    "title": "T" * 1001, "tags": [""], "language": "EN", "readers": [""], "source_uri": "x" * 2001, "etag": "x" * 129
}  # fmt: skip
WRONG: dict[type[Message], dict[str, Any]] = {
    index_pb2.UpdateDocumentRequest: _WRONG_WRITE
    | {f"document.{name}": value for name, value in _WRONG_DOCUMENT.items()}
    | {"document.name": "nonsense"},
    index_pb2.CreateDocumentRequest: _WRONG_WRITE
    | {f"document.{name}": value for name, value in _WRONG_DOCUMENT.items()}
    | {"parent": "nonsense", "document_id": "a b", "document.name": "x" * 401},
    search_pb2.SearchRequest: {
        "parent": "nonsense", "order_by": "x" * 501, "page_size": -1, "page_token": "x" * 65537, "matching": 77, "typos": 77,
        "languages": ["EN"], "collapse": "x" * 201,
    },
}  # fmt: skip


def test_usual_requests_are_plain_and_others_are_checked() -> None:
    for request in USUAL.values():
        assert plain(request)
        assert not plain(type(request)())
    assert not plain(index_pb2.CreateDocumentRequest(parent=PARENT, document_id="a")), "it has no document"
    assert not plain(search_pb2.SearchRequest(parent=PARENT, languages=["en"]))
    assert not plain(index_pb2.DeleteDocumentRequest(name=RIGHT)), "which nobody looks at"


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, wrong in WRONG.items() for path in wrong])
def test_a_request_with_one_thing_wrong_is_not_plain(kind: type[Message], path: str) -> None:
    """So that each part of the look is held to, whatever the claims above happen to try."""
    request = kind()
    request.CopyFrom(USUAL[kind])
    *within, name = path.split(".")
    inner: Any = getattr(request, within[0]) if within else request
    value = WRONG[kind][path]
    if isinstance(value, list):
        getattr(inner, name)[:] = value
    else:
        setattr(inner, name, value)
    assert protovalidate.collect_violations(request), "the contract refuses it"
    assert not plain(request)


def test_the_constraints_are_those_that_the_look_knows() -> None:
    known: dict[type[Message], str] = {
        resources_pb2.Document: "name title tags language attributes readers source_uri etag",
        index_pb2.UpdateDocumentRequest: "document mode request_id",
        index_pb2.CreateDocumentRequest: "parent document document_id mode request_id",
        search_pb2.SearchRequest: "parent order_by page_size page_token matching typos languages collapse",
    }
    for kind, wrong in WRONG.items():
        assert set(known[kind].split()) == {path.partition(".")[0] for path in wrong}, "something wrong with each"
    assert {path.partition(".")[2] for path in WRONG[index_pb2.UpdateDocumentRequest] if "." in path} == set(
        known[resources_pb2.Document].split()
    ) - {"attributes"}
    for kind, names in known.items():
        descriptor = kind.DESCRIPTOR
        assert not descriptor.GetOptions().HasExtension(validate_pb2.message)
        constrained = {f.name for f in descriptor.fields if f.GetOptions().HasExtension(validate_pb2.field)}
        assert constrained == set(names.split())


def test_usual_writes_are_plainly_right() -> None:
    document = resources_pb2.Document(name=RIGHT, title="T" * 250, tags=["x"] * 100, language="en", body="b" * 10_000)
    assert plainly_right(index_pb2.DocumentWrite(put=document))
    assert plainly_right(index_pb2.DocumentWrite(delete=index_pb2.DocumentDeletion(name=RIGHT)))


def test_the_rest_of_a_request_is_still_checked() -> None:
    write = index_pb2.DocumentWrite(put=resources_pb2.Document(name=RIGHT))
    batch = index_pb2.BatchWriteDocumentsRequest(parent="nonsense", writes=[write] * 3, request_id="bad id", mode=77)  # type: ignore[arg-type]  # a number no mode has
    rest = without_plain(batch, batch.SerializeToString(), "writes")
    assert isinstance(rest, index_pb2.BatchWriteDocumentsRequest)
    assert len(rest.writes) == 1
    whole = {violation.proto.rule_id for violation in protovalidate.collect_violations(batch)}
    assert {violation.proto.rule_id for violation in protovalidate.collect_violations(rest)} == whole
    batch.writes.add().put.name = "wrong"
    assert without_plain(batch, batch.SerializeToString(), "writes") is batch
    empty = index_pb2.BatchWriteDocumentsRequest(parent="tenants/-/collections/default")
    assert without_plain(empty, b"", "writes") is empty
