# SPDX-License-Identifier: Apache-2.0
"""gzip and Zstandard in pieces of bounded size, so that a small object can't become a large one in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import Enum
from typing import Any, Protocol

from pinakes.core.zstandard import zstd

PIECE = 1 << 20
WINDOW_LOG = 26
"""Frames of Zstandard that need more than 64 MiB of memory are refused: level 22 and `--long` make such."""
_GZIP = 16 + zlib.MAX_WBITS
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 6


class Compression(Enum):
    """How an object's bytes are compressed: the value is the ending of such objects' names."""

    NONE = ""
    GZIP = ".gz"
    ZSTD = ".zst"


def by_name(path: str) -> Compression:
    """Return what the ending of a name says."""
    return next((kind for kind in (Compression.GZIP, Compression.ZSTD) if path.endswith(kind.value)), Compression.NONE)


class Damaged(Exception):
    """The bytes aren't what the compression makes; the text says what is wrong, for people."""


class Truncated(Exception):
    """The bytes end before the compressed stream does."""


class Inflater(Protocol):
    """Turns compressed bytes into plain ones."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield pieces of at most `PIECE` bytes. Raises `Damaged`."""

    def finish(self) -> None:
        """Say that there are no more bytes. Raises `Truncated` if there should be."""


class Plain:
    """Bytes that aren't compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield them as they are."""
        yield data

    def finish(self) -> None:
        """Any end is an end."""


class Gzip:
    """One gzip member after another; zeros behind the last are padding, as `gzip` has it."""

    def __init__(self) -> None:
        """Begin with the first member."""
        self._member = zlib.decompressobj(_GZIP)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield pieces of at most `PIECE` bytes. Raises `Damaged`."""
        more = bool(data)
        while more:
            if self._member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP)
            self._begun = True
            try:
                piece = self._member.decompress(data, PIECE)
            except zlib.error as error:
                raise Damaged(_told("gzip", error)) from None
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            # A full piece may leave plain bytes inside even when all compressed ones are used.
            more = bool(data) or len(piece) == PIECE
            if piece:
                yield piece

    def finish(self) -> None:
        """Raise `Truncated` inside a member, or if there was none."""
        if not (self._begun and self._member.eof):
            raise Truncated


class Zstandard:
    """One Zstandard frame after another."""

    def __init__(self) -> None:
        """Begin with the first frame."""
        self._frame = self._new()
        self._begun = False

    @staticmethod
    def _new() -> Any:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield pieces of at most `PIECE` bytes. Raises `Damaged`."""
        while True:
            if self._frame.eof:
                data = self._frame.unused_data or data
                if not data:
                    return
                self._frame = self._new()
            elif not data and self._frame.needs_input:
                return
            self._begun = True
            try:
                piece = self._frame.decompress(data, PIECE)
            except zstd.ZstdError as error:
                raise Damaged(_told("Zstandard", error)) from None
            data = b""  # the frame keeps what it hasn't used
            if piece:
                yield piece

    def finish(self) -> None:
        """Raise `Truncated` inside a frame, or if there was none."""
        if not (self._begun and self._frame.eof):
            raise Truncated


def inflater(kind: Compression) -> Inflater:
    """Return what reads this compression."""
    if kind is Compression.GZIP:
        return Gzip()
    return Zstandard() if kind is Compression.ZSTD else Plain()


class Deflater:
    """Turns plain bytes into compressed ones. The same bytes always become the same: no times, no names."""

    def __init__(self, kind: Compression) -> None:
        """Begin an object."""
        self._codec: Any = None
        if kind is Compression.GZIP:
            self._codec = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        elif kind is Compression.ZSTD:
            options: dict[int, int] = {
                zstd.CompressionParameter.compression_level: _ZSTD_LEVEL,
                zstd.CompressionParameter.checksum_flag: 1,
            }
            self._codec = zstd.ZstdCompressor(options=options)

    def feed(self, data: bytes) -> bytes:
        """Return what can be written by now."""
        return data if self._codec is None else self._codec.compress(data)

    def finish(self) -> bytes:
        """Return the rest."""
        return b"" if self._codec is None else self._codec.flush()


def _told(name: str, error: Exception) -> str:
    if "memory" in str(error):
        return f"its Zstandard frames need more than {1 << (WINDOW_LOG - 20)} MiB to be read; compress it at level 20 or less"
    return f"its bytes aren't {name}, or are damaged"
