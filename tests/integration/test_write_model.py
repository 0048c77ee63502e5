# SPDX-License-Identifier: Apache-2.0
"""Writes of every kind and mode in any order, against a model: every read gives what the model says.

`PINAKES_TEST_SEED` repeats a run; `PINAKES_TEST_PROFILE=long` goes on for ten minutes.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar

import grpc
import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pinakes.core.queue import keys
from pinakes.v1 import index_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.integration._write_model import (
    ACCEPTED,
    CLOCK_MARGIN,
    CONFLICT,
    CREATED,
    DELETED,
    NOT_FOUND,
    UNCHANGED,
    UPDATED,
    Content,
    Shelf,
    content_of,
)  # fmt: skip
from tests.wire import INDEX, SEARCH, TENANT, Door, Home, home

LONG = os.environ.get("PINAKES_TEST_PROFILE") == "long"
SEED = int(os.environ.get("PINAKES_TEST_SEED", secrets.randbits(32)))
SECONDS, EXAMPLES, STEPS = (600.0, 10, 60) if LONG else (40.0, 3, 40)
CACHE_SECONDS = 1.0
SOON_SECONDS = 30.0
"""What expires within this time is waited for before it is written, however slow the machine is."""

IDS = st.sampled_from([f"d{number}" for number in range(4)])
WORDS = ("amber", "basalt", "cobalt")
CONTENTS = st.builds(
    Content,
    title=st.sampled_from(WORDS),
    body=st.sampled_from(("", *WORDS)),
    tags=st.sampled_from([(), ("one",), ("one", "two")]),
)
AGAIN = Content(title="again")
"""Stands for what a document has already."""

FIELDS = st.frozensets(st.sampled_from(["title", "body", "tags"]), min_size=1)
APPLIED, SEARCHABLE = index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_SEARCHABLE
QUEUED = index_pb2.WRITE_MODE_ACCEPTED
AT_ONCE = st.sampled_from([index_pb2.WRITE_MODE_UNSPECIFIED, APPLIED, SEARCHABLE])
MODES = st.sampled_from([APPLIED, SEARCHABLE, QUEUED, QUEUED])
ETAGS = st.sampled_from(["", "", "current", "stale"])
Code = grpc.StatusCode


class Writes(RuleBasedStateMachine):
    """Writes and reads a few documents of one collection."""

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

    # ---- single writes

    @rule(document_id=IDS, content=CONTENTS, mode=AT_ONCE, only=st.booleans(), identified=st.booleans())
    def create(
        self, document_id: str, content: Content, mode: index_pb2.WriteMode, only: bool, identified: bool
    ) -> None:
        shelf = self._settled(document_id)
        request = index_pb2.CreateDocumentRequest(
            parent=self.parent, document_id=document_id, document=content.message(), mode=mode, validate_only=only
        )
        if shelf.alive:
            self._refused("CreateDocument", request, Code.ALREADY_EXISTS)
            return
        made = self._say("CreateDocument", request, identified)
        assert content_of(made) == content
        if not only:
            shelf.stored(made, content, unchanged_allowed=False)
            self._wrote(mode)

    @rule(
        document_id=IDS, content=CONTENTS, mode=AT_ONCE, etag=ETAGS, paths=FIELDS | st.none(), missing=st.booleans(),
        only=st.booleans(), identified=st.booleans(),
    )  # fmt: skip
    def update(
        self, document_id: str, content: Content, mode: index_pb2.WriteMode, etag: str,
        paths: frozenset[str] | None, missing: bool, only: bool, identified: bool,
    ) -> None:  # fmt: skip
        """Update by mask, or replace where there is none."""
        shelf = self._settled(document_id)
        given = self._etag(shelf, etag)
        request = index_pb2.UpdateDocumentRequest(
            document=content.message(self._name(document_id), given), allow_missing=missing, mode=mode,
            validate_only=only,
        )  # fmt: skip
        request.update_mask.paths.extend(sorted(paths) if paths else ["*"])
        alive = shelf.alive
        if not alive and (given or not missing):
            self._refused("UpdateDocument", request, Code.NOT_FOUND)
        elif alive and etag == "stale":
            self._refused("UpdateDocument", request, Code.ABORTED)
        else:
            kept = shelf.current.content if alive and shelf.current.content else None
            wanted = kept.masked(content, paths) if kept and paths else content
            made = self._say("UpdateDocument", request, identified)
            assert content_of(made) == wanted, (made, wanted)
            if not only:
                shelf.stored(made, wanted)
                self._wrote(mode)

    @rule(
        document_id=IDS, mode=AT_ONCE, etag=ETAGS, missing=st.booleans(), only=st.booleans(), identified=st.booleans()
    )
    def delete(
        self, document_id: str, mode: index_pb2.WriteMode, etag: str, missing: bool, only: bool, identified: bool
    ) -> None:
        # A plain deletion must also stand against what is still on the way.
        shelf = self._sure(document_id) if missing and not etag else self._settled(document_id)
        given = self._etag(shelf, etag)
        request = index_pb2.DeleteDocumentRequest(
            name=self._name(document_id), mode=mode, etag=given, allow_missing=missing, validate_only=only
        )
        if shelf.pending:
            self._say("DeleteDocument", request, identified)
            if not only:
                shelf.removed()
                self._wrote(mode)
        elif not shelf.alive:
            if missing:
                self._say("DeleteDocument", request, identified)
            else:
                self._refused("DeleteDocument", request, Code.NOT_FOUND)
        elif etag == "stale":
            self._refused("DeleteDocument", request, Code.ABORTED)
        else:
            self._say("DeleteDocument", request, identified)
            if not only:
                shelf.removed()
                self._wrote(mode)

    @rule(document_id=IDS, mode=AT_ONCE, only=st.booleans(), identified=st.booleans())
    def undelete(self, document_id: str, mode: index_pb2.WriteMode, only: bool, identified: bool) -> None:
        shelf = self._settled(document_id)
        if not shelf.alive and shelf.current.content is not None:
            return  # expired: it can't come back to be seen
        request = index_pb2.UndeleteDocumentRequest(name=self._name(document_id), mode=mode, validate_only=only)
        if shelf.alive:
            self._refused("UndeleteDocument", request, Code.ALREADY_EXISTS)
        elif shelf.grave is not None and shelf.grave.content is not None:
            made = self._say("UndeleteDocument", request, identified)
            assert content_of(made) == shelf.grave.content
            if not only:
                shelf.stored(made, shelf.grave.content, unchanged_allowed=False)
                self._wrote(mode)
        elif not shelf.etags:
            self._refused("UndeleteDocument", request, Code.NOT_FOUND)

    @rule(document_id=IDS, content=CONTENTS | st.none(), identified=st.booleans())
    def accept(self, document_id: str, content: Content | None, identified: bool) -> None:
        """Put or delete by the queue; what is on the way already isn't waited for."""
        shelf = self._shelf(document_id)
        if content is None:
            removal = index_pb2.DeleteDocumentRequest(name=self._name(document_id), mode=QUEUED, allow_missing=True)
            self._say("DeleteDocument", removal, identified)
            shelf.accepted(None)
        else:
            content = self._unique(content)
            request = index_pb2.UpdateDocumentRequest(
                document=content.message(self._name(document_id)), allow_missing=True, mode=QUEUED
            )
            request.update_mask.paths.append("*")
            made = self._say("UpdateDocument", request, identified)
            assert content_of(made) == content
            shelf.accepted(content, made.etag)
        self._wrote(QUEUED)

    @rule(document_id=IDS, content=CONTENTS, paths=FIELDS, etag=st.booleans())
    def accept_what_depends(self, document_id: str, content: Content, paths: frozenset[str], etag: bool) -> None:
        """What depends on the document as it is can't be accepted without looking."""
        document = content.message(self._name(document_id), "some" if etag else "")
        request = index_pb2.UpdateDocumentRequest(document=document, allow_missing=True, mode=QUEUED)
        request.update_mask.paths.extend(["*"] if etag else sorted(paths))
        self._refused("UpdateDocument", request, Code.INVALID_ARGUMENT)
        undelete = index_pb2.UndeleteDocumentRequest(name=self._name(document_id), mode=QUEUED)
        self._refused("UndeleteDocument", undelete, Code.INVALID_ARGUMENT)

    # ---- batches

    @rule(
        writes=st.dictionaries(IDS, st.tuples(CONTENTS | st.just(AGAIN) | st.none(), ETAGS), min_size=1), mode=MODES,
        only=st.booleans(), identified=st.booleans(),
    )  # fmt: skip
    def batch(
        self, writes: dict[str, tuple[Content | None, str]], mode: index_pb2.WriteMode, only: bool, identified: bool
    ) -> None:
        request = index_pb2.BatchWriteDocumentsRequest(parent=self.parent, mode=mode, validate_only=only)
        wanted: dict[str, Content | None] = {}
        kinds: dict[str, str] = {}
        for document_id, (content, etag) in writes.items():
            name, shelf = self._name(document_id), self._sure(document_id)
            kinds[document_id] = kind = "" if mode == QUEUED else etag
            if kind:
                shelf = self._settled(document_id)
            given = self._etag(shelf, kind)
            if content is AGAIN and shelf.alive:
                content = shelf.current.content
            wanted[document_id] = content = self._unique(content) if content and mode == QUEUED else content
            if content is None:
                request.writes.add(delete=index_pb2.DocumentDeletion(name=name, etag=given))
            else:
                request.writes.add(put=content.message(name, given))
        answer = self._say("BatchWriteDocuments", request, identified)
        for (document_id, content), result in zip(wanted.items(), answer.results, strict=True):
            shelf = self._shelf(document_id)
            if only:
                assert result.outcome == index_pb2.WriteResult.OUTCOME_UNSPECIFIED, result
            elif mode == QUEUED:
                assert result.outcome == ACCEPTED, result
                shelf.accepted(content, result.etag, result.revision)
            else:
                self._resulted(shelf, result, content, kinds[document_id])
        if not only:
            assert answer.mode == mode
            self._wrote(mode)

    def _resulted(self, shelf: Shelf, result: Any, content: Content | None, kind: str) -> None:
        """Look at the outcome of one write of a batch, and take it into the model."""
        alive = shelf.alive
        if not shelf.pending and not alive and (kind or content is None):
            assert result.outcome == NOT_FOUND, result
        elif kind == "stale":
            assert result.outcome == CONFLICT, result
        else:
            if content is None:
                expected = {DELETED, NOT_FOUND} if shelf.pending else {DELETED}
            elif shelf.pending:
                expected = {CREATED, UPDATED}
            else:
                expected = {UPDATED, UNCHANGED} if alive else {CREATED}
            assert result.outcome in expected, (result, shelf)
            shelf.resulted(result, content)

    # ---- sent again

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """The same request with the same id is answered as it was, and changes nothing."""
        method, request, answer = data.draw(st.sampled_from(self.said))
        assert self.door.call(INDEX + method, request, self.tenant.service) == answer

    @precondition(lambda self: self.said)
    @rule(data=st.data(), mode=st.booleans())
    def clash(self, data: st.DataObject, mode: bool) -> None:
        """Another request with an id that was used is refused."""
        method, said, _ = data.draw(st.sampled_from(self.said))
        request = type(said)()
        request.CopyFrom(said)
        if mode:
            request.mode = SEARCHABLE if said.mode != SEARCHABLE else APPLIED
        elif method == "BatchWriteDocuments":
            request.writes.add(put=resources_pb2.Document(name=self._name("more")))
        elif method in {"DeleteDocument", "UndeleteDocument"}:
            request.name = self._name("more")
        else:
            request.document.title += "!"
        refusal = self.door.refusal(INDEX + method, request, self.tenant.service)
        assert "REQUEST_ID" in refusal.reason, refusal

    @rule(document_id=IDS, content=CONTENTS, mode=AT_ONCE)
    def invalid_then_valid(self, document_id: str, content: Content, mode: index_pb2.WriteMode) -> None:
        """A request that was refused for its content leaves its id free."""
        shelf = self._settled(document_id)
        bad = index_pb2.UpdateDocumentRequest(
            document=replace(content, title="x" * 1001).message(self._name(document_id)), allow_missing=True,
            mode=mode, request_id=secrets.token_hex(8),
        )  # fmt: skip
        bad.update_mask.paths.append("*")
        self._refused("UpdateDocument", bad, Code.INVALID_ARGUMENT)
        bad.document.title = content.title
        made = self._say("UpdateDocument", bad, identified=False)
        shelf.stored(made, content)
        self._wrote(mode)

    # ---- expiry

    @rule(document_id=IDS, content=CONTENTS, seconds=st.sampled_from([0.4, 1.0, 3600.0]))
    def expiring(self, document_id: str, content: Content, seconds: float) -> None:
        shelf = self._settled(document_id)
        content = replace(content, expires=round((time.time() + seconds) * 1000))
        request = index_pb2.UpdateDocumentRequest(
            document=content.message(self._name(document_id)), allow_missing=True, mode=APPLIED
        )
        request.update_mask.paths.append("*")
        shelf.stored(self._say("UpdateDocument", request, identified=False), content)
        self._wrote(APPLIED)

    @precondition(lambda self: any(s.current.content and s.current.content.expires for s in self.shelves.values()))
    @rule()
    def wait_for_expiry(self) -> None:
        for document_id in self.shelves:
            self._sure(document_id)

    # ---- reading

    @rule(document_id=IDS)
    def get(self, document_id: str) -> None:
        since = time.time()
        self._shelf(document_id).read(self._get(document_id), since)

    @rule(ids=st.lists(IDS, min_size=1, unique=True))
    def batch_get(self, ids: list[str]) -> None:
        names = [self._name(document_id) for document_id in ids]
        request = index_pb2.BatchGetDocumentsRequest(parent=self.parent, names=names)
        since = time.time()
        answer = self.door.call(INDEX + "BatchGetDocuments", request, self.tenant.user)
        found = {document.name: document for document in answer.documents}
        assert {*found, *answer.missing} == set(names)
        assert len(answer.documents) + len(answer.missing) == len(names)
        for document_id in ids:
            self._shelf(document_id).read(found.get(self._name(document_id)), since)

    @rule(word=st.sampled_from((*WORDS, "")))
    def search(self, word: str) -> None:
        self._drain(self.shelves)
        self._search(word)

    @rule()
    def hold(self) -> None:
        """Let what is accepted wait, until something needs it to have been applied."""
        if not self.held:
            os.kill(self.worker, signal.SIGSTOP)
            self.held = True

    @rule()
    def drain(self) -> None:
        self._drain(self.shelves)

    # ---- how

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

    def _drain(self, ids: Any) -> None:
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
            assert error.code() is Code.NOT_FOUND, error  # type: ignore[attr-defined]  # a failed call is a call too
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
        assert set(found) - unsure == set(expected)
        for result in answer.results:
            document_id = result.document.name.rpartition("/")[2]
            if document_id not in unsure:
                expected[document_id].read(result.document, time.time())


@pytest.mark.timeout(SECONDS + 200)
def test_every_read_gives_what_the_model_of_the_writes_says(platform: Any) -> None:
    print(f"to repeat: PINAKES_TEST_SEED={SEED}")
    with ExitStack() as stack:
        Writes.door = stack.enter_context(Door(platform.endpoint))
        Writes.tenant = stack.enter_context(home(Writes.door, platform.admin_key, "model"))
        Writes.tenant_uid = Writes.door.call(
            TENANT + "GetTenant", tenant_pb2.GetTenantRequest(name=Writes.tenant.name), platform.admin_key
        ).uid
        Writes.queue = stack.enter_context(redis.Redis.from_url(platform.queue_url))
        Writes.engine, Writes.numbers = platform.opensearch_url, itertools.count()
        Writes.worker = platform.state.processes["worker"].pid
        # Each step is a call of real servers: a failure is told as it came, since shrinking it would take minutes.
        bounds = settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, database=None,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True,
        )  # fmt: skip
        end, number = time.monotonic() + SECONDS, SEED
        while time.monotonic() < end:
            run_state_machine_as_test(seed(number)(Writes), settings=bounds)  # type: ignore[no-untyped-call]  # as published
            number += 1
