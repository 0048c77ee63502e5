# SPDX-License-Identifier: Apache-2.0
"""What searches cost, in units that a plain search of a small collection costs about one of."""

from __future__ import annotations

CACHED = 0.1
"""An answer out of the cache."""

_SEARCH, _MILLISECOND, _FACET = 1.0, 0.1, 0.2


def cost_of(took_ms: float, facets: int) -> float:
    """Return the cost of one search of the engine that worked for so long and counted so many facets."""
    return _SEARCH + _MILLISECOND * took_ms + _FACET * facets


def cost_of_failed(seconds: float) -> float:
    """Return the cost of a search that didn't end well, by how long it was waited for."""
    return _MILLISECOND * 1000 * seconds
