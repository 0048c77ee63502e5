# SPDX-License-Identifier: Apache-2.0
"""What writers were told, and what must therefore be there: the judge of a run with faults.

A document has one writer, so its attempts have an order. An attempt that was acknowledged must stand, or a later one of
the same document. One whose outcome nobody learned (its call broke) may stand or not, and may have come late.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from pinakes.client import document
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS
from pinakes.v1 import resources_pb2

WORDS = ("amber", "basalt", "cobalt", "dolomite", "emerald", "feldspar")


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """One document of one tenant."""

    tenant: str
    document: str


@dataclass(slots=True)
class Attempt:
    """One try to write or delete a document. `sent` is in s since 1970; `revision` is 0 where none was told.

    `once` says that it was sent with a request id: however often it was sent again, it is done at one revision.
    """

    key: Key
    number: int
    deletion: bool
    mode: str
    once: bool = False
    sent: float = field(default_factory=time.time)
    state: str = "unknown"
    revision: int = 0
    etag: str = ""

    @property
    def floor(self) -> int:
        """A revision that this attempt's is not below."""
        return self.revision or (round(self.sent * 1_000_000) - EPOCH_US) << SLOT_BITS

    def __str__(self) -> str:
        """Say which it is."""
        return f"{'deletion' if self.deletion else 'version'} {self.number} ({self.mode}, {self.state})"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the platform holds of a document at the end; `document` None is a tombstone."""

    document: resources_pb2.Document | None
    revision: int
    etag: str = ""


def seen(found: dict[Key, Standing]) -> dict[Key, bytes]:
    """Return the contents that callers see, whatever the revisions they stand at."""
    contents: dict[Key, bytes] = {}
    for key, stands in found.items():
        if stands.document is not None:
            bare = resources_pb2.Document()
            bare.CopyFrom(stands.document)
            for name in ("etag", "update_time"):
                bare.ClearField(name)
            contents[key] = bare.SerializeToString(deterministic=True)
    return contents


class Ledger:
    """All attempts of a run."""

    def __init__(self) -> None:
        """Begin without any."""
        self.attempts: dict[Key, list[Attempt]] = {}
        self.acknowledged: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.strange: list[str] = []

    def attempt(self, key: Key, mode: str, *, deletion: bool = False, once: bool = False) -> Attempt:
        """Note that something is about to be sent."""
        mine = self.attempts.setdefault(key, [])
        made = Attempt(key, len(mine) + 1, deletion, mode, once)
        mine.append(made)
        return made

    def acknowledge(self, attempt: Attempt, *, revision: int = 0, etag: str = "") -> None:
        """Note what the platform promised."""
        attempt.state, attempt.revision, attempt.etag = "acknowledged", revision, etag
        self.acknowledged[attempt.mode] += 1

    def judge(self, found: dict[Key, Standing]) -> list[str]:
        """Return what is wrong, in sentences; an empty list is what everybody hopes for."""
        verdicts = (_judge(mine, found.get(key)) for key, mine in sorted(self.attempts.items()))
        strangers = [f"{key}: nobody wrote it" for key in found if key not in self.attempts]
        return [verdict for verdict in verdicts if verdict] + strangers


def content(key: Key, number: int) -> resources_pb2.Document:
    """Return the one content of a version: its title says which it is, and all the rest follows from it."""
    dice = random.Random(f"{key}:{number}")
    return document(
        key.document,
        title=f"{key.document} version {number}",
        body=" ".join(dice.choices(WORDS, k=dice.randrange(5, 60))),
        tags=dice.sample(WORDS, k=dice.randrange(3)),
        language="en",
        attributes={"number": number, "even": number % 2 == 0},
    )


def _judge(mine: list[Attempt], stands: Standing | None) -> str:
    """Say what is wrong with one document, or nothing."""
    last = next((attempt for attempt in reversed(mine) if attempt.state == "acknowledged"), None)
    key = mine[0].key
    if stands is None:
        return f"{key}: {last} is lost, there is nothing" if last and not last.deletion else ""
    candidates = _attempts_of(mine, stands)
    if not candidates:
        return f"{key}: what stands is no content that was ever written: {stands.document}"
    if any(_may_stand(attempt, last, stands) for attempt in candidates):
        return ""
    return f"{key}: {last} was acknowledged at {last and last.revision}, {candidates[-1]} stands at {stands.revision}"


def _attempts_of(mine: list[Attempt], stands: Standing) -> list[Attempt]:
    """Return the attempts that could have left what stands."""
    if stands.document is None:
        return [attempt for attempt in mine if attempt.deletion]
    number = stands.document.title.rpartition(" ")[2]
    wrote = [a for a in mine if not a.deletion and str(a.number) == number]
    return [attempt for attempt in wrote if _same(stands.document, content(attempt.key, attempt.number))]


def _same(found: resources_pb2.Document, wrote: resources_pb2.Document) -> bool:
    fields = ("title", "body", "tags", "language", "attributes", "readers", "source_uri")
    return all(getattr(found, name) == getattr(wrote, name) for name in fields)


def _may_stand(attempt: Attempt, last: Attempt | None, stands: Standing) -> bool:
    """Tell whether an attempt may stand after the last acknowledged one."""
    if last is None or attempt.number > last.number:
        return True
    if attempt is last:
        if attempt.once and not attempt.deletion:
            return stands.revision == last.revision
        if attempt.deletion or (attempt.mode == "accepted" and stands.revision < last.revision):
            # When it was applied there was nothing to delete, or the very content: an earlier try of the same call.
            return True
        # A call that was tried again inside may have been done twice: the same content at a later revision.
        other = last.etag and stands.etag and stands.etag != last.etag
        return stands.revision >= last.revision and not (stands.revision == last.revision and other)
    return attempt.state == "unknown" and stands.revision > last.floor
