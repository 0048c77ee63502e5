# SPDX-License-Identifier: Apache-2.0
"""What a request may work with: the collection that it names, and its record as the caller has it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.faults import Fault, Kind
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.rpc.scopes import open_scope, reopen_scope
from pinakes.core.settings import Limits
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord

ACME = TenantRecord(tenant_id="acme", uid="u-acme")
PEOPLE = CollectionRecord(tenant_uid="u-acme", collection_id="people", uid="c", personal=(("title", "mask"),))


class Directory:
    """Knows one collection."""

    async def collection(self, tenant: TenantRecord, collection_id: str) -> CollectionRecord | None:
        return PEOPLE if collection_id == PEOPLE.collection_id else None

    fresh_collection = collection


PLATFORM: Any = SimpleNamespace(
    engine=SimpleNamespace(prefix="p", placements=None, limits=Limits()), directory=Directory()
)


def call(role: Role, readers: tuple[str, ...] | None = None) -> Any:
    """Return what is read of a call."""
    return SimpleNamespace(tenant=ACME, principal=Principal("key:k", role, ("acme",), readers, ("u-acme",)))


@pytest.mark.parametrize("opened", [open_scope, reopen_scope])
async def test_what_is_compiled_by_a_record_hides_what_its_caller_may_not_see(opened: Any) -> None:
    for role, readers, masked in ((Role.SERVICE, None, False), (Role.TENANT_USER, (), True)):
        scope, record = await opened(PLATFORM, call(role, readers), "people")
        assert scope.masked is record.masked is record.schema().hides("title") is masked


@pytest.mark.parametrize("opened", [open_scope, reopen_scope])
async def test_a_collection_that_is_not_there_is_not_found_by_its_name(opened: Any) -> None:
    with pytest.raises(Fault) as caught:
        await opened(PLATFORM, call(Role.SERVICE), "another")
    assert caught.value.kind is Kind.NOT_FOUND
    assert "tenants/acme/collections/another" in caught.value.message
