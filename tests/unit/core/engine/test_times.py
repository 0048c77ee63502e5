# SPDX-License-Identifier: Apache-2.0
"""Times as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Limits
from pinakes.core.times import format_time_ms, parse_time_ms

_zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=_zones)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T12:00:00Z", 1769860800000),
        ("2026-01-31t12:00:00z", 1769860800000),
        ("2026-01-31 12:00:00Z", 1769860800000),
        ("2026-01-31T13:30:00+01:30", 1769860800000),
        ("2026-01-31T12:00:00.1Z", 1769860800100),
        ("2026-01-31T12:00:00.123456789Z", 1769860800123),
        ("2026-01-31T12:00:00.9999999Z", 1769860800999),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62135596800000),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
    ],
)
def test_times_are_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert parse_time_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "1769860800",
        "2026-01-31T24:00:00Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z", "2026-1-31T12:00:00Z", " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n",
        "\u0662026-01-31T12:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-00:01",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="2026-01-31T12:00:00Z"):
        parse_time_ms(text)


def test_a_time_that_cannot_be_written_is_told_as_the_nearest_one_that_can() -> None:
    assert format_time_ms(-62_135_596_800_001) == "0001-01-01T00:00:00Z"
    assert format_time_ms(253_402_300_800_000) == "9999-12-31T23:59:59.999Z"


@given(_moments)
def test_a_filter_and_a_document_understand_any_time_alike(moment: datetime) -> None:
    text = moment.isoformat()
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time_ms(text) == exact
    query = compile_filter(parse_filter(f'create_time = "{text}"', Limits()), Schema())
    assert query == {"term": {"create_time": exact}}
