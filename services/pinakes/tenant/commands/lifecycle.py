# SPDX-License-Identifier: Apache-2.0
"""What erasing and exporting a tenant means; the jobs are the worker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.faults import Fault, Kind, invalid, not_found
from pinakes.core.lifecycle import erasing
from pinakes.core.lifecycle.receipts import ReceiptKey, ReceiptStore
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.start import Asked
from pinakes.core.storage import uris
from pinakes.core.storage.compression import Compression
from pinakes.core.tenancy.models import ERASED
from pinakes.v1 import lifecycle_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2

EXPORT = "export-tenant"
_COMPRESSIONS = {
    verbs_pb2.COMPRESSION_UNSPECIFIED: Compression.NONE,
    verbs_pb2.COMPRESSION_NONE: Compression.NONE,
    verbs_pb2.COMPRESSION_GZIP: Compression.GZIP,
    verbs_pb2.COMPRESSION_ZSTD: Compression.ZSTD,
}

if TYPE_CHECKING:
    from google.longrunning import operations_pb2

    from pinakes.core.platform import Platform
    from pinakes.core.rpc.call import Call


async def erase(request: lifecycle_pb2.EraseTenantRequest, call: Call, platform: Platform) -> operations_pb2.Operation:
    """Stop a tenant for good and start to erase it; asked for again, return the operation that does or did."""
    tenant = call.tenant
    if request.confirm != tenant.tenant_id:
        text = f"must be the tenant's id, {tenant.tenant_id}: all that is its is removed, and nothing brings it back"
        raise invalid("confirm", text, "ERASE_NOT_CONFIRMED")
    if request.uid and request.uid != tenant.uid:
        return await _erased_before(request, tenant.tenant_id, platform)
    # As it was last written: a tenant of another uid may have the id by now.
    current = await platform.directory.tenants.fresh(tenant.tenant_id)
    if current is None or current.uid != tenant.uid:
        raise not_found("pinakes/Tenant", request.name)
    if current.state == ERASED:
        if (done := await erasing.find(platform, current.uid)) is not None:
            return operation_message(done)
        text = f"{request.name} is erased; GetErasureReceipt has the receipt"
        raise Fault(Kind.PRECONDITION, "TENANT_ERASED", text, resource=("pinakes/Tenant", request.name))
    return operation_message(await erasing.begin(platform, current, call.principal.subject, request.reason))


async def _erased_before(
    request: lifecycle_pb2.EraseTenantRequest, tenant_id: str, platform: Platform
) -> operations_pb2.Operation:
    """Return the operation that erases or erased an earlier tenant of the id."""
    if await platform.directory.any_tenant(tenant_id, request.uid) is None:
        raise not_found("pinakes/Tenant", f"{request.name} of uid {request.uid}")
    if (done := await erasing.find(platform, request.uid)) is None:
        text = f"another tenant has the id {tenant_id} by now, and that of uid {request.uid} can't be erased by it"
        raise Fault(Kind.PRECONDITION, "TENANT_REPLACED", text, resource=("pinakes/Tenant", request.name))
    return operation_message(done)


async def export(
    request: lifecycle_pb2.ExportTenantRequest, call: Call, platform: Platform
) -> operations_pb2.Operation:
    """Start an export of all that is a tenant's, to where the tenant's objects may be."""
    # The longest name that a file of it can have.
    longest = uris.parse(f"{request.destination_uri}/documents/{'c' * 63}-00000.jsonl.zst", "destination_uri")
    asked = Asked(platform, EXPORT, call.tenant, None, request)
    if (earlier := await asked.repeated()) is not None:
        return earlier
    await platform.storage.check_writable(longest, call.tenant.tenant_id)
    compression = _COMPRESSIONS[request.compression]
    return await asked.start({"destination_uri": request.destination_uri, "compression": compression.name})


async def receipt(
    request: lifecycle_pb2.GetErasureReceiptRequest, call: Call, platform: Platform
) -> lifecycle_pb2.GetErasureReceiptResponse:
    """Return the receipt of the tenant that has the id, or of the uid that had it."""
    uid = request.uid or call.tenant.uid
    found = await ReceiptStore(platform.engine).get(uid)
    if found is None or await platform.directory.any_tenant(call.tenant.tenant_id, uid) is None:
        raise not_found("pinakes/ErasureReceipt", f"the receipt of {request.name}")
    return lifecycle_pb2.GetErasureReceiptResponse(receipt=found)


def receipt_key(platform: Platform) -> lifecycle_pb2.GetReceiptKeyResponse:
    """Return the public key that receipts are checked with."""
    key = ReceiptKey(platform.settings)
    return lifecycle_pb2.GetReceiptKeyResponse(key_id=key.key_id, public_key=key.public_key)
