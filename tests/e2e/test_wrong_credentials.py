# SPDX-License-Identifier: Apache-2.0
"""A flood of calls without a valid credential is turned away at the front door by its address, and nobody who has passed."""

from __future__ import annotations

import http.client
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import grpc
import pytest

from pinakes.core.identity import keys
from pinakes.core.identity.lookups import EXHAUSTED
from pinakes.local import Platform
from pinakes.v1 import index_pb2
from tests.e2e.test_json import DOCUMENTS
from tests.wire import INDEX, ROLES, Door, Home, home, new_key

LIST = INDEX + "ListDocuments"
REASON = "ADDRESS_LIMIT_EXCEEDED"
PER_SECOND, AT_ONCE = 50, 500
"""As `turned_away.lua` has them, for each of Envoy's two threads."""

AT_A_TIME = 8


@pytest.fixture(scope="module")
def door(platform: Platform) -> Iterator[Door]:
    """Connect, once: a connection is of one of Envoy's threads."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def own(door: Door, platform: Platform) -> Iterator[Home]:
    """Give a tenant."""
    with home(door, platform.admin_key, "wrong") as made:
        yield made
    time.sleep(1.1)  # what comes after this has no part in the flood


def read(own: Home) -> index_pb2.ListDocumentsRequest:
    return index_pb2.ListDocumentsRequest(parent=own.default)


def refused_by_server(platform: Platform) -> int:
    """Return how many reads the index server has refused as unknown, or without a look-up."""
    with urllib.request.urlopen(f"http://{platform.address('index-metrics')}/metrics") as answer:
        text = answer.read().decode()
    pattern = r'^pinakes_rpc_seconds_count{.*code="(?:UNAUTHENTICATED|UNAVAILABLE)",method="ListDocuments".*} (\S+)$'
    return int(sum(map(float, re.findall(pattern, text, re.MULTILINE))))


def flood(door: Door, own: Home, calls: int, known: str = "") -> Counter[str]:
    """Send calls with keys that were never given out, and with a known one now and then, which passes; count the reasons.

    Several at once, so that a slow machine sends more than are let through, too.
    """

    def send(number: int) -> str:
        if known and number % 20 == 0:
            assert door.tried(LIST, read(own), known) is None
        refusal = door.tried(LIST, read(own), keys.generate().text)
        return refusal.reason if refusal else "OK"

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return Counter(pool.map(send, range(calls)))


@contextmanager
def flooding(door: Door, own: Home) -> Iterator[None]:
    """Flood the door meanwhile."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            door.tried(LIST, read(own), keys.generate().text)

    flood(door, own, 2 * AT_ONCE)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sending = [pool.submit(send) for _ in range(AT_A_TIME)]
        try:
            yield
        finally:
            over.set()
    for one in sending:
        one.result()


def by_json(connection: http.client.HTTPConnection, **headers: str) -> int:
    """Return the HTTP status of a read with a key that was never given out."""
    authorization = f"Bearer {keys.generate().text}"
    connection.request("GET", DOCUMENTS, headers={"authorization": authorization, **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_flood_reaches_the_servers_to_a_bound_and_who_has_passed_is_let_in_beside_it(
    door: Door, own: Home, platform: Platform
) -> None:
    assert door.tried(LIST, read(own), own.service) is None
    before, began = refused_by_server(platform), time.monotonic()
    told = flood(door, own, 2500, own.service)
    most = AT_ONCE + PER_SECOND * (time.monotonic() - began) + AT_A_TIME
    reached = refused_by_server(platform) - before
    assert set(told) <= {"API_KEY_UNKNOWN", EXHAUSTED, REASON}
    assert told.total() - told[REASON] == reached
    assert AT_ONCE <= reached <= most
    assert told[REASON] > 500


def test_a_key_that_has_not_passed_yet_is_told_to_come_again_and_passes_then(
    door: Door, own: Home, platform: Platform
) -> None:
    made = [new_key(door, platform.admin_key, own.tenant_id, ROLES.ROLE_SERVICE).secret for _ in range(20)]
    with flooding(door, own):
        # Now and then one is let through, and has passed from then on.
        tried = ((key, door.tried(LIST, read(own), key)) for key in made)
        new, refusal = next((key, found) for key, found in tried if found is not None and found.reason == REASON)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "without a valid credential" in refusal.message
    assert refusal.request_id
    time.sleep(1.1)
    for _ in range(PER_SECOND // 2):
        assert door.tried(LIST, read(own), new) is None
    flood(door, own, 2 * AT_ONCE, new)


def test_what_anybody_may_ask_for_lets_no_credential_pass(door: Door, own: Home) -> None:
    """Health is told to all, whatever they bring; so is that there is no such method."""
    key = keys.generate().text
    metadata = (("authorization", f"Bearer {key}"),)
    for method in ("/grpc.health.v1.Health/Check", INDEX + "NoSuchMethod", "/no/Method"):
        call = door._channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        try:
            call(b"", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            assert method != "/grpc.health.v1.Health/Check", error
    call = door._channel.unary_unary(
        "/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None
    )
    with flooding(door, own):
        refusals = [door.tried(LIST, read(own), key) for _ in range(50)]
        for _ in range(20):
            assert call(b"", timeout=20), "whoever watches the platform is told of it"
    assert None not in refusals
    assert REASON in {refusal.reason for refusal in refusals if refusal is not None}


def test_another_address_is_not_turned_away_and_none_is_another_by_what_it_says(platform: Platform) -> None:
    statuses = Counter[int]()
    flooding, other = (
        http.client.HTTPConnection(platform.endpoint, timeout=20, source_address=(source, 0))
        for source in ("127.0.0.3", "127.0.0.2")
    )
    with closing(flooding), closing(other):
        for number in range(4 * AT_ONCE):
            statuses[by_json(flooding, **{"x-forwarded-for": f"10.0.{number % 250}.1"})] += 1
            if number % 100 == 0:
                assert by_json(other) in {401, 503}
    assert set(statuses) <= {401, 429, 503}
    assert statuses[429] > AT_ONCE / 2
