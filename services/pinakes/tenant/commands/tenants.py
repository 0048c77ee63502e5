# SPDX-License-Identifier: Apache-2.0
"""What creating, changing, deleting and undeleting, suspending and resuming a tenant means."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, etag_mismatch, not_found
from pinakes.core.limits import messages as limits
from pinakes.core.query.update_mask import update_paths
from pinakes.core.rpc import names
from pinakes.core.tenancy import collections
from pinakes.core.tenancy.models import (
    ACTIVE,
    DAY_MS,
    DEFAULT_COLLECTION,
    DELETED,
    ERASED,
    SUSPENDED,
    WHOLE,
    TenantRecord,
    now_ms,
)
from pinakes.core.tenancy.placement import Place, Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.marks import Mark
    from pinakes.v1 import lifecycle_pb2, resources_pb2, tenant_pb2

CHANGEABLE = frozenset({"display_name", "labels", "rate_limit"}) | limits.PATHS


async def create(request: tenant_pb2.CreateTenantRequest, platform: Platform, mark: Mark) -> TenantRecord:
    """Create a tenant and its collection `default`; the collection first, so that an active tenant always has one."""
    # Ids are of the mark, so that another attempt means the same tenant.
    tenant_id, uid = request.tenant_id or "t" + mark.uid("tenant id")[:16], mark.uid("tenant")
    if (made := await platform.directory.tenants.made(tenant_id, uid, mark)) is not None:
        return made
    now = now_ms()
    fresh = TenantRecord(tenant_id=tenant_id, uid=uid, create_ms=now, update_ms=now)
    record = _merged(fresh, request.tenant, CHANGEABLE)
    exists = Fault(
        Kind.EXISTS, "TENANT_EXISTS", f"{names.tenant(tenant_id)} exists",
        resource=("pinakes/Tenant", names.tenant(tenant_id)),
    )  # fmt: skip
    known = await platform.directory.known_tenant(tenant_id, administration=True)
    if known is not None and known.whole:
        raise exists
    if request.validate_only:
        return record
    pool = await platform.newcomers.pool()
    record = replace(record, placement=Placement(active=Place(pool=pool)))
    default = collections.new_collection(record, DEFAULT_COLLECTION, mark.uid("collection"))
    await collections.create(platform.directory, record, default, mark)
    return await platform.directory.tenants.create(tenant_id, "", record, exists, mark)


async def update(request: tenant_pb2.UpdateTenantRequest, platform: Platform, mark: Mark) -> TenantRecord:
    """Change a tenant by its mask, if the etag is still right."""
    paths = update_paths(request.update_mask.paths, request.tenant, CHANGEABLE)

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.tenant.etag)
        return _merged(old.changed(), request.tenant, paths)

    tenant_id = names.parse(request.tenant.name).tenant
    return await _change(platform, tenant_id, decide, mark, write=not request.validate_only)


async def delete(request: tenant_pb2.DeleteTenantRequest, platform: Platform, mark: Mark) -> None:
    """Delete a tenant: its keys, collections and documents can't be reached from now on."""

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.etag)
        now = now_ms()
        return old.changed(state=DELETED, delete_ms=now, purge_ms=now + round(platform.settings.undelete_days * DAY_MS))

    await _change(platform, names.parse(request.name).tenant, decide, mark)


async def undelete(request: lifecycle_pb2.UndeleteTenantRequest, platform: Platform, mark: Mark) -> TenantRecord:
    """Undelete a tenant, to the state in which it was deleted, as long as nothing of it has been removed."""
    name = request.name

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.etag)
        if old.whole:
            raise _precondition("TENANT_NOT_DELETED", f"{name} isn't deleted", name)
        if old.state == ERASED or old.erase_ms:
            raise _precondition("TENANT_ERASED", f"{name} is erased, or being erased; there is no way back", name)
        if old.goes_ms(platform.settings.undelete_days) <= now_ms():
            days = f"{platform.settings.undelete_days:g} days"
            text = f"{name} was deleted more than {days} ago; what was its is being removed"
            raise _precondition("UNDELETE_WINDOW_OVER", text, name)
        state = SUSPENDED if old.suspend_ms else ACTIVE
        return old.changed(state=state, delete_ms=0, purge_ms=0)

    return await _change(platform, names.parse(name).tenant, decide, mark, states=WHOLE | {DELETED, ERASED})


async def suspend(request: lifecycle_pb2.SuspendTenantRequest, platform: Platform, mark: Mark) -> TenantRecord:
    """Suspend a tenant; one that is suspended gets the new reason, and stays so since when it was."""

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.etag)
        since = old.suspend_ms or now_ms()
        return old.changed(state=SUSPENDED, suspend_ms=since, suspend_reason=request.reason)

    return await _change(platform, names.parse(request.name).tenant, decide, mark)


async def resume(request: lifecycle_pb2.ResumeTenantRequest, platform: Platform, mark: Mark) -> TenantRecord:
    """Resume a tenant; an active one stays as it is."""

    def decide(old: TenantRecord) -> TenantRecord:
        _check_etag(platform, old, request.etag)
        return old if old.active else old.changed(state=ACTIVE, suspend_ms=0, suspend_reason="")

    return await _change(platform, names.parse(request.name).tenant, decide, mark)


async def _change(
    platform: Platform,
    tenant_id: str,
    decide: Callable[[TenantRecord], TenantRecord],
    mark: Mark,
    *,
    states: frozenset[str] = WHOLE,
    write: bool = True,
) -> TenantRecord:
    """Change a tenant in one of these states; one that an earlier attempt has changed is returned as it is."""

    def of_known(old: TenantRecord | None) -> TenantRecord:
        if old is None or old.state not in states:
            raise not_found("pinakes/Tenant", names.tenant(tenant_id))
        return decide(old)

    return await platform.directory.tenants.change(tenant_id, "", "tenant", of_known, mark=mark, write=write)


def _precondition(reason: str, text: str, name: str) -> Fault:
    return Fault(Kind.PRECONDITION, reason, text, resource=("pinakes/Tenant", name))


def _merged(record: TenantRecord, given: resources_pb2.Tenant, paths: frozenset[str]) -> TenantRecord:
    if "display_name" in paths:
        record = replace(record, display_name=given.display_name)
    if "labels" in paths:
        record = replace(record, labels=dict(given.labels))
    if "rate_limit" in paths:
        record = replace(record, rate_limit=given.rate_limit)
    if limited := paths & limits.PATHS:
        record = replace(record, limits=limits.merged(record.limits, given.limits, limited))
    return record


def _check_etag(platform: Platform, record: TenantRecord, given: str) -> None:
    if given and not platform.etags.matches(given, record.uid, record.version):
        raise etag_mismatch("tenant")
