# SPDX-License-Identifier: Apache-2.0
"""The classes of personal data, which fields can have one, and how a field is found to be covered."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pinakes.core.engine.tokens import SEPARATOR


class Pii(StrEnum):
    """What the values of a field are to callers who may not see personal data."""

    MASK = "mask"
    HASH = "hash"
    OMIT_FROM_LOGS = "omit_from_logs"


HIDING = frozenset({Pii.MASK, Pii.HASH})
"""Classes whose values aren't shown to everybody."""

OWN_FIELDS = ("title", "body", "tags", "source_uri")
"""Fields of a document's own that can be classed."""

ATTRIBUTE = "attributes."
Classes = Mapping[str, Pii]


def plain_path(path: str) -> str:
    """Return a path as it is compared: what can't be told apart in the index mustn't be told apart here."""
    return path.replace(SEPARATOR, "\ufffd") if SEPARATOR in path else path


def class_of(path: str, classes: Classes) -> Pii | None:
    """Return the class of a field, its own or that of an attribute above it; None if it has no personal data.

    `path` is as callers name fields: `title`, `attributes.email`, `attributes.person.email`.
    """
    if not classes:
        return None
    path = plain_path(path)
    while path:
        if (found := classes.get(path)) is not None:
            return found
        path = path.rpartition(".")[0]
    return None


def hidden(path: str, classes: Classes) -> Pii | None:
    """Return the class of a field if that hides its values; None if they are shown to everybody."""
    found = class_of(path, classes)
    return found if found in HIDING else None
