# SPDX-License-Identifier: Apache-2.0
"""Which operations under way are stopped by what becomes of their tenant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.lifecycle import erasing
from pinakes.core.operations.job import Why
from pinakes.core.operations.records import MOVE, RUNNING, OperationRecord
from pinakes.core.tenancy.models import ACTIVE, SUSPENDED, TenantRecord
from pinakes.worker.jobs import JOBS, purge
from pinakes.worker.operations import Runner


@pytest.mark.parametrize(
    ("verb", "state", "stopped", "waits"),
    [
        (purge.VERB, ACTIVE, False, False),
        (purge.VERB, SUSPENDED, True, True),
        (purge.VERB, "", True, False),  # it is gone, or another has its id
        (MOVE, SUSPENDED, False, False),
        (MOVE, "", False, False),
        # The worker may know the tenant as it was before the erasure.
        (erasing.VERB, ACTIVE, False, False),
        (erasing.VERB, "", False, False),
    ],
)
async def test_what_is_under_way_is_stopped_if_its_tenant_is_in_no_state_for_it(
    verb: str, state: str, stopped: bool, waits: bool
) -> None:
    class Directory:
        async def whole_tenant(self, tenant_id: str, tenant_uid: str) -> TenantRecord | None:
            return TenantRecord(tenant_id=tenant_id, uid=tenant_uid, state=state) if state else None

    told: list[Why] = []
    runner: Any = object.__new__(Runner)
    runner._platform, runner._jobs = SimpleNamespace(directory=Directory()), JOBS
    record = OperationRecord(operation_id="o", tenant_uid="u", tenant_id="t", verb=verb, state=RUNNING)
    runner._running = {record.rid: (SimpleNamespace(stop=told.append), None)}
    assert await runner._paused(record) is waits
    assert told == [Why.PAUSE] * stopped
