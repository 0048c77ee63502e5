# SPDX-License-Identifier: Apache-2.0
"""What the placement plan decides, and that carrying it out comes to rest."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from pinakes.core.placement.model import OWN, Facts, Plan, ShardFacts, TenantFacts, Thresholds, Why
from pinakes.core.placement.plan import make_plan, size

LIMITS = Thresholds(
    dedicated_documents=1000, dedicated_bytes=20_000, shard_bytes=40_000, pool_shards=1, pool_documents=5000, pool_tenants=10,
    fill=0.8, return_share=0.5, noise_share=0.5, noise_looks=3, noise_work=10.0, cooldown_ms=60_000, moves=2,
)  # fmt: skip
NOW = 1_800_000_000_000


def tenant(name: str, place: int = 0, documents: int = 10, bytes: int = 100, **more: object) -> TenantFacts:  # noqa: A002  # the field is named so
    return TenantFacts(tenant_id=name, uid=f"u-{name}", place=place, documents=documents, bytes=bytes, **more)  # type: ignore[arg-type]


def facts(*tenants: TenantFacts, pools: int = 1, shards: int = 1, extra_bytes: int = 0) -> Facts:
    """Return facts in which pools hold just these tenants; `extra_bytes` more in the first shard of pool 0."""
    held: dict[int, tuple[ShardFacts, ...]] = {}
    for number in range(pools):
        mine = [one for one in tenants if one.place == number]
        held[number] = tuple(
            ShardFacts(
                documents=sum(one.documents for one in mine if one.shard == shard),
                bytes=sum(one.bytes for one in mine if one.shard == shard) + extra_bytes * (number == 0 and shard == 0),
            )
            for shard in range(shards)
        )
    return Facts(NOW, held, tenants)


def moves(plan: Plan) -> dict[str, tuple[int, Why]]:
    return {move.tenant_id: (move.target, move.why) for move in plan.moves}


def test_tenants_with_more_than_a_pool_is_for_get_an_index_of_their_own() -> None:
    plan = make_plan(facts(tenant("many", documents=1000), tenant("large", bytes=20_000), tenant("small")), LIMITS)
    assert moves(plan) == {"many": (OWN, Why.DOCUMENTS), "large": (OWN, Why.BYTES)}
    assert {move.tenant_id: move.reason for move in plan.moves} == {
        "large": "takes 19.5 KiB; from 19.5 KiB on a tenant gets an index of its own",
        "many": "has 1,000 documents; from 1,000 on a tenant gets an index of its own",
    }
    assert [move.tenant_id for move in plan.now] == ["large", "many"], "the largest first"


def test_just_below_every_threshold_nothing_moves() -> None:
    plan = make_plan(facts(tenant("a", documents=999, bytes=19_999), *(tenant(f"t{n}") for n in range(5))), LIMITS)
    assert plan.moves == ()
    assert plan.opens == {}


def test_a_tenant_with_an_index_of_its_own_comes_back_only_well_below_what_it_left_for() -> None:
    def of(documents: int, **more: object) -> dict[str, tuple[int, Why]]:
        own = tenant("own", OWN, documents=documents, **more)
        return moves(make_plan(facts(own, tenant("x")), LIMITS))

    assert of(999, returns=True) == of(500, returns=True) == {}
    assert of(499, returns=True) == {"own": (0, Why.SMALL)}
    assert of(10, returns=False) == {}, "somebody asked for that index"
    assert of(10, returns=True, noise=0.3) == of(10, returns=True, noisy_looks=1) == {}
    assert of(10, returns=True, noise=0.2) == {"own": (0, Why.SMALL)}


def test_the_largest_tenant_of_a_shard_that_is_too_large_gets_an_index_of_its_own_if_it_would_stay_there() -> None:
    large = make_plan(facts(tenant("half", bytes=10_000), tenant("b", bytes=9_999), extra_bytes=30_001), LIMITS)
    assert moves(large)["half"] == (OWN, Why.SHARD)
    assert large.moves[0].reason.startswith("takes 9.8 KiB of a shard of 48.8 KiB in pool 0")
    none = make_plan(facts(*(tenant(f"t{n}", bytes=8_500) for n in range(5))), LIMITS)
    assert {why for _, why in moves(none).values()} == {Why.FULL}


def test_a_tenant_that_makes_most_of_the_work_for_several_looks_in_a_row_gets_an_index_of_its_own() -> None:
    noisy = tenant("noisy", noise=0.7, noisy_looks=3)
    assert moves(make_plan(facts(noisy, tenant("x")), LIMITS)) == {"noisy": (OWN, Why.NOISE)}
    assert moves(make_plan(facts(replace(noisy, noisy_looks=2), tenant("x")), LIMITS)) == {}


@pytest.mark.parametrize("measure", ["tenants", "documents", "bytes"])
def test_a_full_pool_is_brought_down_to_its_fill_mark_with_few_moves_into_one_that_has_room(measure: str) -> None:
    held = {
        "tenants": [tenant(f"t{n}", bytes=100 + n) for n in range(10)],
        "documents": [tenant(f"t{n}", documents=900) for n in range(5)] + [tenant(f"s{n}", documents=300) for n in range(2)],
        "bytes": [tenant(f"t{n}", bytes=9_000) for n in range(4)] + [tenant(f"s{n}", bytes=3_000) for n in range(2)],
    }[measure]  # fmt: skip
    plan = make_plan(facts(*held, tenant("there", 1), pools=2), LIMITS)
    assert plan.opens == {}
    assert {(target, why) for target, why in moves(plan).values()} == {(1, Why.FULL)}
    expected = {"tenants": {"t0", "t1"}, "documents": {"t4", "s1"}, "bytes": {"t3", "s1"}}[measure]
    assert len(plan.moves) == len(expected)
    if measure == "tenants":
        assert set(moves(plan)) == expected, "those that cost least"
    assert f"{measure if measure != 'bytes' else 'shard'}" in plan.moves[0].reason


def test_a_full_pool_is_split_into_a_new_one_where_no_other_has_room() -> None:
    plan = make_plan(facts(*(tenant(f"t{n}") for n in range(12))), LIMITS)
    assert {target for target, _ in moves(plan).values()} == {1}
    assert plan.opens == {1: "pool 0 is full: 12 of 10 tenants"}
    assert len(plan.moves) == 4
    assert [move.waits for move in plan.moves] == ["", "", *["2 at once is the most"] * 2]


def test_a_pool_that_was_full_is_brought_down_to_its_mark_though_it_is_not_full_any_more() -> None:
    nine = facts(*(tenant(f"t{n}") for n in range(9)), tenant("there", 1), pools=2)
    assert make_plan(nine, LIMITS).moves == (), "it wasn't full"
    assert not make_plan(nine, LIMITS).pools[0].draining
    going_on = make_plan(replace(nine, draining=frozenset({0})), LIMITS)
    assert len(going_on.moves) == 1
    assert going_on.moves[0].reason == "pool 0 was full: 9 of 10 tenants; it is brought down to 80%"
    assert going_on.pools[0].draining
    done = facts(*(tenant(f"t{n}") for n in range(8)), pools=2)
    at_mark = make_plan(replace(done, draining=frozenset({0})), LIMITS)
    assert at_mark.moves == ()
    assert not at_mark.pools[0].draining


def test_a_pool_is_opened_when_all_are_filled_to_their_mark() -> None:
    at_mark = make_plan(facts(*(tenant(f"t{n}") for n in range(8))), LIMITS)
    assert at_mark.moves == ()
    assert at_mark.opens == {1: "every pool is filled to 80%, and new tenants need room"}
    assert [(pool.fill, pool.measure, pool.open) for pool in at_mark.pools] == [(0.8, "tenants", False)]


def test_only_tenants_of_the_shard_that_is_too_large_leave_a_pool_of_several() -> None:
    held = [tenant(f"a{n}", bytes=9_000, shard=0) for n in range(5)] + [
        tenant(f"b{n}", bytes=100, shard=1) for n in range(3)
    ]
    plan = make_plan(facts(*held, shards=2), LIMITS)
    assert {name[0] for name in moves(plan)} == {"a"}
    assert len(plan.moves) == 2


def test_a_tenant_that_was_moved_lately_rests_and_others_go_in_its_place() -> None:
    lately = NOW - 59_000
    big = make_plan(facts(tenant("big", documents=2000, moved_ms=lately), tenant("x")), LIMITS)
    assert [move.waits for move in big.moves] == [f"it was moved lately, and rests until {'2027-01-15 08:00 UTC'}"]
    assert big.now == ()
    rested = make_plan(facts(tenant("big", documents=2000, moved_ms=NOW - 60_000)), LIMITS)
    assert len(rested.now) == 1
    full = make_plan(facts(*(tenant(f"t{n}", moved_ms=lately if n < 8 else 0) for n in range(12))), LIMITS)
    assert set(moves(full)) == {"t8", "t9", "t10", "t11"}


def test_tenants_on_the_move_count_where_they_go_and_against_those_at_once() -> None:
    held = [tenant(f"t{n}") for n in range(8)]
    going = [tenant("g0", target=1), tenant("g1", target=1)]
    plan = make_plan(facts(*held, *going, tenant("big", documents=1500), pools=2), LIMITS)
    assert [one.tenant_id for one in plan.running] == ["g0", "g1"]
    assert [(pool.number, pool.tenants) for pool in plan.pools] == [(0, 9), (1, 2)]
    assert moves(plan) == {"big": (OWN, Why.DOCUMENTS)}
    assert plan.now == ()


def test_a_tenant_that_no_pool_could_hold_below_its_mark_stays_where_it_is() -> None:
    plan = make_plan(
        facts(tenant("giant", documents=900), tenant("y", documents=10), extra_bytes=0),
        replace(LIMITS, pool_documents=900),
    )
    assert "giant" not in moves(plan)


def test_carrying_plans_out_comes_to_rest_below_every_mark() -> None:
    """Whatever the sizes are: plans end, nothing is moved twice for the same sizes, and no pool stays full."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(30):
        tenants = {
            f"t{n}": tenant(
                f"t{n}", dice.choice([0, 0, 0, 1, OWN]), documents=int(dice.paretovariate(0.7) * 10) % 1500,
                bytes=int(dice.paretovariate(0.7) * 200) % 25_000, returns=dice.random() < 0.8,
            )
            for n in range(dice.randrange(1, 60))
        }  # fmt: skip
        pools, moved = 2, [0]
        draining: frozenset[int] = frozenset()
        for _ in range(200):
            plan = make_plan(replace(facts(*tenants.values(), pools=pools), draining=draining), LIMITS)
            draining = frozenset(pool.number for pool in plan.pools if pool.draining)
            pools += len(plan.opens)
            for move in plan.now:
                tenants[move.tenant_id] = replace(tenants[move.tenant_id], place=move.target)
            moved.append(len(plan.now))
            if not plan.moves:
                break
        else:
            pytest.fail("it goes on and on")
        assert sum(moved) <= len(tenants), "each at most once"
        assert all(pool.fill < 1 for pool in plan.pools)
        assert not plan.opens


def test_a_plan_over_ten_thousand_tenants_is_made_at_once_and_is_the_same_each_time() -> None:
    limits = replace(LIMITS, pool_tenants=3000, pool_documents=1_000_000, shard_bytes=1 << 30, moves=5)
    many = facts(*(tenant(f"t{n}", n % 2, documents=n % 50, bytes=n) for n in range(10_000)), pools=2)
    first, second = make_plan(many, limits), make_plan(many, limits)
    assert first == second
    assert len(first.now) == 5
    for before, after in pairwise(sorted(first.opens)):
        assert after == before + 1


def test_sizes_are_told_in_units_that_people_read() -> None:
    assert [size(n) for n in (0, 1023, 1024, 20 << 30, 3 << 41)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "20.0 GiB",
        "6.0 TiB",
    ]
