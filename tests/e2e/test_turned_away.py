# SPDX-License-Identifier: Apache-2.0
"""A caller beyond a rate is refused by the front door itself until it may come again, and told the same as by a server."""

from __future__ import annotations

import http.client
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2, tenant_pb2
from tests.e2e.test_json import DOCUMENTS, Curl
from tests.wire import INDEX, TENANT, Door, Home, Refusal, home

LIST, GET = INDEX + "ListDocuments", INDEX + "BatchGetDocuments"
RATE = 2.0


@pytest.fixture(scope="module")
def door(platform: Platform) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


@contextmanager
def limited(door: Door, platform: Platform, rate: float = RATE) -> Iterator[Home]:
    """Give a tenant that may have so many requests a second; no server but the tenants' has seen it before."""
    with home(door, platform.admin_key, "gate") as own:
        request = tenant_pb2.UpdateTenantRequest(tenant=resources_pb2.Tenant(name=own.name, rate_limit=rate))
        request.update_mask.paths.append("rate_limit")
        door.call(TENANT + "UpdateTenant", request, platform.admin_key)
        yield own


def read(own: Home) -> index_pb2.ListDocumentsRequest:
    return index_pb2.ListDocumentsRequest(parent=own.default)


def metric(platform: Platform, name: str, **labels: str) -> float:
    """Return what the index server's metrics say."""
    with urllib.request.urlopen(f"http://{platform.address('index-metrics')}/metrics") as answer:
        text = answer.read().decode()
    lines = re.findall(rf"^{name}{{(.*)}} (\S+)$", text, re.MULTILINE)
    return sum(float(value) for found, value in lines if all(f'{key}="{of}"' in found for key, of in labels.items()))


def flood(door: Door, own: Home, key: str, seconds: float) -> tuple[int, list[Refusal]]:
    """Send reads for some time; return how many passed, and the refusals."""
    passed, refusals, end = 0, [], time.monotonic() + seconds
    while time.monotonic() < end:
        refusal = door.tried(LIST, read(own), key)
        if refusal is None:
            passed += 1
        else:
            refusals.append(refusal)
    return passed, refusals


def test_a_flood_reaches_the_servers_only_now_and_then(door: Door, platform: Platform) -> None:
    with limited(door, platform) as own:
        asked = metric(platform, "pinakes_rpc_seconds_count", method="ListDocuments", code="RESOURCE_EXHAUSTED")
        counted = metric(platform, "pinakes_limited_total", limit="requests_per_second", outcome="refused")
        passed, refusals = flood(door, own, own.service, 3.0)
        time.sleep(1.0)
        door.call(LIST, read(own), own.service)
        asked = metric(platform, "pinakes_rpc_seconds_count", method="ListDocuments", code="RESOURCE_EXHAUSTED") - asked
        counted = metric(platform, "pinakes_limited_total", limit="requests_per_second", outcome="refused") - counted
    assert len(refusals) > 100
    assert 1 <= asked < len(refusals) / 5, "each refusal cost a server a call"
    assert counted >= len(refusals), "what the front door refused isn't counted"
    burst = max(1.0, RATE)
    assert RATE * 3.0 * 0.5 <= passed <= burst + RATE * 3.0 + 3, "more or less passes than without the front door"
    assert {refusal.reason for refusal in refusals} == {"RATE_LIMIT_EXCEEDED"}
    assert len({refusal.request_id for refusal in refusals}) == len(refusals), "each has an id of its own"


def test_the_front_door_says_what_a_server_says(door: Door, platform: Platform) -> None:
    with limited(door, platform, 0.05) as own:
        call = door._channel.unary_unary(LIST, request_serializer=None, response_deserializer=None)
        metadata = (("authorization", f"Bearer {own.service}"), ("x-request-id", "mine-12345678"))
        told = []
        for _ in range(20):
            try:
                call(read(own).SerializeToString(), metadata=metadata)
            except grpc.RpcError as error:
                told.append(dict(error.trailing_metadata() or ()))  # type: ignore[attr-defined]  # a failed call is a call too
        of_server, *of_door = told
        waits = [retry_ms(one["grpc-status-details-bin"]) for one in told]
        assert waits == sorted(waits, reverse=True), "the time that is left grows less"
        assert waits[-1] < waits[0]
        assert len(of_door) > 10
        for one in of_door:
            assert one["x-request-id"] == "mine-12345678"
            for name in ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"):
                assert one[name] == of_server[name]
        assert not [name for one in told for name in one if "closed" in name], "what is for the front door stays there"
        first, last = (door.refusal(LIST, read(own), own.service) for _ in range(2))
        assert (first.code, first.message, first.reason) == (last.code, last.message, last.reason)
        assert kinds(first) == kinds(last) == {"ErrorInfo", "QuotaFailure", "RetryInfo"}
        answer = Curl(platform.endpoint, own.service)("GET", DOCUMENTS)
        assert answer.status == 429
        body = answer.json
        assert (body["code"], body["message"]) == (8, first.message)
        assert {detail["@type"].rpartition(".")[2] for detail in body["details"]} == kinds(first) | {"RequestInfo"}


def test_a_browser_is_told_too(door: Door, platform: Platform) -> None:
    with limited(door, platform, 0.05) as own:
        assert flood(door, own, own.service, 0.2)[1]
        data = read(own).SerializeToString()
        headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {own.service}"}
        connection = http.client.HTTPConnection(platform.endpoint, timeout=5)
        for _ in range(3):
            connection.request("POST", LIST, b"\0" + len(data).to_bytes(4) + data, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            assert answer.getheader("grpc-status") == "8"
            assert "requests a second" in unquote(answer.getheader("grpc-message") or "")
            assert answer.getheader("grpc-status-details-bin")
            assert answer.getheader("connection") != "close", "each refusal costs a browser its connection"
            assert not [name for name, _ in answer.getheaders() if "closed" in name]
        connection.close()


def kinds(refusal: Refusal) -> set[str]:
    """Return the kinds of a refusal's details."""
    return {any_pb2.Any.FromString(detail).type_url.rpartition(".")[2] for detail in refusal.details}


def retry_ms(details: bytes) -> int:
    """Return the milliseconds after which it is worth coming again."""
    found = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(details).details:
        detail.Unpack(found)
    milliseconds: int = found.retry_delay.ToMilliseconds()
    return milliseconds


def test_one_credential_is_one_caller_however_it_is_spelt(door: Door, platform: Platform) -> None:
    with limited(door, platform, 0.05) as own:
        assert flood(door, own, own.service, 0.2)[1]
        asked = metric(platform, "pinakes_rpc_seconds_count", method="ListDocuments")
        call = door._channel.unary_unary(LIST, request_serializer=None, response_deserializer=None)
        for spelling in ("bearer ", "BEARER ", "Bearer  ", "bEARER    "):
            with pytest.raises(grpc.RpcError) as caught:
                call(read(own).SerializeToString(), metadata=(("authorization", spelling + own.service),))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]  # a call
        assert metric(platform, "pinakes_rpc_seconds_count", method="ListDocuments") <= asked + 1


def test_nobody_else_is_turned_away(door: Door, platform: Platform) -> None:
    with limited(door, platform, 0.05) as own, home(door, platform.admin_key, "gate") as other:
        assert flood(door, own, own.service, 0.2)[1]
        for _ in range(20):
            door.call(LIST, read(other), other.service)
            assert door.refusal(LIST, read(other), own.service).code is grpc.StatusCode.RESOURCE_EXHAUSTED
        got = door.refusal(GET, index_pb2.BatchGetDocumentsRequest(parent=own.default), own.service)
        assert got.reason == "RATE_LIMIT_EXCEEDED", "a server says that of another method"


def test_what_callers_say_of_turned_away_calls_counts_for_nothing(door: Door, platform: Platform) -> None:
    with home(door, platform.admin_key, "gate") as own:
        before = metric(platform, "pinakes_limited_total", outcome="refused")
        call = door._channel.unary_unary(LIST, request_serializer=None, response_deserializer=None)
        for value in ("1000 requests_per_second", "x", "-1 requests_per_second", "9 nothing"):
            metadata = (("authorization", f"Bearer {own.service}"), ("x-pinakes-turned-away", value))
            call(read(own).SerializeToString(), metadata=metadata)
        assert metric(platform, "pinakes_limited_total", outcome="refused") == before


def test_a_place_that_may_be_free_at_once_closes_no_door(door: Door, platform: Platform) -> None:
    with home(door, platform.admin_key, "gate") as own:
        request = tenant_pb2.UpdateTenantRequest(tenant=resources_pb2.Tenant(name=own.name))
        request.tenant.limits.concurrent_requests = 1
        request.update_mask.paths.append("limits")
        door.call(TENANT + "UpdateTenant", request, platform.admin_key)
        stream = door.open_stream(INDEX + "StreamWriteDocuments", own.service)
        stream.send(index_pb2.StreamWriteDocumentsRequest(parent=own.default).SerializeToString())
        next(iter(stream.answers))
        assert door.refusal(LIST, read(own), own.service).reason == "CONCURRENCY_LIMIT_EXCEEDED"
        stream.close()
        assert list(stream.answers) == []
        end = time.monotonic() + 5.0
        while True:
            try:
                door.call(LIST, read(own), own.service)
                break
            except grpc.RpcError:
                assert time.monotonic() < end
                time.sleep(0.02)
