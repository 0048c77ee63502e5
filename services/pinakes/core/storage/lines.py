# SPDX-License-Identifier: Apache-2.0
"""Lines of an object, numbered from 1, in chunks that a job can stop behind and go on from. Memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinakes.core.storage.compression import Compression, Damaged, Truncated, inflater
from pinakes.core.storage.faults import object_truncated, object_unreadable

if TYPE_CHECKING:
    from pinakes.core.storage.objects import Source

READ_BYTES = 4 << 20
JSON_GROWTH = 6
"""A character that has one byte in a document may have six in JSON, as \\u0001."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far an object has been read: lines, and bytes of it when decompressed."""

    line: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `data` is None for one that is longer than allowed."""

    number: int
    data: bytes | None


@dataclass(slots=True)
class Chunk:
    """Lines, and where the next ones begin. `read_bytes` counts what was read of the object as it is stored."""

    lines: list[Line] = field(default_factory=list)
    position: Position = Position()
    read_bytes: int = 0
    size: int = 0


class LineReader:
    """Cuts an object into chunks of lines."""

    def __init__(
        self, source: Source, compression: Compression, *, line_bytes: int, chunk_lines: int, chunk_bytes: int
    ) -> None:
        """Read `source`; a chunk ends at so many lines or bytes."""
        self._source = source
        self._compression = compression
        self._line_bytes, self._chunk_lines, self._chunk_bytes = line_bytes, chunk_lines, chunk_bytes
        self._read = 0

    async def chunks(self, start: Position) -> AsyncIterator[Chunk]:
        """Yield chunks of what lies behind `start`.

        Raises what the source raises, OBJECT_TRUNCATED for a compressed object that ends too early and
        OBJECT_UNREADABLE for one that isn't what its compression makes; every whole line before that is yielded first.
        """
        splitter = _Splitter(self._line_bytes, start)
        chunk = Chunk()
        pieces = self._pieces(start.offset)
        fault: Exception | None = None
        while True:
            try:
                piece = await anext(pieces, None)
            except Truncated:
                fault = object_truncated(self._source.uri, f"behind line {splitter.position.line}")
                break
            except Damaged as error:
                fault = object_unreadable(self._source.uri, f"behind line {splitter.position.line} {error}")
                break
            # The last line may have no end; behind a damage it isn't a line.
            lines = splitter.feed(piece) if piece is not None else splitter.finish()
            for line in lines:
                chunk.lines.append(line)
                chunk.size += len(line.data or b"")
                if len(chunk.lines) >= self._chunk_lines or chunk.size >= self._chunk_bytes:
                    chunk.position, chunk.read_bytes = splitter.position, self._read
                    yield chunk
                    chunk = Chunk()
            if piece is None:
                break
        if chunk.lines:
            chunk.position, chunk.read_bytes = splitter.position, self._read
            yield chunk
        if fault is not None:
            raise fault

    async def _pieces(self, skip: int) -> AsyncIterator[bytes]:
        """Yield decompressed bytes from an offset on. A compressed object is read from its beginning for that."""
        if self._compression is Compression.NONE:
            self._read = skip
            skip = 0
        inflate = inflater(self._compression)
        while self._read < self._source.size:
            data = await self._source.read(self._read, READ_BYTES)
            if not data:
                raise Truncated
            self._read += len(data)
            pieces = inflate.feed(data)
            while (piece := await self._next(pieces)) is not None:
                if skip >= len(piece):
                    skip -= len(piece)
                    continue
                yield piece[skip:] if skip else piece
                skip = 0
        inflate.finish()

    async def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        """Return the next piece; decompressing takes milliseconds, which others mustn't wait for."""
        if self._compression is Compression.NONE:
            return next(pieces, None)

        def work() -> bytes | None:
            return next(pieces, None)

        return await asyncio.to_thread(work)


class _Splitter:
    """Cuts pieces at line ends. `position` is behind the last line that was taken from it."""

    def __init__(self, line_bytes: int, start: Position) -> None:
        """Begin behind a position."""
        self._most = line_bytes
        self._rest: list[bytes] = []
        self._held = 0
        self.position = start

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Yield the lines that end in a piece."""
        begin = 0
        while (end := piece.find(b"\n", begin)) >= 0:
            yield self._line(piece[begin:end], 1)
            begin = end + 1
        self._held += len(piece) - begin
        if self._held > self._most:
            self._rest.clear()
        elif begin < len(piece):
            self._rest.append(piece[begin:])

    def finish(self) -> Iterator[Line]:
        """Yield the last line if it has no end."""
        if self._held:
            yield self._line(b"", 0)

    def _line(self, last: bytes, end: int) -> Line:
        """Return the line that its last part completes; of one that is too long nothing is kept."""
        size = self._held + len(last)
        data = b"".join((*self._rest, last)) if size <= self._most else None
        self._rest.clear()
        self._held = 0
        self.position = Position(self.position.line + 1, self.position.offset + size + end)
        return Line(self.position.line, data)
