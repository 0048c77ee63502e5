# SPDX-License-Identifier: Apache-2.0
"""The table of permissions that people read is the one that is in force, so that no change of it goes unseen."""

from __future__ import annotations

from tools import permissions_reference


def test_the_reference_is_what_the_table_says() -> None:
    stale = "docs/reference/permissions.md isn't the table of core/identity/permissions.py: `make gen`, and read the difference"
    assert permissions_reference.REFERENCE.read_text(encoding="utf-8") == permissions_reference.reference(), stale
