# SPDX-License-Identifier: Apache-2.0
"""The compiled way of documents writes what Python's does, and answers for nothing that is wrong."""

from __future__ import annotations

import base64
import random
import shutil
from typing import Any

import orjson
from google.protobuf import struct_pb2, timestamp_pb2
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from pinakes.core.engine.documents import Owner, examine
from pinakes.core.engine.revisions import STEP
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.core.writing import changes
from pinakes.core.writing.quick import BUILT, all_plain, compiler_of
from pinakes.v1 import index_pb2, resources_pb2

OWNER = Owner("tenant-uid", 'collection"uid', "acme", "default")
LIMITS = Limits(document_bytes=4096, attributes=6)
REVISION = 893_066_049_208_067_500
SLOTS = tuple(
    SlotRecord(name=name, type=kind, slot=slot)
    for name, kind, slot in (
        ("kind", "string", "kw_00"), ("note", "text", "text_00"), ("size", "number", "num_00"),
        ("open", "bool", "kw_01"), ("when", "time", "time_00"), ("place", "geo", "geo_00"),
    )
)  # fmt: skip


def record(languages: tuple[str, ...], attributes: tuple[SlotRecord, ...]) -> CollectionRecord:
    """Return a collection."""
    return CollectionRecord(
        tenant_uid=OWNER.tenant_uid, collection_id="default", uid=OWNER.collection_uid, languages=languages,
        attributes=attributes,
    )  # fmt: skip


RECORDS = st.sampled_from([record(("en",), ()), record(("en",), SLOTS), record(("en", "de", "xx"), SLOTS)])
LETTERS = st.sampled_from("aB9_' \t\n\x1c\x1f\"\\/\x00\x7fé€😀ßİ’ー.")
TEXTS = st.one_of(
    st.text(LETTERS, max_size=12), st.text(max_size=12), st.builds(lambda c, n: c * n, LETTERS, st.integers(0, 300))
)
KEYS = st.one_of(st.sampled_from([slot.name for slot in SLOTS]), st.text(LETTERS, min_size=1, max_size=4))
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(-(2**54), 2**54).map(float),
    st.sampled_from([0.0, -0.0, 0.1, 1e-5, 1e-7, 123456.789, 2.0**53, -(2.0**53) - 2]),
)  # fmt: skip
VALUES = st.one_of(
    TEXTS.map(lambda text: struct_pb2.Value(string_value=text)),
    NUMBERS.map(lambda number: struct_pb2.Value(number_value=number)),
    st.booleans().map(lambda flag: struct_pb2.Value(bool_value=flag)),
    st.sampled_from([
        struct_pb2.Value(), struct_pb2.Value(null_value=struct_pb2.NULL_VALUE),
        struct_pb2.Value(list_value={}), struct_pb2.Value(struct_value={"lat": 1.5, "lon": 2}),
        struct_pb2.Value(string_value="2026-01-31T12:00:00Z"), struct_pb2.Value(string_value="x" * 1001),
    ]),
)  # fmt: skip
TIMES = st.one_of(
    st.none(),
    st.builds(
        timestamp_pb2.Timestamp,
        seconds=st.sampled_from([0, 1, 1_795_870_503, 253_402_300_799, 253_402_300_800, -1]),
        nanos=st.sampled_from([0, 1, 999_999, 1_000_000, 999_999_999]),
    ),
)


@st.composite
def documents(draw: st.DrawFn) -> resources_pb2.Document:
    """Documents of all kinds, most of them right."""
    made = resources_pb2.Document(
        name=draw(st.sampled_from(["", "tenants/-/collections/default/documents/a"])),
        title=draw(TEXTS), body=draw(TEXTS), tags=draw(st.lists(TEXTS.filter(bool), max_size=4)),
        language=draw(st.sampled_from(["", "", "en", "de", "nob", "zz"])),
        readers=draw(st.lists(TEXTS.filter(bool), max_size=2)), source_uri=draw(TEXTS),
    )  # fmt: skip
    for key, value in draw(st.dictionaries(KEYS, VALUES, max_size=8)).items():
        made.attributes.fields[key].CopyFrom(value)
    if (expires := draw(TIMES)) is not None:
        made.expire_time.CopyFrom(expires)
    return made


def told(change: changes.Change) -> Any:
    """Return all of a change in a form that doesn't depend on the order of a map."""
    body = orjson.loads(change.data)
    attributes = struct_pb2.Struct()
    attributes.ParseFromString(base64.b64decode(body.pop("attrs", "")))
    kv = sorted(body.pop("kv", []))
    return change._replace(data=b""), body, attributes, kv


@settings(max_examples=600)
@given(documents(), RECORDS)
@example(resources_pb2.Document(title="T" * 250, tags=["x"] * 100), record(("en",), ()))
@example(resources_pb2.Document(title=" ".join("abcdefghijklmnopqrstuvwxyz0123456789")), record(("en",), ()))
@example(resources_pb2.Document(title="it's 'quoted' a'b'c _x 'tis o''clock"), record(("en",), ()))
@example(resources_pb2.Document(title="a" * 99 + "  b"), record(("en",), ()))
def test_the_compiled_way_writes_what_pythons_does_or_leaves_it_to_it(
    document: resources_pb2.Document, collection: CollectionRecord
) -> None:
    assert BUILT or shutil.which("cc") is None, "there is a compiler, but native.pyx isn't built: make setup"
    compiler = compiler_of(OWNER, collection, LIMITS)
    quick = compiler(document, "d", REVISION) if compiler else None
    event(f"quick {quick is not None}")
    if quick is None:
        return
    examined = examine(document, collection.schema(), LIMITS)
    assert examined.violations == []
    slow = changes.put(document, OWNER, collection.schema(), "d", REVISION, examined)
    assert told(quick) == told(slow)


def test_usual_documents_go_the_compiled_way() -> None:
    document = resources_pb2.Document(
        title="Ein Titel über Wörter", body="b" * 3000, tags=["a", "ü"], readers=["user:1"]
    )
    document.attributes.update(
        {"kind": "x", "size": 1.5, "open": True, "when": "2026-01-31T12:00:00Z", "other": "y" * 300}
    )
    for collection in (record(("en", "de"), SLOTS), record(("en",), ())):
        compiler = compiler_of(OWNER, collection, LIMITS)
        assert compiler is None or compiler(document, "d", REVISION) is not None
    write = index_pb2.DocumentWrite(put=document)
    write.put.name = "tenants/-/collections/default/documents/a"
    assert all_plain(index_pb2.BatchWriteDocumentsRequest(writes=[write] * 3).SerializeToString(), 2) is BUILT


WRITES = index_pb2.StreamWriteDocumentsRequest.WRITES_FIELD_NUMBER
PARENTS = ("tenants/-/collections/default", "tenants/acme/collections/default", "tenants/acme/collections/other")


@settings(max_examples=300)
@given(
    st.lists(st.tuples(documents(), st.sampled_from(PARENTS), st.sampled_from(["put", "delete", "none", "etag"]))),
    RECORDS,
)
def test_a_whole_message_is_compiled_as_each_of_its_documents(
    given: list[tuple[resources_pb2.Document, str, str]], collection: CollectionRecord
) -> None:
    compiler = compiler_of(OWNER, collection, LIMITS)
    if compiler is None:
        return
    message = index_pb2.StreamWriteDocumentsRequest(parent=PARENTS[0], stream_id="s", sequence=7)
    expected: list[changes.Change | None] = []
    for number, (document, parent, kind) in enumerate(given):
        write = message.writes.add()
        document.name = f"{parent}/documents/d{number}"
        expected.append(None)
        if kind == "delete":
            write.delete.name = document.name
        elif kind != "none":
            document.etag = "x" if kind == "etag" else ""
            write.put.CopyFrom(document)
            if parent in PARENTS[:2] and write.ByteSize() <= LIMITS.document_bytes:
                expected[-1] = compiler(document, f"d{number}", REVISION + number * STEP)
    made = compiler.all(message.SerializeToString(), WRITES, REVISION)
    assert [one and told(one) for one in made] == [one and told(one) for one in expected]
    event(f"compiled {sum(one is not None for one in made)} of {len(made)}")


PIECES = st.lists(documents(), min_size=1, max_size=3)


@settings(max_examples=300)
@given(PIECES, st.booleans(), st.randoms(use_true_random=False), RECORDS)
@example(
    [resources_pb2.Document(attributes={"color": "red"}), resources_pb2.Document(attributes={"color": "blue"})],
    True, random.Random(1), record(("en",), ()),
)  # fmt: skip
def test_bytes_that_no_library_writes_mean_what_the_library_reads(
    pieces: list[resources_pb2.Document], one_struct: bool, dice: random.Random, collection: CollectionRecord
) -> None:
    """Fields in any order, several times, with keys of a map that come again: callers may send what they like."""
    fields = [one for document in pieces for one in top_fields(document.SerializeToString())]
    attributes = [one for document in pieces for one in top_fields(document.attributes.SerializeToString())]
    dice.shuffle(fields)
    if one_struct:  # one of the entries of all
        fields = [one for one in fields if one[0] >> 3 != 6] + [b"\x32" + length(b"".join(attributes))]
    raw = b"\x0a" + length(b"tenants/-/collections/default/documents/d") + b"".join(
        one for one in fields if one[0] >> 3 != 1
    )  # fmt: skip
    parsed = resources_pb2.Document.FromString(raw)
    message = (b"\x0a" + length(PARENTS[0].encode())) + bytes([WRITES << 3 | 2]) + length(b"\x0a" + length(raw))
    assert index_pb2.StreamWriteDocumentsRequest.FromString(message).writes[0].put == parsed
    compiler = compiler_of(OWNER, collection, LIMITS)
    (made,) = compiler.all(message, WRITES, REVISION) if compiler else [None]
    event(f"compiled {made is not None}")
    if made is not None:
        examined = examine(parsed, collection.schema(), LIMITS)
        assert examined.violations == []
        expected = told(changes.put(parsed, OWNER, collection.schema(), "d", REVISION, examined))
        found = told(made)
        # Bytes may be more than they must be; what is counted of them, too.
        for one in (expected, found):
            one[1].pop("bytes")
        assert (found[0]._replace(size=0), *found[1:]) == (expected[0]._replace(size=0), *expected[1:])


def length(data: bytes) -> bytes:
    """Return bytes with their number before them."""
    head, left = bytearray(), len(data)
    while left > 127:
        head.append(left & 127 | 128)
        left >>= 7
    return bytes([*head, left]) + data


def top_fields(data: bytes) -> list[bytes]:
    """Take a message of fields with lengths apart."""
    found, at = [], 0
    while at < len(data):
        begin, size, shift, at = at, 0, 0, at + 1
        while True:
            size |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        at += size
        found.append(data[begin:at])
    return found


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_crash_nothing(raw: bytes) -> None:
    assert all_plain(raw, 2) in {True, False}
    compiler = compiler_of(OWNER, record(("en",), ()), LIMITS)
    assert compiler is None or all(change is None for change in compiler.all(raw, 2, REVISION))
