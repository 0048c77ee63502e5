# SPDX-License-Identifier: Apache-2.0
"""The life of a tenant: suspended and resumed, undeleted, erased with a receipt, exported as a whole."""

from __future__ import annotations

import uuid

from pinakes.client import _names
from pinakes.client._calls import Calls
from pinakes.client._movement import compression_number
from pinakes.client._operations import Operation, ask_operation
from pinakes.v1 import lifecycle_pb2
from pinakes.v1.resources_pb2 import Tenant


class LifecycleCalls(Calls):
    """What administrators do with whole tenants. A `request_id` as for tenants; erasing asked for again is the same erasure."""

    async def undelete_tenant(
        self, tenant: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> Tenant:
        """Undelete a tenant with all that is its. Raises PinakesError (UNDELETE_WINDOW_OVER, TENANT_ERASED and others)."""
        request = lifecycle_pb2.UndeleteTenantRequest(name=_names.tenant(tenant), etag=etag, request_id=request_id)
        return await self._once("TenantService/UndeleteTenant", request, Tenant, timeout)

    async def suspend_tenant(
        self, tenant: str, reason: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> Tenant:
        """Suspend a tenant: within 5 s its credentials are refused everywhere. The reason is for administrators."""
        request = lifecycle_pb2.SuspendTenantRequest(
            name=_names.tenant(tenant), reason=reason, etag=etag, request_id=request_id
        )
        return await self._once("TenantService/SuspendTenant", request, Tenant, timeout)

    async def resume_tenant(
        self, tenant: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> Tenant:
        """Resume a suspended tenant: its credentials work again within 5 s."""
        request = lifecycle_pb2.ResumeTenantRequest(name=_names.tenant(tenant), etag=etag, request_id=request_id)
        return await self._once("TenantService/ResumeTenant", request, Tenant, timeout)

    async def erase_tenant(
        self, tenant: str, *, confirm: str, reason: str = "", uid: str = "", timeout: float | None = None
    ) -> Operation:
        """Erase a tenant for good; nothing brings it back. The operation's response holds the signed receipt.

        Args:
            tenant: its id or name.
            confirm: its id once more.
            reason: why, for the receipt.
            uid: the tenant's uid, so that another which has the id by now isn't reached.
            timeout: seconds for the start; the work goes on after it.

        Raises:
            PinakesError: ERASE_NOT_CONFIRMED, TENANT_ERASED and others.
        """
        request = lifecycle_pb2.EraseTenantRequest(name=_names.tenant(tenant), confirm=confirm, reason=reason, uid=uid)
        return await ask_operation(self._channel, "TenantService/EraseTenant", request, timeout)

    async def get_erasure_receipt(
        self, tenant: str, *, uid: str = "", timeout: float | None = None
    ) -> lifecycle_pb2.ErasureReceipt:
        """Read the receipt of an erased tenant; `uid` says which if another has its id by now."""
        request = lifecycle_pb2.GetErasureReceiptRequest(name=_names.tenant(tenant), uid=uid)
        answer = await self._channel.call(
            "TenantService/GetErasureReceipt", request, lifecycle_pb2.GetErasureReceiptResponse, timeout
        )
        return answer.receipt

    async def get_receipt_key(self, *, timeout: float | None = None) -> lifecycle_pb2.GetReceiptKeyResponse:
        """Read the public key that `verify_receipt` takes; keep it with the receipts."""
        request = lifecycle_pb2.GetReceiptKeyRequest()
        return await self._channel.call(
            "TenantService/GetReceiptKey", request, lifecycle_pb2.GetReceiptKeyResponse, timeout
        )

    async def export_tenant(
        self,
        destination_uri: str,
        *,
        tenant: str = _names.MINE,
        compression: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Operation:
        """Write all that is a tenant's to files below one prefix; `manifest.json`, written last, lists them.

        Args:
            destination_uri: `s3://bucket/{tenant}/…`, or `file:///name` in the tenant's part of the platform's export folder.
            tenant: whose; `-` is the key's own.
            compression: of documents: `none`, `gzip` or `zstd`; empty is `none`.
            request_id: the same for tries of the same call.
            timeout: seconds for the start; the work goes on after it.

        Raises:
            PinakesError: OBJECT_FORBIDDEN, URI_INVALID, URI_NOT_ALLOWED and others.
        """
        request = lifecycle_pb2.ExportTenantRequest(
            name=_names.tenant(tenant),
            destination_uri=destination_uri,
            compression=compression_number(compression),
            request_id=request_id or uuid.uuid4().hex,
        )
        return await ask_operation(self._channel, "TenantService/ExportTenant", request, timeout)
