# SPDX-License-Identifier: Apache-2.0
"""What reading the placement plan means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.placement.memory import Memory
from pinakes.core.placement.messages import plan_message
from pinakes.core.placement.model import Thresholds
from pinakes.core.placement.plan import make_plan
from pinakes.core.placement.reading import read_facts

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.v1 import placement_plan_pb2


async def read_plan(platform: Platform) -> placement_plan_pb2.PlacementPlan:
    """Read sizes now and make the plan of them; who was noisy is what the controller noted at its last look."""
    look = await Memory(platform.engine).read()
    facts = await read_facts(platform.engine, platform.directory, look)
    return plan_message(make_plan(facts, Thresholds.of(platform.settings)), platform.settings.placement)
