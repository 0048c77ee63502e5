# SPDX-License-Identifier: Apache-2.0
"""The words of a document's title and tags, kept for corrections and completions from a tenant's own words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MOST = 256
LONGEST = 64
KEY = 100
"""Characters of a title that its place in the order of titles is decided by."""
_ACCENTS = dict.fromkeys(range(0x300, 0x370))
_ASCII_WORD = re.compile(r"\w+(?:'\w+)*", re.ASCII)


def words_of(title: str, tags: Iterable[str]) -> list[str]:
    """Return the distinct words, lower-cased and without accents, title first: at most 256 of at most 64 characters.

    Longer words are left out: a part of one would be a wrong completion.
    """
    found: dict[str, None] = {}
    for text in (title, *tags):
        for word in words_in(folded(text)):
            if len(word) <= LONGEST:
                found[word] = None
                if len(found) == MOST:
                    return list(found)
    return list(found)


def folded(text: str) -> str:
    """Return text in lower case, in compatibility form and without the accents of Latin, Greek and Cyrillic letters."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", apart.translate(_ACCENTS)).replace("\u2019", "'")


def title_key(title: str) -> str:
    """Return what titles are ordered and completed by: folded, with single spaces, the first 100 characters."""
    # Folding may shorten a text, but not to less than half of what people write.
    return " ".join(folded(title[: 2 * KEY]).split())[:KEY]


def words_in(text: str) -> list[str]:
    """Return the words of a folded text, in order and as often as they are there."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    # Vowel signs are marks, not letters; they belong to their words.
    spaced = "".join(c if c in "_'" or unicodedata.category(c)[0] in "LNM" else " " for c in text)
    return [word for part in spaced.split() if (word := part.strip("'"))]
