# SPDX-License-Identifier: Apache-2.0
"""The session's platform: up, each part ready, and quick to be up again."""

from __future__ import annotations

import time

from pinakes.local import USUAL, Platform


def test_every_part_is_ready(platform: Platform) -> None:
    found = {row.name: row.state for row in platform.status()}
    assert set(USUAL) <= set(found)
    assert set(found.values()) == {"ready"}


def test_up_again_changes_nothing_and_takes_a_moment(platform: Platform) -> None:
    before = {row.name: row.pid for row in platform.status()}
    began = time.monotonic()
    platform.up()
    assert time.monotonic() - began < 5
    assert {row.name: row.pid for row in platform.status()} == before


def test_a_killed_server_is_started_again_by_up(platform: Platform) -> None:
    before = {row.name: row.pid for row in platform.status()}
    platform.stop("search", kill=True)
    platform.up()
    after = {row.name: row.pid for row in platform.status()}
    assert {name for name in before if before[name] != after[name]} == {"search"}
