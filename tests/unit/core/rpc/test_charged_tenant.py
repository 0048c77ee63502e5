# SPDX-License-Identifier: Apache-2.0
"""Whose limits a call is under: those of the one tenant that its credential is of, and of no later one of the name."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.rpc import chain
from pinakes.core.tenancy.models import TenantRecord

CREATED = 1_700_000_000_000
SERVICE = Principal("key:k", Role.SERVICE, ("acme",), (), ("u-acme",))


class Tenants:
    """A directory in which one tenant is active."""

    async def tenant(self, tenant_id: str) -> TenantRecord | None:
        assert isinstance(tenant_id, str), "nobody's tenant is looked up"
        known = TenantRecord(tenant_id="acme", uid="u-acme", create_ms=CREATED)
        return known if tenant_id == known.tenant_id else None


@pytest.mark.parametrize(
    ("principal", "uid"),
    [
        (SERVICE, "u-acme"),
        (SERVICE._replace(tenant_uids=None, issued_ms=CREATED), "u-acme"),
        (SERVICE._replace(tenant_uids=None, issued_ms=CREATED - 1), None),
        (SERVICE._replace(tenant_uids=("u-acme-before",)), None),
        (SERVICE._replace(tenants=("gone",)), None),
        (SERVICE._replace(tenants=("acme", "other")), None),
        (SERVICE._replace(tenants=None), None),
    ],
)
async def test_the_tenant_that_is_charged_is_the_callers_own(principal: Principal, uid: str | None) -> None:
    found = await chain._home(principal, cast("Any", Tenants()))
    assert (found.uid if found is not None else None) == uid
