# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of a token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.limits.bucket import Bucket

AMOUNTS = st.floats(0.0, 500.0)


def test_a_bucket_holds_its_burst_and_says_how_long_to_wait() -> None:
    bucket = Bucket(4.0, 4.0, 0.0)
    assert [bucket.take(0.0, 1, whole=True) for _ in range(4)] == [(1.0, 0.0)] * 4
    assert bucket.take(0.0, 1, whole=True) == pytest.approx((0.0, 0.25))
    assert bucket.take(0.25, 1, whole=True) == (1.0, 0.0)
    assert bucket.take(0.25, 1, whole=True)[1] > 0


def test_a_debt_is_paid_before_anything_is_granted() -> None:
    bucket = Bucket(10.0, 10.0, 0.0)
    assert bucket.take(0.0, 1.0, debt=30.0) == pytest.approx((0.0, 2.0001))
    assert bucket.take(1.0, 1.0) == pytest.approx((0.0, 1.0001))
    assert bucket.take(2.1, 5.0)[0] == pytest.approx(1.0)


def test_less_than_the_least_part_is_not_granted_and_not_lost() -> None:
    bucket = Bucket(0.01, 0.1, 0.0)
    assert bucket.take(0.0, 0.1) == (0.1, 0.0)
    for hundredths in range(10):
        assert bucket.take(hundredths / 100, 0.1)[0] == 0.0
    assert bucket.take(0.09, 0.1) == pytest.approx((0.0, 0.01))
    assert bucket.take(0.1, 0.1) == pytest.approx((0.001, 0.0))


@given(
    rate=st.floats(0.1, 1000.0), burst=st.floats(1.0, 1000.0), whole=st.booleans(),
    steps=st.lists(st.tuples(st.floats(0.0, 5.0), AMOUNTS, st.sampled_from([0.0, 0.0, 3.0, 80.0])), max_size=40),
)  # fmt: skip
def test_never_more_is_granted_than_has_flowed_in_and_what_is_charged_is_paid(
    rate: float, burst: float, whole: bool, steps: list[tuple[float, float, float]]
) -> None:
    bucket = Bucket(rate, burst, 0.0)
    now = granted = charged = 0.0
    for pause, wanted, debt in steps:
        now += pause
        got, wait = bucket.take(now, wanted, debt, whole=whole)
        granted, charged = granted + got, charged + debt
        assert got <= wanted + 1e-6
        assert not whole or got == int(got)
        assert granted + charged <= burst + rate * now + max(0.0, -bucket.tokens) + 1e-3
        if not got and wanted >= 1:
            # Who comes back after the time that was told gets something.
            assert wait >= 0
            assert Bucket.take(_copy(bucket, now), now + wait + 1e-6 + 1e-6 / rate, wanted, whole=whole)[0] > 0


def _copy(bucket: Bucket, now: float) -> Bucket:
    copy = Bucket(bucket.rate, bucket.burst, now)
    copy.tokens = bucket.tokens
    return copy
