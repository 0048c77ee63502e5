# SPDX-License-Identifier: Apache-2.0
"""What creating, changing, rotating and revoking an API key means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pinakes.core.faults import Fault, Kind, invalid, not_found
from pinakes.core.identity import keys
from pinakes.core.identity.peppers import Peppers
from pinakes.core.identity.permissions import Role
from pinakes.core.limits import messages as limits
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.quota import check_count
from pinakes.core.query.update_mask import update_paths
from pinakes.core.rpc import names
from pinakes.core.tenancy.messages import ROLES, milliseconds
from pinakes.core.tenancy.models import ACTIVE, DELETED, KeyRecord, TenantRecord, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.marks import Mark
    from pinakes.v1 import keys_pb2, resources_pb2, tenant_pb2

CHANGEABLE = frozenset({"display_name", "readers", "expire_time"}) | limits.KEY_PATHS
OVERLAP_MS = 86_400_000
"""How long the secret before works on where a rotation doesn't say."""


async def create(
    request: tenant_pb2.CreateApiKeyRequest, tenant: TenantRecord, platform: Platform
) -> tuple[KeyRecord, str]:
    """Create a key and return it with its text, which isn't kept."""
    given = request.api_key
    role = ROLES[given.role]
    expire_ms = _expiry(given)
    _check_readers(role, given.readers)
    held = platform.limiter.in_force(tenant)
    count = await platform.directory.keys.store.count(tenant.uid, ACTIVE)
    check_count(Limit.KEYS, held.keys, count, tenant.uid, dry_run=held.dry_run)
    new = keys.generate()
    peppers, now = Peppers(platform.settings), now_ms()
    record = KeyRecord(
        key_id=new.key_id, tenant_id=tenant.tenant_id, tenant_uid=tenant.uid, role=role.value,
        digest=peppers.digest(new.secret), pepper=peppers.newest, public_key=keys.public_half(new.secret),
        display_name=given.display_name, readers=tuple(given.readers), expire_ms=expire_ms, create_ms=now, update_ms=now,
        limits=limits.key_limits(given.limits),
    )  # fmt: skip
    await platform.directory.keys.store.create(new.key_id, tenant.uid, ACTIVE, record.to_json())
    platform.directory.keys.remember(new.key_id, record)
    return record, new.text


async def update(
    request: keys_pb2.UpdateApiKeyRequest, tenant: TenantRecord, platform: Platform, mark: Mark
) -> KeyRecord:
    """Change a key by its mask."""
    given, key_id = request.api_key, names.parse(request.api_key.name).key
    paths = update_paths(request.update_mask.paths, given, CHANGEABLE)
    expire_ms = _expiry(given) if "expire_time" in paths else 0

    def decide(old: KeyRecord | None) -> KeyRecord:
        changes: dict[str, Any] = {}
        record = _usable(old, tenant, key_id)
        if "display_name" in paths:
            changes["display_name"] = given.display_name
        if "readers" in paths:
            _check_readers(Role(record.role), given.readers)
            changes["readers"] = tuple(given.readers)
        if "expire_time" in paths:
            changes["expire_ms"] = expire_ms
        if paths & limits.KEY_PATHS:
            changes["limits"] = limits.merged_key(record.limits, given.limits, paths)
        return record.changed(**changes)

    write = not request.validate_only
    return await platform.directory.keys.change(key_id, tenant.uid, "key", decide, mark=mark, write=write)


async def rotate(
    request: keys_pb2.RotateApiKeyRequest, tenant: TenantRecord, platform: Platform
) -> tuple[KeyRecord, str]:
    """Give a key another secret and return it with its text, which isn't kept. The secret before works on for a while."""
    key_id = names.parse(request.name).key
    overlap = request.overlap.ToMilliseconds() if request.HasField("overlap") else OVERLAP_MS
    peppers, new = Peppers(platform.settings), keys.generate()

    def decide(found: KeyRecord | None) -> KeyRecord:
        now, old = now_ms(), _usable(found, tenant, key_id)
        changed = old.changed(
            digest=peppers.digest(new.secret), pepper=peppers.newest, public_key=keys.public_half(new.secret),
            rotate_ms=now, previous_digest="", previous_pepper="", previous_public_key="", previous_until_ms=0,
        )  # fmt: skip
        if not overlap:
            return changed
        return dataclasses.replace(
            changed, previous_digest=old.digest, previous_pepper=old.pepper, previous_public_key=old.public_key,
            previous_until_ms=now + overlap,
        )  # fmt: skip

    record = await platform.directory.keys.change(key_id, tenant.uid, "key", decide)
    return record, keys.text_of(key_id, new.secret)


async def revoke(request: tenant_pb2.RevokeApiKeyRequest, tenant: TenantRecord, platform: Platform) -> KeyRecord:
    """Revoke a key of the tenant; a revoked one stays as it is."""
    key_id = names.parse(request.name).key

    def decide(old: KeyRecord | None) -> KeyRecord:
        if old is None or old.tenant_uid != tenant.uid:
            raise not_found("pinakes/ApiKey", names.api_key(tenant.tenant_id, key_id))
        return old.changed(state=DELETED, delete_ms=now_ms()) if old.active else old

    return await platform.directory.keys.change(key_id, tenant.uid, "key", decide)


def _usable(found: KeyRecord | None, tenant: TenantRecord, key_id: str) -> KeyRecord:
    """Return a key of the tenant that opens something. Raises a fault if there is none."""
    name = names.api_key(tenant.tenant_id, key_id)
    if found is None or found.tenant_uid != tenant.uid:
        raise not_found("pinakes/ApiKey", name)
    if not found.active or (found.expire_ms and found.expire_ms <= now_ms()):
        text = f"{name} was revoked or has expired; create another"
        raise Fault(Kind.PRECONDITION, "API_KEY_OVER", text, resource=("pinakes/ApiKey", name))
    return found


def _expiry(given: resources_pb2.ApiKey) -> int:
    """Return when a key is to end, in ms since 1970; 0 for never. Raises a fault of kind INVALID for a time that is over."""
    expire_ms = milliseconds(given.expire_time)
    if expire_ms and expire_ms <= now_ms():
        raise invalid("api_key.expire_time", "is in the past")
    return expire_ms


def _check_readers(role: Role, readers: Sequence[str]) -> None:
    if readers and role is not Role.TENANT_USER:
        raise invalid("api_key.readers", f"a key with the role {role} sees every document; readers are for tenant-user")
