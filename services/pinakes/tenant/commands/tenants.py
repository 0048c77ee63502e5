# SPDX-License-Identifier: Apache-2.0
"""What creating, changing and deleting a tenant means."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, etag_mismatch, not_found
from pinakes.core.query.update_mask import update_paths
from pinakes.core.rpc import names
from pinakes.core.tenancy import collections
from pinakes.core.tenancy.models import DEFAULT_COLLECTION, DELETED, TenantRecord, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinakes.core.platform import Platform
    from pinakes.v1 import resources_pb2, tenant_pb2

CHANGEABLE = frozenset({"display_name", "labels", "rate_limit"})


async def create(request: tenant_pb2.CreateTenantRequest, platform: Platform) -> TenantRecord:
    """Create a tenant and its collection `default`; the collection first, so that an active tenant always has one."""
    tenant_id = request.tenant_id or "t" + secrets.token_hex(8)
    now = now_ms()
    fresh = TenantRecord(tenant_id=tenant_id, uid=uuid.uuid4().hex, create_ms=now, update_ms=now)
    record = _merged(fresh, request.tenant, CHANGEABLE)
    exists = Fault(
        Kind.EXISTS, "TENANT_EXISTS", f"{names.tenant(tenant_id)} exists",
        resource=("pinakes/Tenant", names.tenant(tenant_id)),
    )  # fmt: skip
    if await platform.directory.tenant(tenant_id, administration=True) is not None:
        raise exists
    if request.validate_only:
        return record
    default = collections.new_collection(record, DEFAULT_COLLECTION)
    await collections.create(platform.directory, record, default)
    return await platform.directory.tenants.create(tenant_id, "", record, exists)


async def update(request: tenant_pb2.UpdateTenantRequest, platform: Platform) -> TenantRecord:
    """Change a tenant by its mask, if the etag is still right."""
    paths = update_paths(request.update_mask.paths, request.tenant, CHANGEABLE)

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.tenant.etag)
        return _merged(old.changed(), request.tenant, paths)

    return await _change(platform, names.parse(request.tenant.name).tenant, decide, write=not request.validate_only)


async def delete(request: tenant_pb2.DeleteTenantRequest, platform: Platform) -> None:
    """Delete a tenant: its keys, collections and documents can't be reached from now on."""

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.etag)
        return old.changed(state=DELETED, delete_ms=now_ms())

    await _change(platform, names.parse(request.name).tenant, decide)


async def _change(
    platform: Platform, tenant_id: str, decide: Callable[[TenantRecord], TenantRecord], *, write: bool = True
) -> TenantRecord:
    def of_active(old: TenantRecord | None) -> TenantRecord:
        if old is None or not old.active:
            raise not_found("pinakes/Tenant", names.tenant(tenant_id))
        return decide(old)

    return await platform.directory.tenants.change(tenant_id, "", "tenant", of_active, write=write)


def _merged(record: TenantRecord, given: resources_pb2.Tenant, paths: frozenset[str]) -> TenantRecord:
    if "display_name" in paths:
        record = replace(record, display_name=given.display_name)
    if "labels" in paths:
        record = replace(record, labels=dict(given.labels))
    if "rate_limit" in paths:
        record = replace(record, rate_limit=given.rate_limit)
    return record


def _check_etag(platform: Platform, record: TenantRecord, given: str) -> None:
    if given and not platform.etags.matches(given, record.uid, record.version):
        raise etag_mismatch("tenant")
