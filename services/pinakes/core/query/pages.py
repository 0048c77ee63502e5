# SPDX-License-Identifier: Apache-2.0
"""Page sizes: the default when none is asked for, and the most that is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pinakes.core.settings import Limits


def page_size(asked: int, limits: Limits) -> int:
    """Return how many results a page has."""
    return min(asked or limits.page_default, limits.page_max)
