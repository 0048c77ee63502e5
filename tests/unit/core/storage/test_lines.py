# SPDX-License-Identifier: Apache-2.0
"""Objects cut into numbered lines, and gone on with behind any chunk."""

from __future__ import annotations

import gzip

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.faults import Fault
from pinakes.core.storage import lines
from pinakes.core.storage.compression import Compression
from pinakes.core.storage.lines import Chunk, LineReader, Position

PACK = {Compression.GZIP: gzip.compress, Compression.ZSTD: zstd.compress, Compression.NONE: bytes}


BEGIN = Position()
ROWS = 20_000


class Bytes:
    """An object in memory; `size` may be more than there is."""

    uri = "file:///a"
    version = "1"

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data, self.size, self.longest = data, len(data) if size is None else size, 0

    async def read(self, offset: int, length: int) -> bytes:
        self.longest = max(self.longest, length)
        return self.data[offset : offset + length]

    async def close(self) -> None:
        pass


def reader(data: bytes, kind: Compression = Compression.NONE, size: int | None = None, **more: int) -> LineReader:
    wanted = {"line_bytes": 40, "chunk_lines": 3, "chunk_bytes": 60} | more
    return LineReader(Bytes(data, size), kind, **wanted)


async def read(found: LineReader, start: Position = BEGIN) -> tuple[list[Chunk], Fault | None]:
    chunks: list[Chunk] = []
    try:
        async for chunk in found.chunks(start):
            chunks.append(chunk)
    except Fault as fault:
        return chunks, fault
    return chunks, None


def told(chunks: list[Chunk]) -> list[tuple[int, bytes | None]]:
    return [(line.number, line.data) for chunk in chunks for line in chunk.lines]


@pytest.mark.parametrize("kind", list(Compression))
@given(
    rows=st.lists(st.binary(max_size=60).map(lambda row: row.replace(b"\n", b"")), max_size=12),
    ended=st.booleans(),
    step=st.sampled_from([1, 2, 7, 64, 4096]),
)
async def test_lines_are_numbered_and_any_chunk_can_be_gone_on_from(
    kind: Compression, rows: list[bytes], ended: bool, step: int
) -> None:
    data = b"\n".join(rows) + (b"\n" if ended and rows else b"")
    expected = data.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    wanted = [(i, row if len(row) <= 40 else None) for i, row in enumerate(expected, 1)]
    packed = PACK[kind](data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "READ_BYTES", step)
        chunks, fault = await read(reader(packed, kind))
        assert fault is None
        assert told(chunks) == wanted
        assert all(len(chunk.lines) <= 3 for chunk in chunks)
        for at, chunk in enumerate(chunks):
            rest, _ = await read(reader(packed, kind), chunk.position)
            assert told(rest) == wanted[sum(len(one.lines) for one in chunks[: at + 1]) :]


async def test_a_line_that_is_too_long_isnt_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "READ_BYTES", 1000)
    source = b"x" * 1_000_000 + b"\nshort\n"
    found = reader(source)
    splitter = lines._Splitter(40, BEGIN)
    for begin in range(0, 1_000_000, 1000):
        assert not list(splitter.feed(source[begin : begin + 1000]))
        assert sum(map(len, splitter._rest)) <= 40
    chunks, _ = await read(found)
    assert told(chunks) == [(1, None), (2, b"short")]
    assert chunks[-1].position == Position(2, 1_000_007)


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.ZSTD])
async def test_what_stands_before_a_cut_is_read_and_the_cut_line_isnt(kind: Compression) -> None:
    rows = b"".join(b"row %d %d\n" % (i, i * i * 7919) for i in range(ROWS))
    packed = PACK[kind](rows)
    chunks, fault = await read(reader(packed[: len(packed) * 2 // 3], kind))
    assert fault is not None
    assert fault.reason == "OBJECT_TRUNCATED"
    assert 0 < len(told(chunks)) < ROWS
    assert f"line {len(told(chunks))};" in fault.message
    assert all(row == b"row %d %d" % (i - 1, (i - 1) ** 2 * 7919) for i, row in told(chunks))
    whole, fault = await read(reader(packed, kind), chunks[-1].position if chunks else BEGIN)
    assert fault is None
    assert len(told(chunks)) + len(told(whole)) == ROWS


async def test_an_object_with_fewer_bytes_than_it_says_is_truncated() -> None:
    chunks, fault = await read(reader(b"one\ntw", size=100))
    assert told(chunks) == [(1, b"one")]
    assert fault is not None
    assert fault.reason == "OBJECT_TRUNCATED"


async def test_bytes_that_arent_compressed_are_unreadable() -> None:
    for kind in (Compression.GZIP, Compression.ZSTD):
        chunks, fault = await read(reader(b'{"id": "a"}\n', kind))
        assert not chunks
        assert fault is not None
        assert fault.reason == "OBJECT_UNREADABLE"


async def test_an_empty_object_has_no_lines() -> None:
    assert await read(reader(b"")) == ([], None)
