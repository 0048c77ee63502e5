# SPDX-License-Identifier: Apache-2.0
"""Long-running operations through the front door: SDK, command, JSON and grpcurl, and what is refused."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2

from pinakes.client import Client, InvalidArgument, NotFound, PinakesError
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.e2e.test_grpcurl import Grpcurl
from tests.e2e.test_json import Curl
from tests.wire import INDEX, Door, Home, home

OPERATIONS = "/google.longrunning.Operations/"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def door(platform: Any) -> Iterator[Door]:
    """Open the front door."""
    with Door(platform.endpoint) as opened:
        yield opened


@pytest.fixture(scope="module")
def own(platform: Any, door: Door) -> Iterator[Home]:
    """Make a tenant."""
    with home(door, platform.admin_key, "ops") as made:
        yield made


@pytest.fixture
def client(platform: Any, own: Home) -> Iterator[Client]:
    """Give a client of the tenant's service."""
    with Client(platform.endpoint, key=own.service) as made:
        yield made


@pytest.fixture
def books(client: Client) -> str:
    """Make a collection with ten documents, half of them old."""
    name = f"books-{secrets.token_hex(4)}"
    client.create_collection(name)
    documents = [{"id": f"b{n}", "title": f"Book {n}", "tags": ["old" if n % 2 else "new"]} for n in range(10)]
    client.batch_write(documents, collection=name, mode="searchable")
    return name


@pytest.fixture(scope="module")
def run(platform: Any, own: Home, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs the command."""
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config")),
        "PINAKES_ENDPOINT": platform.endpoint,
        "PINAKES_API_KEY": own.service,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "COLUMNS": "200",
    }

    def running(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pinakes.cli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return running


def ids(client: Client, collection: str, filter_text: str = "") -> list[str]:
    return [one.name.rpartition("/")[2] for one in client.list_documents(collection=collection, filter=filter_text)]


def test_a_purge_is_looked_at_started_waited_for_and_forgotten(client: Client, books: str) -> None:
    look = client.purge_documents("tags:old", collection=books)
    told = look.result()
    assert isinstance(told, verbs_pb2.PurgeDocumentsResponse)
    assert (look.state, told.purge_count, len(told.purge_sample)) == ("succeeded", 5, 5)
    started = client.purge_documents("tags:old", collection=books, force=True)
    seen: list[str] = []
    done = client.wait_operation(started.name, timeout=30, poll=0.5, watch=lambda one: seen.append(one.state))
    result = done.result()
    assert isinstance(result, verbs_pb2.PurgeDocumentsResponse)
    assert result.purge_count == 5
    assert seen[-1] == done.state == "succeeded"
    assert (done.metadata.verb, done.metadata.done, done.metadata.total) == ("purge", 5, 5)
    assert ids(client, books) == [f"b{n}" for n in range(0, 10, 2)]
    assert {look.name, done.name} <= {one.name for one in client.list_operations()}
    assert client.get_operation(done.operation_id) == done
    client.delete_operation(done.name)
    with pytest.raises(NotFound):
        client.get_operation(done.name)


def test_an_attribute_that_is_declared_later_is_found_after_a_reindex(client: Client, own: Home) -> None:
    client.create_collection("shelves")
    client.batch_write(
        [{"id": f"s{n}", "title": "Shelf", "attributes": {"width": n}} for n in range(5)], collection="shelves"
    )
    collection = client.get_collection("shelves")
    collection.attributes.add(name="width", type="TYPE_NUMBER")
    client.update_collection(collection, ["attributes"])
    started = client.reindex_collection("shelves")
    again = client.reindex_collection("shelves", request_id="only-once")
    assert client.reindex_collection("shelves", request_id="only-once").name == again.name
    done = client.wait_operation(started.name, timeout=30)
    result = done.result()
    assert isinstance(result, verbs_pb2.ReindexCollectionResponse)
    assert (result.reindexed_count, result.collection.name) == (5, f"{own.name}/collections/shelves")
    assert ids(client, "shelves", "attributes.width >= 3") == ["s3", "s4"]
    client.wait_operation(again.name, timeout=30).result()


def test_an_operation_that_runs_can_be_cancelled_once(client: Client) -> None:
    client.create_collection("brief")
    client.update_collection(client.get_collection("brief"), ["display_name"])
    # It waits until every server knows the changed collection.
    started = client.reindex_collection("brief")
    with pytest.raises(PinakesError) as early:
        client.delete_operation(started.name)
    assert early.value.reason == "OPERATION_NOT_DONE"
    client.cancel_operation(started.name)
    done = client.wait_operation(started.name, timeout=30)
    assert done.state == "cancelled"
    with pytest.raises(PinakesError) as stopped:
        done.result()
    assert (stopped.value.code, stopped.value.reason) == ("CANCELLED", "OPERATION_CANCELLED")
    with pytest.raises(PinakesError) as again:
        client.cancel_operation(started.name)
    assert (again.value.code, again.value.reason) == ("FAILED_PRECONDITION", "OPERATION_DONE")


def test_run_twice_it_is_done_once_and_another_request_of_the_same_id_is_refused(client: Client, books: str) -> None:
    ask = {"collection": books, "force": True, "request_id": f"twice-{books}"}
    first = client.purge_documents("tags:old", **ask)
    client.wait_operation(first.name, timeout=30).result()
    client.batch_write([{"id": "b1", "title": "Back", "tags": ["old"]}], collection=books, mode="searchable")
    assert client.purge_documents("tags:old", **ask).name == first.name
    assert "b1" in ids(client, books)
    with pytest.raises(InvalidArgument) as refused:
        client.purge_documents("tags:new", **ask)
    assert refused.value.reason == "REQUEST_ID_REUSED"


def test_a_write_that_was_accepted_before_a_purge_belongs_to_what_it_looks_at(client: Client, books: str) -> None:
    renewed = [{"id": f"b{n}", "title": f"Book {n}", "tags": ["kept"]} for n in (1, 3)]
    late = [{"id": f"late{n}", "title": "Late", "tags": ["old"]} for n in range(3)]
    client.batch_write([*renewed, *late], collection=books, mode="accepted")
    started = client.purge_documents("tags:old", collection=books, force=True)
    client.wait_operation(started.name, timeout=30).result()
    assert ids(client, books) == ["b0", "b1", "b2", "b3", "b4", "b6", "b8"]


def test_a_filter_that_matches_everything_needs_its_flag(client: Client, books: str) -> None:
    for text in ("", "tags:old OR tags:new"):
        with pytest.raises(InvalidArgument) as refused:
            client.purge_documents(text, collection=books, force=True)
        assert refused.value.reason == "ALL_DOCUMENTS_MATCH"
        assert [violation.field for violation in refused.value.violations] == ["all_documents"]
    assert len(ids(client, books)) == 10
    started = client.purge_documents(collection=books, force=True, all_documents=True)
    client.wait_operation(started.name, timeout=30).result()
    assert ids(client, books) == []


@pytest.mark.parametrize(
    "name",
    ["", "operations/a", "tenants/-/operations/", "tenants/-/operations/a/b", "tenants/-/documents/a", "tenants/-",
     "tenants/A/operations/a", "tenants/-/operations/..", "tenants/-/operations/a b", "x" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("rpc", ["Get", "Cancel", "Delete", "Wait"])
def test_a_name_that_isnt_one_is_refused_with_its_field(door: Door, own: Home, rpc: str, name: str) -> None:
    request = getattr(operations_pb2, f"{rpc}OperationRequest")(name=name)
    found = door.refusal(f"{OPERATIONS}{rpc}Operation", request.SerializeToString(), own.service)
    assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"name"})


def test_a_list_that_cant_be_given_is_refused_with_its_field(door: Door, own: Home) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "name": {"name": "tenants/-/operations"}, "page_size": {"page_size": -1}, "filter": {"filter": "done = true"},
        "page_token": {"page_token": "not one"}, "return_partial_success": {"return_partial_success": True},
    }  # fmt: skip
    for field, fields in wrong.items():
        request = operations_pb2.ListOperationsRequest(**({"name": "tenants/-"} | fields))
        found = door.refusal(f"{OPERATIONS}ListOperations", request.SerializeToString(), own.service)
        assert (found.code, found.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {field})


def test_lists_go_on_from_page_to_page(client: Client, door: Door, own: Home, books: str) -> None:
    for _ in range(3):
        client.purge_documents("tags:old", collection=books)
    names: list[str] = []
    token = ""
    while True:
        request = operations_pb2.ListOperationsRequest(name=own.name, page_size=2, page_token=token)
        raw = door.raw(f"{OPERATIONS}ListOperations", request.SerializeToString(), own.service)
        page = operations_pb2.ListOperationsResponse.FromString(raw)
        assert len(page.operations) <= 2
        names += [one.name for one in page.operations]
        token = page.next_page_token
        if not token:
            break
    assert names == sorted({one.name for one in client.list_operations()})


@pytest.mark.parametrize("rpc", ["Get", "Cancel", "Delete", "Wait"])
def test_an_operation_of_another_tenant_is_the_same_refusal_whether_it_exists_or_not(
    platform: Any, client: Client, door: Door, own: Home, books: str, rpc: str
) -> None:
    known = client.purge_documents("tags:old", collection=books).operation_id
    kind = getattr(operations_pb2, f"{rpc}OperationRequest")
    with home(door, platform.admin_key, "stranger") as stranger:

        def asked(name: str, key: str | None) -> Any:
            return door.refusal(f"{OPERATIONS}{rpc}Operation", kind(name=name).SerializeToString(), key)

        theirs = asked(f"{own.name}/operations/{known}", stranger.admin)
        assert theirs.code == grpc.StatusCode.PERMISSION_DENIED
        for other in (f"{own.name}/operations/absent", "tenants/no-such-tenant/operations/absent"):
            found = asked(other, stranger.admin)
            assert (found.code, found.message, found.details) == (theirs.code, theirs.message, theirs.details)
        # By its id alone it isn't there.
        assert asked(f"tenants/-/operations/{known}", stranger.admin).code == grpc.StatusCode.NOT_FOUND
        assert asked(f"{own.name}/operations/absent", own.service).code == grpc.StatusCode.NOT_FOUND
        assert asked(f"{own.name}/operations/w-absent", own.service).code == grpc.StatusCode.NOT_FOUND
        assert asked(f"{own.name}/operations/{known}", own.user).code == grpc.StatusCode.PERMISSION_DENIED
        assert asked(f"{own.name}/operations/{known}", None).code == grpc.StatusCode.UNAUTHENTICATED
    assert client.get_operation(known).done


def test_json_does_all_of_it(platform: Any, own: Home, books: str) -> None:
    curl = Curl(platform.endpoint, own.service)
    started = curl("POST", f"/v1/tenants/-/collections/{books}/documents:purge", {"filter": "tags:old", "force": True})
    assert started.status == 200, started
    name = started.json["name"]
    assert name.startswith(f"{own.name}/operations/")
    assert started.json["metadata"]["@type"] == "type.googleapis.com/pinakes.v1.OperationMetadata"
    waited = curl("POST", f"/v1/{name}:wait", {"timeout": "15s"})
    assert (waited.status, waited.json["done"]) == (200, True)
    assert waited.json["response"]["purgeCount"] == "5"
    assert curl("GET", f"/v1/{name}").json == waited.json
    assert name in {one["name"] for one in curl("GET", "/v1/tenants/-/operations", pageSize="50").json["operations"]}
    assert curl.refused(400, "POST", f"/v1/{name}:cancel", {})["reason"] == "OPERATION_DONE"
    assert curl("DELETE", f"/v1/{name}").status == 200
    assert curl.refused(404, "GET", f"/v1/{name}")["reason"] == "OPERATION_NOT_FOUND"
    assert curl.refused(400, "GET", "/v1/tenants/-/operations", filter="x")["reason"] == "INVALID_ARGUMENT"


def test_grpcurl_finds_and_calls_the_service(platform: Any, own: Home, books: str) -> None:
    grpcurl = Grpcurl(platform.endpoint)
    assert "google.longrunning.Operations" in grpcurl.told("list").split()
    assert "rpc WaitOperation" in grpcurl.told("describe", "google.longrunning.Operations")
    request = {"parent": f"tenants/-/collections/{books}", "filter": "tags:new"}
    looked = json.loads(grpcurl.told("pinakes.v1.IndexService/PurgeDocuments", key=own.service, data=request))
    read = grpcurl.told("google.longrunning.Operations/GetOperation", key=own.service, data={"name": looked["name"]})
    assert json.loads(read) == looked
    assert looked["response"]["purgeCount"] == "5"


def test_the_command_looks_deletes_and_tells(run: Run, client: Client, books: str) -> None:
    look = run("purge", "--filter", "tags:old", "-c", books)
    assert look.returncode == 0, look.stderr
    assert len(look.stdout.splitlines()) == 5
    assert "5 documents match" in look.stderr
    refused = run("purge", "--force", "-c", books)
    assert refused.returncode == 1
    assert refused.stderr.startswith("pinakes: ALL_DOCUMENTS_MATCH: ")
    gone = run("purge", "--filter", "tags:old", "--force", "-c", books, "--json")
    assert gone.returncode == 0, gone.stderr
    told = json.loads(gone.stdout)
    assert told["response"]["purge_count"] == "5"
    started = run("reindex", "-c", books, "--no-wait", "--json")
    operation_id = json.loads(started.stdout)["name"].rpartition("/")[2]
    waited = run("operations", "wait", operation_id, "--for", "30")
    assert waited.returncode == 0, waited.stderr
    assert "5 documents indexed anew" in waited.stdout
    assert run("operations", "cancel", operation_id).returncode == 1
    listed = run("operations", "list")
    assert listed.stdout.splitlines()[0].split() == ["ID", "VERB", "STATE", "DONE", "FAILED", "CREATED"]
    assert operation_id in listed.stdout
    assert run("operations", "get", "absent").returncode == 4
    assert run("operations", "delete", operation_id).returncode == 0
    assert len(ids(client, books)) == 5


def test_a_purge_of_a_collection_that_isnt_there_is_not_found(door: Door, own: Home) -> None:
    request = verbs_pb2.PurgeDocumentsRequest(parent=f"{own.name}/collections/absent", force=True, all_documents=True)
    found = door.refusal(INDEX + "PurgeDocuments", request, own.service)
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "COLLECTION_NOT_FOUND")
    assert door.refusal(INDEX + "PurgeDocuments", request, own.user).code == grpc.StatusCode.PERMISSION_DENIED
