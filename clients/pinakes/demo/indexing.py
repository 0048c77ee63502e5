# SPDX-License-Identifier: Apache-2.0
"""Writing a corpus with progress, and proving afterwards that everything acknowledged can be found."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pinakes.client import AsyncClient, NotFound
from pinakes.demo.access import COLLECTION
from pinakes.v1.resources_pb2 import Document

PATIENCE_SECONDS = 300.0
"""How long the writer waits for servers that are being restarted."""
SEARCHABLE_WITHIN_SECONDS = 15.0
MASK = ("create_time",)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of a corpus: ids that were acknowledged, what was refused and why, seconds it took."""

    acknowledged: list[str]
    refused: list[tuple[str, str]]
    seconds: float

    @property
    def rate(self) -> float:
        """Documents a second."""
        return len(self.acknowledged) / self.seconds if self.seconds else 0.0


async def index(client: AsyncClient, documents: Sequence[Document], title: str, console: Console) -> Indexed:
    """Write all documents, some batches at a time; waits while a server is away, because its writes weren't acknowledged."""
    acknowledged: list[str] = []
    refused: list[tuple[str, str]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started = time.monotonic()
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(title, total=len(documents), rate="")
        # Copies: the client completes the names, and a corpus may be written again.
        copies: Iterator[Document] = (_copy(document) for document in documents)
        async for written in client.write_many(copies, collection=COLLECTION, patience=PATIENCE_SECONDS):
            if written.ok:
                acknowledged.append(written.id)
            else:
                refused.append((written.id, str(written.error or written.outcome)))
            done = len(acknowledged) + len(refused)
            progress.update(task, completed=done, rate=f"{done / (time.monotonic() - started):,.0f} docs/s")
    return Indexed(acknowledged, refused, time.monotonic() - started)


async def missing(client: AsyncClient, acknowledged: Sequence[str]) -> list[str]:
    """Look every acknowledged document up in the listing that searches see; return the ids that aren't there in time."""
    expected = set(acknowledged)
    give_up = time.monotonic() + SEARCHABLE_WITHIN_SECONDS
    while True:
        found = {
            document.name.rpartition("/")[2]
            async for document in client.list_documents(collection=COLLECTION, read_mask=("name",))
        }
        absent = expected - found
        if not absent or time.monotonic() >= give_up:
            return sorted(absent)
        await asyncio.sleep(0.5)  # written, not yet refreshed


async def holds(client: AsyncClient, document: str) -> bool:
    """Tell whether a tenant has a document of this id."""
    try:
        await client.get_document(document, collection=COLLECTION, read_mask=MASK)
    except NotFound:
        return False
    return True


def _copy(document: Document) -> Document:
    """Copy a message."""
    made = Document()
    made.CopyFrom(document)
    return made
