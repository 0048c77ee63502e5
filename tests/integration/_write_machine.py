# SPDX-License-Identifier: Apache-2.0
"""What the machine of the write model does its steps with: calls, waiting for the queue, and the looks at the outcome."""

from __future__ import annotations

import os
import secrets
import signal
import time
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import grpc
import redis
from hypothesis.stateful import RuleBasedStateMachine, initialize

from pinakes.core.queue import keys
from pinakes.v1 import index_pb2, resources_pb2, search_pb2
from tests.integration._write_model import CLOCK_MARGIN, Content, Shelf
from tests.wire import INDEX, SEARCH, Door, Home

CACHE_SECONDS = 1.5
"""An answer is kept for a second from when it is stored, which on a busy machine is a while after it was given."""
SOON_SECONDS = 30.0
"""What expires within this time is waited for before it is written, however slow the machine is."""

SEARCHABLE = index_pb2.WRITE_MODE_SEARCHABLE


class Machine(RuleBasedStateMachine):
    """A caller of one collection, and the model of what is in it."""

    door: ClassVar[Door]
    tenant: ClassVar[Home]
    tenant_uid: ClassVar[str]
    queue: ClassVar[redis.Redis]
    engine: ClassVar[str]
    worker: ClassVar[int]
    numbers: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.collection = f"model-{next(self.numbers)}"
        self.parent = f"{self.tenant.name}/collections/{self.collection}"
        self.shelves: dict[str, Shelf] = {}
        self.said: list[tuple[str, Any, Any]] = []  # identified requests and their answers
        self.held = False
        self.unsearched = 0.0  # when something was last written that searches needn't see yet

    @initialize()
    def begin(self) -> None:
        request = index_pb2.CreateCollectionRequest(parent=self.tenant.name, collection_id=self.collection)
        self.door.call(INDEX + "CreateCollection", request, self.tenant.service)

    def teardown(self) -> None:
        """See once more that all is as the model says, then delete the collection."""
        self._release()
        self._drain(self.shelves)
        self._search("")
        request = index_pb2.DeleteCollectionRequest(name=self.parent)
        self.door.call(INDEX + "DeleteCollection", request, self.tenant.service)

    def _name(self, document_id: str) -> str:
        return f"{self.parent}/documents/{document_id}"

    def _shelf(self, document_id: str) -> Shelf:
        return self.shelves.setdefault(document_id, Shelf())

    def _sure(self, document_id: str) -> Shelf:
        """Return a document that doesn't expire while something is done to it."""
        shelf = self._shelf(document_id)
        if 0 < (left := shelf.expiring + CLOCK_MARGIN) < SOON_SECONDS:
            time.sleep(left)
        return shelf

    def _settled(self, document_id: str) -> Shelf:
        """Return a document of which nothing is under way."""
        if self._shelf(document_id).pending:
            self._drain([document_id])
        return self._sure(document_id)

    def _drain(self, ids: Iterable[str]) -> None:
        """Wait until the workers have applied all that was accepted, then see what came of it."""
        self._release()
        end = time.monotonic() + 30
        while self.queue.hexists(keys.DOCUMENTS, self.tenant_uid):
            assert time.monotonic() < end, "the queue isn't emptied"
            time.sleep(0.01)
        for document_id in ids:
            if self._shelf(document_id).pending:
                since = time.time()
                self._shelf(document_id).settle(self._get(document_id), since)

    def _release(self) -> None:
        if self.held:
            os.kill(self.worker, signal.SIGCONT)
            self.held = False

    def _etag(self, shelf: Shelf, kind: str) -> str:
        old = [etag for etag in shelf.etags if etag != shelf.current.etag]
        if kind == "current" and shelf.current.content:
            return shelf.current.etag
        return "" if not kind else old[-1] if old else "never-was"

    def _unique(self, content: Content) -> Content:
        return replace(content, body=f"{content.body} n{next(self.numbers)}")

    def _say(self, method: str, request: Any, identified: bool) -> Any:
        """Send a request, perhaps with an id by which it will be sent again."""
        if identified and not request.validate_only:
            request.request_id = secrets.token_hex(8)
        answer = self.door.call(INDEX + method, request, self.tenant.service)
        if request.request_id:
            self.said.append((method, request, answer))
        return answer

    def _refused(self, method: str, request: Any, code: grpc.StatusCode) -> None:
        refusal = self.door.refusal(INDEX + method, request, self.tenant.service)
        assert refusal.code is code, (refusal, request)

    def _wrote(self, mode: index_pb2.WriteMode) -> None:
        if mode != SEARCHABLE:
            self.unsearched = time.monotonic()

    def _get(self, document_id: str) -> resources_pb2.Document | None:
        request = index_pb2.GetDocumentRequest(name=self._name(document_id))
        try:
            found: resources_pb2.Document = self.door.call(INDEX + "GetDocument", request, self.tenant.user)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND, error  # type: ignore[attr-defined]  # a failed call is a call too
            return None
        return found

    def _search(self, word: str) -> None:
        """After SEARCHABLE writes alone a search sees them at once; after others, once the index is refreshed."""
        if self.unsearched:
            refresh = urllib.request.Request(f"{self.engine}/pinakes-pool-*/_refresh", method="POST")
            with urllib.request.urlopen(refresh, timeout=10):
                pass
            time.sleep(max(0.0, self.unsearched + CACHE_SECONDS - time.monotonic()))
            self.unsearched = 0.0
        unsure = {i for i, shelf in self.shelves.items() if shelf.current.content and shelf.current.content.expires}
        expected = {
            i: shelf for i, shelf in self.shelves.items()
            if i not in unsure and shelf.current.content and word in f"{shelf.current.content.title} {shelf.current.content.body}"
        }  # fmt: skip
        request = search_pb2.SearchRequest(parent=self.parent, query=word, page_size=50)
        request.read_mask.paths.append("*")
        answer = self.door.call(SEARCH + "Search", request, self.tenant.user)
        found = [result.document.name.rpartition("/")[2] for result in answer.results]
        assert len(found) == len(set(found)), "a document is there twice"
        assert set(found) - unsure == set(expected), (found, unsure, self.shelves)
        for result in answer.results:
            document_id = result.document.name.rpartition("/")[2]
            if document_id not in unsure:
                expected[document_id].read(result.document, time.time())
