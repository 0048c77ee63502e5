# SPDX-License-Identifier: Apache-2.0
"""Rows of an import, checked and compiled as a batch would be: each stands or falls for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import protovalidate

from pinakes.core.engine.documents import examine
from pinakes.core.engine.revisions import STEP
from pinakes.core.rpc.checks import field_path
from pinakes.core.storage.rows import RowRefused, read_row
from pinakes.core.writing import changes

if TYPE_CHECKING:
    from pinakes.core.engine.documents import Owner
    from pinakes.core.query.schema import Schema
    from pinakes.core.settings import Limits
    from pinakes.core.storage.lines import Line
    from pinakes.core.writing.changes import Change
    from pinakes.v1 import resources_pb2

_ID = re.compile(r"[A-Za-z0-9._~:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be written."""

    line: int
    document: resources_pb2.Document
    change: Change


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that can't be."""

    line: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows go. `first` is the revision of the request; a row's own follows from its line."""

    owner: Owner
    schema: Schema
    limits: Limits
    first: int


def prepare(lines: Iterable[Line], target: Target) -> list[Row | Refused]:
    """Return what can be written, compiled, and what can't. Empty lines are left out."""
    found: list[Row | Refused] = []
    for line in lines:
        try:
            if line.data is None:
                most = target.limits.document_bytes
                raise RowRefused("LINE_TOO_LONG", f"the line is longer than any document of {most} bytes can be")
            document = read_row(line.data, line.number)
            if document is not None:
                found.append(_row(line.number, document, target))
        except RowRefused as refused:
            found.append(Refused(line.number, refused.reason, refused.message))
    return found


def _row(line: int, document: resources_pb2.Document, target: Target) -> Row:
    """Check a document against contract, limits and schema, and compile it. Raises RowRefused."""
    document_id = document.name
    if not _ID.fullmatch(document_id):
        raise RowRefused("DOCUMENT_INVALID", "id: must be 1 to 128 of A-Z a-z 0-9 . _ ~ : -")
    for broken in protovalidate.collect_violations(document):
        path = field_path(broken.proto.field.elements if broken.proto.field else ())
        raise RowRefused("DOCUMENT_INVALID", f"{path}: {broken.proto.message or broken.proto.rule_id}")
    document.name = target.owner.name(document_id)
    examined = examine(document, target.schema, target.limits)
    if examined.violations:
        first = examined.violations[0]
        raise RowRefused("DOCUMENT_INVALID", ": ".join(part for part in (first.field, first.description) if part))
    revision = target.first + line * STEP
    change = changes.put(document, target.owner, target.schema, document_id, revision, examined)
    return Row(line, document, change)


def runs(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Cut rows so that no document is twice in a piece: what is written together has no order."""
    piece: list[Row] = []
    seen: set[str] = set()
    for row in rows:
        if row.change.document_id in seen:
            yield piece
            piece, seen = [], set()
        piece.append(row)
        seen.add(row.change.document_id)
    if piece:
        yield piece
