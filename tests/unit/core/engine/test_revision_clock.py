# SPDX-License-Identifier: Apache-2.0
"""Revisions grow whatever the machine's clock does."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.documents import revision_ms
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS, SLOTS, RevisionClock

NOW = 1_769_860_800_000_000
LAST_YEAR = 3_800_000_000_000_000
"""A time in 2090, in µs."""


class Clock:
    """A clock that tests turn, in µs."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@given(st.lists(st.integers(EPOCH_US, LAST_YEAR), min_size=2, max_size=50), st.integers(0, SLOTS - 1))
def test_revisions_grow_whatever_the_clock_shows(times: list[int], slot: int) -> None:
    clock = Clock()
    revisions = RevisionClock(clock)
    revisions.start(slot, 0)
    found = []
    for now in times:
        clock.now = now
        found.append(revisions.next())
    assert all(earlier < later for earlier, later in itertools.pairwise(found))
    assert all(0 < revision < 1 << 63 for revision in found)
    assert all(revision % SLOTS == slot for revision in found)


def test_revisions_of_one_microsecond_differ() -> None:
    revisions = RevisionClock(Clock())
    revisions.start(1, 0)
    assert len({revisions.next() for _ in range(1000)}) == 1000


def test_two_slots_never_issue_the_same() -> None:
    one, two = RevisionClock(Clock()), RevisionClock(Clock())
    one.start(1, 0)
    two.start(2, 0)
    assert not {one.next() for _ in range(1000)} & {two.next() for _ in range(1000)}


def test_a_slot_is_taken_over_beyond_what_its_last_holder_issued() -> None:
    before = RevisionClock(Clock(NOW + 5_000_000))
    before.start(3, 0)
    last = before.next()
    after = RevisionClock(Clock(NOW))
    after.start(3, before.last_us)
    assert after.next() > last


def test_taking_another_slot_never_goes_back() -> None:
    clock = Clock()
    revisions = RevisionClock(clock)
    revisions.start(4000, 0)
    last = revisions.next()
    clock.now -= 10_000_000
    revisions.start(0, 0)
    assert revisions.next() > last


def test_the_time_is_in_the_revision() -> None:
    revisions = RevisionClock(Clock(NOW + 999))
    revisions.start(SLOTS - 1, 0)
    assert revision_ms(revisions.next()) == NOW // 1000


def test_time_fits_until_2090() -> None:
    assert (LAST_YEAR - EPOCH_US) << SLOT_BITS | (SLOTS - 1) < 1 << 63
