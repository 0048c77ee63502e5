# SPDX-License-Identifier: Apache-2.0
"""From a call to the scope it may work in: the collection that its request names, as its principal sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import not_found
from pinakes.core.rpc import names

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.rpc.call import Call
    from pinakes.core.tenancy.models import CollectionRecord


async def open_scope(platform: Platform, call: Call, collection_id: str) -> tuple[TenantScope, CollectionRecord]:
    """Return scope and record of a collection of the call's tenant. Raises a fault of kind NOT_FOUND if there is none.

    The record is marked as masked for a principal who may not see personal data: what is compiled by it hides that.
    """
    return _opened(platform, call, collection_id, await platform.directory.collection(call.tenant, collection_id))


async def reopen_scope(platform: Platform, call: Call, collection_id: str) -> tuple[TenantScope, CollectionRecord]:
    """Return them by the record as it was last written, when a newer one than the directory's is known to be there."""
    return _opened(platform, call, collection_id, await platform.directory.fresh_collection(call.tenant, collection_id))


def _opened(
    platform: Platform, call: Call, collection_id: str, collection: CollectionRecord | None
) -> tuple[TenantScope, CollectionRecord]:
    if collection is None:
        raise not_found("pinakes/Collection", names.collection(call.tenant.tenant_id, collection_id))
    scope = TenantScope(platform.engine, call.principal, call.tenant, collection)
    return scope, scope.as_seen(collection)
