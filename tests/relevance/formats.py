# SPDX-License-Identifier: Apache-2.0
"""Judged collections that others made, in the two usual forms: TREC's (SGML, topics, qrels) and BEIR's (JSON Lines, TSV).

A folder holds documents, queries and judgements under their usual names (`NAMES`), each packed by gzip or not.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar, cast

from tests.relevance import sgml
from tests.relevance.judged import Item, Judged, Query

NAMES = {
    "documents": (
        "corpus.jsonl",
        "documents",
        "docs",
        "documents.*",
        "docs.*",
        "corpus",
        "corpus.*",
        "*.trec",
        "*.sgml",
    ),
    "topics": ("queries.jsonl", "queries.tsv", "topics", "topics.*", "topics*", "queries", "queries.*"),
    "qrels": ("qrels/test.tsv", "qrels/dev.tsv", "qrels", "qrels.*", "qrels*", "*.qrels"),
}
Read = TypeVar("Read")
_TREC_COLUMNS, _BEIR_COLUMNS = 4, 3


class FormatError(Exception):
    """A file that can't be read, with its name, the line and what would be right."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a collection; those that are None are looked for by their usual names."""

    documents: Path | None = None
    topics: Path | None = None
    qrels: Path | None = None


def read_collection(folder: Path, files: Files, language: str = "en") -> Judged:
    """Read queries and judgements; documents are read when they are wanted. Raises FormatError.

    Queries without a relevant document are left out: every figure of theirs is 0 whatever is found.
    """
    if not folder.is_dir():
        message = f"{folder} isn't a folder"
        raise FormatError(message)
    documents = files.documents or _found(folder, "documents")
    topics = read_topics(files.topics or _found(folder, "topics"))
    qrels = read_qrels(files.qrels or _found(folder, "qrels"))
    queries = [Query(name, text, qrels[name]) for name, text in topics.items() if any(qrels.get(name, {}).values())]
    if not queries:
        message = f"{folder}: no query has a relevant document; do queries and judgements use the same ids?"
        raise FormatError(message)
    notes = []
    if unjudged := len(topics) - len(queries):
        notes.append(f"{folder.name}: {unjudged} of {len(topics)} queries have no relevant document; left out")
    return Judged("collection", (language,), lambda: read_documents(documents, language), queries, notes=notes)


def read_documents(path: Path, language: str = "en") -> Iterator[Item]:
    """Read documents of a file, or of all files of a folder in the order of their names. Raises FormatError."""
    paths = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    for each in paths:
        with _opened(each) as file:
            read = _json_documents if _is_json(file) else _sgml_documents
            yield from read(each, file, language)


def read_topics(path: Path) -> dict[str, str]:
    """Read queries: TREC's topics, JSON Lines with `_id` and `text`, or lines of id, tab, text. Raises FormatError."""
    with _opened(path) as file:
        if _is_json(file):
            found = [
                (_text(row, "_id", path, number), _text(row, "text", path, number)) for number, row in _rows(path, file)
            ]
        elif "<top>" in file.read(4096).lower():
            file.seek(0)
            found = list(_told(path, lambda: sgml.topics(file)))
        else:
            file.seek(0)
            found = [(parts[0], parts[1]) for _, parts in _columns(path, file, 2, "id, tab, text")]
    _distinct(path, [name for name, _ in found])
    return dict(found)


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read judgements: TREC's four columns, or BEIR's three under a head. Grades below 0 count as 0. Raises FormatError."""
    judged: dict[str, dict[str, int]] = {}
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            parts = line.split()
            if not parts or (number == 1 and parts[0] in {"query-id", "query_id", "qid"}):
                continue
            if len(parts) not in {_BEIR_COLUMNS, _TREC_COLUMNS}:
                raise _fault(path, number, "a judgement is `query 0 document grade`, or `query document grade`")
            query, document, grade = parts[0], parts[-2], parts[-1]
            try:
                judged.setdefault(query, {})[document] = max(0, int(grade))
            except ValueError:
                raise _fault(path, number, f"the grade {grade[:20]!r} isn't a whole number") from None
    return judged


def _json_documents(path: Path, file: TextIO, language: str) -> Iterator[Item]:
    for number, row in _rows(path, file):
        name, body = _text(row, "_id", path, number), _text(row, "text", path, number)
        yield Item(name, str(row.get("title") or ""), body, language)


def _sgml_documents(path: Path, file: TextIO, language: str) -> Iterator[Item]:
    for name, title, body in _told(path, lambda: sgml.documents(file)):
        yield Item(name, title, body, language)


def _told(path: Path, read: Callable[[], Iterator[Read]]) -> Iterator[Read]:
    """Read on; what is wrong is told with the file's name."""
    try:
        yield from read()
    except sgml.SgmlError as error:
        raise _fault(path, error.line, str(error)) from None


def _rows(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, object]]]:
    """Read JSON objects, one a line, with the number of the line."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _fault(path, number, f"not JSON: {error}") from None
        if not isinstance(row, dict):
            raise _fault(path, number, "a line is a JSON object")
        yield number, row


def _columns(path: Path, file: TextIO, count: int, form: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        parts = line.rstrip("\n").split("\t", count - 1)
        if len(parts) != count:
            raise _fault(path, number, f"a line is {form}")
        yield number, parts


def _text(row: dict[str, object], key: str, path: Path, number: int) -> str:
    value = row.get(key)
    if value is None or isinstance(value, dict | list):
        raise _fault(path, number, f"there is no text `{key}`")
    return str(value)


def _distinct(path: Path, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{path.name}: the query {name} is there twice"
            raise FormatError(message)
        seen.add(name)


def _is_json(file: TextIO) -> bool:
    """Tell whether a file is JSON Lines, by the first character that isn't a space."""
    start = file.read(4096).lstrip()
    file.seek(0)
    return start.startswith("{")


def _found(folder: Path, what: str) -> Path:
    """Find a file by its usual names."""
    for name in NAMES[what]:
        for ending in ("", ".gz"):
            if paths := sorted(folder.glob(name + ending)):
                return paths[0]
    message = f"{folder} has no {what}: looked for {', '.join(NAMES[what])}; name it by --{what}"
    raise FormatError(message)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open a text, unpacked if it is packed. What isn't UTF-8 is replaced: old collections have stray bytes."""
    opening = gzip.open if path.suffix == ".gz" else Path.open
    try:
        file = cast("TextIO", opening(path, "rt", encoding="utf-8", errors="replace"))
    except OSError as error:
        message = f"{path} can't be read: {error.strerror}"
        raise FormatError(message) from None
    with file:
        yield file


def _fault(path: Path, number: int, description: str) -> FormatError:
    return FormatError(f"{path.name}, line {number}: {description}")
