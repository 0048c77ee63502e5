# SPDX-License-Identifier: Apache-2.0
"""Two tenants with the same names, ids and words, driven at random against a model: each has a search engine of its own."""

from __future__ import annotations

import itertools
import os
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar

import grpc
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pinakes.v1 import facets_pb2, index_pb2, resources_pb2, search_pb2, suggest_pb2
from tests.wire import INDEX, SEARCH, Door, Home, Refusal, home, put

SEED = int(os.environ.get("PINAKES_TEST_SEED", secrets.randbits(32)))
LONG = os.environ.get("PINAKES_TEST_PROFILE") == "long"
SECONDS, EXAMPLES, STEPS = (600.0, 10, 60) if LONG else (25.0, 2, 30)
# A change of a collection reaches every process within so many seconds (docs: five).
SPREAD_SECONDS = 5.0
# Refresh of the pool in this test, and how long an answer may be kept.
REFRESH_SECONDS, CACHE_SECONDS = 0.1, 1.0
# How long a search may use what it knows of a small collection's words.
WORDS_SECONDS = 2.2
IDS = st.sampled_from([f"d{number}" for number in range(6)])
WORDS = ("amber", "basalt", "cobalt", "dolomite")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True).map(" ".join)
CREDENTIALS = ("admin", "service", "user")
# The collection whose results a neighbour must not change, its numbers, and what is counted of it.
COUNTED, NUMBERS = "counted", ("price", "size")
FACETS = (
    facets_pb2.Facet(field="tags"),
    facets_pb2.Facet(field="attributes.price", ranges=[{"to": "4"}, {"from": "4", "to": "8"}, {"from": "8"}]),
    facets_pb2.Facet(field="attributes.size", interval=5),
)
MISSPELT = ("ambir", "rarely cobolt")
Outcome = index_pb2.WriteResult


@dataclass(slots=True)
class Kept:
    """A document in the model."""

    title: str
    body: str
    etag: str


@dataclass(slots=True)
class Shelf:
    """A collection of one tenant in the model. `applied` is when it was last written without waiting for searches."""

    home: Home
    documents: dict[str, Kept] = field(default_factory=dict)
    applied: float = 0.0


class Tenants(RuleBasedStateMachine):
    """Does what callers do, as one of two tenants, and expects what the model of that tenant says."""

    door: ClassVar[Door]
    homes: ClassVar[tuple[Home, Home]]
    numbers: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        """Begin as the first tenant's service."""
        super().__init__()
        self.collection = f"machine-{next(self.numbers)}"
        self.shelves = {made.tenant_id: Shelf(made) for made in self.homes}
        self.mine, self.other = self.homes
        self.credential = "service"

    @initialize()
    def begin(self) -> None:
        """Make the same collection in both tenants."""
        for made in self.homes:
            self._create_collection(made)

    def teardown(self) -> None:
        """Delete the collections again."""
        for made in self.homes:
            request = index_pb2.DeleteCollectionRequest(name=f"{made.name}/collections/{self.collection}")
            try:
                self.door.call(INDEX + "DeleteCollection", request, made.service)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND  # type: ignore[attr-defined]  # a failed call is a call

    # ---- who calls

    @rule(other=st.booleans(), credential=st.sampled_from(CREDENTIALS))
    def switch(self, other: bool, credential: str) -> None:  # hypothesis passes it by name
        if other:
            self.mine, self.other = self.other, self.mine
        self.credential = credential

    # ---- writing

    @rule(document_id=IDS, title=TEXTS, body=TEXTS, searchable=st.booleans())
    def create(self, document_id: str, title: str, body: str, searchable: bool) -> None:
        request = index_pb2.CreateDocumentRequest(
            parent=self.parent, document_id=document_id, mode=_mode(searchable),
            document=resources_pb2.Document(title=title, body=body),
        )  # fmt: skip
        if self._writes("CreateDocument", request):
            if document_id in self.kept:
                assert self._refused("CreateDocument", request).code is grpc.StatusCode.ALREADY_EXISTS
            else:
                self._wrote(document_id, self._call("CreateDocument", request), searchable=searchable)

    @rule(document_id=IDS, title=TEXTS, etag=st.sampled_from(["", "current", "foreign"]), missing=st.booleans())
    def update(self, document_id: str, title: str, etag: str, missing: bool) -> None:
        kept, foreign = self.kept.get(document_id), self.shelves[self.other.tenant_id].documents.get(document_id)
        given = {"": "", "current": kept.etag if kept else "", "foreign": foreign.etag if foreign else "none"}[etag]
        document = resources_pb2.Document(name=self._name(document_id), title=title, etag=given)
        request = index_pb2.UpdateDocumentRequest(
            document=document, allow_missing=missing, mode=index_pb2.WRITE_MODE_SEARCHABLE
        )
        request.update_mask.paths.append("title")
        if not self._writes("UpdateDocument", request):
            return
        if kept is None and (given or not missing):
            assert self._refused("UpdateDocument", request).code is grpc.StatusCode.NOT_FOUND
        elif etag == "foreign":
            assert self._refused("UpdateDocument", request).code is grpc.StatusCode.ABORTED
        else:
            written = self._call("UpdateDocument", request)
            assert written.body == (kept.body if kept else "")
            self._wrote(document_id, written, searchable=True)

    @rule(document_id=IDS, searchable=st.booleans())
    def delete(self, document_id: str, searchable: bool) -> None:
        request = index_pb2.DeleteDocumentRequest(name=self._name(document_id), mode=_mode(searchable))
        if self._writes("DeleteDocument", request):
            if document_id in self.kept:
                self._call("DeleteDocument", request)
                self._wrote(document_id, None, searchable=searchable)
            else:
                assert self._refused("DeleteDocument", request).code is grpc.StatusCode.NOT_FOUND

    @rule(writes=st.dictionaries(IDS, st.none() | st.tuples(TEXTS, TEXTS), min_size=1), searchable=st.booleans())
    def batch(self, writes: dict[str, tuple[str, str] | None], searchable: bool) -> None:
        request = index_pb2.BatchWriteDocumentsRequest(parent=self.parent, mode=_mode(searchable))
        for document_id, texts in writes.items():
            name = self._name(document_id)
            if texts is None:
                request.writes.add(delete=index_pb2.DocumentDeletion(name=name))
            else:
                request.writes.add(put=resources_pb2.Document(name=name, title=texts[0], body=texts[1]))
        if not self._writes("BatchWriteDocuments", request):
            return
        results = self._call("BatchWriteDocuments", request).results
        for (document_id, texts), result in zip(writes.items(), results, strict=True):
            there = document_id in self.kept
            if texts is None:
                assert result.outcome == (Outcome.OUTCOME_DELETED if there else Outcome.OUTCOME_NOT_FOUND)
                self.kept.pop(document_id, None)
            else:
                assert result.outcome == (Outcome.OUTCOME_UPDATED if there else Outcome.OUTCOME_CREATED)
                self.kept[document_id] = Kept(*texts, result.etag)
        if not searchable:
            self.shelf.applied = time.monotonic()

    @precondition(lambda self: self.credential != "user" and any(s.documents for s in self.shelves.values()))
    @rule(go_on=st.integers(0, 3))
    def delete_and_create_the_collection_anew(self, go_on: int) -> None:
        """Takes seconds, so only now and then: it starts empty, and the other tenant's stays as it is."""
        if go_on:
            return
        self._call("DeleteCollection", index_pb2.DeleteCollectionRequest(name=self.parent))
        self._within(SPREAD_SECONDS, lambda: self._search_code() is grpc.StatusCode.NOT_FOUND)
        self._create_collection(self.mine)
        self.shelf.documents.clear()
        self.shelf.applied = 0.0
        self._within(SPREAD_SECONDS, lambda: self._search_code() is grpc.StatusCode.OK)

    # ---- reading

    @rule(document_id=IDS)
    def get(self, document_id: str) -> None:
        request = index_pb2.GetDocumentRequest(name=self._name(document_id))
        if document_id in self.kept:
            self._same(self._call("GetDocument", request))
        else:
            assert self._refused("GetDocument", request).code is grpc.StatusCode.NOT_FOUND

    @rule(ids=st.lists(IDS, min_size=1, unique=True))
    def batch_get(self, ids: list[str]) -> None:
        names = [self._name(document_id) for document_id in ids]
        answer = self._call("BatchGetDocuments", index_pb2.BatchGetDocumentsRequest(parent=self.parent, names=names))
        assert [_id(found) for found in answer.documents] == [i for i in ids if i in self.kept]
        assert list(answer.missing) == [self._name(i) for i in ids if i not in self.kept]
        for found in answer.documents:
            self._same(found)

    @rule()
    def list_all(self) -> None:
        self._settle()
        found = self._pages(
            "IndexService/ListDocuments", index_pb2.ListDocumentsRequest(parent=self.parent, page_size=4)
        )
        assert [_id(document) for document in found] == sorted(self.kept)
        for document in found:
            self._same(document)

    @rule(word=st.sampled_from((*WORDS, "")), page_size=st.sampled_from([2, 50]))
    def search(self, word: str, page_size: int) -> None:
        self._settle()
        request = search_pb2.SearchRequest(parent=self.parent, query=word, page_size=page_size)
        request.read_mask.paths.append("*")
        found = [result.document for result in self._pages("SearchService/Search", request)]
        expected = {i for i, kept in self.kept.items() if word in f"{kept.title} {kept.body}"}
        assert len(found) == len(expected)
        assert {_id(document) for document in found} == expected
        for document in found:
            self._same(document)

    @rule(document_id=IDS, method=st.sampled_from(["GetDocument", "DeleteDocument", "ListDocuments", "Search"]))
    def reach_for_the_other_tenant(self, document_id: str, method: str) -> None:
        name = self.other.document(document_id, self.collection)
        parent = name.partition("/documents/")[0]
        request: Any = {
            "GetDocument": index_pb2.GetDocumentRequest(name=name),
            "DeleteDocument": index_pb2.DeleteDocumentRequest(name=name),
            "ListDocuments": index_pb2.ListDocumentsRequest(parent=parent),
            "Search": search_pb2.SearchRequest(parent=parent),
        }[method]
        assert self._refused(method, request).code is grpc.StatusCode.PERMISSION_DENIED

    # ---- how

    @property
    def shelf(self) -> Shelf:
        """The model of the caller's tenant."""
        return self.shelves[self.mine.tenant_id]

    @property
    def kept(self) -> dict[str, Kept]:
        """The caller's documents in the model."""
        return self.shelf.documents

    @property
    def parent(self) -> str:
        """The caller's collection."""
        return f"{self.mine.name}/collections/{self.collection}"

    @property
    def key(self) -> str:
        """The caller's key."""
        key: str = getattr(self.mine, self.credential)
        return key

    def _name(self, document_id: str) -> str:
        return self.mine.document(document_id, self.collection)

    def _call(self, method: str, request: Any) -> Any:
        return self.door.call((SEARCH if method == "Search" else INDEX) + method, request, self.key)

    def _refused(self, method: str, request: Any) -> Refusal:
        return self.door.refusal((SEARCH if method == "Search" else INDEX) + method, request, self.key)

    def _writes(self, method: str, request: Any) -> bool:
        """Tell whether the caller may write; if not, see that it is refused."""
        if self.credential == "user":
            assert self._refused(method, request).code is grpc.StatusCode.PERMISSION_DENIED
        return self.credential != "user"

    def _wrote(self, document_id: str, written: resources_pb2.Document | None, *, searchable: bool) -> None:
        if written is None:
            del self.kept[document_id]
        else:
            self.kept[document_id] = Kept(written.title, written.body, written.etag)
        if not searchable:
            self.shelf.applied = time.monotonic()

    def _settle(self) -> None:
        """Wait for what was written without waiting for searches; after SEARCHABLE writes there is nothing to wait for."""
        time.sleep(max(0.0, self.shelf.applied + REFRESH_SECONDS * 3 + CACHE_SECONDS - time.monotonic()))

    def _same(self, found: resources_pb2.Document) -> None:
        kept = self.kept[_id(found)]
        assert (found.name, found.title, found.body) == (self._name(_id(found)), kept.title, kept.body)
        assert found.etag == kept.etag

    def _pages(self, path: str, request: Any) -> list[Any]:
        found: list[Any] = []
        for _ in range(10):
            answer = self.door.call("/pinakes.v1." + path, request, self.key)
            found += answer.documents if path.endswith("ListDocuments") else answer.results
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found
        message = "the pages have no end"
        raise AssertionError(message)

    def _search_code(self) -> grpc.StatusCode:
        try:
            answer = self._call("Search", search_pb2.SearchRequest(parent=self.parent, page_size=49))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]  # a failed call is a call too
            return code
        assert {_id(result.document) for result in answer.results} <= set(self.kept)
        return grpc.StatusCode.OK

    def _create_collection(self, made: Home) -> None:
        request = index_pb2.CreateCollectionRequest(parent=made.name, collection_id=self.collection)
        self.door.call(INDEX + "CreateCollection", request, made.service)

    def _within(self, seconds: float, holds: Any) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "a change of a collection didn't spread"
            time.sleep(0.1)


def _mode(searchable: bool) -> index_pb2.WriteMode:  # as hypothesis gives it
    return index_pb2.WRITE_MODE_SEARCHABLE if searchable else index_pb2.WRITE_MODE_APPLIED


def _id(document: resources_pb2.Document) -> str:
    return document.name.rpartition("/")[2]


@pytest.fixture
def quick_refresh(platform: Any) -> Iterator[None]:
    """Refresh the pool more often, so that a minute holds more steps; what is promised doesn't depend on it."""
    yield from _refresh_every(platform.opensearch_url, f"{round(REFRESH_SECONDS * 1000)}ms")


def _refresh_every(engine: str, interval: str) -> Iterator[None]:
    for value in (interval, "1s"):
        request = urllib.request.Request(  # the test's own engine
            f"{engine}/pinakes-pool-*/_settings", f'{{"index":{{"refresh_interval":"{value}"}}}}'.encode(),
            {"content-type": "application/json"}, method="PUT",
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10):  # as above
            pass
        if value == interval:
            yield


@pytest.mark.timeout(1200 if LONG else 240)
def test_two_tenants_behave_as_if_each_were_alone(platform: Any, quick_refresh: None) -> None:
    print(f"to repeat: PINAKES_TEST_SEED={SEED}")
    with ExitStack() as stack:
        Tenants.door = stack.enter_context(Door(platform.endpoint))
        first, second = (stack.enter_context(home(Tenants.door, platform.admin_key, f"machine-{i}")) for i in "ab")
        Tenants.homes, Tenants.numbers = (first, second), itertools.count()
        # Each step is a call of real servers: a failure is told as it came, since shrinking it would take minutes.
        bounds = settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True,
        )  # fmt: skip
        end, number = time.monotonic() + SECONDS, SEED
        while time.monotonic() < end:
            run_state_machine_as_test(seed(number)(Tenants), settings=bounds)  # type: ignore[no-untyped-call]  # as published
            number += 1


def test_a_tenants_results_are_the_same_whatever_a_hostile_neighbour_holds(platform: Any) -> None:
    with (
        Door(platform.endpoint) as door,
        home(door, platform.admin_key, "quiet") as quiet,
        home(door, platform.admin_key, "hostile") as hostile,
    ):
        for made in (quiet, hostile):
            collection = resources_pb2.Collection()
            for name in NUMBERS:
                collection.attributes.add(name=name, type=resources_pb2.AttributeDefinition.TYPE_NUMBER)
            request = index_pb2.CreateCollectionRequest(parent=made.name, collection_id=COUNTED, collection=collection)
            door.call(INDEX + "CreateCollection", request, made.service)
        for number in range(12):
            text = " ".join(WORDS[: number % 4 + 1] * (number % 3 + 1))
            put(
                door, quiet.service, quiet.document(f"d{number}", COUNTED), index_pb2.WRITE_MODE_APPLIED,
                title=text, body=f"{text} rarely {'x ' * number}", tags=[WORDS[number % 4]],
                attributes=dict.fromkeys(NUMBERS, number),
            )  # fmt: skip
        put(door, quiet.service, quiet.document("last", COUNTED), title="amber last")
        before = _everything(door, quiet)
        assert [before[1][query].correction.query for query in MISSPELT] == ["amber", "rarely cobalt"]
        told = before[1]["amber ba"]
        assert all((told.titles, told.terms, told.related)), "all that is compared is there"
        _fill(door, hostile)
        time.sleep(WORDS_SECONDS)
        assert _everything(door, quiet) == before


def _fill(door: Door, hostile: Home) -> None:
    """Write the quiet tenant's words and ids, rare words made common, lengths made extreme; and delete some again."""
    parent = f"{hostile.name}/collections/{COUNTED}"
    request = index_pb2.BatchWriteDocumentsRequest(parent=parent, mode=index_pb2.WRITE_MODE_SEARCHABLE)
    for number in range(600):
        name = hostile.document(f"d{number}", COUNTED)
        text = WORDS[number % 2] if number % 3 else "rarely " * (number % 50)
        # Words that are nearer to those with an error than the quiet tenant's, or have the same beginning.
        tags = ["cobalt", "ambar", "ambergris", "basaltic"]
        document = resources_pb2.Document(name=name, title=text[:900], body=f"{text} last " * 20, tags=tags)
        document.attributes.update(dict.fromkeys(NUMBERS, number - 1000))
        request.writes.add(put=document)
    door.call(INDEX + "BatchWriteDocuments", request, hostile.service, timeout=30)
    deletion = index_pb2.BatchWriteDocumentsRequest(parent=parent, mode=index_pb2.WRITE_MODE_SEARCHABLE)
    for number in range(0, 600, 4):
        deletion.writes.add(delete=index_pb2.DocumentDeletion(name=hostile.document(f"d{number}", COUNTED)))
    door.call(INDEX + "BatchWriteDocuments", deletion, hostile.service, timeout=30)


def _everything(door: Door, tenant: Home) -> tuple[dict[str, Any], dict[str, suggest_pb2.SuggestResponse]]:
    """Return ids in order, scores, counts, facets and corrections of searches that rank by all there is; and suggestions."""
    parent = f"{tenant.name}/collections/{COUNTED}"
    found: dict[str, Any] = {}
    several = (*WORDS, "rarely", "amber basalt rarely", '"amber basalt"', "dolomite -amber", "last x", "")
    for query in (*several, *MISSPELT, "am*", "rarely ba*"):
        request = search_pb2.SearchRequest(parent=parent, query=query, page_size=50, facets=FACETS)
        answer = _settled(door, request, tenant.user)
        results = [(_id(result.document), result.score) for result in answer.results]
        found[query] = results, answer.total_size, list(answer.facets), answer.correction
    suggested: dict[str, suggest_pb2.SuggestResponse] = {}
    kinds = [number for number in suggest_pb2.SuggestRequest.Kind.values() if number]
    # The words with an error are known by the searches above: none is too late for a correction.
    for query in ("am", "amber ba", "amber ", *MISSPELT):
        asked = suggest_pb2.SuggestRequest(parent=parent, query=query, kinds=kinds)
        suggested[query] = door.call(SEARCH + "Suggest", asked, tenant.user)
        suggested[query].ClearField("took")
    return found, suggested


def _settled(door: Door, request: search_pb2.SearchRequest, key: str) -> Any:
    """Search until the query's words have been looked up: a busy machine isn't what is compared."""
    for _ in range(10):
        answer = door.call(SEARCH + "Search", request, key)
        if not answer.degraded:
            return answer
        time.sleep(CACHE_SECONDS)
    message = "every answer is degraded"
    raise AssertionError(message)
