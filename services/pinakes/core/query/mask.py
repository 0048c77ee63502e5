# SPDX-License-Identifier: Apache-2.0
"""Reads the field mask that says which fields of documents to return."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pinakes.core.faults import invalid
from pinakes.v1 import resources_pb2

DOCUMENT_FIELDS: frozenset[str] = frozenset(resources_pb2.Document.DESCRIPTOR.fields_by_name)
_PREFIX = "attributes."


def read_paths(mask_paths: Iterable[str], default: Iterable[str]) -> frozenset[str]:
    """Return the fields of `Document` to return, and `attributes.NAME` for single attributes.

    `*` stands for all of them, an empty mask for `default`. Raises a `Fault` of reason MASK_UNKNOWN_FIELD.
    """
    paths = set(mask_paths) or set(default)
    if "*" in paths:
        return DOCUMENT_FIELDS
    for path in sorted(paths):
        if path not in DOCUMENT_FIELDS and not (path.startswith(_PREFIX) and all(path.split("."))):
            near = difflib.get_close_matches(path, DOCUMENT_FIELDS, 1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(DOCUMENT_FIELDS))}"
            raise invalid("read_mask", f"a document has no field {path[:80]}; {advice}", "MASK_UNKNOWN_FIELD")
    if "attributes" in paths:
        paths = {path for path in paths if not path.startswith(_PREFIX)}
    return frozenset(paths)
