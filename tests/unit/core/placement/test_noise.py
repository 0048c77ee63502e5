# SPDX-License-Identifier: Apache-2.0
"""Whose work is too much for a pool, and who is only the busiest of a quiet one."""

from __future__ import annotations

from pinakes.core.placement.memory import NoiseNote
from pinakes.core.placement.model import OWN, TenantFacts
from pinakes.core.placement.noise import Totals, Work, noise
from tests.unit.core.placement.test_plan import LIMITS, tenant

POOL = (tenant("a"), tenant("b"), tenant("c", 1))


def over_ten_seconds(
    *tenants: TenantFacts, last: dict[str, NoiseNote] | None = None, **done: Work
) -> dict[str, NoiseNote]:
    """Return what follows from this work in ten seconds."""
    before = Totals(0.0, {f"u-{name}": Work(1000, 1000) for name in done})
    after = Totals(10.0, {f"u-{name}": Work(1000 + w.searches, 1000 + w.writes) for name, w in done.items()})
    return noise(before, after, tenants or POOL, last or {}, LIMITS)


def test_the_larger_part_of_searches_or_of_writes_counts() -> None:
    assert over_ten_seconds(a=Work(700, 0), b=Work(300, 0)) == {
        "u-a": NoiseNote(share=0.7, looks=1), "u-b": NoiseNote(share=0.3, looks=0),
    }  # fmt: skip
    assert over_ten_seconds(a=Work(0, 900), b=Work(500, 100))["u-a"] == NoiseNote(share=0.9, looks=1)


def test_looks_are_counted_in_a_row() -> None:
    last = {"u-a": NoiseNote(share=0.9, looks=2), "u-b": NoiseNote(share=0.9, looks=2)}
    found = over_ten_seconds(a=Work(700, 0), b=Work(300, 0), last=last)
    assert (found["u-a"].looks, found["u-b"].looks) == (3, 0)


def test_nobody_is_noisy_in_a_quiet_pool_or_alone_in_one() -> None:
    assert over_ten_seconds(a=Work(99, 99), b=Work(0, 0)) == {}
    assert over_ten_seconds(c=Work(10_000, 10_000)) == {}


def test_a_tenant_with_an_index_of_its_own_is_measured_as_if_it_were_in_a_pool() -> None:
    own = tenant("own", OWN)
    assert over_ten_seconds(own, *POOL, own=Work(400, 0), a=Work(400, 0), c=Work(400, 0)) == {
        "u-own": NoiseNote(share=0.5, looks=1), "u-a": NoiseNote(share=1.0, looks=1),
    }  # fmt: skip


def test_a_new_day_is_no_work_below_nothing_and_a_new_tenant_counts_from_nothing() -> None:
    before, after = Totals(0.0, {"u-a": Work(5000, 0)}), Totals(10.0, {"u-a": Work(10, 0), "u-b": Work(200, 0)})
    assert noise(before, after, POOL, {}, LIMITS) == {"u-b": NoiseNote(share=1.0, looks=1)}
