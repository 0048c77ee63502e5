# SPDX-License-Identifier: Apache-2.0
"""The judged collections hold together: every judgement names a document, and the halves are halves."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.relevance import own
from tests.relevance.judged import HELD_OUT, KINDS, TUNE, Judged
from tests.relevance.ours import typed


@pytest.fixture(scope="module")
def collections() -> list[Judged]:
    """Read them once: Python's takes seconds."""
    return own.collections()


def test_there_are_enough_queries_of_every_kind(collections: list[Judged]) -> None:
    kinds = Counter(query.kind for judged in collections for query in judged.queries)
    assert sum(kinds.values()) >= 150
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 20


def test_half_of_the_queries_of_every_kind_are_held_out(collections: list[Judged]) -> None:
    for kind in KINDS:
        splits = Counter(q.split for judged in collections for q in judged.queries if q.kind == kind)
        assert abs(splits[TUNE] - splits[HELD_OUT]) <= 2
        assert set(splits) == {TUNE, HELD_OUT}


def test_every_judgement_names_a_document_of_its_collection(collections: list[Judged]) -> None:
    for judged in collections:
        items = list(judged.documents())
        names = {item.id for item in items}
        assert len(names) == len(items)
        assert {item.language for item in items} <= set(judged.languages)
        for query in judged.queries:
            assert query.relevant
            assert names.issuperset(query.relevant), query
            assert set(query.relevant.values()) <= {1, 2, 3}
            assert typed(query.text) == query.text


def test_queries_have_ids_of_their_own(collections: list[Judged]) -> None:
    ids = Counter(query.id for judged in collections for query in judged.queries)
    assert max(ids.values()) == 1


def test_documents_are_of_different_lengths() -> None:
    lengths = sorted(len(item.body.split()) for item in own.english().documents())
    assert lengths[0] < 60
    assert lengths[-1] > 300


def test_languages_have_enough_documents_and_queries() -> None:
    groups = list(own.languages())
    documents = Counter(item.language for judged in groups for item in judged.documents())
    assert len(documents) >= 10
    assert min(documents.values()) >= 8
