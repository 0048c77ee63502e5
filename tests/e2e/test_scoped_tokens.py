# SPDX-License-Identifier: Apache-2.0
"""Scoped tokens through the front door: each way of reading is held to the filter and the collections, and no write gets by."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.longrunning import operations_pb2

from pinakes.client import scoped_token
from pinakes.v1 import index_pb2, keys_pb2, resources_pb2, search_pb2, suggest_pb2, tenant_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.wire import INDEX, OPERATIONS, ROLES, SEARCH, TENANT, Door, Home, Refusal, home, new_key, put

DENIED, UNAUTHENTICATED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
DOCUMENTS = {"red": "apple crimson", "red2": "apple scarlet", "blue": "apple azure", "secret": "apple hidden"}
FILTER = 'tags = "red"'
WITHIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Library:
    """A tenant with documents of two colours in two collections, and the folder that its exports go to."""

    door: Door
    home: Home
    exports: Path

    def token(self, **narrowing: Any) -> str:
        """Make a token of the service's key."""
        return scoped_token(self.home.service, **{"expire": 300, **narrowing})

    def refusal(self, method: str, request: Any, key: str) -> Refusal:
        """Return the refusal of a call."""
        return self.door.refusal(method, request, key)


@pytest.fixture(scope="module")
def library(platform: Any) -> Iterator[Library]:
    """Write the documents."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "scoped") as made:
        more = index_pb2.CreateCollectionRequest(parent=made.name, collection_id="more")
        door.call(INDEX + "CreateCollection", more, made.service)
        for collection in ("default", "more"):
            for document_id, title in DOCUMENTS.items():
                readers = ("user:bob",) if document_id == "secret" else ()
                tags = ("red",) if document_id != "blue" else ("blue",)
                name = made.document(document_id, collection)
                put(door, made.service, name, title=title, tags=tags, readers=readers, attributes={"kind": document_id})
        yield Library(door, made, platform.home / "export" / made.tenant_id)


def seen(library: Library, key: str, collection: str = "default") -> dict[str, set[str]]:
    """Return the documents that each way of reading shows."""
    door, parent = library.door, f"{library.home.name}/collections/{collection}"
    names = {library.home.document(one, collection) for one in DOCUMENTS}
    search = search_pb2.SearchRequest(parent=parent, query="apple", facets=[{"field": "attributes.kind"}])
    found = door.call(SEARCH + "Search", search, key)
    assert found.total_size == len(found.results)
    batch = door.call(
        SEARCH + "BatchSearch",
        search_pb2.BatchSearchRequest(parent=parent, requests=[search_pb2.SearchRequest(filter='title:"apple"')]), key,
    )  # fmt: skip
    counted = door.call(SEARCH + "CountDocuments", search_pb2.CountDocumentsRequest(parent=parent, query="apple"), key)
    suggested = door.call(SEARCH + "Suggest", suggest_pb2.SuggestRequest(parent=parent, query="app", limit=10), key)
    listed = door.call(INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=parent), key)
    many = door.call(INDEX + "BatchGetDocuments", index_pb2.BatchGetDocumentsRequest(parent=parent, names=names), key)
    got, explained = set(), set()
    for name in names:
        one = name.rpartition("/")[2]
        explain = search_pb2.ExplainDocumentRequest(name=name, search=search_pb2.SearchRequest(query="apple"))
        for into, method, request in (
            (got, INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=name)),
            (explained, SEARCH + "ExplainDocument", explain),
        ):
            try:
                door.call(method, request, key)
                into.add(one)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND, error  # type: ignore[attr-defined]  # a failed call is a call
    assert counted.total_size == len(found.results)
    return {
        "search": {result.document.name.rpartition("/")[2] for result in found.results},
        "facets": {value.value for facet in found.facets for value in facet.buckets},
        "batch search": {r.document.name.rpartition("/")[2] for r in batch.outcomes[0].response.results},
        "suggest": {title.document.rpartition("/")[2] for title in suggested.titles},
        "list": {document.name.rpartition("/")[2] for document in listed.documents},
        "batch get": {document.name.rpartition("/")[2] for document in many.documents},
        "get": got,
        "explain": explained,
    }


@pytest.mark.parametrize(
    ("narrowing", "shown"),
    [
        ({}, {"red", "red2", "blue"}),
        ({"role": "service"}, set(DOCUMENTS)),
        ({"filter": FILTER}, {"red", "red2"}),
        ({"filter": FILTER, "role": "service"}, {"red", "red2", "secret"}),
        ({"filter": FILTER, "readers": ["user:bob"]}, {"red", "red2", "secret"}),
        ({"filter": 'attributes.kind = "red" OR attributes.kind = "secret"', "readers": ["x"]}, {"red"}),
    ],
)
def test_each_way_of_reading_shows_what_the_token_lets_through(
    library: Library, narrowing: dict[str, Any], shown: set[str]
) -> None:
    ways = seen(library, library.token(**narrowing))
    assert all(found == shown for found in ways.values()), ways


def test_answers_of_a_wider_token_are_not_kept_for_a_narrower_one(library: Library) -> None:
    request = search_pb2.SearchRequest(parent=library.home.default, query="apple", page_size=20)
    tokens = [
        library.token(role="service", **more) for more in ({}, {"filter": FILTER}, {"filter": 'tags = "blue"'}, {})
    ]
    answers = [len(library.door.call(SEARCH + "Search", request, token).results) for token in tokens * 2]
    assert answers == [4, 3, 1, 4] * 2


def test_suggestions_and_corrections_come_from_what_the_filter_lets_through(library: Library) -> None:
    token = library.token(filter=FILTER)
    request = suggest_pb2.SuggestRequest(parent=library.home.default, query="azu")
    answer = library.door.call(SEARCH + "Suggest", request, token)
    assert not answer.titles
    assert not answer.terms
    misspelt = search_pb2.SearchRequest(parent=library.home.default, query="azurre")
    # A look-up of words is waited for a moment only, so it may take some searches until there is a correction.
    end, wide = time.monotonic() + 20, ""
    while wide != "azure":
        assert time.monotonic() < end
        wide = library.door.call(SEARCH + "Search", misspelt, library.token()).correction.query
        assert library.door.call(SEARCH + "Search", misspelt, token).correction.query == ""
    for _ in range(3):
        assert library.door.call(SEARCH + "Search", misspelt, token).correction.query == ""


def test_a_token_reaches_its_collections_and_no_other_whether_it_exists_or_not(library: Library) -> None:
    token = library.token(collections=["more", "gone"], role="service")
    assert seen(library, token, "more")["search"] == set(DOCUMENTS)
    put(library.door, token, library.home.document("new", "more"), title="pear")
    refusals = []
    for collection in ("default", "nothing"):
        parent = f"{library.home.name}/collections/{collection}"
        name = f"{parent}/documents/red"
        for method, request in (
            (SEARCH + "Search", search_pb2.SearchRequest(parent=parent, query="apple")),
            (INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=name)),
            (INDEX + "GetCollection", index_pb2.GetCollectionRequest(name=parent)),
            (INDEX + "DeleteCollection", index_pb2.DeleteCollectionRequest(name=parent)),
            (INDEX + "DeleteDocument", index_pb2.DeleteDocumentRequest(name=name, allow_missing=True)),
        ):
            refusal = library.refusal(method, request, token)
            refusals.append((refusal.code, refusal.message, refusal.details))
    assert {code for code, _, _ in refusals} == {DENIED}
    assert len({(message, details) for _, message, details in refusals}) == 1
    listed = library.door.call(INDEX + "ListCollections", index_pb2.ListCollectionsRequest(parent="tenants/-"), token)
    assert [one.name.rpartition("/")[2] for one in listed.collections] == ["more"]
    create = index_pb2.CreateCollectionRequest(parent=library.home.name, collection_id="third")
    assert library.refusal(INDEX + "CreateCollection", create, token).code is DENIED
    gone = search_pb2.SearchRequest(parent=f"{library.home.name}/collections/gone", query="x")
    assert library.refusal(SEARCH + "Search", gone, token).code is grpc.StatusCode.NOT_FOUND


def test_under_a_filter_nothing_is_written(library: Library) -> None:
    token, default = library.token(filter=FILTER, role="service"), library.home.default
    name = library.home.document("red")
    written = resources_pb2.Document(name=name, title="taken", tags=["red"])
    batch = index_pb2.BatchWriteDocumentsRequest(parent=default)
    batch.writes.add(put=written)
    for method, request in (
        (INDEX + "UpdateDocument", index_pb2.UpdateDocumentRequest(document=written)),
        (INDEX + "DeleteDocument", index_pb2.DeleteDocumentRequest(name=name)),
        (INDEX + "BatchWriteDocuments", batch),
        (INDEX + "PurgeDocuments", verbs_pb2.PurgeDocumentsRequest(parent=default, filter=FILTER)),
        (INDEX + "ReindexCollection", verbs_pb2.ReindexCollectionRequest(name=default)),
        (TENANT + "CreateApiKey", tenant_pb2.CreateApiKeyRequest(
            parent="tenants/-", api_key=resources_pb2.ApiKey(role=ROLES.ROLE_TENANT_USER)
        )),
    ):  # fmt: skip
        assert library.refusal(method, request, token).code is DENIED, method


def test_an_export_holds_what_the_filter_lets_through_and_its_operation_is_its_own(library: Library) -> None:
    token = library.token(filter=FILTER, role="service")
    request = verbs_pb2.ExportDocumentsRequest(
        parent=library.home.default,
        destination_uri="file:///red.jsonl",
        filter='NOT title:"hidden"',
        request_id="export-0001",
    )
    started = library.door.call(INDEX + "ExportDocuments", request, token)
    wait = operations_pb2.WaitOperationRequest(name=started.name)
    wait.timeout.FromSeconds(12)
    done = library.door.call(OPERATIONS + "WaitOperation", wait, token)
    assert done.done
    assert not done.HasField("error"), done
    rows = [orjson.loads(line) for line in (library.exports / "red.jsonl").read_bytes().splitlines()]
    assert {row.get("id") or row["name"].rpartition("/")[2] for row in rows} == {"red", "red2"}
    get = operations_pb2.GetOperationRequest(name=started.name)
    assert library.door.call(OPERATIONS + "GetOperation", get, library.home.service).done
    other = library.token(filter='tags = "blue"', role="service")
    assert library.refusal(OPERATIONS + "GetOperation", get, other).code is grpc.StatusCode.NOT_FOUND
    # The same request under another filter is another one.
    assert library.refusal(INDEX + "ExportDocuments", request, other).reason == "REQUEST_ID_REUSED"


def test_a_filter_that_means_nothing_in_a_collection_lets_nothing_through(library: Library) -> None:
    for text in ("price > 5", "tags =", "readers:x"):
        for method, request in (
            (SEARCH + "Search", search_pb2.SearchRequest(parent=library.home.default, query="apple")),
            (INDEX + "GetDocument", index_pb2.GetDocumentRequest(name=library.home.document("red"))),
        ):
            refusal = library.refusal(method, request, library.token(filter=text))
            assert (refusal.code, refusal.reason) == (DENIED, "SCOPED_TOKEN_FILTER")


def test_a_token_ends_at_its_time_and_no_later_than_its_key(library: Library, platform: Any) -> None:
    search = search_pb2.SearchRequest(parent="tenants/-/collections/default", query="apple")
    short = library.token(expire=2)
    library.door.call(SEARCH + "Search", search, short)
    time.sleep(2.1)
    assert library.refusal(SEARCH + "Search", search, short).reason == "SCOPED_TOKEN_EXPIRED"
    made = tenant_pb2.CreateApiKeyRequest(
        parent=library.home.name, api_key=resources_pb2.ApiKey(role=ROLES.ROLE_SERVICE)
    )
    made.api_key.expire_time.FromSeconds(int(time.time()) + 60)
    key = library.door.call(TENANT + "CreateApiKey", made, platform.admin_key).secret
    library.door.call(SEARCH + "Search", search, scoped_token(key, expire=50))
    assert library.refusal(SEARCH + "Search", search, scoped_token(key, expire=90)).reason == "SCOPED_TOKEN_WIDER"


def test_tokens_die_with_the_secret_that_signed_them_and_with_their_key(library: Library, platform: Any) -> None:
    search = search_pb2.SearchRequest(parent="tenants/-/collections/default", query="apple")
    made = new_key(library.door, platform.admin_key, library.home.tenant_id, ROLES.ROLE_SERVICE)

    def wait_for(token: str, reason: str) -> None:
        end = time.monotonic() + WITHIN_SECONDS
        while True:
            try:
                library.door.call(SEARCH + "Search", search, token)
            except grpc.RpcError:
                assert library.refusal(SEARCH + "Search", search, token).reason == reason
                return
            assert time.monotonic() < end
            time.sleep(0.1)

    first = scoped_token(made.secret, expire=300)
    library.door.call(SEARCH + "Search", search, first)
    rotate = keys_pb2.RotateApiKeyRequest(name=made.api_key.name)
    rotate.overlap.FromSeconds(0)
    secret = library.door.call(TENANT + "RotateApiKey", rotate, platform.admin_key).secret
    wait_for(first, "SCOPED_TOKEN_UNKNOWN")
    second = scoped_token(secret, expire=300)
    library.door.call(SEARCH + "Search", search, second)
    library.door.call(
        TENANT + "RevokeApiKey", tenant_pb2.RevokeApiKeyRequest(name=made.api_key.name), platform.admin_key
    )
    wait_for(second, "API_KEY_REVOKED")


def test_a_token_of_another_tenant_s_key_opens_nothing_here(library: Library, platform: Any) -> None:
    with home(library.door, platform.admin_key, "other") as other:
        token = scoped_token(other.service, expire=60, role="service")
        search = search_pb2.SearchRequest(parent=library.home.default, query="apple")
        assert library.refusal(SEARCH + "Search", search, token).code is DENIED
    forged = f"pt_{library.home.service[3:19]}." + token.partition(".")[2]
    refusal = library.refusal(SEARCH + "Search", search, forged)
    assert (refusal.code, refusal.reason) == (UNAUTHENTICATED, "SCOPED_TOKEN_UNKNOWN")
