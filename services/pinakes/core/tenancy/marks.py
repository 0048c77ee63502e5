# SPDX-License-Identifier: Apache-2.0
"""Marks: what a request leaves on the record that it changes, by which another attempt at it sees that it is done.

A request whose answer was lost may have done its work. Its next attempt looks for its mark before anything else: what it
would change again, or be refused for (the thing exists, or has another etag), it may have made so itself.
"""

from __future__ import annotations

import dataclasses
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pinakes.core.faults import Fault, Kind
from pinakes.core.tenancy.models import now_ms

if TYPE_CHECKING:
    from pinakes.core.tenancy.models import Record

R = TypeVar("R", bound="Record")
KEPT = 8
"""Marks of the last so many changes stay on a record: others may change it before an attempt is made again."""

# As far as the clocks of two processes are taken to be apart at most. Who writes documents is within 5 s of the engine's
# (`max_clock_skew_seconds`), or gets no revisions; who changes records alone isn't checked.
_APART_MS = 10_000


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of one request, the same for all attempts at it. `begun_ms` is when the first one began.

    `again`: that one broke off.
    """

    text: str
    begun_ms: int
    again: bool = False

    @classmethod
    def new(cls) -> Mark:
        """Make the mark of a request that isn't remembered."""
        return cls(secrets.token_hex(16), now_ms())

    def uid(self, kind: str) -> str:
        """Return the uid of the thing of a kind that the request makes: in every attempt the same, and nobody else's."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.text}/{kind}").hex

    def on(self, record: Record) -> bool:
        """Tell whether an earlier attempt has changed a record.

        Raises a fault of kind CONFLICT if so many others may have since that it can't be known.
        """
        if not self.again:
            return False
        if any(text == self.text for text, _ in record.marks):
            return True
        if len(record.marks) == KEPT and record.marks[0][1] > self.begun_ms - _APART_MS:
            raise outcome_unknown()
        return False

    def made(self, record: Record, uid: str) -> bool:
        """Tell whether an earlier attempt has made this thing, to which it then gave this uid.

        Raises a fault of kind CONFLICT if it did, and that has been replaced or erased since: no uid is given twice.
        """
        marked, same = self.on(record), getattr(record, "uid", "") == uid
        if marked is not same:
            raise outcome_unknown()
        return marked

    def put(self, record: R) -> R:
        """Return the record with the mark, in place of the oldest."""
        return dataclasses.replace(record, marks=(*record.marks, (self.text, now_ms()))[-KEPT:])


def outcome_unknown() -> Fault:
    """Make the fault of an attempt that can't know whether the one before has done its work."""
    text = "an earlier attempt broke off, and others have made changes since; read what there is, and decide"
    return Fault(Kind.CONFLICT, "REQUEST_OUTCOME_UNKNOWN", text)
