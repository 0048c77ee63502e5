# SPDX-License-Identifier: Apache-2.0
"""The chain's order is asserted, and an RPC without a rule stops the process."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from pinakes.core.identity.permissions import RULES, Audit, Permission, Rule
from pinakes.core.rpc.call import Call
from pinakes.core.rpc.chain import ORDER, Chain, Link, Proceed
from pinakes.core.rpc.server import FILES, check_rules


def test_a_chain_in_the_order_is_built() -> None:
    Chain(tuple(Link(name) for name in ORDER), 0)


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
        Chain(tuple(Link(name) for name in names), 0)


def test_a_link_around_the_call_cannot_stand_inside_one_that_only_checks() -> None:
    async def pass_on(_call: Call, proceed: Proceed) -> bytes:
        return await proceed()

    with pytest.raises(RuntimeError, match="outermost"):
        Chain(tuple(Link(name, around=pass_on if name == "limit" else None) for name in ORDER), 0)


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


def test_an_rpc_that_streams_in_one_direction_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="planted.proto", package="planted")
    file.message_type.add(name="Message")
    method = file.service.add(name="Planted").method.add(name="Watch", server_streaming=True)
    method.input_type = method.output_type = ".planted.Message"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[attr-defined]  # published without it
    monkeypatch.setitem(RULES, "/planted.Planted/Watch", Rule(Permission.DOCUMENTS_READ, None, Audit.DATA))
    with pytest.raises(SystemExit, match=r"Planted\.Watch streams in one direction"):
        check_rules(pool.FindServiceByName("planted.Planted"))
