# SPDX-License-Identifier: Apache-2.0
"""The words of a collection's titles and tags, as the engine's field `words` keeps them: `tenant␟collection␟word`.

The engine's dictionary is shared by all tenants of a pool. Whatever is asked of this field begins with the owner's
prefix, so that only the owner's words can come back, and the cost is that of the owner's part of the dictionary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pinakes.core.engine.documents import Owner, prefix_of

Json = dict[str, Any]

FIELD = "words"
SIMILAR = 16
"""Words returned for one that may be misspelt, at most."""

FAULTY = 13
"""Letters at the end of a beginning in which one may be wrong."""

# No word is too frequent to be meant; 50 are looked at for each that is returned, all of them the owner's.
_NO_BOUND, _INSPECTIONS = 1_000_000_000, 50


def own_prefix(owner: Owner) -> str:
    """Return what every word and title of a collection begins with in the engine."""
    return prefix_of(owner.tenant_uid, owner.collection_uid)


def _literal(text: str) -> str:
    """Return the engine's regular expression of a text as it is: only signs of ASCII mean something else."""
    return "".join(f"\\{c}" if c.isascii() and not (c.isalnum() or c == "_") else c for c in text)


def own_pattern(owner: Owner, beginning: str = "") -> str:
    """Return the engine's regular expression of a collection's words with a beginning, which is taken as it is."""
    # U+001F needs no escape, and uids are letters and digits.
    return own_prefix(owner) + _literal(beginning) + ".*"


def near_pattern(owner: Owner, beginning: str) -> str:
    """Return the engine's regular expression of a collection's words that begin as said but for one typing error.

    A letter is wrong, missing or too many, or two are exchanged: among the last 13, so that the expression isn't longer
    than the engine takes.
    """
    sure, end = beginning[:-FAULTY], beginning[-FAULTY:]
    return f"{own_prefix(owner)}{_literal(sure)}({_faulty(end)}).*"


def _faulty(end: str) -> str:
    """Return the beginnings with one error; one letter less than was typed stands for all errors in the last."""
    if len(end) < 2:
        return ""
    first, rest = _literal(end[0]), _literal(end[1:])
    exchanged = _literal(end[1] + end[0] + end[2:])
    later = f"{first}({inner})" if (inner := _faulty(end[1:])) else first
    return f"{later}|.{rest}|{rest}|.{first}{rest}|{exchanged}"


def similar_body(owner: Owner, words: Sequence[tuple[str, int]]) -> Json:
    """Return a body that finds the owner's words within so many edits of each given one, deleted documents' too.

    Only a `TenantScope` may send it: the fixed prefix, which no edit touches, is what keeps other tenants' words out.
    """
    own = own_prefix(owner)
    asked = {
        str(place): {
            "text": own + word,
            "term": {
                "field": FIELD, "analyzer": "keyword", "prefix_length": len(own), "max_edits": edits, "size": SIMILAR,
                "suggest_mode": "always", "sort": "score", "max_term_freq": _NO_BOUND, "max_inspections": _INSPECTIONS,
            },
        }
        for place, (word, edits) in enumerate(words)
    }  # fmt: skip
    return {"size": 0, "query": {"match_none": {}}, "suggest": asked}


def read_similar(owner: Owner, answer: Json, count: int) -> list[list[str]]:
    """Return the words found for each word of `similar_body`; whatever doesn't begin as the owner's is dropped."""
    own = own_prefix(owner)
    found: list[list[str]] = []
    for place in range(count):
        entries = answer.get("suggest", {}).get(str(place), [])
        texts = [option["text"] for entry in entries for option in entry["options"]]
        found.append([text.removeprefix(own) for text in texts if text.startswith(own)])
    return found
