# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the client's tests."""

from _scripted_server import scripted

__all__ = ["scripted"]
