# SPDX-License-Identifier: Apache-2.0
"""What searches need beside the platform's shared parts. One per process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pinakes.search.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pinakes.core.platform import Platform


@dataclass(frozen=True, slots=True)
class Parts:
    """The shared parts, and what the collections' own words say."""

    platform: Platform
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
