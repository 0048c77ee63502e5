# SPDX-License-Identifier: Apache-2.0
"""More documents than are counted, through Envoy: all of them are read page by page, collapsed ones up to the 10,000th."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import InvalidArgument, document
from tests.e2e._search import COLLECTION, Shelf, ids, shelf

COUNT = 10_050
DEEPEST = 10_000
SIZE = 50


@pytest.fixture(scope="module")
def made(platform: Any) -> Iterator[Shelf]:
    """Make a collection of many small documents, each with a number of its own."""
    documents: dict[str, dict[str, Any]] = {
        f"d{number}": {"title": "Leaf", "attributes": {"number": number}} for number in range(COUNT)
    }
    first = {"d0": documents.pop("d0")}
    with shelf(platform, "deep", first, attributes=["number:number:sortable"]) as leaves:
        others = (document(name, **fields) for name, fields in documents.items())
        written = leaves.client.write_many(others, collection=COLLECTION, mode="searchable")
        assert all(result.outcome == "CREATED" for result in written)
        yield leaves


@pytest.mark.parametrize("query", ["", "leaf"])
def test_more_than_is_counted_is_said_to_be_more(made: Shelf, query: str) -> None:
    answer = made.search(query, page_size=1)
    assert (answer.total_size, answer.total_size_capped) == (DEEPEST, True)
    assert made.client.count_documents(query, collection=COLLECTION).total_size == COUNT


@pytest.mark.parametrize(("query", "order"), [("", "attributes.number desc"), ("leaf", "")])
def test_every_document_comes_once_however_deep_it_lies(made: Shelf, query: str, order: str) -> None:
    found: list[str] = []
    token = ""
    while token or not found:
        answer = made.search(query, order_by=order, page_size=SIZE, page_token=token, read_mask=["name"])
        assert (answer.total_size, answer.total_size_capped) == (DEEPEST, True)
        found += ids(answer)
        token = answer.next_page_token
    numbers = [int(name[1:]) for name in found]
    assert sorted(numbers) == list(range(COUNT))
    assert not order or numbers == list(range(COUNT - 1, -1, -1))


def test_collapsed_results_are_paged_through_up_to_the_deepest_and_no_further(made: Shelf) -> None:
    options: dict[str, Any] = {
        "order_by": "attributes.number", "collapse": "attributes.number", "page_size": SIZE, "read_mask": ["name"],
    }  # fmt: skip
    found: list[str] = []
    token = ""
    with pytest.raises(InvalidArgument) as caught:
        while token or not found:
            answer = made.search(page_token=token, **options)
            found += ids(answer)
            token = answer.next_page_token
    assert caught.value.reason == "COLLAPSE_TOO_DEEP"
    assert [violation.field for violation in caught.value.violations] == ["page_token"]
    assert found == [f"d{number}" for number in range(DEEPEST)]


@pytest.mark.parametrize(("size", "count"), [(50, 9960), (49, 9999)])
def test_collapsed_results_that_end_before_the_deepest_end_without_a_refusal(
    made: Shelf, size: int, count: int
) -> None:
    found: list[str] = []
    token = ""
    while token or not found:
        answer = made.search(
            filter=f"attributes.number < {count}", order_by="attributes.number", collapse="attributes.number",
            page_size=size, page_token=token, read_mask=["name"],
        )  # fmt: skip
        found += ids(answer)
        token = answer.next_page_token
    assert found == [f"d{number}" for number in range(count)]
