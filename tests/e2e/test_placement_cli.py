# SPDX-License-Identifier: Apache-2.0
"""`pinakes placement` through Envoy: what administrators read of pools and planned moves, and who else may not."""

from __future__ import annotations

import json

from tests.e2e.test_cli import Run, key, run

__all__ = ["key", "run"]


def test_administrators_read_how_full_the_pools_are(run: Run, key: str) -> None:
    written = run("put", "one", "--title", "in a pool", "--mode", "searchable", key=key)
    assert written.returncode == 0, written.stderr
    told = run("placement")
    assert told.returncode == 0, told.stderr
    assert told.stdout.split()[:4] == ["POOL", "FILLED", "BY", "TENANTS"]
    assert "The mode is plan: nothing is moved." in told.stderr
    read = json.loads(run("placement", "--json").stdout)
    first = read["pools"][0]
    assert read["mode"] == "MODE_PLAN"
    assert int(first["shards"]) >= 1
    assert int(first["bytes"]) > 0
    assert int(first["tenants"]) >= 1
    assert 0 < first["fill"] < 1

    refused = run("placement", key=key)
    assert refused.returncode != 0
    assert "PERMISSION_DENIED" in refused.stderr
