# SPDX-License-Identifier: Apache-2.0
"""How much a process holds of what it has asked for."""

from __future__ import annotations

from pinakes.core.limits.figures import KeyLimits
from tests.unit.core.limits._world import OTHER, Clock, alone, caller, tenant


async def test_what_is_filled_up_beside_another_limit_is_one_chunk_and_a_half_at_most() -> None:
    limiter, home = alone(Clock()), tenant(rate=1000.0)
    # Of the key's rate one token is held, so each call asks.
    budget = limiter.budget(caller(limits=KeyLimits(requests_per_second=20.0, burst=500.0)), home, OTHER)
    of_tenant = next(one for one in budget._counted if one.rate == 1000.0)
    held = []
    for _ in range(300):
        await budget.take(enter=False)
        held.append(of_tenant.tokens)
    assert 50 < max(held) <= 75
    await limiter.close()
