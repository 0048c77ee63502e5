# SPDX-License-Identifier: Apache-2.0
"""Update masks (AIP-134): which fields a request changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, Violation

if TYPE_CHECKING:
    from google.protobuf.message import Message


def update_paths(paths: Iterable[str], resource: Message, changeable: frozenset[str]) -> frozenset[str]:
    """Return the fields to change: those of the mask, or those that are set if it is empty; `*` is all.

    Raises a fault of kind INVALID for a field that isn't there or can't be changed.
    """
    wanted = list(paths)
    if not wanted:
        return frozenset(field.name for field, _ in resource.ListFields()) & changeable
    if wanted == ["*"]:
        return changeable
    if unknown := [path for path in wanted if path not in changeable]:
        text = f"{', '.join(unknown)} can't be changed; changeable: {', '.join(sorted(changeable))}"
        raise Fault(Kind.INVALID, "MASK_UNKNOWN_FIELD", f"update_mask: {text}", (Violation("update_mask", text),))
    return frozenset(wanted)
