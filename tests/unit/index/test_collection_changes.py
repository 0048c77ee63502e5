# SPDX-License-Identifier: Apache-2.0
"""Who changes a collection: whoever doesn't see its personal data can't let itself see it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinakes.core.faults import Fault
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.settings import Limits
from pinakes.core.tenancy.marks import Mark
from pinakes.core.tenancy.models import ACTIVE, CollectionRecord, TenantRecord
from pinakes.index.commands import collections
from pinakes.v1 import index_pb2, personal_data_pb2, resources_pb2

ACME = TenantRecord(tenant_id="acme", uid="t")
PEOPLE = CollectionRecord(
    tenant_uid="t", collection_id="people", uid="u", state=ACTIVE, personal=(("title", "mask"),),
    masked_for_services=True,
)  # fmt: skip


class Records:
    """The record of one collection, which is changed as it is decided."""

    async def change(
        self, _rid: str, _parent: str, _what: str, decide: Callable[[CollectionRecord], CollectionRecord], **_: Any
    ) -> CollectionRecord:
        return decide(PEOPLE)


async def changed(role: Role, paths: list[str], **given: Any) -> CollectionRecord:
    """Return the collection after a change by a role, without writing it."""
    name = "tenants/acme/collections/people"
    request = index_pb2.UpdateCollectionRequest(
        collection=resources_pb2.Collection(name=name, **given), validate_only=True
    )
    request.update_mask.paths.extend(paths)
    platform = SimpleNamespace(
        directory=SimpleNamespace(collections=Records()), settings=SimpleNamespace(limits=Limits())
    )
    who = Principal("key:k", role, ("acme",), None, ("t",))
    return await collections.update(request, ACME, who, cast("Any", platform), Mark.new())


async def test_a_service_that_sees_masks_cannot_take_them_away() -> None:
    seen = personal_data_pb2.PersonalData(masked_for_services=False)
    with pytest.raises(Fault) as caught:
        await changed(Role.SERVICE, ["personal_data"], personal_data=seen)
    assert caught.value.reason == "PERSONAL_DATA_DENIED"
    record = await changed(Role.TENANT_ADMIN, ["personal_data"], personal_data=seen)
    assert (record.classes, record.masked_for_services) == ({}, False)
    assert (await changed(Role.SERVICE, ["display_name"], display_name="People")).display_name == "People"
