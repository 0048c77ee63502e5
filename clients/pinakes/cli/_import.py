# SPDX-License-Identifier: Apache-2.0
"""`pinakes import`: JSON Lines into a collection, with progress, and line and reason of every row that failed."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from pinakes.cli._failures import PARTIAL, Failure
from pinakes.cli._session import (
    CollectionOption,
    Session,
    TenantOption,
    calling,
    print_json,
    printable,
)
from pinakes.client import PinakesError, Written, _names

_LINES_AT_ONCE = 500
_TOLD_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the input, numbered from 1."""

    line: int
    text: str


@dataclass(slots=True)
class Tally:
    """What an import has come to, and where the rows that failed are kept."""

    failed_path: Path
    written: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    started: float = field(default_factory=time.monotonic)
    _file: TextIO | None = None

    @property
    def rate(self) -> float:
        """Documents a second since the start."""
        return self.written / max(time.monotonic() - self.started, 1e-6)

    def take(self, row: Row, result: Written) -> None:
        """Count one result; a failure is told and kept."""
        if result.ok:
            self.written += 1
            self.outcomes[result.outcome.lower()] = self.outcomes.get(result.outcome.lower(), 0) + 1
            return
        error = result.error
        details = "".join(
            f"; {v.field}: {v.description}"
            for v in (error.violations if error else ())
            if error and v.description not in error.message
        )
        self.fail(
            row, error.reason if error else result.outcome, (error.message if error else result.outcome) + details
        )

    def fail(self, row: Row, reason: str, message: str) -> None:
        """Keep a row that failed, with its line and reason."""
        self.failed += 1
        if self._file is None:
            self._file = self.failed_path.open("w", encoding="utf-8")
        try:
            document = json.loads(row.text)
        except ValueError:
            document = row.text
        kept = {"line": row.line, "reason": reason, "message": message, "document": document}
        self._file.write(json.dumps(kept, ensure_ascii=False) + "\n")
        if self.failed <= _TOLD_AT_MOST:
            sys.stderr.write(printable(f"pinakes: line {row.line}: {reason}: {' '.join(message.split())}") + "\n")
        elif self.failed == _TOLD_AT_MOST + 1:
            sys.stderr.write(f"pinakes: more rows failed: see {self.failed_path}\n")

    def close(self) -> None:
        """Close the file of failed rows, if there were any."""
        if self._file is not None:
            self._file.close()


class Source:
    """The input: a file, compressed or not, or stdin."""

    def __init__(self, path: str, stack: ExitStack) -> None:
        """Open the input; raises Failure if that can't be done."""
        self.path = path
        self._count = 0
        try:
            self._raw: IO[bytes] = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))  # noqa: SIM115  # the stack closes it
            self.size = Path(path).stat().st_size if path != "-" else None
            self._lines: Iterator[bytes] = self._raw
            if path.endswith(".gz"):
                self._lines = stack.enter_context(gzip.GzipFile(fileobj=self._raw))
        except OSError as error:
            raise Failure("FILE_UNREADABLE", f"{path}: {error.strerror}", "check the path") from error

    @property
    def position(self) -> int:
        """Bytes of the file that have been read."""
        return self._raw.tell() if self.size is not None else 0

    async def rows(self) -> AsyncIterator[Row | tuple[Row, str]]:
        """Read rows, in a thread so that answers go on being received; with a fault for bytes that are no text."""
        while chunk := await asyncio.to_thread(self._read):
            for line in chunk:
                self._count += 1
                try:
                    text = line.decode("utf-8-sig" if self._count == 1 else "utf-8").strip()
                except UnicodeDecodeError as error:
                    broken = Row(self._count, line.decode("utf-8", "replace").strip())
                    yield broken, f"byte {error.start + 1} is not UTF-8"
                    continue
                if text:
                    yield Row(self._count, text)

    def _read(self) -> list[bytes]:
        try:
            return list(islice(self._lines, _LINES_AT_ONCE))
        except (OSError, EOFError, zlib.error) as error:
            raise Failure(
                "FILE_UNREADABLE", f"{self.path}: after line {self._count}: {error}", "check the file"
            ) from error


@calling
def import_(
    session: Session,
    file: Annotated[str, typer.Argument(help="JSON Lines, plain or .gz; `-` is stdin.", metavar="FILE")],
    mode: Annotated[str, typer.Option("--mode", help="applied, or searchable: slower.")] = "",
    in_flight: Annotated[int, typer.Option("--in-flight", help="Batches under way at once.", min=1, max=64)] = 4,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds to go on trying while the platform is busy or away.", min=0)
    ] = 60,
    failed: Annotated[
        str,
        typer.Option("--failed", help="Where to keep rows that failed; FILE.failed.jsonl if left out.", metavar="PATH"),
    ] = "",
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Write a file of documents, one JSON object a line.

    A line: {"id": …, "title": …, "body": …, "tags": […], "attributes": {…}}; also language, readers, source_uri,
    expire_time. With an etag it is written only over that version.

    Rows that fail don't stop the others: each is told with its line, and kept with its reason; then the exit code is 3.
    Running it again is safe: a document is written whole.
    """
    tally = Tally(Path(failed) if failed else _failed_path(file))
    try:
        with ExitStack() as stack:
            stack.callback(tally.close)
            source = Source(file, stack)
            asyncio.run(_import(session, source, tally, collection, tenant, mode, in_flight, patience))
    except (PinakesError, Failure, KeyboardInterrupt):
        sys.stderr.write(
            f"pinakes: stopped after {tally.written:,} documents that are written; run it again to go on\n"
        )
        raise
    if session.as_json:
        print_json(
            {
                "written": tally.written,
                "failed": tally.failed,
                "outcomes": tally.outcomes,
                "failed_file": str(tally.failed_path) if tally.failed else "",
                "documents_per_second": round(tally.rate, 1),
            }
        )
    else:
        told = f"; {tally.failed:,} failed, see {tally.failed_path}" if tally.failed else ""
        sys.stdout.write(f"{tally.written:,} documents written, {tally.rate:,.0f} a second{told}\n")
    if tally.failed:
        raise typer.Exit(PARTIAL)


async def _import(
    session: Session,
    source: Source,
    tally: Tally,
    collection: str,
    tenant: str,
    mode: str,
    in_flight: int,
    patience: float,
) -> None:
    """Write all rows. Results come in the order of what was sent, so a queue of rows tells whose each result is."""
    sent: deque[Row] = deque()

    async def documents() -> AsyncIterator[dict[str, Any]]:
        async for item in source.rows():
            row, fault = item if isinstance(item, tuple) else (item, "")
            made = fault or _parse(row.text)
            if isinstance(made, str):
                tally.fail(row, "INVALID_JSON", made)
            else:
                sent.append(row)
                yield made

    with _progress() as progress:
        bar = progress.add_task("", total=source.size, rate="")
        async with session.async_client() as client:
            results = client.write_many(
                documents(), collection=collection, tenant=tenant, mode=mode, in_flight=in_flight, patience=patience
            )
            async for batch in results.pages():
                for result in batch:
                    tally.take(sent.popleft(), result)
                progress.update(
                    bar, completed=source.position, rate=f"{tally.written:,} documents, {tally.rate:,.0f}/s"
                )


def _parse(text: str) -> dict[str, Any] | str:
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


def _failed_path(file: str) -> Path:
    if file == "-":
        return Path("stdin.failed.jsonl")
    path = Path(file)
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return path.with_name(f"{name}.failed.jsonl")


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
