# SPDX-License-Identifier: Apache-2.0
"""What the front door is told of a refusal, and what is believed of what it tells."""

from __future__ import annotations

import pytest
from google.rpc import status_pb2

from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.refusals import refusal
from pinakes.core.rpc.errors import status_of
from pinakes.core.rpc.turned_away import closing, count_turned_away
from pinakes.core.telemetry import metrics

RATES = (Limit.REQUESTS, Limit.SEARCH_COST, Limit.DOCUMENTS_RATE, Limit.BYTES_RATE)


def counted(limit: Limit) -> float:
    """Return how many refusals by a limit were counted."""
    value: float = metrics.LIMITED.labels(limit.value, "refused")._value.get()
    return value


@pytest.mark.parametrize("limit", Limit)
def test_only_a_rate_closes_the_door(limit: Limit) -> None:
    fault = refusal(limit, 5, "tenant", 0.25)
    if limit not in RATES:
        assert closing(fault) == ()
        return
    told = dict(closing(fault))
    assert told["x-pinakes-closed"] == f"250 {limit.value}"
    assert status_pb2.Status.FromString(bytes.fromhex(told["x-pinakes-closed-status"])) == status_of(fault)


def test_other_refusals_close_no_door() -> None:
    assert closing(Fault(Kind.UNAVAILABLE, "UNAVAILABLE", "away", retry_after=1.0)) == ()
    assert closing(refusal(Limit.REQUESTS, 5, "tenant", None)) == ()
    assert dict(closing(refusal(Limit.REQUESTS, 5, "tenant", 1e-6)))["x-pinakes-closed"].startswith("1 ")


def test_the_refusals_of_the_front_door_are_counted() -> None:
    before = counted(Limit.SEARCH_COST)
    count_turned_away({"x-pinakes-turned-away": "41 search_cost_per_second"})
    assert counted(Limit.SEARCH_COST) == before + 41


@pytest.mark.parametrize(
    "told",
    ["", "x", "5", "-5 requests_per_second", "1e3 requests_per_second", "5  requests_per_second", b"5 requests_per_second",
     "5 documents", "5 nothing", "9999999999 requests_per_second", "٣ requests_per_second"],
)  # fmt: skip
def test_what_is_told_wrongly_counts_for_nothing(told: object) -> None:
    before = [counted(limit) for limit in Limit]
    count_turned_away({"x-pinakes-turned-away": told})
    assert [counted(limit) for limit in Limit] == before
