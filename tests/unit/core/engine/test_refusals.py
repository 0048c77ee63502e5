# SPDX-License-Identifier: Apache-2.0
"""Of what the engine says of a refusal, logs have the kinds and the slots, never what it was given."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinakes.core.engine.refusals import told

PARSING = {
    "type": "mapper_parsing_exception",
    "reason": "failed to parse field [num_03] of type [double] in document with id 'x'. Preview of field's value: 'canary'",
    "caused_by": {"type": "number_format_exception", "reason": 'For input string: "canary"'},
}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PARSING, "mapper_parsing_exception < number_format_exception (num_03)"),
        ({"root_cause": [PARSING], "type": "search_phase_execution_exception", "reason": "canary"},
         "search_phase_execution_exception < mapper_parsing_exception < number_format_exception (num_03)"),
        ({"type": "canary canary"}, "unknown"),
        ({"type": 5}, "unknown"),
        ("canary", "unknown"),
        (None, "unknown"),
    ],
)  # fmt: skip
def test_kinds_and_slots_are_told(error: Any, text: str) -> None:
    assert told(error) == text


@given(st.text(), st.text())
def test_no_text_of_a_reason_comes_through(before: str, after: str) -> None:
    reason = f"{before}canary-6c1d'{after}"
    assert "canary" not in told({"type": "a_b", "reason": reason, "caused_by": {"type": reason, "reason": reason}})
