# SPDX-License-Identifier: Apache-2.0
"""Who sees which documents: readers on keys and documents, and documents whose time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from pinakes.v1 import index_pb2, search_pb2, suggest_pb2
from tests.wire import INDEX, ROLES, SEARCH, Door, Home, home, new_key, put

DOCUMENTS: dict[str, tuple[str, ...]] = {"open": (), "ann": ("ann",), "bob": ("bob",), "both": ("ann", "bob")}


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
        for document_id, readers in DOCUMENTS.items():
            put(door, made.service, made.document(document_id), title="page", tags=[document_id], readers=readers)
        keys = {
            name: new_key(door, platform.admin_key, made.tenant_id, ROLES.ROLE_TENANT_USER, readers).secret
            for name, readers in {"ann": ("ann",), "bob and another": ("bob", "zoe"), "stranger": ("zoe",)}.items()
        }
        yield Library(door, made, {**keys, "nobody": made.user, "service": made.service, "admin": made.admin})


SEEN = {
    "ann": {"open", "ann", "both"},
    "bob and another": {"open", "bob", "both"},
    "stranger": {"open"},
    # A key without readers reads as nobody in particular.
    "nobody": {"open"},
    "service": set(DOCUMENTS),
    "admin": set(DOCUMENTS),
}


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
                assert door.refusal(method, request, key).code is grpc.StatusCode.NOT_FOUND
    return {
        "search": {result.document.name.rpartition("/")[2] for result in search.results},
        "list": {document.name.rpartition("/")[2] for document in listed.documents},
        "batch": {name.rpartition("/")[2] for name in found},
        "batch search": {one.document.name.rpartition("/")[2] for one in outcome.response.results},
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


def test_a_filter_on_readers_shows_nothing_of_documents_for_others(library: Library) -> None:
    for text in ("readers:bob", 'NOT title:"nothing"', "-tags:none", 'readers:"*"'):
        request = search_pb2.SearchRequest(parent=library.home.default, filter=text)
        try:
            answer = library.door.call(SEARCH + "Search", request, library.keys["stranger"])
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]  # a failed call is a call
        else:
            assert {result.document.name.rpartition("/")[2] for result in answer.results} <= {"open"}


def test_a_cached_answer_of_one_reader_is_never_anothers(library: Library) -> None:
    request = search_pb2.SearchRequest(parent=library.home.default, query="page")
    for who in ("service", "stranger", "ann", "stranger", "service"):
        answer = library.door.call(SEARCH + "Search", request, library.keys[who])
        assert {result.document.name.rpartition("/")[2] for result in answer.results} == SEEN[who]


def test_a_document_whose_time_is_over_is_hidden_from_every_way_of_reading(library: Library) -> None:
    collection = index_pb2.CreateCollectionRequest(parent=library.home.name, collection_id="short")
    library.door.call(INDEX + "CreateCollection", collection, library.home.service)
    document = put(
        library.door, library.home.service, library.home.document("open", "short"), title="page", tags=["open"]
    )
    assert seen(library, library.home.service, "short")["search"] == {"open"}
    document.expire_time.FromMilliseconds(round((time.time() + 3) * 1000))
    request = index_pb2.UpdateDocumentRequest(document=document, mode=index_pb2.WRITE_MODE_SEARCHABLE)
    request.update_mask.paths.append("expire_time")
    library.door.call(INDEX + "UpdateDocument", request, library.home.service)
    # Filters know seconds, and an answer may be kept for one more.
    time.sleep(3 + 1 + 1.2)
    ways = seen(library, library.home.service, "short")
    assert not any(ways.values()), ways
