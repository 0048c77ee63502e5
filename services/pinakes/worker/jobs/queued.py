# SPDX-License-Identifier: Apache-2.0
"""Waiting for writes that were accepted before an operation began and are still in the queue."""

from __future__ import annotations

from pinakes.core.operations.job import Context
from pinakes.core.tenancy.models import now_ms

_FIRST_LOOK, _LONGEST_LOOK = 0.1, 2.0


async def drained(context: Context) -> None:
    """Wait until nothing is queued any more that was accepted before this was first called for the operation.

    Raises a fault of kind UNAVAILABLE when the queue can't be asked, and `Stopped`.
    """
    if context.checkpoint.get("drained"):
        return
    # By the queue's clock, which may be ahead of this one.
    skew = round(context.platform.settings.max_clock_skew_seconds * 1000)
    before = context.checkpoint.get("queued_before") or now_ms() + skew
    await context.advance({**context.checkpoint, "queued_before": before})
    pause = _FIRST_LOOK
    while await context.platform.queue.queued_before(context.tenant.uid, before):
        await context.sleep(pause)
        pause = min(pause * 2, _LONGEST_LOOK)
    await context.advance({**context.checkpoint, "drained": True})
