# SPDX-License-Identifier: Apache-2.0
"""Which words may be typing errors, how far a word is from another, and a query with its errors corrected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pinakes.core.query.text import Term
from pinakes.core.query.words import LONGEST, folded, words_in

ONE_EDIT, TWO_EDITS = 4, 8
"""Letters from which on a word may have one error, and two."""

MOST = 8
"""Words that one may be an error of, at most."""

_QUOTED = re.compile(r'(["\u201c\u201d\u201e\u201f][^"\u201c\u201d\u201e\u201f]*["\u201c\u201d\u201e\u201f])')


def misspelt_word(term: Term) -> str:
    """Return the folded word of a term that may be a typing error; empty where none is looked for.

    Words with digits name things that one digit tells apart; scripts without spaces have no words to compare; and a
    term of several words, such as `asyncio.gather`, isn't compared word by word.
    """
    if term.phrase or term.prefix or term.excluded or term.unspaced:
        return ""
    words = words_in(folded(term.text))
    return words[0] if len(words) == 1 and edits_of(words[0]) else ""


def edits_of(word: str) -> int:
    """Return how many typing errors a folded word may have: none, one or two."""
    if not ONE_EDIT <= len(word) <= LONGEST or any(c.isnumeric() for c in word):
        return 0
    return 2 if len(word) >= TWO_EDITS else 1


def distance(word: str, other: str) -> int:
    """Return how many typing errors apart two words are: a letter wrong, missing, too many, or two exchanged."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(word, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == word[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def distance_to_beginning(beginning: str, word: str) -> int:
    """Return how many typing errors a beginning is from the nearest beginning of a word."""
    longest = len(beginning) + 2
    return min(distance(beginning, word[:end]) for end in range(min(len(word), longest) + 1))


def nearest(word: str, counts: Mapping[str, int]) -> list[str]:
    """Return the words that have documents, fewest errors first, then the more frequent ones: at most 8."""
    ranked = sorted((distance(word, other), -count, other) for other, count in counts.items() if count > 0)
    return [other for edits, _, other in ranked if 0 < edits <= edits_of(word)][:MOST]


def corrected_text(text: str, terms: Iterable[Term], corrections: Mapping[str, Sequence[str]]) -> str:
    """Return a query with each misspelt word replaced by its best correction; nothing else of it is changed.

    Phrases and excluded words are left as they are.
    """
    parts = _QUOTED.split(text)
    for term in terms:
        found = corrections.get(term.key)
        word = term.text.strip("\"'.,;:!?()[]{}")
        if found and word:
            wrong = re.compile(rf"(?<![\w'-]){re.escape(word)}(?![\w'*])")
            parts[::2] = [wrong.sub(lambda _, right=found[0]: right, part) for part in parts[::2]]
    return "".join(parts)
