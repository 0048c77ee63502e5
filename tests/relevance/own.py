# SPDX-License-Identifier: Apache-2.0
"""The project's own judged collections, read from `data`: Python's documentation, English articles, other languages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pinakes.demo.corpus import python_documents
from tests.relevance.judged import Item, Judged, Query

DATA = Path(__file__).parent / "data"
GROUPS = {
    "west": ("de", "fr", "es", "it", "nl"),
    "north": ("sv", "fi", "da", "pl", "cs"),
    "east": ("ru", "ar", "ja", "zh", "tr"),
    "south": ("pt", "ko"),
}
"""Collections by the languages they hold: at most five each, found by one query over all of them."""
MOVED = {"datetime": "_pydatetime", "pathlib": "pathlib._local"}
"""Modules whose definitions are elsewhere in newer Pythons."""
Row = dict[str, Any]


def python() -> Judged:
    """Return the running Python's standard library; names that it hasn't got are left out and noted."""
    items = [
        Item(document.title, document.title, document.body, "en", tuple(document.tags))
        for document in python_documents()
    ]
    names = {item.id for item in items}
    queries, missing = [], set()
    for row in _rows("python", "queries"):
        found = {name: _moved(name, names) for name in row["relevant"]}
        missing |= {name for name, now in found.items() if not now}
        relevant = {now: row["relevant"][name] for name, now in found.items() if now}
        if relevant:
            queries.append(_query(row, relevant))
    notes = [f"python: this Python has no {', '.join(sorted(missing))}; left out"] if missing else []
    return Judged("python", ("en",), lambda: items, queries, list(_rows("python", "synonyms")), notes)


def english() -> Judged:
    """Return the English articles and the handbooks that include some of them."""
    rows = list(_rows("english", "documents"))
    bodies = {row["id"]: row["body"] for row in rows}
    items = []
    for row in rows:
        parts = [row["body"], *(bodies[name] for name in row.get("includes", ()))]
        items.append(Item(row["id"], row["title"], "\n\n".join(parts), "en", tuple(row["tags"])))
    handbooks = {row["id"]: row["includes"] for row in rows if "includes" in row}
    queries = [_query(row, _with_handbooks(row["relevant"], handbooks)) for row in _rows("english", "queries")]
    return Judged("english", ("en",), lambda: items, queries, list(_rows("english", "synonyms")))


def languages() -> Iterator[Judged]:
    """Yield a collection for each group of languages."""
    documents, queries = list(_rows("languages", "documents")), list(_rows("languages", "queries"))
    for group, codes in GROUPS.items():
        items = [
            Item(row["id"], row["title"], row["body"], row["language"]) for row in documents if row["language"] in codes
        ]
        asked = [_query(row, row["relevant"]) for row in queries if row["language"] in codes]
        yield Judged(group, codes, items.copy, asked)


def collections() -> list[Judged]:
    """Return all of them."""
    return [python(), english(), *languages()]


def _moved(name: str, names: set[str]) -> str:
    """Return what a qualified name is called in this Python; empty if it has no such thing."""
    if name in names:
        return name
    others = (now + name.removeprefix(then) for then, now in MOVED.items() if name.startswith(then + "."))
    return next((other for other in others if other in names), "")


def _with_handbooks(relevant: Mapping[str, int], handbooks: Mapping[str, list[str]]) -> dict[str, int]:
    including = {handbook: 1 for handbook, parts in handbooks.items() if not relevant.keys().isdisjoint(parts)}
    return including | dict(relevant)


def _query(row: Row, relevant: Mapping[str, int]) -> Query:
    return Query(row["id"], row["query"], relevant, row["kind"], row["split"])


def _rows(collection: str, file: str) -> Iterable[Row]:
    with (DATA / collection / f"{file}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
