# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the client's tests."""

from tests.integration.clients._scripted_server import scripted

__all__ = ["scripted"]
