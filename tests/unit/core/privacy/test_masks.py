# SPDX-License-Identifier: Apache-2.0
"""What is shown instead of a value: enough to tell a kind of value, too little to tell the value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.privacy.masks import MASKED, Pseudonyms, masked

PSEUDONYMS = Pseudonyms(b"k" * 32)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("jane.doe@example.com", "j***@e***.com"),
        ("j@example.co.uk", "****@e***.uk"),
        ("write to jane@example.com", MASKED),
        ("@example.com", MASKED),
        ("jane@localhost", MASKED),
        ("Jane Doe", MASKED),
        ("x", MASKED),
        ("", ""),
    ],
)
def test_an_address_keeps_its_shape_and_other_text_nothing(value: str, shown: str) -> None:
    assert masked(value) == shown


@given(st.text())
def test_a_mask_has_five_characters_of_a_value_at_most(value: str) -> None:
    shown = masked(value)
    assert shown in {"", MASKED} or len(shown) <= len("j***@e***.") + 24
    assert not value or shown != value or value == MASKED


def test_equal_values_have_one_hash_in_a_tenant_and_others_in_every_other() -> None:
    one = PSEUDONYMS.make("t1", "jane@example.com")
    assert one == PSEUDONYMS.make("t1", "jane@example.com")
    assert one.startswith("h:")
    assert len(one) == 24
    assert len({one, PSEUDONYMS.make("t2", "jane@example.com"), PSEUDONYMS.make("t1", "jane@example.org")}) == 3


def test_the_hash_needs_the_deployments_secret() -> None:
    assert PSEUDONYMS.make("t1", "x") != Pseudonyms(b"l" * 32).make("t1", "x")
