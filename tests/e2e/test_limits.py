# SPDX-License-Identifier: Apache-2.0
"""Limits and quotas at the front door: what is refused and how, what callers are told, and that a change holds at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2

from pinakes.client import AsyncClient, scoped_token
from pinakes.local import Platform
from pinakes.v1 import index_pb2, insights_pb2, limits_pb2, resources_pb2, search_pb2, tenant_pb2
from pinakes.v1.operations_pb2 import ImportDocumentsResponse, PurgeDocumentsRequest
from tests.e2e.test_json import DOCUMENTS, Curl
from tests.wire import INDEX, SEARCH, TENANT, Door, Home, Refusal, home, put, read_status

Outcome = index_pb2.WriteResult
Limits = limits_pb2.TenantLimits
APPLIED, ACCEPTED = index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_ACCEPTED
LimitedHome = Callable[..., Any]


@pytest.fixture(scope="module")
def door(platform: Platform) -> Iterator[Door]:
    """Connect."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture
def limited(door: Door, platform: Platform) -> LimitedHome:
    """Give what makes a tenant with limits; no server but the tenants' has seen it before they hold."""

    @contextmanager
    def make(rate: float = 0.0, **limits: Any) -> Iterator[Home]:
        with home(door, platform.admin_key, "limits") as made:
            change(door, platform, made, rate, **limits)
            yield made

    return make


def change(door: Door, platform: Platform, own: Home, rate: float = 0.0, **limits: Any) -> resources_pb2.Tenant:
    """Change a tenant's limits."""
    tenant = resources_pb2.Tenant(name=own.name, rate_limit=rate, limits=Limits(**limits))
    request = tenant_pb2.UpdateTenantRequest(tenant=tenant)
    request.update_mask.paths.extend(["rate_limit", "limits"])
    changed: resources_pb2.Tenant = door.call(TENANT + "UpdateTenant", request, platform.admin_key)
    return changed


def batch(
    own: Home, *ids: str, mode: index_pb2.WriteMode = APPLIED, body: str = ""
) -> index_pb2.BatchWriteDocumentsRequest:
    """Make a batch that writes documents whole."""
    request = index_pb2.BatchWriteDocumentsRequest(parent=own.default, mode=mode)
    for document_id in ids:
        request.writes.add(put=resources_pb2.Document(name=own.document(document_id), title="T", body=body))
    return request


def read(own: Home) -> index_pb2.ListDocumentsRequest:
    return index_pb2.ListDocumentsRequest(parent=own.default)


def until_refused(door: Door, own: Home, key: str, tries: int = 200) -> Refusal:
    """Send reads until one is refused."""
    for _ in range(tries):
        try:
            door.call(INDEX + "ListDocuments", read(own), key)
        except grpc.RpcError:
            return door.refusal(INDEX + "ListDocuments", read(own), key)
    message = f"none of {tries} was refused"
    raise AssertionError(message)


def told(refusal: Refusal) -> dict[str, Any]:
    """Return the details of a refusal by their kind."""
    found: dict[str, Any] = {}
    for data in refusal.details:
        for kind in ("ErrorInfo", "QuotaFailure", "RetryInfo"):
            if f"google.rpc.{kind}".encode() in data:
                packed = any_pb2.Any.FromString(data)
                found[kind] = getattr(error_details_pb2, kind)()
                packed.Unpack(found[kind])
    return found


def test_a_refusal_says_which_limit_its_value_and_when_to_come_again(door: Door, limited: LimitedHome) -> None:
    with limited(2) as own:
        refusal = until_refused(door, own, own.service)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED")
    details = told(refusal)
    assert dict(details["ErrorInfo"].metadata) == {
        "limit": "requests_per_second", "value": "2", "unit": "requests/s", "of": "tenant",
    }  # fmt: skip
    (violation,) = details["QuotaFailure"].violations
    assert (violation.subject, violation.description) == ("requests_per_second", refusal.message)
    assert 0 < details["RetryInfo"].retry_delay.ToMilliseconds() <= 500


def test_what_is_left_is_told_by_json_and_grpc_with_answers_and_refusals(
    door: Door, limited: LimitedHome, platform: Platform
) -> None:
    with limited(0.05, burst=6) as own:
        curl = Curl(platform.endpoint, own.service)
        answer = curl("GET", DOCUMENTS)
        assert answer.status == 200
        assert {name: value for name, value in answer.headers.items() if name.startswith("ratelimit-")} == {
            "ratelimit-limit": "6", "ratelimit-remaining": "5", "ratelimit-reset": "20",
        }  # fmt: skip
        written = curl("POST", f"{DOCUMENTS}?document_id=j", {"title": "T"})
        assert written.headers["ratelimit-remaining"] == "4"
        assert written.headers["x-pinakes-write-mode"] == "APPLIED"

        request, metadata = read(own).SerializeToString(), (("authorization", f"Bearer {own.service}"),)
        call = door._channel.unary_unary(INDEX + "ListDocuments", request_serializer=None, response_deserializer=None)
        _, done = call.with_call(request, metadata=metadata)
        assert dict(done.trailing_metadata())["ratelimit-remaining"] == "3"
        assert "ratelimit-remaining" not in dict(done.initial_metadata()), "headers of their own cost a message"
        until_refused(door, own, own.service)
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=metadata)
        refused = dict(caught.value.trailing_metadata())  # type: ignore[attr-defined]  # a failed call is a call too
        assert (refused["ratelimit-limit"], refused["ratelimit-remaining"]) == ("6", "0")
        answer = curl("GET", DOCUMENTS)
        assert answer.status == 429
        assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("6", "0")


def test_a_changed_limit_holds_everywhere_within_five_seconds(
    door: Door, limited: LimitedHome, platform: Platform
) -> None:
    with limited() as own:
        for _ in range(30):
            door.call(INDEX + "ListDocuments", read(own), own.service)
        changed = change(door, platform, own, 2.0, burst=3.0)
        began = time.monotonic()
        assert (changed.limits.in_force.requests_per_second, changed.limits.in_force.burst) == (2.0, 3.0)
        until_refused(door, own, own.service, 5000)
        assert time.monotonic() - began < 5.0
        change(door, platform, own)
        began, passed = time.monotonic(), 0
        while passed < 50:
            try:
                door.call(INDEX + "ListDocuments", read(own), own.service)
                passed += 1
            except grpc.RpcError:
                passed = 0
                assert time.monotonic() - began < 5.0
                time.sleep(0.05)


def test_get_tenant_shows_what_is_set_and_what_is_in_force(door: Door, limited: LimitedHome) -> None:
    with limited(50, documents=7, enforcement=Limits.ENFORCEMENT_DRY_RUN) as own:
        found = door.call(TENANT + "GetTenant", tenant_pb2.GetTenantRequest(name="tenants/-"), own.admin)
    assert (found.limits.documents, found.limits.collections) == (7, 0)
    force = found.limits.in_force
    assert (force.requests_per_second, force.burst, force.documents, force.dry_run) == (50, 50, 7, True)
    assert (force.collections, force.keys, force.bytes) == (100, 1000, 0)


def test_a_key_has_limits_of_its_own(door: Door, limited: LimitedHome) -> None:
    with limited() as own:
        key = resources_pb2.ApiKey(role=resources_pb2.ApiKey.ROLE_SERVICE)
        key.limits.requests_per_second = 1
        request = tenant_pb2.CreateApiKeyRequest(parent=own.name, api_key=key)
        made = door.call(TENANT + "CreateApiKey", request, own.admin)
        assert made.api_key.limits.requests_per_second == 1
        refusal = until_refused(door, own, made.secret)
        assert told(refusal)["ErrorInfo"].metadata["of"] == "key"
        for _ in range(10):
            door.call(INDEX + "ListDocuments", read(own), own.service)


def test_at_its_documents_a_tenant_may_change_and_delete_and_not_add(door: Door, limited: LimitedHome) -> None:
    with limited(documents=5) as own:
        answer = door.call(INDEX + "BatchWriteDocuments", batch(own, *"abcdefgh"), own.service)
        outcomes = [result.outcome for result in answer.results]
        assert outcomes == [Outcome.OUTCOME_CREATED] * 5 + [Outcome.OUTCOME_REJECTED] * 3
        refusal = read_status(answer.results[-1].status)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "DOCUMENTS_EXHAUSTED")
        assert told(refusal)["ErrorInfo"].metadata["value"] == "5"
        assert "RetryInfo" not in told(refusal), "waiting doesn't help"
        changed = batch(own, "a", "new", "b", body="changed")
        answer = door.call(INDEX + "BatchWriteDocuments", changed, own.service)
        assert [result.outcome for result in answer.results] == [
            Outcome.OUTCOME_UPDATED, Outcome.OUTCOME_REJECTED, Outcome.OUTCOME_UPDATED
        ]  # fmt: skip
        create = index_pb2.CreateDocumentRequest(parent=own.default, document=resources_pb2.Document(title="T"))
        assert door.refusal(INDEX + "CreateDocument", create, own.service).reason == "DOCUMENTS_EXHAUSTED"
        create.mode = ACCEPTED
        assert door.refusal(INDEX + "CreateDocument", create, own.service).reason == "DOCUMENTS_EXHAUSTED"
        messages = [
            index_pb2.StreamWriteDocumentsRequest(parent=own.default, mode=ACCEPTED, stream_id="s"),
            index_pb2.StreamWriteDocumentsRequest(sequence=1, writes=batch(own, "a", "n1", body="again").writes),
        ]
        *_, last = door.stream(messages, own.service)
        assert list(last.acknowledgement.outcomes) == [Outcome.OUTCOME_ACCEPTED, Outcome.OUTCOME_REJECTED]
        assert read_status(last.acknowledgement.faults[0].status).reason == "DOCUMENTS_EXHAUSTED"
        for document_id in "ab":
            name = own.document(document_id)
            door.call(INDEX + "DeleteDocument", index_pb2.DeleteDocumentRequest(name=name), own.service)
        began = time.monotonic()
        while True:
            answer = door.call(INDEX + "BatchWriteDocuments", batch(own, "x"), own.service)
            if answer.results[0].outcome == Outcome.OUTCOME_CREATED:
                break
            assert time.monotonic() - began < 5.0
            time.sleep(0.1)


def test_at_its_bytes_a_tenant_may_write_what_makes_it_smaller(door: Door, limited: LimitedHome) -> None:
    with limited(bytes=10_000) as own:
        put(door, own.service, own.document("large"), body="x" * 9_000)
        request = batch(own, "more", body="y" * 2_000)
        answer = door.call(INDEX + "BatchWriteDocuments", request, own.service)
        assert read_status(answer.results[0].status).reason == "BYTES_EXHAUSTED"
        put(door, own.service, own.document("large"), body="x" * 100)


async def test_rows_of_an_import_beyond_the_quota_are_told(
    door: Door, limited: LimitedHome, platform: Platform
) -> None:
    with limited(documents=20) as own:
        folder = platform.home / "import" / own.tenant_id
        folder.mkdir(parents=True)
        rows = [json.dumps({"id": f"r{number}", "title": "T"}) for number in range(30)]
        (folder / "rows.jsonl").write_text("\n".join(rows))
        async with AsyncClient(platform.endpoint, key=own.service) as client:
            started = await client.import_documents("file:///rows.jsonl")
            ended = await client.wait_operation(started.name, timeout=60)
        found = ended.result()
        assert isinstance(found, ImportDocumentsResponse)
        assert (found.written_count, found.failed_count) == (20, 10)
        assert {one.reason for one in ended.metadata.failures} == {"DOCUMENTS_EXHAUSTED"}


def test_ingest_is_charged_when_it_has_come_and_deletions_always_work(door: Door, limited: LimitedHome) -> None:
    with limited(documents_per_second=1, bytes_per_second=1e6) as own:
        ids = [f"d{number}" for number in range(100)]
        answer = door.call(INDEX + "BatchWriteDocuments", batch(own, *ids), own.service)
        assert len(answer.results) == 100
        refusal = door.refusal(INDEX + "BatchWriteDocuments", batch(own, "more"), own.service)
        details = told(refusal)
        assert (refusal.reason, details["ErrorInfo"].metadata["limit"]) == (
            "INGEST_RATE_EXCEEDED",
            "documents_per_second",
        )
        assert 10 < details["RetryInfo"].retry_delay.ToMilliseconds() / 1000 <= 99.1
        delete = index_pb2.DeleteDocumentRequest(name=own.document("d0"))
        door.call(INDEX + "DeleteDocument", delete, own.service)
        door.call(SEARCH + "Search", search_pb2.SearchRequest(parent=own.default, query="t"), own.service)


def test_searches_are_charged_and_have_to_be_paid_for(door: Door, limited: LimitedHome) -> None:
    with limited(search_cost_per_second=0.2) as own:  # two are saved up, and a search costs one at least
        request = search_pb2.SearchRequest(parent=own.default, query="papyrus")
        with pytest.raises(grpc.RpcError):
            for number in range(10):
                request.query = f"papyrus w{number}"
                door.call(SEARCH + "Search", request, own.service)
        refusal = door.refusal(SEARCH + "Search", request, own.service)
        assert (refusal.reason, told(refusal)["ErrorInfo"].metadata["value"]) == ("SEARCH_COST_EXCEEDED", "0.2")


def test_there_is_no_way_to_search_that_is_not_charged(door: Door, limited: LimitedHome) -> None:
    with limited(search_cost_per_second=0.2) as own:
        written, name = put(door, own.service, own.document("a"), tags=["red"]), own.document("a")
        terms = " OR ".join(f'title:"papyrus{number}"' for number in range(64))
        many = search_pb2.BatchSearchRequest(parent=own.default)
        for number in range(20):
            many.requests.add(query=f"-w{number}")
        door.call(SEARCH + "BatchSearch", many, own.service)  # 18 are owed: a minute and a half
        narrowed = scoped_token(own.service, expire=300, filter='tags = "red"')
        by_name = index_pb2.GetDocumentRequest(name=name)
        searching: list[tuple[str, Any, str]] = [
            (SEARCH + "Search", search_pb2.SearchRequest(parent=own.default), own.service),
            (SEARCH + "GetSearchInsights", insights_pb2.GetSearchInsightsRequest(parent=own.default), own.admin),
            (INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=own.default, filter=terms), own.service),
            (INDEX + "PurgeDocuments", PurgeDocumentsRequest(parent=own.default, filter=terms), own.service),
            (INDEX + "GetDocument", by_name, narrowed),
            (
                INDEX + "BatchGetDocuments",
                index_pb2.BatchGetDocumentsRequest(parent=own.default, names=[name]),
                narrowed,
            ),
        ]
        end = time.monotonic() + 5.0
        while door.tried(*searching[2]) is None:  # a debt is told to other processes within a moment
            assert time.monotonic() < end
        for method, request, key in searching:
            assert door.refusal(method, request, key).reason == "SEARCH_COST_EXCEEDED", method
        assert door.call(INDEX + "GetDocument", by_name, own.service) == written, "a name alone costs no search"


def test_listing_alone_uses_the_search_budget_up(door: Door, limited: LimitedHome) -> None:
    with limited(search_cost_per_second=0.2) as own:
        assert until_refused(door, own, own.service, 10).reason == "SEARCH_COST_EXCEEDED"


def test_streams_under_way_count_and_places_come_back(door: Door, limited: LimitedHome) -> None:
    with limited(concurrent_requests=2) as own:
        opening = index_pb2.StreamWriteDocumentsRequest(parent=own.default, mode=APPLIED).SerializeToString()
        streams = [door.open_stream(INDEX + "StreamWriteDocuments", own.service) for _ in range(2)]
        for stream in streams:
            stream.send(opening)
            next(iter(stream.answers))
        refusal = door.refusal(INDEX + "ListDocuments", read(own), own.service)
        assert refusal.reason == "CONCURRENCY_LIMIT_EXCEEDED"
        answers: list[Any] = []
        streams[0].close()
        assert list(streams[0].answers) == []
        streams[1].answers.cancel()  # type: ignore[attr-defined]  # it is a call
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                answers = [door.call(INDEX + "ListDocuments", read(own), own.service) for _ in range(5)]
            except grpc.RpcError:
                continue
            break
        assert answers, "one after the other has a place each time"


def test_keys_and_collections_have_a_number(door: Door, limited: LimitedHome) -> None:
    with limited(keys=4, collections=2) as own:
        key = tenant_pb2.CreateApiKeyRequest(
            parent=own.name, api_key=resources_pb2.ApiKey(role=resources_pb2.ApiKey.ROLE_SERVICE)
        )
        made = door.call(TENANT + "CreateApiKey", key, own.admin)
        assert door.refusal(TENANT + "CreateApiKey", key, own.admin).reason == "KEYS_EXHAUSTED"
        door.call(TENANT + "RevokeApiKey", tenant_pb2.RevokeApiKeyRequest(name=made.api_key.name), own.admin)
        door.call(TENANT + "CreateApiKey", key, own.admin)
        collection = index_pb2.CreateCollectionRequest(
            parent=own.name, collection_id="second", collection=resources_pb2.Collection()
        )
        door.call(INDEX + "CreateCollection", collection, own.service)
        collection.collection_id = "third"
        refusal = door.refusal(INDEX + "CreateCollection", collection, own.service)
        assert (refusal.reason, told(refusal)["ErrorInfo"].metadata["value"]) == ("COLLECTIONS_EXHAUSTED", "2")


def test_in_a_dry_run_nothing_is_refused(door: Door, limited: LimitedHome) -> None:
    with limited(1, documents=1, concurrent_requests=1, enforcement=Limits.ENFORCEMENT_DRY_RUN) as own:
        answer = door.call(INDEX + "BatchWriteDocuments", batch(own, *"abc"), own.service)
        assert [result.outcome for result in answer.results] == [Outcome.OUTCOME_CREATED] * 3
        for _ in range(10):
            door.call(INDEX + "ListDocuments", read(own), own.service)
