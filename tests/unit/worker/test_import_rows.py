# SPDX-License-Identifier: Apache-2.0
"""Rows of an import on their way to the engine: checked, compiled at their line's revision, cut where an id is repeated."""

from __future__ import annotations

import json
from typing import Any

from pinakes.core.engine.documents import Owner
from pinakes.core.engine.revisions import STEP
from pinakes.core.query.schema import Attribute, AttributeType, Schema
from pinakes.core.settings import Limits
from pinakes.core.storage.lines import Line
from pinakes.worker.jobs.rows import Refused, Row, Target, prepare, runs

FIRST = 1 << 50
TARGET = Target(
    Owner("t" * 32, "c" * 32, "acme", "default"),
    Schema(languages=("en",), attributes={"price": Attribute(name="price", type=AttributeType.NUMBER, slot="num_00")}),
    Limits(document_bytes=1024),
    FIRST,
)


def prepared(*rows: dict[str, Any] | bytes | None) -> list[Row | Refused]:
    data = [row if isinstance(row, bytes) or row is None else json.dumps(row).encode() for row in rows]
    return prepare([Line(number, row) for number, row in enumerate(data, 1)], TARGET)


def test_each_row_stands_or_falls_for_itself_with_its_line() -> None:
    found = prepared(
        {"id": "a", "title": "A"},
        b"{",
        b"",
        {"id": "b c"},
        {"id": "d", "title": "x" * 1001},
        {"id": "e", "body": "x" * 2000},
        {"id": "f", "attributes": {"price": "dear"}},
        {"id": "g", "tags": [""]},
        None,
        {"id": "h"},
    )
    assert [one.line for one in found] == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    refused = {one.line: one for one in found if isinstance(one, Refused)}
    assert {line: one.reason for line, one in refused.items()} == {
        2: "INVALID_JSON", 4: "DOCUMENT_INVALID", 5: "DOCUMENT_INVALID", 6: "DOCUMENT_INVALID", 7: "DOCUMENT_INVALID",
        8: "DOCUMENT_INVALID", 9: "LINE_TOO_LONG",
    }  # fmt: skip
    assert refused[4].message.startswith("id: ")
    assert refused[5].message.startswith("title: ")
    assert "1024" in refused[6].message
    assert refused[7].message.startswith("attributes.price: is declared as number")
    assert refused[8].message.startswith("tags[0]: ")


def test_a_row_has_the_revision_of_its_line_whenever_it_is_read() -> None:
    first, _, third = prepared({"id": "a"}, b"", {"id": "b"}, {"id": "a"})
    assert isinstance(first, Row)
    assert isinstance(third, Row)
    assert first.change.revision == FIRST + STEP
    assert third.change.revision == FIRST + 4 * STEP
    assert json.loads(first.change.data)["tenant"] == "t" * 32
    assert first.document.name == "tenants/acme/collections/default/documents/a"


def test_what_is_written_together_has_no_document_twice() -> None:
    rows = [one for one in prepared(*({"id": i} for i in "abcabbd")) if isinstance(one, Row)]
    assert [[row.change.document_id for row in piece] for piece in runs(rows)] == [
        ["a", "b", "c"], ["a", "b"], ["b", "d"]
    ]  # fmt: skip
    assert list(runs([])) == []
