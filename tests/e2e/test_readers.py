# SPDX-License-Identifier: Apache-2.0
"""Who sees which documents: readers on keys and documents, and documents whose time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf.json_format import ParseDict

from pinakes.client import scoped_token
from pinakes.v1 import failures_pb2, index_pb2, insights_pb2, resources_pb2, search_pb2, suggest_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.wire import INDEX, OPERATIONS, ROLES, SEARCH, Door, Home, home, new_key, put

DENIED, NOT_FOUND = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
DOCUMENTS: dict[str, tuple[str, ...]] = {"open": (), "ann": ("ann",), "bob": ("bob",), "both": ("ann", "bob")}
# "pinned" is a word of none of them, so what it finds is what is pinned to it.
COLLECTION: dict[str, Any] = {
    "attributes": [{"name": "own", "type": "TYPE_STRING"}, {"name": "series", "type": "TYPE_STRING"}],
    "search": {"curations": [{"query": "pinned", "pins": ["bob", "both", "ann", "open"]}]},
}


@dataclass(frozen=True, slots=True)
class Library:
    """A tenant with documents for some, and keys of readers."""

    door: Door
    home: Home
    keys: dict[str, str]


@pytest.fixture(scope="module")
def library(platform: Any) -> Iterator[Library]:
    """Write a document for everyone, for each of two readers, and for both."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "readers") as made:
        change = index_pb2.UpdateCollectionRequest(collection={"name": made.default})
        ParseDict(COLLECTION, change.collection)
        change.update_mask.paths.extend(COLLECTION)
        door.call(INDEX + "UpdateCollection", change, made.service)
        for document_id, readers in DOCUMENTS.items():
            _put(door, made, made.document(document_id), readers)
        keys = {
            name: new_key(door, platform.admin_key, made.tenant_id, ROLES.ROLE_TENANT_USER, readers).secret
            for name, readers in {"ann": ("ann",), "bob and another": ("bob", "zoe"), "stranger": ("zoe",)}.items()
        }
        token = scoped_token(made.service, expire=600, readers=["ann"])
        others = {"nobody": made.user, "service": made.service, "admin": made.admin, "a token for ann": token}
        yield Library(door, made, {**keys, **others})


def _put(door: Door, made: Home, name: str, readers: tuple[str, ...] = ()) -> resources_pb2.Document:
    """Write a document that can be told by its tag and an attribute of its own, and has another with all others."""
    own = name.rpartition("/")[2]
    attributes = {"own": own, "series": "one"}
    return put(door, made.service, name, title="page", tags=[own], attributes=attributes, readers=readers)


SEEN = {
    "ann": {"open", "ann", "both"},
    "a token for ann": {"open", "ann", "both"},
    "bob and another": {"open", "bob", "both"},
    "stranger": {"open"},
    # A key without readers reads as nobody in particular.
    "nobody": {"open"},
    "service": set(DOCUMENTS),
    "admin": set(DOCUMENTS),
}


def pages(door: Door, method: str, request: Any, key: str) -> Iterator[Any]:
    """Yield the answers of a search or a list to the last page. A page in the middle is never empty."""
    request.page_size = 1
    while True:
        answer = door.call(method, request, key)
        yield answer
        request.page_token = answer.next_page_token
        if not request.page_token:
            return
        assert len(answer.results if method == SEARCH + "Search" else answer.documents) == 1


def ids(results: Any) -> set[str]:
    """Return the ids of results."""
    return {result.document.name.rpartition("/")[2] for result in results}


def seen(library: Library, key: str, collection: str = "default") -> dict[str, set[str]]:
    """Return what each way of reading shows. Tags are the ids, so that what is counted can be told apart."""
    parent = f"{library.home.name}/collections/{collection}"
    names = {document_id: library.home.document(document_id, collection) for document_id in DOCUMENTS}
    door = library.door
    asked = search_pb2.SearchRequest(parent=parent, query="page")
    asked.facets.add(field="tags")
    search = door.call(SEARCH + "Search", asked, key)
    assert search.total_size == len(search.results)
    several = search_pb2.BatchSearchRequest(parent=parent, requests=[search_pb2.SearchRequest(query="page")])
    (outcome,) = door.call(SEARCH + "BatchSearch", several, key).outcomes
    counted = door.call(SEARCH + "CountDocuments", search_pb2.CountDocumentsRequest(parent=parent, query="page"), key)
    assert counted.total_size == len(search.results)
    collapsed = search_pb2.SearchRequest(parent=parent, query="page", collapse="attributes.own")
    pinned = door.call(SEARCH + "Search", search_pb2.SearchRequest(parent=parent, query="pinned"), key)
    assert all(result.pinned for result in pinned.results)
    assert pinned.total_size == len(pinned.results)
    paged = list(pages(door, SEARCH + "Search", search_pb2.SearchRequest(parent=parent, query="page"), key))
    lists = list(pages(door, INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=parent), key))
    suggested = door.call(SEARCH + "Suggest", suggest_pb2.SuggestRequest(parent=parent, query="pag", limit=10), key)
    listed = door.call(INDEX + "ListDocuments", index_pb2.ListDocumentsRequest(parent=parent), key)
    batch = index_pb2.BatchGetDocumentsRequest(parent=parent, names=names.values())
    answer = door.call(INDEX + "BatchGetDocuments", batch, key)
    found = {document.name for document in answer.documents}
    assert found.isdisjoint(answer.missing)
    assert found | set(answer.missing) == set(names.values())
    got: dict[str, set[str]] = {"get": set(), "explain": set()}
    for document_id, name in names.items():
        explain = search_pb2.ExplainDocumentRequest(name=name, search=search_pb2.SearchRequest(query="page"))
        get = index_pb2.GetDocumentRequest(name=name)
        for way, method, request in (
            ("get", INDEX + "GetDocument", get),
            ("explain", SEARCH + "ExplainDocument", explain),
        ):
            try:
                door.call(method, request, key)
                got[way].add(document_id)
            except grpc.RpcError:
                assert door.refusal(method, request, key).code is NOT_FOUND
    return {
        "search": ids(search.results),
        "collapse": ids(door.call(SEARCH + "Search", collapsed, key).results),
        "pins": ids(pinned.results),
        "pages of a search": ids(result for page in paged for result in page.results),
        "pages of a list": {one.name.rpartition("/")[2] for page in lists for one in page.documents},
        "list": {document.name.rpartition("/")[2] for document in listed.documents},
        "batch": {name.rpartition("/")[2] for name in found},
        "batch search": ids(outcome.response.results),
        "suggest": {title.document.rpartition("/")[2] for title in suggested.titles},
        "facets": {bucket.value for facet in search.facets for bucket in facet.buckets},
        **got,
    }


@pytest.mark.parametrize("who", sorted(SEEN))
def test_each_way_of_reading_shows_what_the_reader_may_see(library: Library, who: str) -> None:
    ways = seen(library, library.keys[who])
    assert all(found == SEEN[who] for found in ways.values()), ways


def test_a_document_that_may_not_be_read_is_as_absent_as_one_that_never_was(library: Library) -> None:
    def get(document_id: str) -> Any:
        request = index_pb2.GetDocumentRequest(name=library.home.document(document_id))
        return library.door.refusal(INDEX + "GetDocument", request, library.keys["ann"])

    hidden, absent = get("bob"), get("nil")
    assert (hidden.code, hidden.reason) == (absent.code, absent.reason)
    assert hidden.message == absent.message.replace("nil", "bob")
    assert hidden.details == tuple(detail.replace(b"nil", b"bob") for detail in absent.details)


@pytest.mark.parametrize("who", sorted(SEEN))
def test_of_documents_that_collapse_the_best_is_shown_that_its_reader_may_see(library: Library, who: str) -> None:
    door, key = library.door, library.keys[who]
    best, *others = sorted(SEEN[who])
    search = search_pb2.SearchRequest(
        parent=library.home.default, query="page", collapse="attributes.series", order_by="id"
    )
    answer = door.call(SEARCH + "Search", search, key)
    assert ids(answer.results) == {best}
    assert answer.total_size <= len(SEEN[who])
    for document_id in (best, *others):
        explain = search_pb2.ExplainDocumentRequest(name=library.home.document(document_id), search=search)
        told = door.call(SEARCH + "ExplainDocument", explain, key)
        verdict = "VERDICT_FOUND" if document_id == best else "VERDICT_COLLAPSED"
        assert search_pb2.ExplainDocumentResponse.Verdict.Name(told.verdict) == verdict
        assert not [hidden for hidden in DOCUMENTS if hidden not in SEEN[who] and hidden in told.text.split()]


def test_what_tells_of_documents_whoever_may_read_them_is_closed_to_readers(library: Library) -> None:
    """Exports, looks at what a purge would delete, failed writes and operations are for those who see every document."""
    door, parent = library.door, library.home.default
    look = verbs_pb2.PurgeDocumentsRequest(parent=parent, filter="tags:bob")
    done = door.call(INDEX + "PurgeDocuments", look, library.home.service)
    told = verbs_pb2.PurgeDocumentsResponse()
    assert done.response.Unpack(told)
    assert list(told.purge_sample) == [library.home.document("bob")]
    for who in ("ann", "a token for ann", "stranger", "nobody"):
        for method, request in (
            (INDEX + "PurgeDocuments", look),
            (INDEX + "ExportDocuments", verbs_pb2.ExportDocumentsRequest(parent=parent, destination_uri="file:///x.jsonl")),
            (INDEX + "ListFailedWrites", failures_pb2.ListFailedWritesRequest(parent=parent)),
            (SEARCH + "GetSearchInsights", insights_pb2.GetSearchInsightsRequest(parent=parent)),
            (OPERATIONS + "GetOperation", operations_pb2.GetOperationRequest(name=done.name)),
            (OPERATIONS + "ListOperations", operations_pb2.ListOperationsRequest(name=library.home.name)),
        ):  # fmt: skip
            refusal = door.refusal(method, request, library.keys[who])
            assert (refusal.code, refusal.reason) == (DENIED, "PERMISSION_DENIED"), (who, method)


@pytest.mark.parametrize("who", SEEN)
def test_what_is_pinned_is_told_to_those_who_may_read_all_of_it(library: Library, who: str) -> None:
    door, key, sees = library.door, library.keys[who], SEEN[who] == set(DOCUMENTS)
    read = door.call(INDEX + "GetCollection", index_pb2.GetCollectionRequest(name=library.home.default), key)
    (listed,) = door.call(
        INDEX + "ListCollections", index_pb2.ListCollectionsRequest(parent="tenants/-"), key
    ).collections
    for found in (read, listed):
        assert bool(found.search.curations) is sees


def test_a_filter_on_readers_shows_nothing_of_documents_for_others(library: Library) -> None:
    for text in ("readers:bob", 'NOT title:"nothing"', "-tags:none", 'readers:"*"'):
        request = search_pb2.SearchRequest(parent=library.home.default, filter=text)
        try:
            answer = library.door.call(SEARCH + "Search", request, library.keys["stranger"])
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]  # a failed call is a call
        else:
            assert ids(answer.results) <= {"open"}


def test_a_cached_answer_of_one_reader_is_never_anothers(library: Library) -> None:
    request = search_pb2.SearchRequest(parent=library.home.default, query="page")
    for who in ("service", "stranger", "ann", "stranger", "service"):
        answer = library.door.call(SEARCH + "Search", request, library.keys[who])
        assert ids(answer.results) == SEEN[who]


def test_a_document_whose_time_is_over_is_hidden_from_every_way_of_reading(library: Library) -> None:
    collection = index_pb2.CreateCollectionRequest(parent=library.home.name, collection_id="short")
    ParseDict(COLLECTION, collection.collection)
    library.door.call(INDEX + "CreateCollection", collection, library.home.service)
    document = _put(library.door, library.home, library.home.document("open", "short"))
    assert seen(library, library.home.service, "short")["search"] == {"open"}
    document.expire_time.FromMilliseconds(round((time.time() + 3) * 1000))
    request = index_pb2.UpdateDocumentRequest(document=document, mode=index_pb2.WRITE_MODE_SEARCHABLE)
    request.update_mask.paths.append("expire_time")
    library.door.call(INDEX + "UpdateDocument", request, library.home.service)
    # Filters know seconds, and an answer may be kept for one more.
    time.sleep(3 + 1 + 1.2)
    ways = seen(library, library.home.service, "short")
    assert not any(ways.values()), ways
