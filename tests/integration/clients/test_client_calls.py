# SPDX-License-Identifier: Apache-2.0
"""How the client calls: exports, names, errors, retries, deadlines, paging."""

from __future__ import annotations

import inspect
import itertools
import json
import time

import grpc
import pytest
from google.longrunning import operations_pb2

import pinakes.client
from pinakes.client import (
    AsyncClient,
    Client,
    InvalidArgument,
    NotFound,
    PinakesError,
    RateLimited,
    Unavailable,
    _names,
)
from pinakes.client._channel import address, is_local, service_config
from pinakes.client._errors import from_status
from pinakes.v1 import index_pb2, search_pb2, tenant_pb2
from pinakes.v1.resources_pb2 import Document, Tenant
from tests.integration.clients._scripted_server import Scripted, refuse, status

EXPORTED = {
    "AlreadyExists", "AsyncClient", "Client", "Conflict", "DeadlineExceeded", "InvalidArgument", "NotFound",
    "Operation", "PermissionDenied", "PinakesError", "RateLimited", "Retried", "SearchOptions", "Tls",
    "Unauthenticated", "Unavailable", "Violation", "Written",
    "deletion", "document", "read_receipt", "scoped_token", "search_request", "verify_receipt", "write_receipt",
}  # fmt: skip
# Writes of documents have a request id only if their caller gives one.
BY_CALLERS = {"CreateDocument", "UpdateDocument", "DeleteDocument", "UndeleteDocument", "BatchWriteDocuments"}


def test_the_package_exports_these_names_and_no_others() -> None:
    assert {name for name in dir(pinakes.client) if not name.startswith("_")} == EXPORTED
    assert set(pinakes.client.__all__) == EXPORTED


def test_the_blocking_client_has_every_method_of_the_asynchronous_one() -> None:
    methods = {name for name, _ in inspect.getmembers(AsyncClient, callable) if not name.startswith("_")}
    assert methods == {name for name, _ in inspect.getmembers(Client, callable) if not name.startswith("_")}


def test_the_retry_policy_names_only_methods_that_exist_and_do_the_same_when_repeated() -> None:
    services = {
        service.full_name: service
        for module in (search_pb2, index_pb2, tenant_pb2, operations_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    for name in json.loads(service_config())["methodConfig"][0]["name"]:
        method = services[name["service"]].methods_by_name[name["method"]]
        # The client sends a request id with these, by which they are done once.
        once = "request_id" in method.input_type.fields_by_name and method.name not in BY_CALLERS
        reads = ("Get", "List", "BatchGet", "Search", "BatchSearch", "Suggest", "Count", "Explain")
        assert once or method.name.startswith((*reads, "Revoke", "Wait", "Cancel"))


def test_ids_become_names_and_names_stay() -> None:
    assert _names.document("a") == "tenants/-/collections/default/documents/a"
    assert _names.document("tenants/t-1/collections/c/documents/a") == "tenants/t-1/collections/c/documents/a"
    with pytest.raises(ValueError, match="neither"):
        _names.collection("tenants/acme")
    with pytest.raises(ValueError, match="isn't in"):
        _names.document_of("tenants/-/collections/b", "tenants/-/collections/a/documents/x")


@pytest.mark.parametrize("endpoint", ["localhost", "ftp://host:1", "host:port", "", "http://host:80/path"])
def test_an_endpoint_that_cannot_be_read_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="isn't host:port"):
        address(endpoint)


def test_only_this_machine_is_called_without_tls_unasked() -> None:
    assert is_local("localhost")
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert not is_local("10.0.0.1")
    assert address("https://search.example.com").target == "search.example.com:443"
    assert address("https://search.example.com").tls


async def test_an_error_carries_reason_violations_and_request_id(scripted: Scripted) -> None:
    told = status(
        grpc.StatusCode.INVALID_ARGUMENT, "FILTER_SYNTAX", "bad filter", violations={"filter": "at 3: a value"}
    )
    scripted.answers["SearchService/Search"] = lambda _, context: refuse(context, told) or search_pb2.SearchResponse()
    async with AsyncClient(scripted.endpoint, key="pk_x") as client:
        with pytest.raises(InvalidArgument) as caught:
            await client.search("q", filter="a =")
    error = caught.value
    assert (error.reason, error.code, error.request_id) == ("FILTER_SYNTAX", "INVALID_ARGUMENT", "r-1")
    assert [(v.field, v.description) for v in error.violations] == [("filter", "at 3: a value")]
    assert error.retry_after is None
    assert scripted.metadata[0]["authorization"] == "Bearer pk_x"


async def test_an_administrators_reason_goes_with_the_calls_of_the_client_that_has_it(scripted: Scripted) -> None:
    scripted.answers["SearchService/Search"] = lambda _, __: search_pb2.SearchResponse()
    async with AsyncClient(scripted.endpoint, key="pk_x") as admin:
        await admin.search("q")
        await admin.with_admin_reason("  a document is missing ").search("q")
        await admin.search("q")
    async with AsyncClient(scripted.endpoint, key="pk_x", admin_reason="asked by Ann") as admin:
        await admin.search("q")
    given = [metadata.get("x-pinakes-admin-reason") for metadata in scripted.metadata]
    assert given == [None, "a document is missing", None, "asked by Ann"]


@pytest.mark.parametrize("reason", ["too short", "x" * 201, "two\nlines of it", "a reason in Ελλάδα"])
async def test_what_is_no_reason_is_refused_before_it_is_sent(reason: str) -> None:
    with pytest.raises(ValueError, match="10 to 200"):
        AsyncClient("localhost:1", admin_reason=reason)


async def test_a_status_without_details_has_its_code_as_reason(scripted: Scripted) -> None:
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(PinakesError) as caught:
            await client.search("q")
    assert caught.value.reason == "UNIMPLEMENTED"


async def test_a_read_is_tried_again_while_the_platform_is_away(scripted: Scripted) -> None:
    calls = itertools.count()

    def answer(_: search_pb2.SearchRequest, context: grpc.ServicerContext) -> search_pb2.SearchResponse:
        if next(calls) < 2:
            refuse(context, status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", retry=0.1))
        return search_pb2.SearchResponse(total_size=1)

    scripted.answers["SearchService/Search"] = answer
    async with AsyncClient(scripted.endpoint) as client:
        assert (await client.search("q")).total_size == 1
    assert len(scripted.requests) == 3


async def test_a_write_of_a_document_is_not_tried_again(scripted: Scripted) -> None:
    told = status(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", "away", retry=1.5)
    scripted.answers["IndexService/UpdateDocument"] = lambda _, context: refuse(context, told) or Document()
    async with AsyncClient(scripted.endpoint) as client:
        with pytest.raises(Unavailable) as caught:
            await client.put_document({"id": "a"})
    assert caught.value.retry_after == 1.5
    assert len(scripted.requests) == 1


async def test_a_call_ends_at_its_deadline(scripted: Scripted) -> None:
    scripted.answers["SearchService/Search"] = lambda *_: time.sleep(0.5) or search_pb2.SearchResponse()
    async with AsyncClient(scripted.endpoint, timeout=0.1) as client:
        with pytest.raises(pinakes.client.DeadlineExceeded):
            await client.search("q")


def list_two_pages(request: tenant_pb2.ListTenantsRequest, _: grpc.ServicerContext) -> tenant_pb2.ListTenantsResponse:
    """Answer with two tenants, and after the token with one."""
    if request.page_token:
        return tenant_pb2.ListTenantsResponse(tenants=[Tenant(name="tenants/c")])
    first = [Tenant(name="tenants/a"), Tenant(name="tenants/b")]
    return tenant_pb2.ListTenantsResponse(tenants=first, next_page_token="next")


async def test_a_list_goes_on_through_all_pages(scripted: Scripted) -> None:
    scripted.answers["TenantService/ListTenants"] = list_two_pages
    async with AsyncClient(scripted.endpoint) as client:
        assert [tenant.name async for tenant in client.list_tenants()] == ["tenants/a", "tenants/b", "tenants/c"]


async def test_search_all_stops_at_its_limit_without_another_page(scripted: Scripted) -> None:
    page = [search_pb2.SearchResult(document=Document(name=f"x/{number}")) for number in range(3)]
    scripted.answers["SearchService/Search"] = lambda *_: search_pb2.SearchResponse(
        results=page, next_page_token="more"
    )
    async with AsyncClient(scripted.endpoint) as client:
        assert len([result async for result in client.search_all("q", limit=3)]) == 3
    assert len(scripted.requests) == 1
    assert scripted.requests[0].page_size == 3


def test_the_blocking_client_calls_iterates_and_raises(scripted: Scripted) -> None:
    scripted.answers["TenantService/ListTenants"] = list_two_pages
    told = status(grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND", "gone")
    scripted.answers["IndexService/GetDocument"] = lambda _, context: refuse(context, told) or Document()
    with Client(scripted.endpoint) as client:
        assert [tenant.name for tenant in client.list_tenants()] == ["tenants/a", "tenants/b", "tenants/c"]
        with pytest.raises(NotFound, match="DOCUMENT_NOT_FOUND: gone"):
            client.get_document("a")


def test_a_put_replaces_the_whole_document_and_creates_it(scripted: Scripted) -> None:
    scripted.answers["IndexService/UpdateDocument"] = lambda request, _: request.document
    with Client(scripted.endpoint) as client:
        client.put_document({"id": "a", "title": "T"}, collection="books", mode="searchable")
    (request,) = scripted.requests
    assert request.document.name == "tenants/-/collections/books/documents/a"
    assert list(request.update_mask.paths) == ["*"]
    assert request.allow_missing
    assert request.mode == index_pb2.WRITE_MODE_SEARCHABLE


def test_resource_exhausted_is_rate_limited() -> None:
    assert isinstance(from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT", "slow down")), RateLimited)
