# SPDX-License-Identifier: Apache-2.0
"""Who sees personal data, and a document as somebody sees it who doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from google.protobuf import struct_pb2

from pinakes.core.identity.permissions import Role
from pinakes.core.privacy.classes import ATTRIBUTE, HIDING, Pii, class_of
from pinakes.core.privacy.masks import MASKED, masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinakes.core.identity.principal import Principal
    from pinakes.core.privacy.classes import Classes
    from pinakes.core.tenancy.models import CollectionRecord
    from pinakes.v1 import resources_pb2

    Hash = Callable[[str], str]
    """Makes the hash of a value that is shown instead of it."""

_TEXTS = ("title", "body", "source_uri")


def sees_personal_data(principal: Principal, *, masked_for_services: bool) -> bool:
    """Tell whether a caller sees the classed fields of a collection as they are.

    Whoever is bound to readers acts for a person, whatever the role.
    """
    return principal.readers is None and role_sees(principal.role, masked_for_services=masked_for_services)


def role_sees(role: Role, *, masked_for_services: bool) -> bool:
    """Tell whether a role that isn't bound to readers sees the classed fields of a collection as they are."""
    return role is not Role.TENANT_USER and (role is not Role.SERVICE or not masked_for_services)


def narrowed_blindly(principal: Principal, collection: CollectionRecord) -> bool:
    """Whether a credential's filter is blind to personal data, because who made the credential may not see it."""
    if not principal.filter or not collection.classes:
        return False
    kept = collection.masked_for_services
    if principal.maker is not None:
        return not role_sees(principal.maker, masked_for_services=kept)
    return not sees_personal_data(principal, masked_for_services=kept)


def mask_document(document: resources_pb2.Document, classes: Classes, hashed: Hash) -> None:
    """Replace the values of classed fields in a document."""
    for field in _TEXTS:
        text: str = getattr(document, field)
        if text and (found := classes.get(field)) in HIDING:
            setattr(document, field, _text(text, found, hashed))
    tags = classes.get("tags")
    if document.tags and tags in HIDING:
        document.tags[:] = [_text(tag, tags, hashed) for tag in document.tags]
    for name, value in document.attributes.fields.items():
        _mask_value(value, ATTRIBUTE + name, classes, hashed)
    if document.content_hash:
        # Whoever knows all else of a document could find out a value by trying: nobody can compute this one.
        document.content_hash = hashed(document.content_hash)


def _mask_value(value: struct_pb2.Value, path: str, classes: Classes, hashed: Hash) -> None:
    """Replace an attribute's value if its path is classed, else whatever below it is."""
    found = class_of(path, classes)
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        for item in value.list_value.values:
            _mask_value(item, path, classes, hashed)
    elif found is Pii.MASK:
        _mask_scalar(value, kind)
    elif found is Pii.HASH:
        if kind not in {None, "null_value"}:
            value.string_value = hashed(_canonical(value, kind))
    elif kind == "struct_value":
        for name, inner in value.struct_value.fields.items():
            _mask_value(inner, f"{path}.{name}", classes, hashed)


def _mask_scalar(value: struct_pb2.Value, kind: str | None) -> None:
    """Mask one value; of an object not even the keys are shown."""
    if kind == "string_value":
        value.string_value = masked(value.string_value)
    elif kind == "struct_value":
        value.string_value = MASKED
    elif kind is not None:
        value.null_value = struct_pb2.NULL_VALUE


def _canonical(value: struct_pb2.Value, kind: str | None) -> str:
    """Return text that is the same for equal values only; that of a string is the string, as it is in titles and tags."""
    if kind == "string_value":
        return value.string_value
    return "\0" + orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: struct_pb2.Value) -> object:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _plain(inner) for name, inner in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)


def _text(value: str, found: Pii | None, hashed: Hash) -> str:
    return hashed(value) if found is Pii.HASH else masked(value)
