# SPDX-License-Identifier: Apache-2.0
"""Words that may be missing from a document: the languages' own (Lucene's lists) and those of a collection."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pinakes.core.query.words import folded

_FILE = Path(__file__).with_name("stop_words.txt")
_NONE: frozenset[str] = frozenset()


@lru_cache(maxsize=256)
def stop_words(languages: tuple[str, ...]) -> frozenset[str]:
    """Return the folded stop words of languages together; a language without a list has none."""
    return _NONE.union(*(_of_language(code) for code in languages))


@lru_cache(maxsize=64)
def _of_language(code: str) -> frozenset[str]:
    """Read the words of one language out of the file, when they are first needed: a collection has few languages."""
    with _FILE.open(encoding="utf-8") as lines:
        for line in lines:
            name, *words = line.split()
            if name == code:
                return frozenset(folded(word) for word in words)
    return _NONE
