# SPDX-License-Identifier: Apache-2.0
"""What a collection's own documents say of a query's words: how rare they are, and what may have been meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each word or phrase of a query by its key, and the words it may be a typing error of.

    They travel in page tokens: a later page is ranked by what the first one was, whoever serves it.
    """

    idf: Mapping[str, float] = field(default_factory=dict)
    corrections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what a page token keeps."""
        return {"i": dict(self.idf), "c": {key: list(words) for key, words in self.corrections.items()}}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what a page token kept."""
        return cls(kept["i"], {key: tuple(words) for key, words in kept["c"].items()})


NOTHING = Weights()
UNKNOWN = Weights()
"""Of words that couldn't be looked up in time: no other than `NOTHING`, but what is found by it is less than it could be."""
