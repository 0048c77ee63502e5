# SPDX-License-Identifier: Apache-2.0
"""The filter that a credential is narrowed by, as a condition on a collection's documents."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind
from pinakes.core.query.expression import And, Expression, canonical, joined
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_filter

if TYPE_CHECKING:
    from pinakes.core.settings import Limits
    from pinakes.core.tenancy.models import CollectionRecord

Json = dict[str, Any]


@lru_cache(maxsize=1024)
def narrowing_condition(text: str, collection: CollectionRecord, limits: Limits, *, masked: bool = False) -> Json:
    """Return the engine's query of a credential's filter; nobody may change it. `masked`: its maker sees no personal data.

    Raises a fault of kind DENIED if the filter means nothing in this collection: then it lets nothing through.
    """
    seen = replace(collection, masked=True) if masked else collection
    try:
        return compile_filter(parse_filter(text, limits), seen.schema())
    except Fault as fault:
        raise Fault(
            Kind.DENIED, "SCOPED_TOKEN_FILTER", f"the scoped token's filter doesn't fit the collection: {fault.message}"
        ) from None


def narrowed_filter(narrowing: str, given: str, limits: Limits) -> str:
    """Return the text of the filter that lets through what both do. Raises the faults of `parse_filter`."""
    parsed: list[Expression] = [parse_filter(text, limits) for text in (narrowing, given) if text.strip()]
    return canonical(joined(And, parsed)) if parsed else ""
