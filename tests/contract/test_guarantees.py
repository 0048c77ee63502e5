# SPDX-License-Identifier: Apache-2.0
"""Every guarantee of docs/guarantees.md, and every line of docs/security/model.md, names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [(DOCS / "guarantees.md", "guarantee", 15), (DOCS / "security" / "model.md", "it holds that", 20)]
_PROOF = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


@pytest.mark.parametrize(("page", "heading", "least"), PAGES, ids=["guarantees", "security model"])
def test_every_guarantee_has_a_test_that_exists(page: Path, heading: str, least: int) -> None:
    tables = re.split(r"\n(?!\|)", page.read_text(encoding="utf-8"))
    rows = [
        row
        for table in tables
        if table.lstrip().startswith(f"| {heading} | proof |")
        for row in table.strip().splitlines()[2:]
    ]
    assert len(rows) > least
    for row in rows:
        proofs = _PROOF.findall(row)
        assert proofs, f"nothing proves: {row}"
        for name, path in proofs:
            text = (page.parent / path).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path} has no {name}"
