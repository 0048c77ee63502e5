# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker's window, states and gauge."""

from __future__ import annotations

import itertools

import pytest
from prometheus_client import REGISTRY

from pinakes.core.faults import Fault, Kind
from pinakes.core.resilience.breaker import Breaker

_numbers = itertools.count()


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker(f"breaker under test {next(_numbers)}", clock=clock)


def call(subject: Breaker, *, ok: bool) -> None:
    permit = subject.before()
    (subject.success if ok else subject.failure)(permit)


def opened(clock: Clock) -> Breaker:
    subject = breaker(clock)
    for _ in range(10):
        call(subject, ok=False)
    assert subject.state == "open"
    return subject


def gauge(subject: Breaker) -> float | None:
    return REGISTRY.get_sample_value("pinakes_breaker_state", {"name": subject.name})


def test_nine_failures_are_too_few_to_judge() -> None:
    subject = breaker(Clock())
    for _ in range(9):
        call(subject, ok=False)
    assert subject.state == "closed"
    call(subject, ok=False)
    assert subject.state == "open"


def test_it_opens_at_half_of_the_calls_even_when_they_never_fail_in_a_row() -> None:
    subject = breaker(Clock())
    for number in range(10):
        call(subject, ok=number % 2 == 0)
    assert subject.state == "open"


def test_it_stays_closed_under_half() -> None:
    subject = breaker(Clock())
    for _ in range(60):
        call(subject, ok=True)
    for _ in range(59):
        call(subject, ok=False)
    assert subject.state == "closed"


def test_failures_older_than_the_window_do_not_count() -> None:
    clock = Clock()
    subject = breaker(clock)
    for _ in range(9):
        call(subject, ok=False)
    clock.now += 66
    call(subject, ok=False)
    assert subject.state == "closed"


def test_while_open_it_refuses_and_says_when_to_come_back() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 10
    with pytest.raises(Fault) as caught:
        subject.before()
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.retry_after == pytest.approx(20)


def test_after_thirty_seconds_five_probes_may_try_and_their_success_closes() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 30
    permits = [subject.before() for _ in range(5)]
    assert subject.state == "half-open"
    with pytest.raises(Fault):
        subject.before()
    for permit in permits:
        assert subject.state == "half-open"
        subject.success(permit)
    assert subject.state == "closed"


def test_one_failed_probe_opens_again_for_the_whole_time() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 30
    call(subject, ok=True)
    call(subject, ok=False)
    assert subject.state == "open"
    assert subject.retry_after == pytest.approx(30)


def test_a_cancelled_probe_gives_its_place_back() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 30
    permits = [subject.before() for _ in range(5)]
    subject.ignored(permits[0])
    subject.before()


def test_probes_that_never_report_do_not_keep_it_half_open_for_ever() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 30
    for _ in range(5):
        subject.before()
    clock.now += 31
    subject.before()


def test_calls_from_before_it_opened_are_no_probes() -> None:
    clock = Clock()
    subject = breaker(clock)
    old = subject.before()
    for _ in range(10):
        call(subject, ok=False)
    clock.now += 30
    subject.before()
    subject.failure(old)
    assert subject.state == "half-open"
    for _ in range(9):
        subject.success(old)
    assert subject.state == "half-open"


def test_the_gauge_tells_every_state() -> None:
    clock = Clock()
    subject = opened(clock)
    assert gauge(subject) == 2
    clock.now += 30
    permits = [subject.before() for _ in range(5)]
    assert gauge(subject) == 1
    for permit in permits:
        subject.success(permit)
    assert gauge(subject) == 0


def test_after_closing_the_old_failures_are_forgotten() -> None:
    clock = Clock()
    subject = opened(clock)
    clock.now += 30
    for _ in range(5):
        call(subject, ok=True)
    for _ in range(9):
        call(subject, ok=False)
    assert subject.state == "closed"
