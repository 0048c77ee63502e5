# SPDX-License-Identifier: Apache-2.0
"""Documents in the engine: a `Document` compiled to a body, a tombstone, and a body read back (design §4)."""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from google.protobuf import struct_pb2, timestamp_pb2

from pinakes.core.engine import mapping
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS
from pinakes.core.engine.tokens import SEPARATOR, tokens_of
from pinakes.core.faults import Fault, Kind, Violation
from pinakes.core.query.languages import language_of
from pinakes.core.query.schema import OTHER_LANGUAGE, AttributeType, Schema, language_field
from pinakes.core.query.words import title_key, words_of
from pinakes.core.settings import Limits
from pinakes.core.times import parse_time_ms
from pinakes.v1 import resources_pb2

Json = dict[str, Any]
EXACT = 1 << 53
SLOT_BYTES = 1000
_ATTRIBUTE = "attributes."
# What a tombstone keeps.
KEPT = frozenset({
    "title", "body", "tags", "language", "attributes", "readers", "source_uri", "create_time", "expire_time"
})  # fmt: skip


class Owner(NamedTuple):
    """Whose document it is: uids, which are in the engine's ids and filters, and names, which callers see."""

    tenant_uid: str
    collection_uid: str
    tenant_id: str
    collection_id: str

    def engine_id(self, document_id: str) -> str:
        """Return `_id`: the same caller's id in another tenant or collection must never be the same document."""
        return _engine_id(f"{self.tenant_uid}\0{self.collection_uid}\0{document_id}")

    def name(self, document_id: str) -> str:
        """Return the document's resource name."""
        return f"tenants/{self.tenant_id}/collections/{self.collection_id}/documents/{document_id}"


def prefix_of(tenant_uid: str, collection_uid: str) -> str:
    """Return what a collection's values in a dictionary shared by all tenants begin with."""
    return f"{tenant_uid}{SEPARATOR}{collection_uid}{SEPARATOR}"


@lru_cache(maxsize=4096)  # a write needs it twice: to look, and to write
def _engine_id(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())[:22].decode()


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking through a document gave: its attributes as Python values, their slots, and what is wrong with it."""

    attributes: Json
    slots: Json
    violations: list[Violation]


def check_document(document: resources_pb2.Document, schema: Schema, limits: Limits) -> list[Violation]:
    """Return what is wrong with a document beyond the contract's constraints; paths are relative to the document."""
    return examine(document, schema, limits).violations


def examine(document: resources_pb2.Document, schema: Schema, limits: Limits) -> Examined:
    """Look through a document once, for checking and for compiling it."""
    size = document.ByteSize()
    if size > limits.document_bytes:
        text = f"the document has {size} bytes; at most {limits.document_bytes} are allowed"
        return Examined({}, {}, [Violation("", text)])
    found: list[Violation] = []
    if document.HasField("expire_time") and not _valid(document.expire_time):
        found.append(Violation("expire_time", "expected a time from 0001-01-01 to 9999-12-31"))
    attributes: Json = {}
    nested: list[tuple[str, struct_pb2.Value]] = []
    count = 0
    # Most attributes are plain strings, numbers and flags; the rest takes a walk.
    for name, value in document.attributes.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "string_value":
            attributes[name] = value.string_value
        elif kind == "bool_value":
            attributes[name] = value.bool_value
        elif kind == "number_value" and abs(number := value.number_value) <= EXACT:
            attributes[name] = int(number) if number.is_integer() else number
        else:
            nested.append((name, value))
            continue
        count += 1
    if nested:
        wrong, more = _check_values([(f"attributes.{name}", value, 1) for name, value in nested], limits)
        found += wrong
        count += more
        if not wrong:
            attributes |= {name: _plain(value) for name, value in nested}
    if count > limits.attributes:
        found.append(Violation("attributes", f"there are {count} attributes; at most {limits.attributes} are allowed"))
    if found:
        return Examined({}, {}, found)
    slots, misfits = _slots(attributes, schema)
    return Examined(attributes, slots, misfits)


def _check_values(stack: list[tuple[str, struct_pb2.Value, int]], limits: Limits) -> tuple[list[Violation], int]:
    """Return what is wrong with attributes, given by path and depth, and how many there are, nested ones counted."""
    found: list[Violation] = []
    count = 0
    # Depth first with a stack: a hostile nesting must not exhaust Python's.
    while stack:
        path, value, depth = stack.pop()
        count += 1
        kind = value.WhichOneof("kind")
        if depth > limits.attribute_depth:
            return [Violation(path, f"attributes may be nested {limits.attribute_depth} deep")], count
        if kind == "number_value":
            number = value.number_value
            if not math.isfinite(number):
                found.append(Violation(path, "a number must be finite"))
            elif abs(number) > EXACT:
                found.append(Violation(path, "whole numbers beyond 2^53 can't be kept exactly; send a string"))
        elif kind == "struct_value":
            stack += [(f"{path}.{name}", inner, depth + 1) for name, inner in value.struct_value.fields.items()]
        elif kind == "list_value":
            # Items of a list are as deep as the list: [1, 2] is one level.
            stack += [
                (f"{path}[{i}]", inner, depth + (inner.WhichOneof("kind") in {"list_value", "struct_value"}))
                for i, inner in enumerate(value.list_value.values)
            ]
            count -= len(value.list_value.values)
        elif kind is None:
            found.append(Violation(path, "the value isn't set"))
    return found, count


def compile_document(  # what a body is made of
    document: resources_pb2.Document,
    owner: Owner,
    schema: Schema,
    document_id: str,
    revision: int,
    create_ms: int,
    examined: Examined | None = None,
) -> Json:
    """Return the body that is indexed for a checked document; `examined` saves looking through it again."""
    said = document.language or language_of(document.title, document.body, schema.languages)
    language = language_field(said)
    if examined is None:
        attributes = plain(document.attributes)
        slots, _ = _slots(attributes, schema)
    else:
        attributes, slots = examined.attributes, examined.slots
    tags = list(document.tags)
    body: Json = {
        "create_time": create_ms,
        "v": mapping.FORMAT,
        "tenant": owner.tenant_uid,
        "collection": owner.collection_uid,
        "id": document_id,
        "revision": revision,
        "deleted": False,
        "language": said,
        f"title_{language}": document.title,
        f"body_{language}": document.body,
        "hash": content_hash(document, said, attributes),
        "update_time": revision_ms(revision),
        **slots,
    }
    if tags:
        body["tags"], body["tags_text"] = tags, tags
    prefix = prefix_of(owner.tenant_uid, owner.collection_uid)
    if words := words_of(document.title, tags):
        body["words"] = [prefix + word for word in words]
    if key := title_key(document.title):
        body["title_key"] = prefix + key
    if document.readers:
        body["readers"] = list(document.readers)
    if document.source_uri:
        body["source_uri"] = document.source_uri
    if document.HasField("expire_time"):
        body["expire_time"] = document.expire_time.ToMilliseconds()
    if attributes:
        body["attrs"] = base64.b64encode(document.attributes.SerializeToString()).decode()
        if undeclared := tokens_of(attributes, schema.attributes):
            body["kv"] = undeclared
    body["bytes"] = content_bytes(body)
    return body


def content_bytes(body: Mapping[str, Any]) -> int:
    """Return the size of what a body keeps of its document: its texts in UTF-8, and its attributes as the contract has them."""
    field = language_field(body.get("language", ""))
    texts = [body.get(f"{name}_{field}", body.get(f"{name}_{OTHER_LANGUAGE}", "")) for name in ("title", "body")]
    texts += [*body.get("tags", ()), *body.get("readers", ()), body.get("source_uri", "")]
    attributes: str = body.get("attrs", "")
    size = len(attributes) // 4 * 3 - attributes[-2:].count("=")
    return size + _in_utf8(texts)


def document_bytes(document: resources_pb2.Document) -> int:
    """Return the size that a document's body will have by `content_bytes`."""
    texts = [document.title, document.body, *document.tags, *document.readers, document.source_uri]
    return document.attributes.ByteSize() + _in_utf8(texts)


def _in_utf8(texts: Iterable[str]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


def tombstone(owner: Owner, document_id: str, revision: int, old: Mapping[str, Any] | None = None) -> Json:
    """Return the body that a delete writes: nothing of it is found, and it stands against late writes.

    The content of `old`, the body it replaces, is kept in it unindexed, so that the delete can be undone.
    """
    body: Json = {
        "v": mapping.FORMAT,
        "tenant": owner.tenant_uid,
        "collection": owner.collection_uid,
        "id": document_id,
        "revision": revision,
        "deleted": True,
        "update_time": revision_ms(revision),
    }
    if old and old.get("deleted"):
        body |= {key: old[key] for key in ("content", "readers") if key in old}
    elif old:
        document = read_document(old, owner, KEPT, "")
        body["content"] = base64.b64encode(zlib.compress(document.SerializeToString(), 1)).decode()
        if "readers" in old:
            body["readers"] = old["readers"]  # who couldn't read the document can't undelete it
    return body


def deleted_document(source: Mapping[str, Any]) -> resources_pb2.Document | None:
    """Return the document that a tombstone keeps, or None if it keeps none."""
    if "content" not in source:
        return None
    return resources_pb2.Document.FromString(zlib.decompress(base64.b64decode(source["content"])))


def read_document(
    source: Mapping[str, Any],
    owner: Owner,
    paths: frozenset[str],
    etag: str,
    into: resources_pb2.Document | None = None,
) -> resources_pb2.Document:
    """Return the document in an engine body, with the fields of `paths`. Unreadable parts are left out by the mask only.

    It is read `into` an empty one, such as one that is a part of an answer already, or else into a new one.
    """
    document = resources_pb2.Document() if into is None else into
    document.name, document.etag = owner.name(source["id"]), etag
    language = source.get("language", "")
    field = language_field(language)
    # Until format 2 fewer languages had fields of their own.
    for name in ("title", "body"):
        if name in paths:
            setattr(document, name, source.get(f"{name}_{field}", source.get(f"{name}_{OTHER_LANGUAGE}", "")))
    if "tags" in paths and "tags" in source:
        document.tags.extend(source["tags"])
    if "language" in paths:
        document.language = language
    if "attrs" in source:
        _read_attributes(document, source["attrs"], paths)
    if "readers" in paths and "readers" in source:
        document.readers.extend(source["readers"])
    if "source_uri" in paths and "source_uri" in source:
        document.source_uri = source["source_uri"]
    for time in ("create_time", "update_time", "expire_time"):
        if time in paths and time in source:
            # `FromMilliseconds` checks what was checked when it was written, and a page has dozens.
            moment = getattr(document, time)
            moment.seconds, milliseconds = divmod(source[time], 1000)
            moment.nanos = milliseconds * 1_000_000
    if "content_hash" in paths:
        document.content_hash = source.get("hash", "")
    return document


def _read_attributes(document: resources_pb2.Document, stored: str, paths: frozenset[str]) -> None:
    """Set all attributes, or those that the mask names (`attributes.kind`)."""
    raw = base64.b64decode(stored)
    if "attributes" in paths:
        document.attributes.MergeFromString(raw)
        return
    if single := [path for path in paths if path.startswith(_ATTRIBUTE)]:
        found = struct_pb2.Struct.FromString(raw)
        for path in single:
            _copy(found, path.removeprefix(_ATTRIBUTE), document.attributes)


def source_fields(paths: frozenset[str]) -> list[str]:
    """Return the engine's fields that a read of these paths needs."""
    fields = ["id", "revision", "hash", "language"]
    fields += [f"{path}_*" for path in paths & {"title", "body"}]
    fields += paths & {"tags", "readers", "source_uri", "create_time", "update_time", "expire_time"}
    if any(path == "attributes" or path.startswith(_ATTRIBUTE) for path in paths):
        fields.append("attrs")
    return sorted(fields)


def _copy(attributes: struct_pb2.Struct, path: str, target: struct_pb2.Struct) -> None:
    """Copy one attribute: the one of that very name, or what the dots lead to."""
    if path in attributes.fields:
        target.fields[path].CopyFrom(attributes.fields[path])
        return
    name, _, rest = path.partition(".")
    if rest and name in attributes.fields and attributes.fields[name].HasField("struct_value"):
        inner = struct_pb2.Struct()
        _copy(attributes.fields[name].struct_value, rest, inner)
        if inner.fields:
            target.fields[name].struct_value.MergeFrom(inner)


def _valid(time: timestamp_pb2.Timestamp) -> bool:
    try:
        time.ToMilliseconds()
    except ValueError:
        return False
    return True


def content_hash(document: resources_pb2.Document, language: str = "", attributes: Json | None = None) -> str:
    """Return the hash of what the caller wrote, in `language` if that didn't say: the same content has the same hash.

    `attributes` are the document's as Python values, where they are known already.
    """
    content = [
        document.title, document.body, list(document.tags), document.language or language,
        plain(document.attributes) if attributes is None else attributes, list(document.readers), document.source_uri,
        document.expire_time.ToMilliseconds() if document.HasField("expire_time") else None,
    ]  # fmt: skip
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def plain(attributes: struct_pb2.Struct) -> Json:
    """Return attributes as plain Python values; whole numbers as int."""
    return {name: _plain(value) for name, value in attributes.fields.items()}


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return None


def revision_ms(revision: int) -> int:
    """Return the time of a revision in ms since 1970."""
    return revision_us(revision) // 1000


def revision_us(revision: int) -> int:
    """Return the time of a revision in µs since 1970."""
    return (revision >> SLOT_BITS) + EPOCH_US


def _slots(attributes: Json, schema: Schema) -> tuple[Json, list[Violation]]:
    """Return the slots of the declared attributes, and what doesn't fit its declared type."""
    slots: Json = {}
    wrong: list[Violation] = []
    for name, attribute in schema.attributes.items():
        value = attributes.get(name)
        if value is None:
            continue
        try:
            slots[attribute.slot] = _slot_value(value, attribute.type)
        except ValueError as error:
            wrong.append(Violation(f"attributes.{name}", f"is declared as {attribute.type.value}: {error}"))
    return slots, wrong


def _slot_value(value: Any, kind: AttributeType) -> Any:
    if isinstance(value, list) and kind is not AttributeType.GEO:
        return [_slot_value(item, kind) for item in value]
    match kind:
        case AttributeType.STRING | AttributeType.TEXT if isinstance(value, str):
            if kind is AttributeType.STRING and len(value.encode()) > SLOT_BYTES:
                message = f"a string may have {SLOT_BYTES} bytes"
                raise ValueError(message)
            return value
        case AttributeType.BOOL if isinstance(value, bool):
            return "true" if value else "false"
        case AttributeType.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case AttributeType.TIME if isinstance(value, str):
            return parse_time_ms(value)
        case AttributeType.GEO if isinstance(value, dict):
            return _place(value)
    wanted = {
        AttributeType.TIME: 'an RFC 3339 time such as "2026-01-31T12:00:00Z"',
        AttributeType.GEO: 'an object of "lat" and "lon"',
        AttributeType.BOOL: "true or false",
        AttributeType.NUMBER: "a number",
    }.get(kind, "a string")
    message = f"expected {wanted}"
    raise ValueError(message)


def _place(value: Json) -> Json:
    lat, lon = value.get("lat"), value.get("lon")
    numbers = all(isinstance(part, int | float) and not isinstance(part, bool) for part in (lat, lon))
    if not numbers or set(value) != {"lat", "lon"} or not (-90 <= lat <= 90 and -180 <= lon <= 180):  # type: ignore[operator]
        message = 'expected an object of "lat" (-90 to 90) and "lon" (-180 to 180)'
        raise ValueError(message)
    return {"lat": lat, "lon": lon}


def refused(violations: list[Violation], prefix: str) -> Fault:
    """Make the fault of a document that can't be written; `prefix` is its place in the request."""
    placed = tuple(Violation(".".join(p for p in (prefix, v.field) if p), v.description) for v in violations)
    first = placed[0]
    return Fault(Kind.INVALID, "DOCUMENT_INVALID", f"{first.field}: {first.description}", placed)
