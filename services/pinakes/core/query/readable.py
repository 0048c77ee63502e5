# SPDX-License-Identifier: Apache-2.0
"""Refuses to look at fields that a caller may not see: what is hidden in answers could be found out by asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, Violation

if TYPE_CHECKING:
    from pinakes.core.query.schema import Schema

NOT_READABLE = "FIELD_NOT_READABLE"


def not_readable(place: str, path: str, before: str = "") -> Fault:
    """Make the fault of a request that names a hidden field; `before` says where in the text of `place` it stands."""
    text = f"{before}{path[:80]} has personal data, which the caller may only see masked; it can't be used in requests"
    return Fault(Kind.DENIED, NOT_READABLE, f"{place}: {text}", (Violation(place, text),))


def check_readable(schema: Schema, path: str, place: str, before: str = "") -> None:
    """Raise that fault if the caller may not see a field, `title` or `attributes.email`."""
    if schema.hides(path):
        raise not_readable(place, path, before)
