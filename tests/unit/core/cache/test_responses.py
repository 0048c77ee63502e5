# SPDX-License-Identifier: Apache-2.0
"""Keys and stored form of cached answers, and a cache that is off."""

from __future__ import annotations

import pytest

from pinakes.core.cache import responses
from pinakes.core.cache.responses import ResponseCache, cache_key, pack, unpack

KEY = cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"request")


def test_the_tenant_is_readable_in_the_key_and_nothing_else_is() -> None:
    assert KEY.startswith(b"pinakes:answer:1:{t1}:")
    assert b"request" not in KEY
    assert b"c1" not in KEY.removeprefix(b"pinakes:answer:1:{t1}:")[:2]


@pytest.mark.parametrize(
    "other",
    [
        cache_key("t2", "c1", 3, "e1", ("a", "b"), "Search", b"request"),
        cache_key("t1", "c2", 3, "e1", ("a", "b"), "Search", b"request"),
        cache_key("t1", "c1", 4, "e1", ("a", "b"), "Search", b"request"),
        cache_key("t1", "c1", 3, "e2", ("a", "b"), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a",), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("ab",), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "c"), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "b", ""), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "b"), "Suggest", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"requesu"),
        cache_key("t1", "c13", "", "e1", ("a", "b"), "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"request", masked=True),
        cache_key("t1", "c1", 3, "e1", None, "Search", b"request"),
        cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"request", narrowing="tags = x"),
        cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"request", blind=True),
    ],
)
def test_every_part_changes_the_key(other: bytes) -> None:
    assert other != KEY


def test_seeing_everything_and_reading_as_nobody_are_not_the_same() -> None:
    assert cache_key("t1", "c1", 3, "e1", None, "Search", b"r") != cache_key("t1", "c1", 3, "e1", (), "Search", b"r")


def test_a_request_that_looks_like_readers_is_none() -> None:
    asked = cache_key("t1", "c1", 3, "e1", ("a",), "Search", b"\0\0\0\1brequest")
    assert asked != cache_key("t1", "c1", 3, "e1", ("a", "b"), "Search", b"request")


def test_order_and_repetition_of_readers_do_not_change_the_key() -> None:
    assert cache_key("t1", "c1", 3, "e1", ("b", "a", "b"), "Search", b"request") == KEY


@pytest.mark.parametrize("value", [b"", b"x", b"y" * 4095, b"z" * 100_000, bytes(range(256)) * 400])
def test_values_come_back_as_they_were(value: bytes) -> None:
    assert unpack(KEY, pack(KEY, value)) == value


def test_only_large_values_are_compressed() -> None:
    assert len(pack(KEY, b"x" * 4000)) > 4000
    assert len(pack(KEY, b"x" * 5000)) < 500


def test_another_key_s_value_another_format_and_damage_are_misses() -> None:
    stored = pack(KEY, b"answer " * 1000)
    assert unpack(KEY + b"x", stored) is None
    assert unpack(KEY, b"\x02" + stored[1:]) is None
    assert unpack(KEY, stored[:1] + b"\x09" + stored[2:]) is None
    assert unpack(KEY, stored[:-20]) is None
    assert unpack(KEY, stored[:40] + b"\x00" * 20 + stored[60:]) is None
    assert unpack(KEY, b"") is None


def test_a_value_that_inflates_beyond_the_limit_is_a_miss() -> None:
    header = pack(KEY, b"")[:18]
    bomb = header[:1] + b"\x02" + header[2:] + responses.zstd.compress(b"\x00" * (responses.LARGEST + 1))
    assert unpack(KEY, bomb) is None


@pytest.mark.parametrize(("url", "seconds"), [("", 1.0), ("redis://127.0.0.1:1/0", 0.0)])
async def test_a_cache_that_is_off_only_misses(url: str, seconds: float) -> None:
    cache = ResponseCache.open(url, seconds)
    cache.put_soon(KEY, b"generation", b"answer", await cache.get(KEY, b"generation", b"version"))
    await cache.settle()
    assert (await cache.get(KEY, b"generation", b"version")).value is None
    await cache.close()
