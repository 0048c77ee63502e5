# SPDX-License-Identifier: Apache-2.0
"""What a search's answer says of how much was searched, out of answers as the engine gives them."""

from __future__ import annotations

from typing import Any

import pytest

from pinakes.core.engine.bodies import Page, page_of
from pinakes.core.faults import Fault, Kind
from pinakes.search.queries.search import coverage

HIT: dict[str, Any] = {"_index": "i", "_id": "x", "_score": None, "_source": {"id": "a"}, "sort": [1, "a"]}


def answered(*, shards: int = 3, failed: int = 0, timed_out: bool = False, hits: int = 1) -> dict[str, Any]:
    """Return an answer of the engine."""
    return {
        "took": 3, "timed_out": timed_out, "status": 200,
        "_shards": {"total": shards, "successful": shards - failed, "skipped": 0, "failed": failed},
        "hits": {"total": {"value": hits, "relation": "eq"}, "max_score": None, "hits": [HIT] * hits},
    }  # fmt: skip


def page(**changes: Any) -> Page:
    """Return the page of an answer, in part if need be."""
    return page_of(answered(**changes), 5, partial=True)


def test_all_that_was_searched_needs_no_reason() -> None:
    said = coverage(page())
    assert (said.shards, said.answered, said.reason) == (3, 3, "")


def test_a_part_that_does_not_answer_is_told() -> None:
    found = page(failed=1)
    said = coverage(found)
    assert (len(found.hits), said.shards, said.answered) == (1, 3, 2)
    assert said.reason == "a part of the search engine isn't available now"
    # What must be whole isn't there then; nor is it without any part.
    for answer, partial in ((answered(failed=1), False), (answered(failed=3, hits=0), True)):
        with pytest.raises(Fault) as caught:
            page_of(answer, 5, partial=partial)
        assert caught.value.kind is Kind.UNAVAILABLE


def test_what_was_found_in_time_is_told_as_part() -> None:
    assert coverage(page(timed_out=True)).reason == "the search ran out of time; there may be more"
    for answer, partial in ((answered(timed_out=True), False), (answered(timed_out=True, hits=0), True)):
        with pytest.raises(Fault, match="took longer than 5 s") as caught:
            page_of(answer, 5, partial=partial)
        assert (caught.value.kind, caught.value.reason) == (Kind.DEADLINE, "SEARCH_TIMEOUT")
