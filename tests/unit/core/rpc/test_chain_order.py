# SPDX-License-Identifier: Apache-2.0
"""The chain's order is asserted, and an RPC without a rule stops the process."""

from __future__ import annotations

import pytest

from pinakes.core.identity.permissions import RULES
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.chain import ORDER, Chain, Link, Proceed
from pinakes.core.rpc.server import FILES, check_rules


def link(name: str) -> Link:
    """Return a link of a name that does nothing."""

    async def pass_on(_call: Call, proceed: Proceed) -> bytes:
        return await proceed()

    pass_on.__name__ = name
    return pass_on


def test_a_chain_in_the_order_is_built() -> None:
    Chain(tuple(link(name) for name in ORDER), 0)


@pytest.mark.parametrize(
    "names",
    [
        (),
        ORDER[:-1],
        (*ORDER, "another"),
        tuple(reversed(ORDER)),
        tuple("limit" if name == "authenticate" else "authenticate" if name == "limit" else name for name in ORDER),
    ],
)
def test_a_chain_in_another_order_is_not_built(names: tuple[str, ...]) -> None:
    with pytest.raises(RuntimeError, match="must be request_id, log"):
        Chain(tuple(link(name) for name in names), 0)


def test_who_calls_is_known_before_a_message_is_read_and_its_names_are_judged_after() -> None:
    place = {name: position for position, name in enumerate(ORDER)}
    assert place["errors"] < place["authenticate"] < place["limit"] < place["decode"]
    assert place["decode"] < place["validate"] < place["authorize"] == len(ORDER) - 1


def test_every_rpc_of_the_contract_has_a_rule() -> None:
    methods = set()
    for file in FILES:
        for service in file.services_by_name.values():
            check_rules(service)
            methods |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    assert methods == set(RULES)


def test_an_rpc_without_a_rule_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, "/pinakes.v1.SearchService/Search")
    search = next(f.services_by_name["SearchService"] for f in FILES if "SearchService" in f.services_by_name)
    with pytest.raises(SystemExit, match=r"SearchService\.Search"):
        check_rules(search)
