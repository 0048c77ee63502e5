# SPDX-License-Identifier: Apache-2.0
"""Every guarantee of docs/guarantees.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guarantees.md"
_PROOF = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


def test_every_guarantee_has_a_test_that_exists() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row != "| guarantee | proof |"]
    assert len(rows) > 15
    for row in rows:
        proofs = _PROOF.findall(row)
        assert proofs, f"nothing proves: {row}"
        for name, path in proofs:
            text = (PAGE.parent / path).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path} has no {name}"
