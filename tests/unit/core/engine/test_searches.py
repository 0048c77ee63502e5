# SPDX-License-Identifier: Apache-2.0
"""Searches that wait for the engine: tenants in turn, whether their searches share calls or have ones of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from pinakes.core.engine.bodies import page_of
from pinakes.core.engine.searches import (
    ALONE_AT_ONCE,
    AT_ONCE,
    MEMBERS,
    MOMENT_GONE,
    SHARED_SECONDS,
    Moment,
    Refused,
    Search,
    Searches,
)
from pinakes.core.faults import Fault


def search(tenant: str, *, cheap: bool, pooled: bool) -> Search:
    """Return a search that a tenant's scope could make, of a pool or of an index of its own."""
    index, routing = ("docs", tenant) if pooled else (tenant, "")
    return Search(index, routing, orjson.dumps({"size": 1}), cheap)


class Wire:
    """The engine, which answers when it may; `asked` are the tenants of each call's searches."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.open = asyncio.Event()

    async def send(self, payload: bytes) -> dict[str, Any]:
        """Take one call."""
        heads = [orjson.loads(line) for line in payload.splitlines()[::2]]
        self.asked.append([head.get("routing", head["index"]) for head in heads])
        await self.open.wait()
        return {"responses": [{"timed_out": False} for _ in heads]}


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("cheap", [True, False])
async def test_who_has_many_searches_keeps_nobody_waiting_for_more_than_a_call(cheap: bool, pooled: bool) -> None:
    wire = Wire()
    searches = Searches(wire.send)
    crowd = [asyncio.create_task(searches.run(search("noisy", cheap=cheap, pooled=pooled), 5.0)) for _ in range(100)]
    await asyncio.sleep(0.01)
    under_way = len(wire.asked)
    assert under_way == (AT_ONCE if cheap else ALONE_AT_ONCE)
    quiet = asyncio.create_task(searches.run(search("quiet", cheap=cheap, pooled=pooled), 5.0))
    await asyncio.sleep(0.01)
    wire.open.set()
    await asyncio.gather(quiet, *crowd)
    found = [number for number, tenants in enumerate(wire.asked) if "quiet" in tenants]
    assert found[0] - under_way <= 1
    assert max(map(len, wire.asked)) == (MEMBERS if cheap else 1)


@pytest.mark.parametrize("seconds", [0.1, 5.0])
async def test_a_search_whose_time_is_over_before_it_begins_has_run_out_of_time_like_any_other(seconds: float) -> None:
    asked: list[str] = []
    error = {
        "type": "search_phase_execution_exception", "reason": "all shards failed",
        "failed_shards": [{"shard": 0, "reason": {"type": "time_exceeded_exception", "reason": None}}],
    }  # fmt: skip

    async def send(payload: bytes) -> dict[str, Any]:
        asked.append(orjson.loads(payload.splitlines()[1])["timeout"])
        return {"responses": [{"error": error, "status": 500}]}

    page = await Searches(send).run(search("tenant", cheap=True, pooled=True), seconds)
    assert page["timed_out"]
    assert asked == (["250ms"] if seconds < SHARED_SECONDS else ["250ms", "5000ms"]), "it is tried with its whole time"
    with pytest.raises(Fault, match="took longer"):
        page_of(page, seconds, partial=True)


WHOLE = {"total": 2, "successful": 2, "failed": 0}
LOST = {"type": "search_context_missing_exception", "reason": "No search context found for id [1]"}


async def at(moment: Moment, response: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Search at a moment; return what the engine answers, and the lines that it was sent."""
    lines: list[Any] = []

    async def send(payload: bytes) -> dict[str, Any]:
        lines.extend(map(orjson.loads, payload.splitlines()))
        return {"responses": [response]}

    return await Searches(send).run(Search("docs", "a", b'{"size":1}', cheap=False, moment=moment), 5.0), lines


async def test_a_search_at_a_moment_names_no_index_and_keeps_the_id_that_it_is_told() -> None:
    moment = Moment("before", "9000ms", 1)
    answer, (head, body) = await at(moment, {"pit_id": "after", "timed_out": False, "_shards": WHOLE})
    assert not answer["timed_out"]
    assert head.keys() == {"request_cache"}
    assert body == {"timeout": "5000ms", "pit": {"id": "before", "keep_alive": "9000ms"}, "size": 1}
    assert moment.id == "after"


@pytest.mark.parametrize(
    "response",
    [
        {"error": {"type": "search_phase_execution_exception", "root_cause": [LOST]}, "status": 404},
        {"error": {"type": "index_not_found_exception", "reason": "no such index"}, "status": 404},
        {"error": {"type": "index_closed_exception", "reason": "closed"}, "status": 400},
        {"timed_out": False, "_shards": WHOLE | {"successful": 1, "failed": 1, "failures": [{"reason": LOST}]}},
    ],
)
async def test_a_moment_that_is_gone_wholly_or_in_part_is_said_to_be(response: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        await at(Moment("p", "9000ms", 1), response)
    assert caught.value.error_type == MOMENT_GONE
