# SPDX-License-Identifier: Apache-2.0
"""What searches need beside the platform's shared parts. One per process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinakes.core.engine.insights import InsightStore
from pinakes.search.insight import InsightRecorder
from pinakes.search.search_ids import SearchIds
from pinakes.search.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pinakes.core.platform import Platform


@dataclass(frozen=True, slots=True)
class Parts:
    """The shared parts, what the collections' own words say, and what is taken down of searches."""

    platform: Platform
    search_ids: SearchIds
    insight: InsightRecorder
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @classmethod
    def of(cls, platform: Platform) -> Parts:
        """Make the parts of a process; what is left to write is written when the platform closes."""
        insight = InsightRecorder(platform.settings, InsightStore(platform.engine))
        platform.closing.append(insight.close)
        vocabulary = Vocabulary(platform.settings.vocabulary_seconds)
        platform.closing.append(vocabulary.close)
        return cls(platform, SearchIds(platform.settings.secret_key.get_secret_value().encode()), insight, vocabulary)
