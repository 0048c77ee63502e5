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
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import grpc
import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from pinakes.v1 import index_pb2, resources_pb2, tenant_pb2
from tests.integration._write_machine import SEARCHABLE, Machine
from tests.integration._write_model import (
    ACCEPTED,
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
from tests.wire import INDEX, TENANT, Door, home

LONG = os.environ.get("PINAKES_TEST_PROFILE") == "long"
SEED = int(os.environ.get("PINAKES_TEST_SEED", secrets.randbits(32)))
SECONDS, EXAMPLES, STEPS = (600.0, 10, 60) if LONG else (20.0, 3, 40)
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
APPLIED, QUEUED = index_pb2.WRITE_MODE_APPLIED, index_pb2.WRITE_MODE_ACCEPTED
AT_ONCE = st.sampled_from([index_pb2.WRITE_MODE_UNSPECIFIED, APPLIED, SEARCHABLE])
MODES = st.sampled_from([APPLIED, SEARCHABLE, QUEUED, QUEUED])
ETAGS = st.sampled_from(["", "", "current", "stale"])
Code = grpc.StatusCode


class Writes(Machine):
    """Writes and reads a few documents of one collection."""

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

    @rule(document_id=IDS, content=CONTENTS, deletion=st.booleans(), mode=AT_ONCE)
    def overtake(self, document_id: str, content: Content, deletion: bool, mode: index_pb2.WriteMode) -> None:
        """Delete, or write again what stands, while something else that was accepted before is still on its way."""
        self._settled(document_id)
        self.hold()
        self.accept(document_id, content, identified=False)
        if deletion:
            self.delete(document_id, mode, "", missing=True, only=False, identified=False)
        else:
            self.batch({document_id: (AGAIN, "")}, mode or APPLIED, only=False, identified=False)
        self.get(document_id)

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
