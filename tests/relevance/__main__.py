# SPDX-License-Identifier: Apache-2.0
"""`make relevance`: asks judged queries of the platform and of plain BM25, prints both and fails where ours is lower.

`COLLECTION=path` measures any collection in TREC's or BEIR's form instead of the project's own.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pinakes.local import LocalError, Platform
from tests.relevance import figures, formats, ours, own
from tests.relevance.baseline import EngineError
from tests.relevance.figures import MEASURES, Asked
from tests.relevance.judged import HELD_OUT, TUNE, Judged
from tests.relevance.measuring import measured

HOME = Path(".relevance")
CONSOLE = Console(highlight=False, width=120)


def main() -> int:
    """Run; the exit code is 1 if a figure is too low, 2 if it couldn't be measured."""
    chosen = _arguments()
    try:
        collections = _collections(chosen)
        found = _on_platform(collections)
    except (formats.FormatError, LocalError, EngineError, ours.NotWrittenError, ours.DegradedError) as error:
        CONSOLE.print(f"error: {error}", style="red", markup=False)
        return 2
    _print(found)
    figures.report(found, HOME / "report.json")
    if chosen.collection:
        return 0
    if chosen.update:
        figures.update_reference(found)
        CONSOLE.print(f"Wrote {figures.REFERENCE.name}: these are the figures to reach from now on.")
    falls = figures.falls_below_plain(found) + figures.falls_below_reference(found)
    for fall in falls:
        CONSOLE.print(f"LOWER  {fall}", style="red", markup=False)
    return 1 if falls else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make relevance", description=__doc__)
    parser.add_argument("--collection", type=Path, help="folder of a collection in TREC's or BEIR's form")
    parser.add_argument("--documents", type=Path, help="its documents, where they aren't found by name")
    parser.add_argument("--topics", type=Path, help="its queries")
    parser.add_argument("--qrels", type=Path, help="its judgements")
    parser.add_argument("--language", default="en", help="language of the collection, a code such as `de`")
    parser.add_argument("--update", action="store_true", help="write the figures as the reference of later runs")
    chosen = parser.parse_args()
    if chosen.update and chosen.collection:
        parser.error("the reference is of the project's own collections")
    if not chosen.collection and (chosen.documents or chosen.topics or chosen.qrels):
        parser.error("--documents, --topics and --qrels go with --collection")
    return chosen


def _collections(chosen: argparse.Namespace) -> list[Judged]:
    if not chosen.collection:
        return own.collections()
    files = formats.Files(chosen.documents, chosen.topics, chosen.qrels)
    return [formats.read_collection(chosen.collection, files, chosen.language)]


def _on_platform(collections: Sequence[Judged]) -> list[Asked]:
    """Start a fresh platform, measure every collection, stop the platform."""
    CONSOLE.print("Starting the platform …")
    platform = Platform(home=(HOME / "platform").absolute())
    platform.reset()  # an index that another version made would be measured with that version's analysis and similarity
    platform.up()
    try:
        return asyncio.run(measured(platform, collections, lambda text: CONSOLE.print(text, markup=False)))
    finally:
        platform.down()


def _print(found: Sequence[Asked]) -> None:
    halves = {one.query.split for one in found}
    _table("All queries", found)
    if halves >= {TUNE, HELD_OUT}:
        _table("The half that ranking is tuned on", [one for one in found if one.query.split == TUNE])
        _table("The half held out", [one for one in found if one.query.split == HELD_OUT])


def _table(title: str, found: Sequence[Asked]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("kind")
    for column in ("queries", *(f"{name}{of}" for name in MEASURES for of in ("", " BM25"))):
        table.add_column(column, justify="right")
    for kind, group in figures.by_kind(found).items():
        mine, plain = figures.means(group, lambda one: one.ours), figures.means(group, lambda one: one.plain)
        cells = [f"{side[name]:.3f}" for name in MEASURES for side in (mine, plain)]
        table.add_row(kind, str(len(group)), *cells)
    CONSOLE.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
