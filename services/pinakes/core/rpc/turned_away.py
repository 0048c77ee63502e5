# SPDX-License-Identifier: Apache-2.0
"""What the front door is told of callers beyond a rate, and tells: it refuses them by itself until they may come again.

Envoy's part is `local/turned_away.lua`. Only rates are remembered there: a place among the calls at once may be free at any
moment, and a quota when something is deleted.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault
from pinakes.core.identity.lookups import EXHAUSTED
from pinakes.core.identity.permissions import RULES, Audit, Role
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.refusals import refused_before
from pinakes.core.rpc.errors import status_of

if TYPE_CHECKING:
    from pinakes.core.rpc.call import Call

CLOSED, CLOSED_STATUS = "x-pinakes-closed", "x-pinakes-closed-status"
TURNED_AWAY = "x-pinakes-turned-away"
_UNPROVED = (("x-pinakes-unproved", "1"),)
_RATES = frozenset({Limit.REQUESTS, Limit.SEARCH_COST, Limit.DOCUMENTS_RATE, Limit.BYTES_RATE})
_TOLD = re.compile(r"([0-9]{1,9}) ([a-z_]{1,40})", re.ASCII)


def closing(call: Call, fault: Fault) -> tuple[tuple[str, str], ...]:
    """Return the metadata by which the front door knows for how long a caller needn't come again; none for other faults.

    None either where the audit log takes down what was refused: that only servers see.
    """
    if fault.quota not in _RATES or fault.retry_after is None or call.number:
        return ()
    if RULES[call.method].audit is not Audit.DATA or call.principal.role is Role.ADMIN:
        return ()
    # Of no request and no moment: the front door adds the id of each, and the time that is left.
    status = status_of(replace(fault, retry_after=None)).SerializeToString().hex()
    return ((CLOSED, f"{max(1, round(fault.retry_after * 1000))} {fault.quota}"), (CLOSED_STATUS, status))


def unproved(fault: Fault) -> tuple[tuple[str, str], ...]:
    """Return the metadata by which the front door counts a call as one without a valid credential, if nobody looked.

    What is UNAUTHENTICATED it counts by itself.
    """
    return _UNPROVED if fault.reason == EXHAUSTED else ()


def count_turned_away(call: Call) -> None:
    """Count the calls that the front door has refused since the caller's last one; nothing if they aren't told rightly."""
    if call.number:
        return  # of a stream once
    told = call.metadata.get(TURNED_AWAY)
    found = _TOLD.fullmatch(told) if isinstance(told, str) else None
    if found is not None and found[2] in _RATES:
        refused_before(Limit(found[2]), int(found[1]))
