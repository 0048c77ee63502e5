# SPDX-License-Identifier: Apache-2.0
"""Where new tenants go, and what is kept of a look."""

from __future__ import annotations

from collections import Counter

import orjson

from pinakes.core.placement.memory import Look, NoiseNote, PoolNote
from pinakes.core.placement.newcomers import choose


def look(*fills: tuple[float, bool]) -> Look:
    """Return a look at pools of these fills that are open or not."""
    pools = tuple(PoolNote(number=number, fill=fill, open=opened) for number, (fill, opened) in enumerate(fills))
    return Look(read_ms=1, pools=pools)


def test_a_new_tenant_comes_to_the_emptiest_pool_that_is_open() -> None:
    assert choose(Look(), Counter(), 100) == 0
    assert choose(look((0.5, True), (0.2, True), (0.1, False)), Counter(), 100) == 1
    assert choose(look((0.9, False), (0.85, False)), Counter(), 100) == 1, "where none is open"


def test_tenants_placed_since_the_look_count_so_that_they_spread() -> None:
    placed: Counter[int] = Counter()
    for _ in range(300):
        placed[choose(look((0.5, True), (0.0, True), (0.25, True)), placed, 100)] += 1
    assert placed == {0: 75, 1: 125, 2: 100}


def test_a_look_of_a_newer_version_is_read() -> None:
    kept = Look(
        read_ms=5,
        pools=(PoolNote(number=1, fill=0.5, open=True),),
        noise={"u": NoiseNote(share=0.6, looks=2)},
        own={"v": 7},
    )
    stored = orjson.loads(orjson.dumps(kept.to_json()))
    assert Look.from_json(stored) == kept
    stored["invented"] = 1
    stored["pools"][0]["invented"] = 1
    stored["noise"]["u"]["invented"] = 1
    assert Look.from_json(stored) == kept
    assert Look.from_json({}) == Look()
