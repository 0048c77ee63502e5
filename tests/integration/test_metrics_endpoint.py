# SPDX-License-Identifier: Apache-2.0
"""The Prometheus endpoint of one process, and of several that share a port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pinakes.core.telemetry import metrics
from tests.integration._redis import free_port

_CHILD = """
import sys
sys.path[:0] = {path!r}
from pinakes.core.telemetry import metrics
metrics.WRITES.labels("applied").inc(5)
metrics.RPC_IN_FLIGHT.labels("search").set(2)
metrics.BREAKER_STATE.labels("the engine").set({state})
metrics.serve("127.0.0.1:{port}")
print("ready", flush=True)
sys.stdin.read()
"""


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_the_endpoint_tells_the_metrics() -> None:
    port = free_port()
    server = metrics.serve(f"127.0.0.1:{port}")
    assert server
    try:
        assert "pinakes_rpc_seconds" in scrape(port)
    finally:
        server.shutdown()
        server.server_close()


def test_an_empty_address_means_no_endpoint_and_a_taken_one_is_an_error() -> None:
    assert metrics.serve("") is None
    port = free_port()
    server = metrics.serve(f"127.0.0.1:{port}")
    assert server
    with pytest.raises(OSError, match="in use"):
        metrics.serve(f"127.0.0.1:{port}")
    server.shutdown()
    server.server_close()


def test_processes_on_one_port_answer_for_each_other(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, metrics.MULTIPROC: str(tmp_path)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _CHILD.format(path=sys.path, port=port, state=state)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for state in (0, 2)
    ]
    try:
        for child in children:
            assert child.stdout
            assert child.stdout.readline() == "ready\n"
        for _ in range(6):
            told = scrape(port)
            assert 'pinakes_writes_total{outcome="applied"} 10.0' in told
            assert 'pinakes_rpc_in_flight{service="search"} 4.0' in told
            assert 'pinakes_breaker_state{name="the engine"} 2.0' in told
            time.sleep(0.01)
    finally:
        for child in children:
            child.communicate(input="", timeout=10)
