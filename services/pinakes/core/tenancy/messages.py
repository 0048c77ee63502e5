# SPDX-License-Identifier: Apache-2.0
"""Records as the messages that callers see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import timestamp_pb2

from pinakes.core.identity import keys
from pinakes.core.identity.permissions import Role
from pinakes.core.limits import messages as limits
from pinakes.core.limits.figures import NO_KEY_LIMITS
from pinakes.core.privacy.classes import Pii
from pinakes.core.query.options import search_settings
from pinakes.core.query.schema import AttributeType
from pinakes.core.rpc import names
from pinakes.core.tenancy.models import ACTIVE, DELETED, ERASED, SUSPENDED, now_ms
from pinakes.core.tenancy.placement import Place, Placement, Step
from pinakes.v1 import personal_data_pb2, placement_pb2, resources_pb2

if TYPE_CHECKING:
    from pinakes.core.limits.figures import InForce
    from pinakes.core.tenancy.etags import Etags
    from pinakes.core.tenancy.models import CollectionRecord, KeyRecord, Record, TenantRecord

_Type = resources_pb2.AttributeDefinition.Type
TYPES = {
    _Type.TYPE_STRING: AttributeType.STRING,
    _Type.TYPE_TEXT: AttributeType.TEXT,
    _Type.TYPE_NUMBER: AttributeType.NUMBER,
    _Type.TYPE_BOOL: AttributeType.BOOL,
    _Type.TYPE_TIME: AttributeType.TIME,
    _Type.TYPE_GEO: AttributeType.GEO,
}
_TYPE_OF = {kind.value: number for number, kind in TYPES.items()}
CLASSES = {
    personal_data_pb2.PERSONAL_DATA_CLASS_MASK: Pii.MASK,
    personal_data_pb2.PERSONAL_DATA_CLASS_HASH: Pii.HASH,
    personal_data_pb2.PERSONAL_DATA_CLASS_OMIT_FROM_LOGS: Pii.OMIT_FROM_LOGS,
}
_CLASS_OF = {pii.value: number for number, pii in CLASSES.items()}
_CLASS_OF[""] = personal_data_pb2.PERSONAL_DATA_CLASS_UNSPECIFIED
ROLES = {
    resources_pb2.ApiKey.ROLE_TENANT_ADMIN: Role.TENANT_ADMIN,
    resources_pb2.ApiKey.ROLE_TENANT_USER: Role.TENANT_USER,
    resources_pb2.ApiKey.ROLE_SERVICE: Role.SERVICE,
}
STATES = {
    ACTIVE: resources_pb2.Tenant.STATE_ACTIVE,
    SUSPENDED: resources_pb2.Tenant.STATE_SUSPENDED,
    DELETED: resources_pb2.Tenant.STATE_DELETED,
    ERASED: resources_pb2.Tenant.STATE_ERASED,
}
_ROLE_OF = {role.value: number for number, role in ROLES.items()}


_STATES = {
    Step.SETTLED: placement_pb2.Placement.STATE_SETTLED,
    Step.PREPARING: placement_pb2.Placement.STATE_PREPARING,
    Step.COPYING: placement_pb2.Placement.STATE_COPYING,
    Step.SWITCHING: placement_pb2.Placement.STATE_SWITCHING,
    Step.WINDOW: placement_pb2.Placement.STATE_WINDOW,
    Step.FINISHING: placement_pb2.Placement.STATE_FINISHING,
}


def tenant(record: TenantRecord, etags: Etags, defaults: InForce, *, placed: bool = True) -> resources_pb2.Tenant:
    """Return the tenant's message; `defaults` are the limits that hold where it has none.

    Where it is `placed` is for administrators.
    """
    message = resources_pb2.Tenant(
        name=names.tenant(record.tenant_id), uid=record.uid, display_name=record.display_name, labels=record.labels,
        rate_limit=record.rate_limit, etag=etags.make(record.uid, record.version),
        state=STATES[record.state], suspend_reason=record.suspend_reason,
        limits=limits.of_tenant(record, defaults),
    )  # fmt: skip
    if placed:
        message.placement.CopyFrom(placement(record.tenant_id, record.placement))
    _times(message, record)
    if record.suspend_ms:
        message.suspend_time.FromMilliseconds(record.suspend_ms)
    if record.purge_ms:
        message.purge_time.FromMilliseconds(record.purge_ms)
    return message


def placement(tenant_id: str, kept: Placement) -> placement_pb2.Placement:
    """Return the message of a tenant's placement."""
    message = placement_pb2.Placement(
        place=place(kept.active), state=_STATES[Step(kept.step)], epoch=kept.epoch, rolled_back=kept.back,
        operation=names.operation(tenant_id, kept.operation) if kept.operation else "",
    )  # fmt: skip
    if kept.source is not None and kept.target is not None:
        message.source.CopyFrom(place(kept.source))
        message.target.CopyFrom(place(kept.target))
    if kept.window_ms:
        message.window_end_time.FromMilliseconds(kept.window_ms)
    for step, when in kept.times:
        message.steps.add(state=_STATES[Step(step)]).time.FromMilliseconds(when)
    return message


def place(kept: Place) -> placement_pb2.Place:
    """Return the message of a place; the name of its index is the platform's own."""
    kind = placement_pb2.Place.KIND_POOLED if kept.pooled else placement_pb2.Place.KIND_DEDICATED
    return placement_pb2.Place(kind=kind, pool=kept.pool, shards=kept.shards)


def collection(
    tenant_id: str, record: CollectionRecord, etags: Etags, *, curations: bool = True
) -> resources_pb2.Collection:
    """Return the collection's message, without its curations for those who may not see every document: they name some."""
    message = resources_pb2.Collection(
        name=names.collection(tenant_id, record.collection_id), uid=record.uid, display_name=record.display_name,
        languages=record.languages, etag=etags.make(record.uid, record.version),
        attributes=[
            resources_pb2.AttributeDefinition(
                name=a.name, type=_TYPE_OF[a.type], sortable=a.sortable, pii=_CLASS_OF[a.pii]
            )
            for a in record.attributes
        ],
        state=resources_pb2.Collection.STATE_ACTIVE if record.active else resources_pb2.Collection.STATE_DELETED,
    )  # fmt: skip
    if record.search:
        message.search.CopyFrom(search_settings(record))
        if not curations:
            message.search.ClearField("curations")
    if record.retention_ms:
        message.retention.FromMilliseconds(record.retention_ms)
    if record.personal or record.masked_for_services:
        message.personal_data.masked_for_services = record.masked_for_services
        for path, pii in record.personal:
            message.personal_data.rules.add(path=path, pii=_CLASS_OF[pii])
    _times(message, record)
    return message


def api_key(record: KeyRecord, used_ms: int = 0) -> resources_pb2.ApiKey:
    """Return the key's message; there is no secret in it. `used_ms` is when it was last used, 0 for never."""
    message = resources_pb2.ApiKey(
        name=names.api_key(record.tenant_id, record.key_id), display_name=record.display_name,
        role=_ROLE_OF[record.role], readers=record.readers, prefix=f"{keys.PREFIX}{record.key_id}_",
        state=resources_pb2.ApiKey.STATE_ACTIVE if record.active else resources_pb2.ApiKey.STATE_REVOKED,
    )  # fmt: skip
    message.create_time.FromMilliseconds(record.create_ms)
    if record.expire_ms:
        message.expire_time.FromMilliseconds(record.expire_ms)
    if not record.active:
        message.revoke_time.FromMilliseconds(record.delete_ms)
    if record.limits != NO_KEY_LIMITS:
        message.limits.CopyFrom(limits.of_key(record))
    if used_ms:
        message.last_use_time.FromMilliseconds(used_ms)
    if record.rotate_ms:
        message.rotate_time.FromMilliseconds(record.rotate_ms)
    if record.previous_until_ms > now_ms():
        message.previous_secret_expire_time.FromMilliseconds(record.previous_until_ms)
    return message


def _times(message: resources_pb2.Tenant | resources_pb2.Collection, record: Record) -> None:
    message.create_time.FromMilliseconds(record.create_ms)
    message.update_time.FromMilliseconds(record.update_ms)
    if record.delete_ms:
        message.delete_time.FromMilliseconds(record.delete_ms)


def milliseconds(time: timestamp_pb2.Timestamp) -> int:
    """Return a timestamp in ms since 1970; 0 if it isn't set."""
    return time.ToMilliseconds() if time.seconds or time.nanos else 0
