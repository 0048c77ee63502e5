# SPDX-License-Identifier: Apache-2.0
"""Documents and what else a request carries, made of plain Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from pinakes.client import _names
from pinakes.v1 import index_pb2, resources_pb2
from pinakes.v1.personal_data_pb2 import PersonalData, PersonalDataClass

DocumentLike = resources_pb2.Document | Mapping[str, Any]
Time = datetime | str | timestamp_pb2.Timestamp

PERSONAL = {
    name.removeprefix("PERSONAL_DATA_CLASS_").lower(): number for name, number in PersonalDataClass.items() if number
}
"""Classes of personal data by the names that people write: mask, hash, omit_from_logs, none."""

_EXACT = 1 << 53  # a Struct holds numbers as doubles
_FIELDS = ("title", "body", "tags", "language", "attributes", "readers", "source_uri", "expire_time", "etag")
# What the server sets; found in rows that were read from it, and of no meaning in a write.
_OUTPUT_ONLY = frozenset({"create_time", "update_time", "content_hash"})


def document(
    id: str,
    *,
    title: str = "",
    body: str = "",
    tags: Iterable[str] = (),
    language: str = "",
    attributes: Mapping[str, Any] | None = None,
    readers: Iterable[str] = (),
    source_uri: str = "",
    expire_time: Time | None = None,
    etag: str = "",
) -> resources_pb2.Document:
    """Make a document of plain values.

    Args:
        id: its id (1 to 128 of `A-Z a-z 0-9 . _ ~ : -`) or whole name; empty lets `create_document` choose one.
        title: at most 1,000 bytes; counts three times in ranking.
        body: the text; counts once.
        tags: at most 100 of at most 100 characters; count twice.
        language: BCP 47 code, `en`; empty means that it is recognised among the collection's languages.
        attributes: strings, numbers, bools, times (sent as RFC 3339), lists and mappings of these.
        readers: who may see it; empty means everyone in the tenant.
        source_uri: where it came from.
        expire_time: when it stops being visible: a datetime (UTC if it has no zone) or RFC 3339 text.
        etag: if set, the write is refused unless this is the current one.

    Raises:
        ValueError: an attribute or a time that the contract has no place for.
        TypeError: a value of the wrong type.
    """
    _texts("tags", tags)
    _texts("readers", readers)
    made = resources_pb2.Document(
        name=id,
        title=title,
        body=body,
        tags=tags,
        language=language,
        readers=readers,
        source_uri=source_uri,
        etag=etag,
    )
    if attributes:
        made.attributes.CopyFrom(_struct(attributes, "attributes"))
    if expire_time is not None:
        made.expire_time.CopyFrom(timestamp(expire_time))
    return made


def as_document(given: DocumentLike) -> resources_pb2.Document:
    """Take a document as it is, or make it of a mapping with the arguments of `document` as keys.

    Raises ValueError for a key that no document has: a misspelt one would be lost silently.
    """
    if isinstance(given, resources_pb2.Document):
        return given
    if not isinstance(given, Mapping):
        message = f"a document is a Document or a mapping, not {type(given).__name__}"  # type: ignore[unreachable]  # for callers without types
        raise TypeError(message)
    known = {"id", "name", *_FIELDS} | _OUTPUT_ONLY
    if unknown := [str(name) for name in given if name not in known]:
        message = f"a document has no field {', '.join(sorted(unknown))}; it has id, {', '.join(_FIELDS)}"
        raise ValueError(message)
    identity = given.get("id") or given.get("name") or ""
    if not isinstance(identity, str):
        message = f"id: text is needed, not {type(identity).__name__}"
        raise TypeError(message)
    return document(identity, **{name: given[name] for name in _FIELDS if given.get(name) is not None})


def deletion(id: str, *, etag: str = "") -> index_pb2.DocumentDeletion:
    """Make the deletion of a document, for `write_many` and `batch_write`; with an etag it must be the current one."""
    return index_pb2.DocumentDeletion(name=id, etag=etag)


def as_write(
    given: DocumentLike | index_pb2.DocumentDeletion | index_pb2.DocumentWrite, parent: str
) -> index_pb2.DocumentWrite:
    """Make one write of a batch, with the whole name of its document.

    Raises ValueError or TypeError for what can't be sent.
    """
    if isinstance(given, index_pb2.DocumentDeletion):
        write = index_pb2.DocumentWrite(delete=given)
    elif isinstance(given, index_pb2.DocumentWrite):
        write = index_pb2.DocumentWrite()
        write.CopyFrom(given)
    else:
        write = index_pb2.DocumentWrite(put=as_document(given))
    if write.WhichOneof("operation") == "delete":
        write.delete.name = _names.document_of(parent, write.delete.name)
    else:
        write.put.name = _names.document_of(parent, write.put.name)
    return write


def attribute(given: resources_pb2.AttributeDefinition | str) -> resources_pb2.AttributeDefinition:
    """Take the definition of an attribute, or read it from text such as `price:number:sortable` or `email:string:mask`."""
    if isinstance(given, resources_pb2.AttributeDefinition):
        return given
    name, _, rest = given.partition(":")
    kind, *more = rest.split(":")
    types = resources_pb2.AttributeDefinition.Type
    known_types = [key.removeprefix("TYPE_").lower() for key, number in types.items() if number]
    classes = [one for one in more if one in PERSONAL]
    if not name or kind not in known_types or len(classes) > 1 or {*more} - {"", "sortable", *PERSONAL}:
        known = ", ".join(known_types)
        options = ", ".join(("sortable", *PERSONAL))
        message = f"{given!r} isn't name:type or name:type:option, with a type of {known}, and options of {options}"
        raise ValueError(message)
    return resources_pb2.AttributeDefinition(
        name=name,
        type=f"TYPE_{kind.upper()}",
        sortable="sortable" in more,
        pii=f"PERSONAL_DATA_CLASS_{classes[0].upper()}" if classes else None,
    )


def personal_data(
    given: PersonalData | Mapping[str, str] | None, *, masked_for_services: bool | None = None
) -> PersonalData | None:
    """Take the message, or make it of classes by path, such as `{"title": "mask", "attributes.owner.mail": "hash"}`."""
    if given is None and masked_for_services is None:
        return None
    made = PersonalData()
    if isinstance(given, PersonalData):
        made.CopyFrom(given)
    for path, name in given.items() if isinstance(given, Mapping) else ():
        if name not in PERSONAL or name == "none":
            message = f"{path}: {name!r} isn't mask, hash or omit_from_logs"
            raise ValueError(message)
        made.rules.add(path=path, pii=PERSONAL[name])
    if masked_for_services is not None:
        made.masked_for_services = masked_for_services
    return made


def duration(given: timedelta | float | None) -> duration_pb2.Duration | None:
    """Make a Duration of a timedelta or of seconds."""
    if given is None:
        return None
    made = duration_pb2.Duration()
    made.FromTimedelta(given if isinstance(given, timedelta) else timedelta(seconds=given))
    return made


def timestamp(given: Time) -> timestamp_pb2.Timestamp:
    """Make a Timestamp of a datetime (UTC if it has no zone) or RFC 3339 text."""
    if isinstance(given, timestamp_pb2.Timestamp):
        return given
    made = timestamp_pb2.Timestamp()
    if isinstance(given, datetime):
        made.FromDatetime(given)
    elif isinstance(given, str):
        try:
            made.FromJsonString(given)
        except ValueError as error:
            message = f"{given!r} isn't a time in RFC 3339, such as 2026-01-31T12:00:00Z"
            raise ValueError(message) from error
    else:
        message = f"a time is a datetime or RFC 3339 text, not {type(given).__name__}"  # type: ignore[unreachable]  # for callers without types
        raise TypeError(message)
    return made


def _texts(field: str, given: Iterable[str]) -> None:
    """Refuse one text where several are meant: it would become a list of its letters."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        message = f"{field}: a list of texts is needed, not {type(given).__name__}"
        raise TypeError(message)


def _struct(given: Mapping[str, Any], path: str) -> struct_pb2.Struct:
    if not isinstance(given, Mapping):
        message = f"{path}: a mapping is needed, not {type(given).__name__}"  # type: ignore[unreachable]  # for callers without types
        raise TypeError(message)
    made = struct_pb2.Struct()
    for name, value in given.items():
        _set(made.fields[str(name)], value, f"{path}.{name}")
    return made


def _set(target: struct_pb2.Value, value: object, path: str) -> None:
    """Put a Python value into a protobuf one; `path` is told in errors."""
    match value:
        case None:
            target.null_value = struct_pb2.NULL_VALUE
        case bool():
            target.bool_value = value
        case int() | float():
            if isinstance(value, int) and abs(value) > _EXACT:
                message = f"{path}: {value} can't be kept exactly, because it is beyond 2^53; send it as text"
                raise ValueError(message)
            target.number_value = value
        case str():
            target.string_value = value
        case datetime():
            zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
            target.string_value = zoned.isoformat().replace("+00:00", "Z")
        case Mapping():
            target.struct_value.CopyFrom(_struct(value, path))
        case Sequence() | set() | frozenset():
            target.list_value.SetInParent()
            for number, item in enumerate(value):
                _set(target.list_value.values.add(), item, f"{path}[{number}]")
        case _:
            message = f"{path}: {type(value).__name__} has no place in a document"
            raise TypeError(message)
