# SPDX-License-Identifier: Apache-2.0
"""A collection's synonyms and stop words, in the form that queries are compiled with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinakes.core.query.words import folded, words_in

if TYPE_CHECKING:
    from pinakes.v1 import ranking_pb2

MOST = 20
"""What one word or group of words finds besides itself at most."""

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What a collection says of words, all of them folded.

    `synonyms` are the texts that a group of words also finds, as they were written; `longest` is the length of the
    longest group that begins with a word.
    """

    stop_words: frozenset[str] = frozenset()
    synonyms: Mapping[Group, tuple[str, ...]] = field(default_factory=dict)
    longest: Mapping[str, int] = field(default_factory=dict)

    def match(self, words: Sequence[Group], start: int) -> tuple[int, tuple[str, ...]]:
        """Return how many terms from `start` on are the longest group with synonyms, and these; 0 if there is none.

        `words` are the folded words of each term; an empty group ends what can be matched.
        """
        first = words[start]
        most = self.longest.get(first[0], 0) if first else 0
        group: Group = ()
        found: tuple[int, tuple[str, ...]] = (0, ())
        for end in range(start, len(words)):
            if not words[end] or len(group) + len(words[end]) > most:
                break
            group += words[end]
            if group in self.synonyms:
                found = (end - start + 1, self.synonyms[group])
        return found


NOTHING = Lexicon()
_KEPT = 1024
# A settings message is shared by all who read a version of a collection's record, so its identity stands for what it
# says; it is kept beside what was made of it, so that the identity can't come to mean another.
_made: OrderedDict[int, tuple[ranking_pb2.SearchSettings, Lexicon]] = OrderedDict()


def lexicon(settings: ranking_pb2.SearchSettings) -> Lexicon:
    """Return what settings say of words. Made once for each message, which must not be changed."""
    found = _made.get(id(settings))
    if found is not None:
        return found[1]
    made = compiled(settings.synonyms, settings.stop_words)
    _made[id(settings)] = (settings, made)
    if len(_made) > _KEPT:
        _made.popitem(last=False)
    return made


def compiled(synonyms: Sequence[ranking_pb2.Synonym], stop_words: Sequence[str]) -> Lexicon:
    """Compile synonyms and stop words; a group without any letter or digit says nothing."""
    if not synonyms and not stop_words:
        return NOTHING
    table: dict[Group, dict[Group, str]] = {}
    for synonym in synonyms:
        ways = [(group_of(text), text) for text in synonym.words]
        others = [(group_of(text), text) for text in synonym.means] or ways
        for group, _ in ways:
            if group:
                table.setdefault(group, {}).update({other: text for other, text in others if other and other != group})
    kept = {group: tuple(found.values())[:MOST] for group, found in table.items() if found}
    longest: dict[str, int] = {}
    for group in kept:
        longest[group[0]] = max(longest.get(group[0], 0), len(group))
    return Lexicon(frozenset(folded(word).strip() for word in stop_words), kept, longest)


def group_of(text: str) -> Group:
    """Return the folded words that a text is recognised by."""
    return tuple(words_in(folded(text)))
