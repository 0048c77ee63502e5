# SPDX-License-Identifier: Apache-2.0
"""Patience with stores that are away for a moment: a job that is run again has more to do again than one page."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pinakes.core.faults import Fault
from pinakes.core.operations.job import PASSING

if TYPE_CHECKING:
    from pinakes.core.operations.job import Context

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0


async def patiently(context: Context, work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Do `work`, which may be done twice, and try again for `seconds` while its faults are such as pass.

    Raises its last fault, and `Stopped` as soon as the job must stop.
    """
    until, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            return await work()
        except Fault as fault:
            if fault.kind not in PASSING or time.monotonic() + pause > until:
                raise
        await context.sleep(pause * random.uniform(0.8, 1.2))
        pause = min(pause * 2, LONGEST_PAUSE)
