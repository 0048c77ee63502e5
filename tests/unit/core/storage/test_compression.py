# SPDX-License-Identifier: Apache-2.0
"""gzip and Zstandard in bounded pieces: whole, in parts, damaged, cut off, and made to explode."""

from __future__ import annotations

import gzip
import random

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.storage.compression import PIECE, Compression, Damaged, Deflater, Truncated, inflater

PACK = {Compression.GZIP: gzip.compress, Compression.ZSTD: zstd.compress, Compression.NONE: bytes}
PACKED = pytest.mark.parametrize("kind", [Compression.GZIP, Compression.ZSTD])
ALL = pytest.mark.parametrize("kind", list(Compression))


def inflate(kind: Compression, data: bytes, step: int) -> bytes:
    reader, pieces = inflater(kind), []
    for begin in range(0, len(data), step):
        pieces += list(reader.feed(data[begin : begin + step]))
    reader.finish()
    if kind is not Compression.NONE:
        assert all(0 < len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@ALL
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4), step=st.integers(1, 97))
def test_streams_one_behind_the_other_come_out_as_they_went_in(
    kind: Compression, parts: list[bytes], step: int
) -> None:
    packed = b"".join(PACK[kind](part) for part in parts)
    assert inflate(kind, packed, step) == b"".join(parts)


@ALL
def test_what_is_deflated_is_inflated(kind: Compression) -> None:
    data = random.Random(4).randbytes(100_000) + bytes(3 * PIECE + 17)
    deflater = Deflater(kind)
    packed = b"".join(deflater.feed(data[i : i + 70_001]) for i in range(0, len(data), 70_001)) + deflater.finish()
    assert inflate(kind, packed, 65_536) == data


@PACKED
@given(cut=st.integers(1, 60))
def test_a_stream_that_ends_early_is_known(kind: Compression, cut: int) -> None:
    packed = PACK[kind](random.Random(4).randbytes(2000))
    with pytest.raises(Truncated):
        inflate(kind, packed[:-cut], 512)


@PACKED
def test_an_empty_object_is_no_stream(kind: Compression) -> None:
    with pytest.raises(Truncated):
        inflate(kind, b"", 1)


@PACKED
@pytest.mark.parametrize("before", [0, 1])
def test_bytes_that_are_something_else_are_damage(kind: Compression, before: int) -> None:
    with pytest.raises(Damaged, match="damaged"):
        inflate(kind, PACK[kind](b"row") * before + b'{"id": "a"}\n', 512)


@PACKED
def test_a_changed_byte_is_damage(kind: Compression) -> None:
    packed = bytearray(PACK[kind](random.Random(4).randbytes(2000)))
    packed[-6] ^= 1  # in gzip's checksum; in Zstandard's last block, which has none unless it is asked for
    deflater = Deflater(kind)
    packed = bytearray(deflater.feed(random.Random(4).randbytes(2000)) + deflater.finish())
    packed[len(packed) // 2] ^= 1
    with pytest.raises(Damaged):
        inflate(kind, bytes(packed), 512)


@PACKED
def test_a_small_object_never_becomes_a_large_one_in_memory(kind: Compression) -> None:
    packed = PACK[kind](bytes(64 << 20))
    sizes = [len(piece) for piece in inflater(kind).feed(packed)]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= PIECE


def test_frames_that_need_much_memory_are_refused_with_a_way_out() -> None:
    options = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    with pytest.raises(Damaged, match="level 20"):
        list(inflater(Compression.ZSTD).feed(zstd.compress(bytes(200 << 20), options=options)))


def test_zeros_behind_a_gzip_member_are_padding() -> None:
    assert inflate(Compression.GZIP, gzip.compress(b"row") + bytes(500), 64) == b"row"
