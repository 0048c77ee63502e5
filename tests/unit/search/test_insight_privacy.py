# SPDX-License-Identifier: Apache-2.0
"""Queries that look in a field with personal data by its name are in no insight."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.search.insight import names_personal_data
from pinakes.search.search_ids import SearchIds
from pinakes.search.servicer import SearchServicer
from pinakes.v1 import search_pb2

PEOPLE = CollectionRecord(
    tenant_uid="t", collection_id="c", uid="u", personal=(("title", "omit_from_logs"),),
    attributes=(SlotRecord(name="Note", type="text", slot="text_00", pii="mask"), SlotRecord(name="team", type="text", slot="text_01")),
)  # fmt: skip


@pytest.mark.parametrize(
    "query", ["title:jane", "x -Title:jane", 'note:"jane doe"', "attributes.Note:ja*", "a (title:b)"]
)
def test_a_query_that_names_one_is_known(query: str) -> None:
    assert names_personal_data(query, PEOPLE)


@pytest.mark.parametrize("query", ["jane", "team:red", "subtitle:jane", "12:30", "title", "std::vector"])
def test_other_queries_are_not(query: str) -> None:
    assert not names_personal_data(query, PEOPLE)


@pytest.mark.parametrize(("query", "noted"), [("jane", 1), ("title:jane", 0), ("", 0)])
def test_a_search_is_noted_without_them(query: str, noted: int) -> None:
    taken: list[Any] = []
    insight = SimpleNamespace(searched=lambda *given, **_: taken.append(given))
    servicer = cast("Any", SimpleNamespace(_parts=SimpleNamespace(insight=insight, search_ids=SearchIds(b"s" * 32))))
    assert SearchServicer._noted(servicer, search_pb2.SearchRequest(query=query), PEOPLE, 0.1, found=True)
    assert len(taken) == noted
