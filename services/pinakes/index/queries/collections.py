# SPDX-License-Identifier: Apache-2.0
"""What reading and listing collections means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.query.pages import page_size
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.directory import collection_rid
from pinakes.core.tenancy.models import ACTIVE, CollectionRecord, TenantRecord
from pinakes.v1 import index_pb2

if TYPE_CHECKING:
    from pinakes.core.identity.principal import Principal
    from pinakes.core.platform import Platform


async def list_collections(
    request: index_pb2.ListCollectionsRequest, tenant: TenantRecord, principal: Principal, platform: Platform
) -> index_pb2.ListCollectionsResponse:
    """List a tenant's active collections in the order of their ids: those that the caller's credential isn't narrowed out of."""
    size = page_size(request.page_size, platform.settings.limits)
    token = platform.page_tokens.read(request, tenant.uid)
    after = token[0] if token else None
    if principal.collections is None:
        found = await platform.directory.collections.store.page(tenant.uid, (ACTIVE,), after, size + 1)
        records = [CollectionRecord.from_json(record) for record in found]
    else:
        rids = {collection_rid(tenant.uid, one): one for one in principal.collections}
        wanted = [rids[rid] for rid in sorted(rids) if after is None or rid > after]
        seen = [await platform.directory.collection(tenant, one) for one in wanted]
        records = [one for one in seen if one is not None][: size + 1]
    answer = index_pb2.ListCollectionsResponse(
        collections=[
            messages.collection(tenant.tenant_id, record, platform.etags, curations=principal.sees_all)
            for record in records[:size]
        ]
    )
    if len(records) > size:
        last = collection_rid(tenant.uid, records[size - 1].collection_id)
        answer.next_page_token = platform.page_tokens.make(request, tenant.uid, [last])
    return answer
