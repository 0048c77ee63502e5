# SPDX-License-Identifier: Apache-2.0
"""What the front door is told of a refusal, and what is believed of what it tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import RULES, Audit, Role
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.refusals import refusal
from pinakes.core.rpc.turned_away import closing, count_turned_away
from pinakes.core.telemetry import metrics

RATES = (Limit.REQUESTS, Limit.SEARCH_COST, Limit.DOCUMENTS_RATE, Limit.BYTES_RATE)
SEARCH = "/pinakes.v1.SearchService/Search"


def call(method: str = SEARCH, role: Role = Role.SERVICE, number: int = 0, **metadata: object) -> Any:
    """Return what is looked at of a call."""
    told = {name.replace("_", "-"): value for name, value in metadata.items()}
    return SimpleNamespace(method=method, number=number, metadata=told, principal=SimpleNamespace(role=role))


def counted(limit: Limit) -> float:
    """Return how many refusals by a limit were counted."""
    value: float = metrics.LIMITED.labels(limit.value, "refused")._value.get()
    return value


@pytest.mark.parametrize("limit", Limit)
def test_only_a_rate_closes_the_door(limit: Limit) -> None:
    fault = refusal(limit, 5, "tenant", 0.25)
    if limit not in RATES:
        assert closing(call(), fault) == ()
        return
    told = dict(closing(call(), fault))
    assert told["x-pinakes-closed"] == f"250 {limit.value}"
    status = status_pb2.Status.FromString(bytes.fromhex(told["x-pinakes-closed-status"]))
    assert (status.code, status.message) == (8, fault.message)
    kinds = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert kinds == ["ErrorInfo", "QuotaFailure"], "the time that is left and the id are the front door's to say"
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (info.reason, info.metadata["limit"]) == (fault.reason, limit.value)


def test_other_refusals_close_no_door() -> None:
    assert closing(call(), Fault(Kind.UNAVAILABLE, "UNAVAILABLE", "away", retry_after=1.0)) == ()
    assert closing(call(), refusal(Limit.REQUESTS, 5, "tenant", None)) == ()
    assert dict(closing(call(), refusal(Limit.REQUESTS, 5, "tenant", 1e-6)))["x-pinakes-closed"].startswith("1 ")


@pytest.mark.parametrize("method", RULES)
def test_what_the_audit_log_takes_down_is_refused_by_servers_alone(method: str) -> None:
    fault = refusal(Limit.REQUESTS, 5, "tenant", 0.25)
    assert bool(closing(call(method), fault)) is (RULES[method].audit is Audit.DATA)
    assert closing(call(method, Role.ADMIN), fault) == ()


def test_a_later_message_of_a_stream_closes_nothing() -> None:
    assert closing(call(number=1), refusal(Limit.REQUESTS, 5, "tenant", 0.25)) == ()


def test_the_refusals_of_the_front_door_are_counted_once() -> None:
    before = counted(Limit.SEARCH_COST)
    for number in range(4):  # the messages of a stream have the metadata of its opening
        count_turned_away(call(number=number, x_pinakes_turned_away="41 search_cost_per_second"))
    assert counted(Limit.SEARCH_COST) == before + 41


@pytest.mark.parametrize(
    "told",
    ["", "x", "5", "-5 requests_per_second", "1e3 requests_per_second", "5  requests_per_second", b"5 requests_per_second",
     "5 documents", "5 nothing", "9999999999 requests_per_second", "٣ requests_per_second"],
)  # fmt: skip
def test_what_is_told_wrongly_counts_for_nothing(told: object) -> None:
    before = [counted(limit) for limit in Limit]
    count_turned_away(call(x_pinakes_turned_away=told))
    assert [counted(limit) for limit in Limit] == before
