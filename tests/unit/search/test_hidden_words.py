# SPDX-License-Identifier: Apache-2.0
"""Who may not see titles and tags is told no word of them: not as a suggestion, not as a correction, not by a weight."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.engine.documents import Owner
from pinakes.core.query.options import Options, options_of
from pinakes.core.query.text import parse_query
from pinakes.core.query.weights import Weights
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord
from pinakes.search.queries import corrections, suggest
from pinakes.search.vocabulary import Vocabulary
from pinakes.v1 import search_pb2, suggest_pb2

LIMITS = Limits()
UNASKED = cast("Any", None)
"""In place of what would be asked: asking it fails."""


def people(*hidden: str) -> CollectionRecord:
    """Return a collection as who may not see personal data has it."""
    personal = tuple((name, "mask") for name in hidden)
    return CollectionRecord(tenant_uid="t", collection_id="c", uid="u", personal=personal, masked=True)


@pytest.mark.parametrize("hidden", ["title", "tags"])
async def test_nothing_is_suggested_and_nothing_is_asked_for_it(hidden: str) -> None:
    parts = cast("Any", SimpleNamespace(platform=SimpleNamespace(settings=SimpleNamespace(limits=LIMITS))))
    request = suggest_pb2.SuggestRequest(query="ja")
    assert await suggest.run(request, UNASKED, people(hidden), parts) == suggest_pb2.SuggestResponse()
    with pytest.raises(AttributeError):
        await suggest.run(request, UNASKED, people(), parts)


@pytest.mark.parametrize("hidden", ["title", "tags"])
async def test_no_query_is_corrected_and_nothing_is_asked_for_it(hidden: str) -> None:
    def plan(options: Options) -> Any:
        query = parse_query("jnae", options, LIMITS)
        request = search_pb2.SearchRequest(query="jnae")
        return SimpleNamespace(request=request, query=query, options=options, weights=Weights({}, {"jnae": ("jane",)}))

    page = cast("Any", SimpleNamespace(total=0))
    assert (
        await corrections.correction(plan(options_of(people(hidden))), page, UNASKED, people(hidden), UNASKED) is None
    )
    with pytest.raises(AttributeError):
        await corrections.correction(plan(options_of(people())), page, UNASKED, people(), UNASKED)


class _Told(Vocabulary):
    """Notes whether corrections are to be looked for, and looks for nothing."""

    corrected: bool | None = None

    def _look_up(self, *_: Any, corrected: bool) -> set[asyncio.Task[None]]:
        self.corrected = corrected
        return set()


@pytest.mark.parametrize("asked", [True, False])
async def test_what_was_meant_is_not_looked_for_in_words_that_are_hidden(asked: bool) -> None:
    scope = cast("Any", SimpleNamespace(owner=Owner("t", "u", "t", "c"), readers=None, narrowing=("", False)))
    for hidden, looked_for in ((("title",), False), (("tags",), False), (("body",), True), ((), True)):
        vocabulary, options = _Told(), options_of(people(*hidden))
        await vocabulary.weights(scope, parse_query("jnae", options, LIMITS), options, corrected=asked)
        assert vocabulary.corrected is looked_for, hidden
