# SPDX-License-Identifier: Apache-2.0
"""What writes mean, as a model without a store: what every read of a document must give after any sequence of them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

from google.protobuf import timestamp_pb2

from pinakes.v1 import index_pb2, resources_pb2

Outcome = index_pb2.WriteResult.Outcome
CREATED, UPDATED, UNCHANGED = Outcome.OUTCOME_CREATED, Outcome.OUTCOME_UPDATED, Outcome.OUTCOME_UNCHANGED
DELETED, NOT_FOUND = Outcome.OUTCOME_DELETED, Outcome.OUTCOME_NOT_FOUND
CONFLICT, ACCEPTED = Outcome.OUTCOME_CONFLICT, Outcome.OUTCOME_ACCEPTED
CLOCK_MARGIN = 0.15
"""Seconds by which the clocks of processes on one machine may seem to differ."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a caller wrote. `expires` is in ms since 1970, 0 for never."""

    title: str = ""
    body: str = ""
    tags: tuple[str, ...] = ()
    expires: int = 0

    def message(self, name: str = "", etag: str = "") -> resources_pb2.Document:
        """Return it as a document."""
        document = resources_pb2.Document(name=name, title=self.title, body=self.body, tags=self.tags, etag=etag)
        if self.expires:
            document.expire_time.CopyFrom(timestamp_pb2.Timestamp())
            document.expire_time.FromMilliseconds(self.expires)
        return document

    def masked(self, given: Content, paths: frozenset[str]) -> Content:
        """Return this content with the fields of `paths` taken from `given`."""
        return replace(self, **{path: getattr(given, path) for path in paths})


def content_of(document: resources_pb2.Document) -> Content:
    """Return what a document that was read says."""
    expires = document.expire_time.ToMilliseconds() if document.HasField("expire_time") else 0
    return Content(document.title, document.body, tuple(document.tags), expires)


@dataclass(slots=True)
class Version:
    """A document as it stands; content None is absence."""

    content: Content | None = None
    etag: str = ""
    """Empty while nobody has told it."""
    created: int = 0
    updated: int = 0


@dataclass(slots=True)
class Shelf:
    """One document id: what is there, what has been accepted on top of it, and what was there before."""

    current: Version = field(default_factory=Version)
    pending: list[Version] = field(default_factory=list)
    """Accepted and perhaps not yet applied, oldest first."""
    grave: Version | None = None
    """What undelete brings back."""
    etags: list[str] = field(default_factory=list)
    """All that the document ever had, oldest first."""
    revision: int = 0
    """The highest that was told."""

    # ---- what reads must give

    @property
    def versions(self) -> list[Version]:
        """All versions that a read may find, oldest first."""
        return [self.current, *self.pending]

    @property
    def expiring(self) -> float:
        """Seconds until the document, settled, expires; infinite if it never does, negative if it has."""
        content = self.current.content
        return content.expires / 1000 - time.time() if content and content.expires else math.inf

    @property
    def alive(self) -> bool:
        """Tell whether the document, settled, is there now."""
        return self.current.content is not None and self.expiring > 0

    def read(self, found: resources_pb2.Document | None, since: float) -> None:
        """Take what a read by name found that began at `since`, and refuse what no order of the writes can have left."""
        seen = None if found is None else content_of(found)
        for number, version in enumerate(self.versions):
            if _matches(version, seen, since) and (number > 0 or self._same(version, found)):
                if number and seen is not None:  # what has been seen once can't be unseen
                    self.current, self.pending = version, self.pending[number:]
                    self._adopt(found)
                return
        message = f"read {found}, but the model has {self.versions}"
        raise AssertionError(message)

    def settle(self, found: resources_pb2.Document | None, since: float) -> None:
        """Take what a read found after all that was accepted has been applied."""
        if self.pending:
            before = self.current
            self.current, self.pending = self.pending[-1], []
            if found is not None and content_of(found) == before.content and found.etag == before.etag:
                self.current = before  # unchanged when it was applied
            elif found is not None:
                self._adopt(found)
        self.read(found, since)

    # ---- what writes do

    def accepted(self, content: Content | None, etag: str = "", revision: int = 0) -> None:
        """A write was accepted: reads see it from now on, or a little later."""
        before = self.versions[-1]
        if content is not None:
            self.grave = None
        elif before.content is not None:  # an expired document isn't there to be kept
            self.grave = None if before.content.expires else before
        self.pending.append(Version(content, etag))
        if revision:
            self._told(revision)

    def stored(self, document: resources_pb2.Document, wanted: Content, *, unchanged_allowed: bool = True) -> None:
        """A single write was applied: `document` is the answer."""
        assert content_of(document) == wanted, (document, wanted)
        unchanged = unchanged_allowed and self._unchanged(document.etag, wanted)
        if not unchanged:
            was = self.current if self.alive else None
            self._fresh(document.etag)
            created, updated = document.create_time.ToNanoseconds(), document.update_time.ToNanoseconds()
            assert updated >= self.current.updated
            if was is not None and not self.pending and was.created:
                assert created == was.created, "a replaced document keeps its time of creation"
            self.current = Version(wanted, document.etag, created, updated)
        self.pending = []
        self.grave = None

    def resulted(self, result: index_pb2.WriteResult, content: Content | None) -> None:
        """A write of a batch was applied; content None is a deletion. The outcome was looked at already."""
        if result.outcome in {DELETED, NOT_FOUND}:
            self.removed()
        elif result.outcome == UNCHANGED:
            assert not self.pending, "an accepted write may still come: it must have been written anew"
            assert self._unchanged(result.etag, content), (result, self)
        else:
            self._fresh(result.etag)
            self.current, self.pending, self.grave = Version(content, result.etag), [], None
        if result.outcome not in {UNCHANGED, NOT_FOUND}:
            self._told(result.revision)

    def removed(self) -> None:
        """The document was deleted, and is there no more."""
        # Of what was on the way nobody knows whether it had come before the deletion.
        self.grave, self.current, self.pending = None if self.pending else self.current, Version(), []

    # ---- how

    def _same(self, version: Version, found: resources_pb2.Document | None) -> bool:
        """Tell whether a read found this very version, as far as it is known."""
        if found is None:
            return True
        if not version.etag:
            self._adopt(found)
        version.created = version.created or found.create_time.ToNanoseconds()
        version.updated = version.updated or found.update_time.ToNanoseconds()
        return (version.etag, version.created, version.updated) == (
            found.etag, found.create_time.ToNanoseconds(), found.update_time.ToNanoseconds()
        )  # fmt: skip

    def _adopt(self, found: resources_pb2.Document | None) -> None:
        """Learn the etag of what was accepted."""
        if found is None:
            return
        assert self.current.etag in {"", found.etag}, "the etag told at acceptance is another"
        self.current.etag = found.etag
        if found.etag not in self.etags:
            self.etags.append(found.etag)

    def _unchanged(self, etag: str, content: Content | None) -> bool:
        return self.alive and self.current.content == content and self.current.etag == etag

    def _fresh(self, etag: str) -> None:
        assert etag, "a write tells its etag"
        assert etag not in self.etags, "every write has an etag of its own"
        self.etags.append(etag)

    def _told(self, revision: int) -> None:
        assert revision > self.revision, "revisions of a document grow"
        self.revision = revision


def _matches(version: Version, seen: Content | None, since: float) -> bool:
    """Tell whether a read that began at `since` and ends now could have found this version."""
    content = version.content
    if content is None or seen is None:
        ended = content is not None and 0 < content.expires / 1000 < time.time() + CLOCK_MARGIN
        return content is seen or (seen is None and ended)
    return content == seen and (not content.expires or content.expires / 1000 > since - CLOCK_MARGIN)
