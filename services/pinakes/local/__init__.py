# SPDX-License-Identifier: Apache-2.0
"""The whole platform on one machine: real parts, no container engine."""

from pinakes.local.faults import LocalError
from pinakes.local.platform import PARTS, USUAL, PartStatus, Platform

__all__ = ["PARTS", "USUAL", "LocalError", "PartStatus", "Platform"]
