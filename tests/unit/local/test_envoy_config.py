# SPDX-License-Identifier: Apache-2.0
"""The front door's configuration: what must hold for every installation."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from pinakes.local.descriptors import descriptor_set
from pinakes.local.envoy_config import OPERATIONS, SERVICES, STREAMS, Address, FrontDoor, bootstrap, render
from pinakes.v1 import index_pb2


@pytest.fixture
def door() -> FrontDoor:
    """Give a front door as a cluster would have it."""
    return FrontDoor(
        listen=Address("0.0.0.0", 8080),
        admin=Address("127.0.0.1", 9901),
        upstreams={name: Address(f"pinakes-{name}", 7300) for name in SERVICES},
        descriptors="/etc/envoy/descriptors.binpb",
        dns=True,
    )


def _manager(door: FrontDoor) -> Any:
    return bootstrap(door)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def test_yaml_is_the_same_as_the_data(door: FrontDoor) -> None:
    assert yaml.safe_load(render(door)) == bootstrap(door)


def test_every_service_has_a_route_to_its_own_server(door: FrontDoor) -> None:
    routes = _manager(door)["route_config"]["virtual_hosts"][0]["routes"]
    found = {route["match"].get("prefix"): route["route"]["cluster"] for route in routes if "route" in route}
    assert {f"/{service}/": name for name, service in SERVICES.items()}.items() <= found.items()
    assert found[f"/{OPERATIONS}/"] == "tenant"
    assert {*SERVICES.values(), OPERATIONS} == set(_manager(door)["http_filters"][2]["typed_config"]["services"])


def test_a_stream_of_the_contract_is_not_cut_for_being_silent_or_long(door: FrontDoor) -> None:
    streams = {
        f"/{service.full_name}/{method.name}"
        for service in index_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.client_streaming
    }
    assert set(STREAMS) == streams
    routes = _manager(door)["route_config"]["virtual_hosts"][0]["routes"]
    found = {route["match"].get("path"): route["route"] for route in routes if "route" in route}
    for path in streams:
        assert (found[path]["timeout"], found[path]["idle_timeout"]) == ("0s", "0s")
        # Before the route of its whole service.
        assert next(route for route in routes if path.startswith(tuple(route["match"].values())))["match"] == {
            "path": path
        }


def test_only_attempts_that_never_reached_a_server_are_repeated(door: FrontDoor) -> None:
    routes = _manager(door)["route_config"]["virtual_hosts"][0]["routes"]
    policies = {route["route"]["retry_policy"]["retry_on"] for route in routes if "route" in route}
    assert policies == {"connect-failure,refused-stream"}


def test_cross_origin_is_decided_before_json_is_read_and_the_router_is_last(door: FrontDoor) -> None:
    names = [entry["name"].rpartition(".")[2] for entry in _manager(door)["http_filters"]]
    assert names == ["cors", "grpc_web", "grpc_json_transcoder", "lua", "router"]


def test_unknown_methods_and_query_parameters_are_refused(door: FrontDoor) -> None:
    transcoder = _manager(door)["http_filters"][2]["typed_config"]
    assert all(transcoder["request_validation_options"].values())
    assert transcoder["convert_grpc_status"] is True


def test_a_server_that_starts_late_is_found_within_a_second(door: FrontDoor) -> None:
    checks = [cluster["health_checks"][0] for cluster in bootstrap(door)["static_resources"]["clusters"]]
    assert {check["no_traffic_interval"] for check in checks} == {"1s"}
    assert {check["grpc_health_check"]["service_name"] for check in checks} == set(SERVICES.values())


def test_names_are_resolved_by_dns_and_addresses_are_not(door: FrontDoor) -> None:
    assert {cluster["type"] for cluster in bootstrap(door)["static_resources"]["clusters"]} == {"STRICT_DNS"}


def test_the_descriptor_set_has_every_service_the_error_details_and_imports_first() -> None:
    files = FileDescriptorSet.FromString(descriptor_set()).file
    services = {f"{file.package}.{service.name}" for file in files for service in file.service}
    messages = {f"{file.package}.{message.name}" for file in files for message in file.message_type}
    assert set(SERVICES.values()) <= services
    assert {"google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"} <= messages
    seen: set[str] = set()
    for file in files:
        assert set(file.dependency) <= seen
        seen.add(file.name)
