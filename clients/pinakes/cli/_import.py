# SPDX-License-Identifier: Apache-2.0
"""`pinakes import`: JSON Lines into a collection by stream, with progress, a checkpoint, and an account of failed rows."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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

from pinakes.cli._checkpoint import Checkpoint, State
from pinakes.cli._compressed import bare
from pinakes.cli._failures import PARTIAL, Failure
from pinakes.cli._rows import Row, Source, parse
from pinakes.cli._session import CollectionOption, Session, TenantOption, calling, print_json, usage
from pinakes.cli._tally import Tally
from pinakes.client import PinakesError, Written

_ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import goes, and how."""

    collection: str
    tenant: str
    mode: str
    patience: float


@calling
def import_(
    session: Session,
    file: Annotated[str, typer.Argument(help="JSON Lines, plain, .gz or .zst; `-` is stdin.", metavar="FILE")],
    mode: Annotated[
        str,
        typer.Option(
            "--mode",
            help="accepted: safe on the platform's disk, applied moments later; applied: reads by name see it; "
            "searchable: so do searches. Each is slower than the one before.",
        ),
    ] = _ACCEPTED,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds to go on trying while the platform is busy or away.", min=0)
    ] = 120,
    failed: Annotated[
        str,
        typer.Option("--failed", help="Where to keep rows that failed; FILE.failed.jsonl if left out.", metavar="PATH"),
    ] = "",
    checkpoint: Annotated[
        str,
        typer.Option("--checkpoint", help="Where to note how far it got; FILE.checkpoint if left out.", metavar="PATH"),
    ] = "",
    no_checkpoint: Annotated[bool, typer.Option("--no-checkpoint", help="Note nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, whatever the checkpoint says.")] = False,
    collection: CollectionOption = "default",
    tenant: TenantOption = "-",
) -> None:
    """Write a file of documents, one JSON object a line.

    A line: {"id": …, "title": …, "body": …, "tags": […], "attributes": {…}}; also language, readers, source_uri,
    expire_time. With an etag it is written only over that version (not in mode accepted).

    Rows that fail don't stop the others: each is told with its line, and kept with its reason; then the exit code is 3.
    What was interrupted goes on where it was when the same command is run again.
    """
    if mode not in {_ACCEPTED, "applied", "searchable"}:
        raise usage(f"--mode {mode}: not accepted, applied or searchable")
    if file == "-" and checkpoint:
        raise usage("--checkpoint: stdin can't be gone on with")
    tally = Tally(Path(failed) if failed else _failed_path(file))
    kept: Checkpoint | None = None
    try:
        with ExitStack() as stack:
            stack.callback(tally.close)
            source = Source(file, stack)
            place = None if file == "-" or no_checkpoint else Path(checkpoint or f"{file}.checkpoint")
            target = Target(collection, tenant, mode, patience)
            kept = _checkpoint(session, place, file, target)
            state = _begin(kept, source, tally, restart=restart)
            asyncio.run(_Import(session, source, tally, kept, state, target).run())
    except (PinakesError, Failure, KeyboardInterrupt):
        noted = f" ({kept.path})" if kept is not None and kept.path is not None and kept.path.exists() else ""
        sys.stderr.write(
            f"pinakes: stopped after {tally.written:,} documents that are {_participle(mode)}; "
            f"run it again to go on{noted}\n"
        )
        raise
    kept.remove()
    _report(session, tally, mode)
    if tally.failed:
        raise typer.Exit(PARTIAL)


class _Import:
    """One run: rows go out as documents, results come back in their order."""

    def __init__(
        self, session: Session, source: Source, tally: Tally, checkpoint: Checkpoint, state: State, target: Target
    ) -> None:
        self._session = session
        self._source = source
        self._tally = tally
        self._checkpoint = checkpoint
        self._state = state
        self._target = target
        self._rows: deque[Row] = deque()  # that were read, and whose result wasn't counted yet

    async def run(self) -> None:
        """Write all rows; what is acknowledged when it ends, however it ends, is noted."""
        target, state = self._target, self._state
        try:
            with _progress() as progress:
                bar = progress.add_task("", total=self._source.size, rate="")
                async with self._session.async_client() as client:
                    results = client.stream_write(
                        self._documents(),
                        collection=target.collection,
                        tenant=target.tenant,
                        mode=target.mode,
                        stream_id=state.stream_id,
                        resume_after=state.sequence,
                        patience=target.patience,
                        on_acknowledged=self._acknowledged,
                    )
                    async for page in results.pages():
                        self._count(page)
                        progress.update(
                            bar,
                            completed=self._source.position,
                            rate=f"{self._tally.written:,} documents, {self._tally.rate:,.0f}/s",
                        )
            self._count_faults()
        finally:
            self._note(now=True)

    async def _documents(self) -> AsyncIterator[dict[str, Any]]:
        async for row in self._source.rows():
            made = row.fault or parse(row.text)
            if isinstance(made, str):
                self._rows.append(Row(row.line, row.end, row.text, made))
            else:
                self._rows.append(row)
                yield made

    def _acknowledged(self, stream_id: str, sequence: int) -> None:
        self._state.stream_id, self._state.sequence = stream_id, sequence

    def _count(self, page: list[Written]) -> None:
        """Count the results of a message, and the rows before and between them that were no documents."""
        for result in page:
            self._count_faults()
            row = self._rows.popleft()
            self._tally.take(row, result)
            self._passed(row)
        self._note()

    def _count_faults(self) -> None:
        while self._rows and self._rows[0].fault:
            row = self._rows.popleft()
            self._tally.fail(row, "INVALID_JSON", row.fault)
            self._passed(row)

    def _passed(self, row: Row) -> None:
        self._state.line, self._state.offset = row.line, row.end

    def _note(self, *, now: bool = False) -> None:
        if not (now or self._checkpoint.due) or not self._state.line:
            return
        state, tally = self._state, self._tally
        state.written, state.failed, state.outcomes = tally.written, tally.failed, tally.outcomes
        state.failed_bytes = tally.flush()
        self._checkpoint.save(state)


def _checkpoint(session: Session, path: Path | None, file: str, target: Target) -> Checkpoint:
    where = {"endpoint": session.where, "tenant": target.tenant, "collection": target.collection, "mode": target.mode}
    return Checkpoint(path, file, where)


def _begin(kept: Checkpoint, source: Source, tally: Tally, *, restart: bool) -> State:
    """Return the state to begin with: that of an interrupted run, if there was one."""
    if restart:
        kept.remove()
    if (state := kept.load()) is None:
        return State()
    source.go_to(state.line, state.offset)
    tally.resume(state.written, state.failed, state.outcomes, state.failed_bytes)
    sys.stderr.write(f"pinakes: going on after line {state.line:,} ({kept.path})\n")
    return state


def _report(session: Session, tally: Tally, mode: str) -> None:
    if session.as_json:
        print_json(
            {
                "written": tally.written,
                "failed": tally.failed,
                "outcomes": tally.outcomes,
                "mode": mode,
                "failed_file": str(tally.failed_path) if tally.failed else "",
                "documents_per_second": round(tally.rate, 1),
            }
        )
        return
    told = f"; {tally.failed:,} failed, see {tally.failed_path}" if tally.failed else ""
    sys.stdout.write(f"{tally.written:,} documents {_participle(mode)}, {tally.rate:,.0f} a second{told}\n")
    if mode == _ACCEPTED and tally.written:
        sys.stderr.write("They are applied within moments; `pinakes failed list` shows any that can't be.\n")


def _participle(mode: str) -> str:
    return "accepted" if mode == _ACCEPTED else "written"


def _failed_path(file: str) -> Path:
    if file == "-":
        return Path("stdin.failed.jsonl")
    path = Path(file)
    name = bare(path.name).removesuffix(".jsonl")
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
