# SPDX-License-Identifier: Apache-2.0
"""A row of JSON Lines as a document, and a document as a row: what `pinakes import` takes, and what exports write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf import struct_pb2

from pinakes.core.engine.documents import EXACT, plain
from pinakes.v1 import resources_pb2

Json = dict[str, Any]
TEXTS = ("title", "body", "language", "source_uri", "etag")
LISTS = ("tags", "readers")
FIELDS = ("title", "body", "tags", "language", "attributes", "readers", "source_uri", "expire_time", "etag")
# What the server sets; found in rows that were read from it, and of no meaning in a write.
OUTPUT_ONLY = frozenset({"create_time", "update_time", "content_hash"})
_KNOWN = frozenset({"id", "name", *FIELDS}) | OUTPUT_ONLY
_BOM = b"\xef\xbb\xbf"


class RowRefused(Exception):
    """A row that is no document: a stable reason, and what is wrong for people."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason
        self.message = message


def read_row(data: bytes, number: int) -> resources_pb2.Document | None:
    """Return the document of a line, its id as name; None for an empty line. `number` counts from 1.

    Raises RowRefused: INVALID_JSON for what isn't an object with an id, INVALID_DOCUMENT for fields that no document
    has or of the wrong type. What limits and schema say of it is judged later.
    """
    text = (data.removeprefix(_BOM) if number == 1 else data).strip()
    if not text:
        return None
    try:
        made = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RowRefused("INVALID_JSON", _not_json(text, error)) from None
    if not isinstance(made, dict):
        raise RowRefused("INVALID_JSON", "not a JSON object")
    try:
        return _document(made)
    except (TypeError, ValueError) as error:
        raise RowRefused("INVALID_DOCUMENT", str(error)) from None


def _not_json(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as broken:
        return f"byte {broken.start + 1} is not UTF-8"
    return f"not JSON: {error}"


def _document(made: Json) -> resources_pb2.Document:
    """Make a document. Raises RowRefused, ValueError and TypeError."""
    document = resources_pb2.Document(name=_identity(made))
    if unknown := [name for name in made if name not in _KNOWN]:
        message = f"a document has no field {', '.join(sorted(unknown))}; it has id, {', '.join(FIELDS)}"
        raise ValueError(message)
    for name in TEXTS:
        if (value := made.get(name)) is not None:
            setattr(document, name, _text(value, name))
    for name in LISTS:
        if (values := made.get(name)) is not None:
            if not isinstance(values, list):
                message = f"{name}: a list of texts is needed, not {_kind(values)}"
                raise TypeError(message)
            getattr(document, name).extend(_text(value, f"{name}[{i}]") for i, value in enumerate(values))
    if (attributes := made.get("attributes")) is not None:
        if not isinstance(attributes, dict):
            message = f"attributes: an object is needed, not {_kind(attributes)}"
            raise TypeError(message)
        if attributes:
            _fill(document.attributes, attributes, "attributes")
    if (expires := made.get("expire_time")) is not None:
        try:
            document.expire_time.FromJsonString(_text(expires, "expire_time"))
        except ValueError:
            message = f"expire_time: {expires!r} isn't a time in RFC 3339, such as 2026-01-31T12:00:00Z"
            raise ValueError(message) from None
    return document


def _identity(made: Json) -> str:
    """Return the id, or that at the end of the name: a row read from elsewhere goes where this import goes."""
    found = made.get("id")
    if not found and isinstance(made.get("name"), str):
        found = made["name"].rpartition("/")[2]
    if not found:
        raise RowRefused("INVALID_JSON", "a document needs an id")
    return _text(found, "id")


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        message = f"{place}: text is needed, not {_kind(value)}"
        raise TypeError(message)
    return value


def _kind(value: object) -> str:
    """Return what JSON calls a value's type."""
    names: Mapping[type, str] = {dict: "an object", list: "a list", bool: "true or false", str: "text"}
    return "null" if value is None else names.get(type(value), "a number")


def _fill(struct: struct_pb2.Struct, values: Json, path: str) -> None:
    for name, value in values.items():
        _set(struct.fields[name], value, f"{path}.{name}")


def _set(target: struct_pb2.Value, value: Any, path: str) -> None:
    """Put a JSON value into a protobuf one; `path` is told in errors."""
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        if isinstance(value, int) and abs(value) > EXACT:
            message = f"{path}: a whole number beyond 2^53 can't be kept exactly; send it as text"
            raise ValueError(message)
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        _fill(target.struct_value, value, path)
    else:
        target.list_value.SetInParent()
        for i, item in enumerate(value):
            _set(target.list_value.values.add(), item, f"{path}[{i}]")


def write_row(document: resources_pb2.Document, document_id: str) -> bytes:
    """Return a document as a line, with its end: the fields that are set, in the order of `FIELDS`."""
    row: Json = {"id": document_id}
    for name in FIELDS:
        if name == "attributes":
            if document.attributes.fields:
                row[name] = plain(document.attributes)
        elif name == "expire_time":
            if document.HasField("expire_time"):
                row[name] = document.expire_time.ToJsonString()
        elif name in LISTS:
            if values := list(getattr(document, name)):
                row[name] = values
        elif name != "etag" and (text := getattr(document, name)):
            row[name] = text
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
