# SPDX-License-Identifier: Apache-2.0
"""Whoever asks for all there is isn't content with what some shards have, as the engine answers while one is nowhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pinakes.core.engine import mapping
from pinakes.core.engine.bodies import page_of
from pinakes.core.engine.erasure import Remains
from pinakes.core.engine.journal import DeletionJournal
from pinakes.core.engine.moves import TenantMove
from pinakes.core.engine.upgrade import rewrite_documents
from pinakes.core.faults import Fault, Kind
from pinakes.core.tenancy.placement import POOL, Place

Json = dict[str, Any]
# As the engine says it of an index of two shards, one of which has no node.
SHARDS = {"total": 2, "successful": 1, "skipped": 0, "failed": 0}
GONE = {"type": "no_shard_available_action_exception"}


class Engine:
    """An engine that finds nothing, in `shards`; what else it is asked is in `calls`."""

    prefix = "p"

    def __init__(self, **shards: int) -> None:
        self.shards = SHARDS | shards
        self.missing: Json = {"found": False}
        self.calls: list[str] = []

    async def call(self, operation: str, method: str, path: str, **more: Any) -> Json:
        self.calls.append(f"{method} {path}")
        said = {"_shards": self.shards, "timed_out": False}
        if path.endswith("/_count"):
            return said | {"count": 0}
        if path.endswith("/_search"):
            return said | {"hits": {"hits": []}}
        if path.endswith("/_mget"):
            return {"docs": [self.missing] * len(more["body"]["ids"])}
        if (method, path) == ("GET", "/p-pool-*,p-own-*/_mapping"):
            meta = {"format": mapping.FORMAT, "documents": 1}
            return {"p-pool-000-v1": {"mappings": {"_meta": meta}}}
        return {}


def move(engine: Any) -> TenantMove:
    """Return the move of a tenant."""
    return TenantMove(engine, "u")


async def listed(engine: Any) -> None:
    """Read the documents that an erasure lists."""
    async for _ in Remains(engine, "u").document_ids():
        pass


async def journalled(engine: Any) -> None:
    """Read the deletions that are done again after a restore."""
    async for _ in DeletionJournal(engine)._pages():
        pass


ASKING: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "a move counts what is left": lambda engine: move(engine).count(POOL),
    "a move compares": lambda engine: move(engine).compare(POOL, Place(pool=1)),
    "documents are written again": rewrite_documents,
    "an erasure lists": listed,
    "a restore is followed": journalled,
    "rows are let through": lambda engine: DeletionJournal(engine).erased_of(["u"]),
}


@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING)
async def test_a_shard_that_is_nowhere_is_not_taken_for_an_empty_one(
    asking: Callable[[Any], Awaitable[Any]],
) -> None:
    engine = Engine()
    with pytest.raises(Fault) as caught:
        await asking(engine)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert not [call for call in engine.calls if call.startswith("PUT")], "an index isn't called done"
    await asking(Engine(successful=2))


async def test_a_document_that_cannot_be_read_is_not_missing() -> None:
    engine: Any = Engine(successful=2)
    assert await move(engine)._revisions(POOL, [("c", "d")]) == {}
    engine.missing = {"error": GONE}
    with pytest.raises(Fault) as caught:
        await move(engine)._revisions(POOL, [("c", "d")])
    assert caught.value.kind is Kind.UNAVAILABLE


def test_a_page_that_has_to_be_whole_is() -> None:
    answer = {"timed_out": False, "_shards": SHARDS, "hits": {"hits": []}}
    assert page_of(answer, 5, partial=True).answered == 1
    with pytest.raises(Fault) as caught:
        page_of(answer, 5, partial=False)
    assert caught.value.kind is Kind.UNAVAILABLE
