# SPDX-License-Identifier: Apache-2.0
"""Queries that look in a field with personal data by its name are in no insight."""

from __future__ import annotations

import pytest

from pinakes.core.tenancy.models import CollectionRecord, SlotRecord
from pinakes.search.insight import names_personal_data

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
