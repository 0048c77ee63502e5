# SPDX-License-Identifier: Apache-2.0
"""What was added lately grows old, however often something is added."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.usage import recent
from pinakes.core.usage.recent import TOGETHER_SECONDS, Recent
from tests.unit.core.limits._world import Clock

ADDED = st.lists(st.tuples(st.floats(0.0, 0.12), st.integers(-3, 3), st.integers(-100, 100)), min_size=1, max_size=60)


@given(added=ADDED, back=st.floats(0.0, 2.0))
def test_all_that_was_added_since_is_told_and_nothing_that_is_older_than_a_part(
    added: list[tuple[float, int, int]], back: float
) -> None:
    clock, subject, all_of = Clock(), Recent(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "time", SimpleNamespace(monotonic=clock))
        for pause, documents, size in added:
            clock.now += pause
            subject.add(documents, size)
            all_of.append((clock.now, documents, size))
        when = clock.now - back
        found = subject.since(when)
        subject.forget(when)
        assert subject.since(0.0) == found, "what was forgotten was older"
    # A part begins within a tenth of a second of what is in it: so one of the sums that end in between is told.
    nearly = {
        (sum(one[1] for one in all_of[start:]), sum(one[2] for one in all_of[start:]))
        for start in range(len(all_of) + 1)
        if (start == len(all_of) or all_of[start][0] >= when - TOGETHER_SECONDS - 1e-9)
        and (start == 0 or all_of[start - 1][0] < when)
    }
    assert found in nearly


def test_who_adds_all_the_time_has_nothing_that_never_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(), Recent()
    monkeypatch.setattr(recent, "time", SimpleNamespace(monotonic=clock))
    for _ in range(1000):
        clock.now += 0.01
        subject.add(1, 10)
        subject.add(0, 0)
    documents, size = subject.since(clock.now - 1.0)
    assert 100 <= documents <= 111
    assert size == 10 * documents
    subject.forget(clock.now - 1.0)
    assert subject.since(0.0) == (documents, size)
    assert len(subject._parts) <= 11


def test_where_nobody_counts_no_more_is_kept_than_a_bound_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject = Clock(), Recent()
    monkeypatch.setattr(recent, "time", SimpleNamespace(monotonic=clock))
    for _ in range(3 * recent.PARTS):
        clock.now += 1.0
        subject.add(1, 10)
    assert len(subject._parts) == recent.PARTS
    assert subject.since(0.0) == (3 * recent.PARTS, 30 * recent.PARTS)
    assert subject.since(clock.now - 10.0) == (11, 110)
