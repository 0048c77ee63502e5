# SPDX-License-Identifier: Apache-2.0
"""Unit tests open no sockets: one that tries fails, and belongs to the integration tests. Failing examples are printed."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest
from hypothesis import settings

# A slow machine isn't a failure, and a failure says how to see it again.
settings.register_profile("unit", deadline=None, print_blob=True)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to connect and to bind; the event loop's own pair of sockets does neither."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        message = "a unit test opens a socket; move it to tests/integration"
        raise RuntimeError(message)

    for way in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, way, refuse, raising=True)
