# SPDX-License-Identifier: Apache-2.0
"""`pinakes demo`: the platform on this machine, filled with real documents of two tenants, and searched; a third is erased."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pinakes.client import AsyncClient, PinakesError
from pinakes.demo import access, corpus, distributions, indexing, tour, visitor
from pinakes.v1.resources_pb2 import Document

__all__ = ["main"]

Corpus = tuple[access.Shelf, Callable[[], Iterable[Document]]]
CORPORA: tuple[Corpus, ...] = (
    (access.PYTHON, corpus.python_documents),
    (access.PACKAGES, distributions.package_documents),
)


def main() -> int:
    """Run the demo; the exit code is 0 if every acknowledged document is found and each tenant saw only its own."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    # Starting the platform needs the extra `local`; the rest of the command works without it.
    from pinakes.local import LocalError, Platform

    platform = Platform()
    try:
        platform.up()
        return asyncio.run(run(console, platform.endpoint, platform.admin_key, platform.home))
    except (LocalError, PinakesError, RuntimeError) as error:
        console.print(f"[red]demo: {escape(str(error))}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. What was acknowledged is kept; run the demo again to go on.")
        return 130


async def run(console: Console, endpoint: str, admin_key: str, home: Path, corpora: Sequence[Corpus] = CORPORA) -> int:
    """Index both corpora, check that nothing acknowledged is missing, and search; meanwhile a third tenant is erased.

    The tenants' keys are kept in `home`. Returns the exit code, and raises PinakesError if the platform refuses.
    """
    keys_file = home / "demo.json"
    keys: dict[str, str] = {}
    good = True
    async with AsyncClient(endpoint, key=admin_key) as admin:
        # Erasing takes its time, because nobody may be writing any more: it goes on while the rest is shown.
        visit = await visitor.visit(console, admin, endpoint)
        for shelf, _ in corpora:
            keys[shelf.tenant] = await access.open_shelf(admin, endpoint, shelf, keys_file)
    for shelf, read in corpora:
        console.print(f"\n[b]{shelf.tenant}[/b]: {shelf.display_name}")
        started = time.monotonic()
        documents = list(read())
        console.print(f"  read {len(documents):,} documents in {time.monotonic() - started:.1f} s")
        async with AsyncClient(endpoint, key=keys[shelf.tenant], timeout=30.0) as client:
            indexed = await indexing.index(client, documents, f"  {shelf.tenant}", console)
            absent = await indexing.missing(client, indexed.acknowledged)
        count = len(indexed.acknowledged)
        console.print(
            f"  {count:,} acknowledged ({indexed.rate:,.0f} docs/s), {count - len(absent):,} of them searchable, "
            f"{len(indexed.refused)} refused"
        )
        for name, reason in indexed.refused[:5]:
            console.print(f"  [red]refused {escape(name)}: {escape(reason)}[/red]")
        good = good and bool(count) and not absent and not indexed.refused
    apart = await tour.tour(console, endpoint, keys)
    async with AsyncClient(endpoint, key=admin_key, admin_reason=visitor.REASON) as admin:
        gone = await visitor.farewell(console, admin, visit)
    tour.by_hand(console, endpoint, keys_file)
    return 0 if good and apart and gone else 1
