# SPDX-License-Identifier: Apache-2.0
"""What callers see no more: tombstones and expired documents, and nothing else whatever the clock does."""

from __future__ import annotations

import itertools

import pytest

from pinakes.core.engine import bodies
from pinakes.core.engine.bodies import Found


def test_a_document_without_an_end_is_never_gone_even_when_the_clock_moves_while_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count(1_000, 1_000)
    monkeypatch.setattr(bodies, "now_ms", lambda: next(ticks))
    assert not Found({"deleted": False}, 1, 1, 1).gone
    assert not Found({}, 1, 1, 1).gone


def test_tombstones_and_expired_documents_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "now_ms", lambda: 5_000)
    assert Found({"deleted": True}, 1, 1, 1).gone
    assert Found({"deleted": False, "expire_time": 5_000}, 1, 1, 1).gone
    assert not Found({"deleted": False, "expire_time": 5_001}, 1, 1, 1).gone
