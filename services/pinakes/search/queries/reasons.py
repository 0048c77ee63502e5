# SPDX-License-Identifier: Apache-2.0
"""Why a result is there, in words: which fields have which words of the query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pinakes.core.query.text import OWN_WORDS, read_name
from pinakes.v1 import search_pb2

if TYPE_CHECKING:
    from pinakes.core.query.text import Query, Term


def reasons(query: Query, matched: Iterable[str]) -> list[search_pb2.Reason]:
    """Return what of the query a document matches, word by word, and which words no field of it has.

    `matched` are the names of the clauses that it matches, as `compile_query` gives them. What the query excludes isn't
    told: no result has it.
    """
    by_term: dict[int, dict[tuple[str, str | None], None]] = {}
    for name in matched:
        index, field, word = read_name(name)
        by_term.setdefault(index, {})[field, word] = None
    for found in by_term.values():
        if (OWN_WORDS, None) in found:
            # Tags keep their words as they are: what only own words have is a title's word that was stemmed.
            del found[OWN_WORDS, None]
            if not found:
                found["title", None] = None
    told: list[search_pb2.Reason] = []
    for index, term in enumerate(query.terms):
        if not term.excluded:
            told += _of_term(term, sorted(by_term.get(index, ()), key=lambda pair: (pair[1] is not None, pair)))
    return told


def _of_term(term: Term, found: list[tuple[str, str | None]]) -> list[search_pb2.Reason]:
    """Return what there is to say of one word or phrase: by each field that has it, else that none does."""
    shown = term_text(term)
    if not found:
        text = f'{term.field} doesn\'t have "{shown}"' if term.field else f'no field has "{shown}"'
        return [search_pb2.Reason(text=text, term=shown, matches=False)]
    told = []
    for field, word in found:
        text = f'{field} has "{shown}"' if word is None else f'{field} has "{word}" (for "{shown}")'
        told.append(search_pb2.Reason(text=text, term=shown, field=field, matches=True))
    return told


def term_text(term: Term) -> str:
    """Return a term as it was typed, but for quotes and minus."""
    return f"{term.text}*" if term.prefix else term.text
