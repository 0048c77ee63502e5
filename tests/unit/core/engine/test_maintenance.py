# SPDX-License-Identifier: Apache-2.0
"""What the sweeper does where the engine takes no writes."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pinakes.core.engine.maintenance import PAGE, Maintenance

Json = dict[str, Any]
BLOCKED = {"status": 403, "error": {"type": "cluster_block_exception"}}


def hit(number: int) -> Json:
    """Return a document that is over, as it is found."""
    source = {"tenant": "t", "collection": "c", "id": f"d{number}", "revision": 1}
    return {"_index": "p-pool-000-v1", "_id": f"d{number}", "_seq_no": number, "_primary_term": 1, "_source": source}


class Engine:
    """An engine with many documents that are over, that takes only the first `most` writes; searches are counted."""

    prefix = "p"

    def __init__(self, most: int) -> None:
        self.left = [hit(number) for number in range(2 * PAGE)]
        self.most = most
        self.searches = 0
        self.bulk = SimpleNamespace(write=self.write)

    async def call(self, operation: str, method: str, path: str, **_: Any) -> Json:
        if operation == "expired":
            self.searches += 1
            assert self.searches < 10, "it goes on and on"
            return {"hits": {"hits": self.left[:PAGE]}}
        if operation == "bury":
            done, self.left = self.left[: self.most], self.left[self.most :]
            self.most -= len(done)
            taken = len(done)
            return {"items": [{"index": {"status": 200} if n < taken else BLOCKED} for n in range(PAGE)]}
        return {}

    async def write(self, lines: Sequence[Any], *, searchable: bool) -> list[Any]:
        return []


async def nobody() -> Sequence[str]:
    """Nothing is moved."""
    return ()


async def buried(engine: Any) -> int:
    """Bury what is over; each body gets the same revision."""
    return await Maintenance(engine, nobody).bury_expired(lambda: 2)


async def test_a_page_of_which_nothing_is_taken_is_not_tried_again_at_once() -> None:
    engine = Engine(0)
    assert await buried(engine) == 0
    assert engine.searches == 1


async def test_it_goes_on_while_something_is_taken() -> None:
    engine = Engine(5)
    assert await buried(engine) == 5
    assert engine.searches == 2
