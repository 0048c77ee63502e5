# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON Lines as documents: the same rows, with the same meaning, as the command's import takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.client import _documents
from pinakes.core.storage.rows import FIELDS, RowRefused, read_row, write_row

ROW: dict[str, Any] = {
    "id": "a", "title": "Über Τίτλος", "body": 'two\nlines \u2028 and "quotes"', "tags": ["x", "y"], "language": "de",
    "attributes": {"n": 1, "f": 2.5, "b": True, "none": None, "list": [1, "a", [False], {"x": 1}], "deep": {"er": {}}},
    "readers": ["me"], "source_uri": "https://example.org/a", "expire_time": "2031-01-31T12:00:00.250Z",
}  # fmt: skip


def refusal(row: bytes, number: int = 1) -> tuple[str, str]:
    with pytest.raises(RowRefused) as caught:
        read_row(row, number)
    return caught.value.reason, caught.value.message


def test_a_row_is_the_document_that_the_client_makes_of_it() -> None:
    made = read_row(json.dumps(ROW).encode(), 1)
    assert made == _documents.as_document(ROW)


def test_what_is_written_is_read_as_it_was() -> None:
    made = read_row(json.dumps(ROW).encode(), 1)
    assert made is not None
    line = write_row(made, "a")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == ROW
    assert read_row(line, 1) == made


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-(2**53), 2**53).map(lambda number: number + 0.0)  # -0.0 is 0
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(attributes=st.dictionaries(st.text(), JSON, max_size=4), title=st.text(), tags=st.lists(st.text(), max_size=3))
def test_any_content_comes_back(attributes: dict[str, Any], title: str, tags: list[str]) -> None:
    row = {"id": "a", "title": title, "attributes": attributes, "tags": tags}
    try:
        encoded = json.dumps(row).encode()
        made = read_row(encoded, 1)
    except RowRefused as refused:  # half of a surrogate pair is no text
        assert "surrogate" in refused.message or "hex" in refused.message or "escape" in refused.message
        return
    assert made == _documents.as_document(row)
    assert read_row(write_row(made, "a"), 2) == made


def test_empty_lines_and_a_mark_at_the_beginning_are_passed_over() -> None:
    assert read_row(b"", 3) is None
    assert read_row(b" \t\r", 3) is None
    assert read_row(b"\xef\xbb\xbf", 1) is None
    made = read_row(b'\xef\xbb\xbf{"id": "a"}\r', 1)
    assert made is not None
    assert made.name == "a"
    assert refusal(b'\xef\xbb\xbf{"id": "a"}', 2)[0] == "INVALID_JSON"


def test_a_row_that_was_read_elsewhere_goes_where_the_import_goes() -> None:
    made = read_row(
        b'{"name": "tenants/x/collections/y/documents/z", "etag": "e", "create_time": "2020-01-01T00:00:00Z", "content_hash": "h"}',
        1,
    )
    assert made is not None
    assert (made.name, made.etag, made.HasField("create_time")) == ("z", "e", False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{broken", "not JSON"),
        (b'{"id": "a"} x', "not JSON"),
        (b'{"id": "a", "title": "\xff"}', "byte 23 is not UTF-8"),
        (b'{"id": "a", "n": NaN}', "not JSON"),
        (b'{"attributes": ' * 2000 + b"1" + b"}" * 2000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "a document needs an id"),
        (b'{"id": ""}', "a document needs an id"),
        (b'{"id": null, "title": "x"}', "a document needs an id"),
    ],
)
def test_what_is_no_object_with_an_id_is_told(row: bytes, message: str) -> None:
    reason, found = refusal(row)
    assert reason == "INVALID_JSON"
    assert message in found


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": 7}, "id: text is needed, not a number"),
        ({"titel": "x"}, f"a document has no field titel; it has id, {', '.join(FIELDS)}"),
        ({"title": 1}, "title: text is needed, not a number"),
        ({"body": ["x"]}, "body: text is needed, not a list"),
        ({"tags": "x"}, "tags: a list of texts is needed, not text"),
        ({"tags": ["x", True]}, "tags[1]: text is needed, not true or false"),
        ({"readers": {}}, "readers: a list of texts is needed, not an object"),
        ({"attributes": []}, "attributes: an object is needed, not a list"),
        ({"attributes": {"n": 2**53 + 1}}, "attributes.n: a whole number beyond 2^53 can't be kept exactly"),
        ({"attributes": {"a": {"b": [2**60]}}}, "attributes.a.b[0]"),
        ({"expire_time": "tomorrow"}, "isn't a time in RFC 3339"),
        ({"expire_time": 5}, "expire_time: text is needed, not a number"),
    ],
)
def test_fields_of_the_wrong_kind_are_told(fields: dict[str, Any], message: str) -> None:
    reason, found = refusal(json.dumps({"id": "a"} | fields).encode())
    assert reason == "INVALID_DOCUMENT"
    assert message in found
