# SPDX-License-Identifier: Apache-2.0
"""Walks the chain and tells what is wrong with it: entries changed, missing, put in, cut off, or lost on their way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pinakes.core.audit.chain import Head, Seal, head_of
from pinakes.core.audit.spool import Spool
from pinakes.core.engine.audit import AuditStore

Json = dict[str, Any]
MOST = 1000
"""Findings that are told at most."""

_WAITING = 100_000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong: `changed`, `missing`, `replaced`, `cut`, `lost`, and where."""

    what: str
    text: str


@dataclass(slots=True)
class Report:
    """What a walk found. `first` and `last` are the entries that were there."""

    entries: int = 0
    first: Head = field(default_factory=Head)
    last: Head = field(default_factory=Head)
    findings: list[Finding] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def add(self, what: str, text: str) -> None:
        """Add a finding."""
        if len(self.findings) < MOST:
            self.findings.append(Finding(what, text))


class _Walk:
    """One walk, entry by entry."""

    def __init__(self, seal: Seal, anchor: Head, known: Head | None) -> None:
        self._seal, self._anchor, self._known = seal, anchor, known
        self._before = anchor
        self.report = Report()
        self.numbers: dict[str, set[int]] = defaultdict(set)

    def entry(self, entry: Json) -> None:
        """Look at the next entry."""
        report, sequence = self.report, int(entry["sequence"])
        if not self._seal.holds(entry):
            other = entry.get("key") != self._seal.key_id
            why = "was made with another key, or changed" if other else "isn't as it was written"
            report.add("changed", f"entry {sequence} {why}")
        if sequence <= self._anchor.sequence:
            return  # of a month that is just being dropped
        report.entries += 1
        here = head_of(entry)
        if report.entries == 1:
            report.first = here
        if sequence > self._before.sequence + 1:
            report.add("missing", f"entries {self._before.sequence + 1} to {sequence - 1} are missing")
        elif sequence == self._before.sequence:
            report.add("replaced", f"entry {sequence} is there twice")
        elif entry.get("previous") != self._before.hash:
            report.add("replaced", f"entry {self._before.sequence} isn't the one that {sequence} was written behind")
        if self._known is not None and self._known.sequence == sequence and self._known.hash != here.hash:
            report.add("replaced", f"entry {sequence} isn't the one that was noted")
        if origin := entry.get("origin"):
            self.numbers[origin].add(int(entry["number"]))
        self._before = report.last = here

    def end(self, heads: list[Head], waiting: dict[str, set[int]]) -> Report:
        """Compare the end with where the chain is known to go, and count what each process has numbered."""
        report, last = self.report, self._before
        ends = [*heads, *([self._known] if self._known is not None else [])]
        furthest = max(ends, key=lambda head: head.sequence, default=Head())
        if furthest.sequence > last.sequence:
            report.add("cut", f"the chain ends at {last.sequence}, and went to {furthest.sequence}")
        elif any(head.sequence == last.sequence and head.hash != last.hash for head in ends):
            report.add("replaced", f"the last entry, {last.sequence}, isn't the one that was written")
        for origin, numbers in self.numbers.items():
            seen = numbers | waiting.get(origin, set())
            if missing := max(seen) - min(seen) + 1 - len(seen):
                text = f"{missing} events of process {origin} never came to the chain"
                report.add("lost", f"{text} ({min(seen)} to {max(seen)})")
        return report


async def verify(store: AuditStore, spool: Spool, seal: Seal, known: Head | None = None) -> Report:
    """Walk the whole chain. `known` is a head that was noted elsewhere, such as in the logs.

    Raises a fault of kind UNAVAILABLE or DEADLINE when a store doesn't answer.
    """
    heads = await spool.places("head")
    waiting: dict[str, set[int]] = defaultdict(set)
    for one in await spool.take(_WAITING):
        if (body := seal.unpack(one.data)) is not None:
            waiting[body["origin"]].add(body["number"])
    await store.refresh()
    anchor = max(await spool.places("anchor"), key=lambda head: head.sequence, default=Head())
    walk = _Walk(seal, anchor, known)
    async for page in store.walk():
        for entry in page:
            walk.entry(entry)
    return walk.end(heads, waiting)
