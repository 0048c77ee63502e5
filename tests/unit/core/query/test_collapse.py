# SPDX-License-Identifier: Apache-2.0
"""What can be collapsed by, and how far."""

from __future__ import annotations

import pytest

from pinakes.core.faults import Fault
from pinakes.core.query.collapse import collapse_slot, collapsed_page
from pinakes.core.query.schema import Attribute, AttributeType, Schema

SCHEMA = Schema(attributes={kind.value: Attribute(kind.value, kind, f"slot_{kind.value}") for kind in AttributeType})


@pytest.mark.parametrize("kind", ["string", "number", "bool"])
def test_single_values_can_be_collapsed_by(kind: str) -> None:
    assert collapse_slot(f"attributes.{kind}", SCHEMA) == f"slot_{kind}"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("attributes.text", "COLLAPSE_WRONG_TYPE"), ("attributes.time", "COLLAPSE_WRONG_TYPE"),
        ("attributes.geo", "COLLAPSE_WRONG_TYPE"), ("attributes.none", "COLLAPSE_UNKNOWN_FIELD"),
        ("string", "COLLAPSE_UNKNOWN_FIELD"), ("tags", "COLLAPSE_UNKNOWN_FIELD"),
    ],
)  # fmt: skip
def test_other_fields_are_refused(name: str, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        collapse_slot(name, SCHEMA)
    assert (caught.value.reason, caught.value.violations[0].field) == (reason, "collapse")


def test_pages_end_where_the_engine_counts_no_further() -> None:
    assert collapsed_page(9949, 51) == {"from": 9949, "size": 51}
    assert collapsed_page(9950, 51) == {"from": 9950, "size": 50}
    assert collapsed_page(9999, 51) == {"from": 9999, "size": 1}
    with pytest.raises(Fault, match="up to the 10,000th") as caught:
        collapsed_page(10_000, 51)
    assert caught.value.reason == "COLLAPSE_TOO_DEEP"
