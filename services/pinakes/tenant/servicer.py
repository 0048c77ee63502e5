# SPDX-License-Identifier: Apache-2.0
"""TenantService's transport: message in, message out; what an RPC means is in `commands` and `queries`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from pinakes.core.identity.permissions import Role
from pinakes.core.rpc import call as calls
from pinakes.core.rpc import names
from pinakes.core.rpc.once import once
from pinakes.core.tenancy import messages
from pinakes.core.tenancy.marks import Mark
from pinakes.tenant.commands import keys, lifecycle, move, tenants
from pinakes.tenant.queries import audit, lists, placement, usage
from pinakes.v1 import (
    audit_pb2,
    keys_pb2,
    lifecycle_pb2,
    placement_pb2,
    placement_plan_pb2,
    resources_pb2,
    tenant_pb2,
    tenant_pb2_grpc,
    usage_pb2,
)

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import KeyRecord, TenantRecord

    Context = grpc.aio.ServicerContext[Any, Any]
    M = TypeVar("M", bound=Message)
    R = TypeVar("R")
    Change = Callable[[R, Platform, Mark], Awaitable[TenantRecord]]

TENANTS, KEYS = "tenants", "apiKeys"
"""What the request ids of CreateTenant are told apart in, and, within a tenant, those of UpdateApiKey and RevokeApiKey."""


class TenantServicer(tenant_pb2_grpc.TenantServiceServicer):
    """Serves tenants and keys."""

    def __init__(self, platform: Platform) -> None:
        """Serve from these parts."""
        self._platform = platform

    async def CreateTenant(self, request: tenant_pb2.CreateTenantRequest, context: Context) -> resources_pb2.Tenant:
        """Create a tenant."""
        call = calls.current()

        async def work(mark: Mark) -> resources_pb2.Tenant:
            call.target = await tenants.create(request, self._platform, mark)
            return self._tenant(call.target)

        if request.validate_only:
            made = await work(Mark.new())
        else:
            # There is no tenant yet that the request id could be told apart in; later the answer is one of its things.
            made = await self._platform.requests.change(
                "", request.request_id, request, resources_pb2.Tenant, work, within=TENANTS, owner=lambda one: one.uid
            )
        call.resource = made.name
        return made

    async def GetTenant(self, request: tenant_pb2.GetTenantRequest, context: Context) -> resources_pb2.Tenant:
        """Read a tenant."""
        call = calls.current()
        return self._tenant(call.tenant, placed=call.principal.role is Role.ADMIN)

    async def ListTenants(
        self, request: tenant_pb2.ListTenantsRequest, context: Context
    ) -> tenant_pb2.ListTenantsResponse:
        """List tenants."""
        return await lists.list_tenants(request, self._platform)

    async def GetPlacementPlan(
        self, request: placement_plan_pb2.GetPlacementPlanRequest, context: Context
    ) -> placement_plan_pb2.PlacementPlan:
        """Read sizes and what should be moved because of them."""
        return await placement.read_plan(self._platform)

    async def UpdateTenant(self, request: tenant_pb2.UpdateTenantRequest, context: Context) -> resources_pb2.Tenant:
        """Change a tenant."""
        return await self._changed(tenants.update, request)

    async def DeleteTenant(self, request: tenant_pb2.DeleteTenantRequest, context: Context) -> empty_pb2.Empty:
        """Delete a tenant."""

        async def work(mark: Mark) -> empty_pb2.Empty:
            await tenants.delete(request, self._platform, mark)
            return empty_pb2.Empty()

        return await self._once(empty_pb2.Empty, work)

    async def UndeleteTenant(
        self, request: lifecycle_pb2.UndeleteTenantRequest, context: Context
    ) -> resources_pb2.Tenant:
        """Undelete a tenant."""
        return await self._changed(tenants.undelete, request)

    async def SuspendTenant(
        self, request: lifecycle_pb2.SuspendTenantRequest, context: Context
    ) -> resources_pb2.Tenant:
        """Suspend a tenant."""
        return await self._changed(tenants.suspend, request)

    async def ResumeTenant(self, request: lifecycle_pb2.ResumeTenantRequest, context: Context) -> resources_pb2.Tenant:
        """Resume a tenant."""
        return await self._changed(tenants.resume, request)

    async def EraseTenant(
        self, request: lifecycle_pb2.EraseTenantRequest, context: Context
    ) -> operations_pb2.Operation:
        """Erase a tenant."""
        return await lifecycle.erase(request, calls.current(), self._platform)

    async def GetErasureReceipt(
        self, request: lifecycle_pb2.GetErasureReceiptRequest, context: Context
    ) -> lifecycle_pb2.GetErasureReceiptResponse:
        """Read the receipt of a tenant that was erased."""
        return await lifecycle.receipt(request, calls.current(), self._platform)

    async def GetReceiptKey(
        self, request: lifecycle_pb2.GetReceiptKeyRequest, context: Context
    ) -> lifecycle_pb2.GetReceiptKeyResponse:
        """Read the key that receipts are checked with."""
        return lifecycle.receipt_key(self._platform)

    async def ExportTenant(
        self, request: lifecycle_pb2.ExportTenantRequest, context: Context
    ) -> operations_pb2.Operation:
        """Export a tenant."""
        return await lifecycle.export(request, calls.current(), self._platform)

    async def MoveTenant(self, request: placement_pb2.MoveTenantRequest, context: Context) -> operations_pb2.Operation:
        """Move a tenant."""
        return await move.move(request, calls.current().tenant, self._platform)

    async def CreateApiKey(
        self, request: tenant_pb2.CreateApiKeyRequest, context: Context
    ) -> tenant_pb2.CreateApiKeyResponse:
        """Create a key."""
        call = calls.current()
        record, text = await keys.create(request, call.tenant, self._platform)
        call.resource = names.api_key(record.tenant_id, record.key_id)
        return tenant_pb2.CreateApiKeyResponse(api_key=messages.api_key(record), secret=text)

    async def ListApiKeys(
        self, request: tenant_pb2.ListApiKeysRequest, context: Context
    ) -> tenant_pb2.ListApiKeysResponse:
        """List keys."""
        return await lists.list_keys(request, calls.current().tenant, self._platform)

    async def UpdateApiKey(self, request: keys_pb2.UpdateApiKeyRequest, context: Context) -> resources_pb2.ApiKey:
        """Change a key."""
        call = calls.current()

        async def work(mark: Mark) -> resources_pb2.ApiKey:
            return await self._shown(await keys.update(request, call.tenant, self._platform, mark))

        return await once(self._platform, call, resources_pb2.ApiKey, work, f"{call.tenant.uid}/{KEYS}")

    async def RotateApiKey(
        self, request: keys_pb2.RotateApiKeyRequest, context: Context
    ) -> keys_pb2.RotateApiKeyResponse:
        """Give a key another secret."""
        record, text = await keys.rotate(request, calls.current().tenant, self._platform)
        return keys_pb2.RotateApiKeyResponse(api_key=await self._shown(record), secret=text)

    async def RevokeApiKey(self, request: tenant_pb2.RevokeApiKeyRequest, context: Context) -> resources_pb2.ApiKey:
        """Revoke a key."""
        call = calls.current()

        async def work(_: Mark) -> resources_pb2.ApiKey:
            return await self._shown(await keys.revoke(request, call.tenant, self._platform))

        # Apart from writes, so that a revocation never waits for what the write queue knows.
        return await once(self._platform, call, resources_pb2.ApiKey, work, f"{call.tenant.uid}/{KEYS}")

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: Context) -> usage_pb2.GetUsageResponse:
        """Tell what a tenant has and did."""
        return await usage.read(request, calls.current().tenant, self._platform)

    async def ListAuditEvents(
        self, request: audit_pb2.ListAuditEventsRequest, context: Context
    ) -> audit_pb2.ListAuditEventsResponse:
        """List a tenant's events."""
        return await audit.list_events(request, calls.current().tenant, self._platform)

    async def ListPlatformAuditEvents(
        self, request: audit_pb2.ListPlatformAuditEventsRequest, context: Context
    ) -> audit_pb2.ListPlatformAuditEventsResponse:
        """List the events of all tenants and of none."""
        return await audit.list_all_events(request, self._platform)

    async def _changed(self, change: Change[R], request: R) -> resources_pb2.Tenant:
        """Change the tenant of the running call."""

        async def work(mark: Mark) -> resources_pb2.Tenant:
            return self._tenant(await change(request, self._platform, mark))

        return await self._once(resources_pb2.Tenant, work)

    async def _once(self, answer: type[M], work: Callable[[Mark], Awaitable[M]]) -> M:
        """Do what an administrator does with a whole tenant once.

        Its request ids belong to its name, which another tenant may have when they are sent again, and they never meet those
        of the tenant's own callers.
        """
        call = calls.current()
        return await once(self._platform, call, answer, work, names.tenant(call.tenant.tenant_id))

    def _tenant(self, record: TenantRecord, *, placed: bool = True) -> resources_pb2.Tenant:
        return messages.tenant(record, self._platform.etags, self._platform.limiter.defaults, placed=placed)

    async def _shown(self, record: KeyRecord) -> resources_pb2.ApiKey:
        """Return a key with when it was last used."""
        (used,) = await self._platform.key_uses.last_used([record.key_id])
        return messages.api_key(record, used)
