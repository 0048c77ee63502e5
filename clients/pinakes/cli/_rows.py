# SPDX-License-Identifier: Apache-2.0
"""The input of an import: JSON Lines of a file or stdin, row by row, from any place on."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from pinakes.cli._compressed import DAMAGED, bare, opened
from pinakes.cli._failures import Failure
from pinakes.client import _names

_LINES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the input, numbered from 1; `end` is the offset of the next one, in uncompressed bytes.

    `fault` says why it is no document.
    """

    line: int
    end: int
    text: str
    fault: str = ""


class Source:
    """The input: a file, compressed or not, or stdin."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        """Open the input; raises Failure if that can't be done."""
        self.path = path
        self._line = 0
        self._offset = 0
        try:
            self._raw: IO[bytes] = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))  # noqa: SIM115  # the stack closes it
            self.size = Path(path).stat().st_size if path != "-" else None
            self._lines: IO[bytes] = self._raw
            if bare(path) != path:
                self._lines = stack.enter_context(opened(self._raw, path))
        except OSError as error:
            raise Failure("FILE_UNREADABLE", f"{path}: {error.strerror}", "check the path") from error

    @property
    def position(self) -> int:
        """Bytes of the file that have been read."""
        return self._raw.tell() if self.size is not None else 0

    def go_to(self, line: int, offset: int) -> None:
        """Go on behind a line, at an offset that a row told."""
        try:
            self._lines.seek(offset)
        except DAMAGED as error:
            raise Failure("FILE_UNREADABLE", f"{self.path}: {error}", "check the file") from error
        self._line, self._offset = line, offset

    async def rows(self) -> AsyncIterator[Row]:
        """Read rows, in a thread so that answers go on being received."""
        while chunk := await asyncio.to_thread(self._read):
            for line in chunk:
                self._line += 1
                self._offset += len(line)
                try:
                    text = line.decode("utf-8-sig" if self._line == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    broken = line.decode("utf-8", "replace").strip()
                    yield Row(self._line, self._offset, broken, f"byte {error.start + 1} is not UTF-8")
                    continue
                if text:
                    yield Row(self._line, self._offset, text)

    def _read(self) -> list[bytes]:
        try:
            return list(islice(self._lines, _LINES_AT_ONCE))
        except DAMAGED as error:
            raise Failure(
                "FILE_UNREADABLE", f"{self.path}: after line {self._line}: {error}", "check the file"
            ) from error


def parse(text: str) -> dict[str, Any] | str:
    """Read one row: a document, or what is wrong with it."""
    try:
        made = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    except RecursionError:
        return "nested too deep"
    if not isinstance(made, dict):
        return "not a JSON object"
    if not made.get("id") and isinstance(made.get("name"), str):
        # A row that was read from elsewhere names where it was; it goes where this import goes.
        made = {**made, "id": _names.last(made["name"])}
    made.pop("name", None)
    if not made.get("id"):
        return "a document needs an id"
    return made
