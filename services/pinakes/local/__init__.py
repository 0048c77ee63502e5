# SPDX-License-Identifier: Apache-2.0
"""The whole platform on one machine: real parts, no container engine."""

from pinakes.local.faults import LocalError
from pinakes.local.platform import PARTS, PartStatus, Platform

__all__ = ["PARTS", "LocalError", "PartStatus", "Platform"]
