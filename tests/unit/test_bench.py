# SPDX-License-Identifier: Apache-2.0
"""How parts of the bench are asked for."""

from __future__ import annotations

import pytest

from tests.bench.__main__ import parts_of


@pytest.mark.parametrize("given", [["memory,search"], ["memory", "search"], ["memory search"], ["memory, search"]])
def test_parts_are_separated_by_commas_or_spaces(given: list[str]) -> None:
    assert parts_of(given) == ["memory", "search"]


def test_nothing_asked_for_is_nothing() -> None:
    assert parts_of([""]) == []
