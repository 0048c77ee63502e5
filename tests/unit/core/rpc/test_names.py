# SPDX-License-Identifier: Apache-2.0
"""Resource names made and split."""

from __future__ import annotations

import pytest

from pinakes.core.rpc import names
from pinakes.core.rpc.names import Name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (names.tenant("a"), Name("a")),
        (names.tenant(names.OWN), Name("-")),
        (names.collection("a", "b"), Name("a", "b")),
        (names.document("a", "b", "c.~:-_9"), Name("a", "b", "c.~:-_9")),
        (names.api_key("a", "k"), Name("a", key="k")),
    ],
)
def test_names_split_into_what_they_were_made_of(text: str, name: Name) -> None:
    assert names.parse(text) == name


@pytest.mark.parametrize("text", ["", "tenants", "/", "collections"])
def test_what_names_nothing_has_empty_parts(text: str) -> None:
    assert names.parse(text) == Name("")
