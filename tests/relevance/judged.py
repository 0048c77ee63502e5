# SPDX-License-Identifier: Apache-2.0
"""What is judged: a collection's documents, its queries, and which documents each query should find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

TUNE, HELD_OUT = "tune", "held-out"
KINDS = ("known-item", "topical", "typo", "synonym", "language")
OTHER_KIND = "any"

Run = dict[str, list[str]]
"""The ids of documents found for each query by its id, best first."""


@dataclass(frozen=True, slots=True)
class Item:
    """A document; `id` is its name in the judgements, `language` a code of the collection's."""

    id: str
    title: str
    body: str
    language: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A query; `relevant` has the grade, 1 to 3 or whatever the collection uses, of each document that it should find."""

    id: str
    text: str
    relevant: Mapping[str, int]
    kind: str = OTHER_KIND
    split: str = HELD_OUT


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged collection; `documents` starts reading them anew at each call. `notes` are told to whoever runs it."""

    name: str
    languages: tuple[str, ...]
    documents: Callable[[], Iterable[Item]]
    queries: Sequence[Query]
    synonyms: Sequence[Mapping[str, list[str]]] = ()
    notes: Sequence[str] = field(default=())
