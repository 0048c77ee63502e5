# SPDX-License-Identifier: Apache-2.0
"""How a caller is told of a limit, and what is counted and logged of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.kinds import WORDS, Limit
from pinakes.core.telemetry import metrics
from pinakes.core.telemetry.logs import logger

if TYPE_CHECKING:
    from pinakes.core.limits.holdings import Holding

QUIET_SECONDS = 10.0
"""A tenant's dry run is logged once in so long for each limit; all of it is counted."""
_LOGGED = 10_000
_log = logger("pinakes.limits")
_refused = {limit: metrics.LIMITED.labels(limit.value, "refused") for limit in Limit}
_spared = {limit: metrics.LIMITED.labels(limit.value, "dry_run") for limit in Limit}
_logged: dict[tuple[str, Limit], float] = {}


def exceeded(lacking: Holding, wait: float) -> Fault:
    """Make the fault of a call beyond a rate or a room; `wait` is in seconds."""
    return refusal(lacking.limit, lacking.figure, lacking.of, wait)


def refusal(limit: Limit, value: float, of: str, wait: float | None) -> Fault:
    """Make the fault of what goes beyond a limit, and count it. `of` says whose limit it is, `wait` is in seconds.

    Without `wait` waiting doesn't help: something has to be deleted, or the limit changed.
    """
    _refused[limit].inc()
    words = WORDS[limit]
    return Fault(
        Kind.EXHAUSTED,
        words.reason,
        f"the {of} may have {value:.15g} {words.what}",
        metadata={"limit": limit.value, "value": f"{value:.15g}", "unit": words.unit, "of": of},
        quota=limit.value,
        retry_after=wait,
    )


def refused_before(limit: Limit, times: int) -> None:
    """Count calls that were refused before they got here."""
    _refused[limit].inc(times)


def would_refuse(limit: Limit, tenant_uid: str) -> None:
    """Count what a dry run lets pass, and log it now and then."""
    _spared[limit].inc()
    now = time.monotonic()
    if now - _logged.get((tenant_uid, limit), -QUIET_SECONDS) >= QUIET_SECONDS:
        if len(_logged) >= _LOGGED:
            _logged.clear()
        _logged[tenant_uid, limit] = now
        _log.info("a limit would refuse", limit=limit.value, tenant_uid=tenant_uid)
