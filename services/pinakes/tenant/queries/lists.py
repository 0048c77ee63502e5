# SPDX-License-Identifier: Apache-2.0
"""What listing tenants and keys means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.query.pages import page_size
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.models import ACTIVE, DELETED, ERASED, SUSPENDED, KeyRecord, TenantRecord
from pinakes.v1 import tenant_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform


async def list_tenants(request: tenant_pb2.ListTenantsRequest, platform: Platform) -> tenant_pb2.ListTenantsResponse:
    """List tenants in the order of their ids."""
    size = page_size(request.page_size, platform.settings.limits)
    states = (ACTIVE, SUSPENDED, DELETED, ERASED) if request.show_deleted else (ACTIVE, SUSPENDED)
    after = platform.page_tokens.read(request, "")
    found = await platform.directory.tenants.store.page(None, states, after[0] if after else None, size + 1)
    records = [TenantRecord.from_json(record) for record in found]
    defaults = platform.limiter.defaults
    tenants = [messages.tenant(record, platform.etags, defaults) for record in records[:size]]
    answer = tenant_pb2.ListTenantsResponse(tenants=tenants)
    if len(records) > size:
        answer.next_page_token = platform.page_tokens.make(request, "", [records[size - 1].tenant_id])
    return answer


async def list_keys(
    request: tenant_pb2.ListApiKeysRequest, tenant: TenantRecord, platform: Platform
) -> tenant_pb2.ListApiKeysResponse:
    """List a tenant's keys, revoked ones too, in the order of their ids."""
    size = page_size(request.page_size, platform.settings.limits)
    after = platform.page_tokens.read(request, tenant.uid)
    store = platform.directory.keys.store
    found = await store.page(tenant.uid, (ACTIVE, DELETED), after[0] if after else None, size + 1)
    records = [KeyRecord.from_json(record) for record in found]
    used = await platform.key_uses.last_used([record.key_id for record in records[:size]])
    shown = [messages.api_key(record, when) for record, when in zip(records[:size], used, strict=True)]
    answer = tenant_pb2.ListApiKeysResponse(api_keys=shown)
    if len(records) > size:
        answer.next_page_token = platform.page_tokens.make(request, tenant.uid, [records[size - 1].key_id])
    return answer
