# SPDX-License-Identifier: Apache-2.0
"""What creating, rotating and revoking an API key means."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, invalid, not_found
from pinakes.core.identity import keys
from pinakes.core.identity.peppers import Peppers
from pinakes.core.identity.permissions import Role
from pinakes.core.limits import messages as limits
from pinakes.core.limits.kinds import Limit
from pinakes.core.limits.quota import check_count
from pinakes.core.rpc import names
from pinakes.core.tenancy.messages import ROLES, milliseconds
from pinakes.core.tenancy.models import ACTIVE, DELETED, KeyRecord, TenantRecord, now_ms

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.v1 import keys_pb2, tenant_pb2

OVERLAP_MS = 86_400_000
"""How long the secret before works on where a rotation doesn't say."""


async def create(
    request: tenant_pb2.CreateApiKeyRequest, tenant: TenantRecord, platform: Platform
) -> tuple[KeyRecord, str]:
    """Create a key and return it with its text, which isn't kept."""
    given = request.api_key
    role = ROLES[given.role]
    expire_ms = milliseconds(given.expire_time)
    if expire_ms and expire_ms <= now_ms():
        raise invalid("api_key.expire_time", "is in the past")
    if given.readers and role is not Role.TENANT_USER:
        raise invalid("api_key.readers", f"a key with the role {role} sees every document; readers are for tenant-user")
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


async def rotate(
    request: keys_pb2.RotateApiKeyRequest, tenant: TenantRecord, platform: Platform
) -> tuple[KeyRecord, str]:
    """Give a key another secret and return it with its text, which isn't kept. The secret before works on for a while."""
    key_id = names.parse(request.name).key
    name = names.api_key(tenant.tenant_id, key_id)
    overlap = request.overlap.ToMilliseconds() if request.HasField("overlap") else OVERLAP_MS
    peppers, new = Peppers(platform.settings), keys.generate()

    def decide(old: KeyRecord | None) -> KeyRecord:
        now = now_ms()
        if old is None or old.tenant_uid != tenant.uid:
            raise not_found("pinakes/ApiKey", name)
        if not old.active or (old.expire_ms and old.expire_ms <= now):
            text = f"{name} was revoked or has expired; create another"
            raise Fault(Kind.PRECONDITION, "API_KEY_OVER", text, resource=("pinakes/ApiKey", name))
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
