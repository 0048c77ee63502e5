# SPDX-License-Identifier: Apache-2.0
"""Whose rate an import is charged to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault, Kind
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.models import DELETED, SUSPENDED, TenantRecord
from pinakes.worker.jobs import import_

MINE = TenantRecord(tenant_id="acme", uid="u")
PIECE: Any = SimpleNamespace(rows=[])


class Limiter:
    """Lets all in, and keeps whom it charged."""

    def __init__(self) -> None:
        self.charged: list[TenantRecord] = []

    def work(self, tenant: TenantRecord) -> Any:
        """Return a tenant's budget."""

        async def take() -> None:
            self.charged.append(tenant)

        return SimpleNamespace(take=take, sent=lambda *_: None)


async def turn(now: TenantRecord | None) -> tuple[TenantRecord, list[TenantRecord]]:
    """Ask for a turn of an import of `MINE` when the record of its id is another; return the tenant, and who was charged."""
    away = Engine(Settings.model_validate({"secret_key": "s" * 32, "opensearch_urls": ["http://127.0.0.1:9"]}))
    try:
        directory, limiter = Directory(away, 60.0), Limiter()

        async def get(_rid: str) -> Any:
            return now and SimpleNamespace(record=now.to_json())

        directory.tenants.store = SimpleNamespace(get=get)  # type: ignore[assignment]
        platform = SimpleNamespace(directory=directory, limiter=limiter)
        context: Any = SimpleNamespace(platform=platform, tenant=MINE)
        return await import_._in_turn(context, PIECE), limiter.charged
    finally:
        await away.close()


@pytest.mark.parametrize("now", [MINE.changed(rate_limit=5.0), MINE.changed(state=SUSPENDED)])
async def test_an_import_is_charged_to_its_tenant_by_its_limits_as_they_are_now(now: TenantRecord) -> None:
    assert await turn(now) == (now, [now])


@pytest.mark.parametrize(
    "now",
    [TenantRecord(tenant_id="acme", uid="another", version=3), MINE.changed(state=DELETED, delete_ms=1), None],
)
async def test_an_import_of_a_tenant_that_is_gone_ends_and_charges_nobody_that_has_its_id_since(
    now: TenantRecord | None,
) -> None:
    with pytest.raises(Fault) as caught:
        await turn(now)
    assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "TENANT_NOT_FOUND")
