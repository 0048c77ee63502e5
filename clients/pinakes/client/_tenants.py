# SPDX-License-Identifier: Apache-2.0
"""Calls of TenantService: tenants and their API keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Literal

from google.protobuf.empty_pb2 import Empty

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, mask, paged
from pinakes.client._documents import Time, timestamp
from pinakes.client._limits import Limits, limited, of_key
from pinakes.client._pages import Pages
from pinakes.v1 import keys_pb2, placement_plan_pb2, tenant_pb2
from pinakes.v1.placement_plan_pb2 import PlacementPlan
from pinakes.v1.resources_pb2 import ApiKey, Tenant

Role = Literal["user", "service", "admin"]
_ROLES: dict[str, ApiKey.Role] = {
    "user": ApiKey.ROLE_TENANT_USER,
    "service": ApiKey.ROLE_SERVICE,
    "admin": ApiKey.ROLE_TENANT_ADMIN,
}


class TenantCalls(Calls):
    """Tenants (administrators' keys) and keys (those of a tenant's own administrators too)."""

    async def create_tenant(
        self,
        tenant_id: str = "",
        *,
        display_name: str = "",
        labels: Mapping[str, str] | None = None,
        rate_limit: float = 0.0,
        limits: Limits | None = None,
        validate_only: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Tenant:
        """Create a tenant with its collection `default`; `rate_limit` is in requests a second, 0 for the default.

        `limits` are others by name (docs/reference/limits.md). Raises AlreadyExists if an active tenant has the id.
        """
        tenant = Tenant(display_name=display_name, labels=dict(labels or {}), rate_limit=rate_limit)
        limited(tenant, limits or {})
        request = tenant_pb2.CreateTenantRequest(
            tenant=tenant, tenant_id=tenant_id, validate_only=validate_only, request_id=request_id
        )
        return await self._once("TenantService/CreateTenant", request, Tenant, timeout)

    async def get_tenant(self, tenant: str = _names.MINE, *, timeout: float | None = None) -> Tenant:
        """Read a tenant; `-` is the key's own."""
        request = tenant_pb2.GetTenantRequest(name=_names.tenant(tenant))
        return await self._channel.call("TenantService/GetTenant", request, Tenant, timeout)

    def list_tenants(self, *, show_deleted: bool = False, timeout: float | None = None) -> Pages[Tenant]:
        """List tenants in the order of their ids."""

        async def ask(token: str) -> tenant_pb2.ListTenantsResponse:
            request = tenant_pb2.ListTenantsRequest(page_size=LARGEST_PAGE, page_token=token, show_deleted=show_deleted)
            return await self._channel.call(
                "TenantService/ListTenants", request, tenant_pb2.ListTenantsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.tenants))

    async def get_placement_plan(self, *, timeout: float | None = None) -> PlacementPlan:
        """Read how large tenants and pools are, which tenants should be moved because of it, and why."""
        request = placement_plan_pb2.GetPlacementPlanRequest()
        return await self._channel.call("TenantService/GetPlacementPlan", request, PlacementPlan, timeout)

    async def update_tenant(
        self,
        tenant: Tenant,
        update_mask: Iterable[str] = (),
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Tenant:
        """Change the fields of `update_mask` (or those that are set); raises Conflict if a set etag isn't current."""
        request = tenant_pb2.UpdateTenantRequest(tenant=tenant, update_mask=mask(update_mask), request_id=request_id)
        return await self._once("TenantService/UpdateTenant", request, Tenant, timeout)

    async def set_limits(self, tenant: str, limits: Limits, *, timeout: float | None = None) -> Tenant:
        """Change limits of a tenant by their names, and leave the others; 0 is the platform's default.

        `requests_per_second` is the tenant's `rate_limit`. They are in force everywhere within 5 s. Raises ValueError for a
        name that isn't a limit.
        """
        changed = Tenant(name=_names.tenant(tenant))
        paths = limited(changed, limits)
        if not paths:
            message = "there is no limit to change"
            raise ValueError(message)
        return await self.update_tenant(changed, paths, timeout=timeout)

    async def delete_tenant(
        self, tenant: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a tenant: all that is its is unreachable at once, and goes for good when its `purge_time` is over."""
        request = tenant_pb2.DeleteTenantRequest(name=_names.tenant(tenant), etag=etag, request_id=request_id)
        await self._once("TenantService/DeleteTenant", request, Empty, timeout)

    async def create_key(
        self,
        role: Role = "user",
        *,
        tenant: str = _names.MINE,
        display_name: str = "",
        readers: Iterable[str] = (),
        expire_time: Time | None = None,
        limits: Limits | None = None,
        timeout: float | None = None,
    ) -> tenant_pb2.CreateApiKeyResponse:
        """Create a key: `user` reads, `service` reads and writes, `admin` also keeps the tenant's keys.

        `limits` are the key's own, by name, within those of its tenant.

        The answer's `secret` is the whole key, and can't be read again.
        """
        if role not in _ROLES:
            message = f"role is user, service or admin, not {role!r}"
            raise ValueError(message)
        key = ApiKey(display_name=display_name, role=_ROLES[role], readers=readers)
        if expire_time is not None:
            key.expire_time.CopyFrom(timestamp(expire_time))
        if limits:
            key.limits.CopyFrom(of_key(limits))
        request = tenant_pb2.CreateApiKeyRequest(parent=_names.tenant(tenant), api_key=key)
        return await self._channel.call("TenantService/CreateApiKey", request, tenant_pb2.CreateApiKeyResponse, timeout)

    def list_keys(self, *, tenant: str = _names.MINE, timeout: float | None = None) -> Pages[ApiKey]:
        """List a tenant's keys without their secrets, revoked ones too, oldest first."""
        parent = _names.tenant(tenant)

        async def ask(token: str) -> tenant_pb2.ListApiKeysResponse:
            request = tenant_pb2.ListApiKeysRequest(parent=parent, page_size=LARGEST_PAGE, page_token=token)
            return await self._channel.call(
                "TenantService/ListApiKeys", request, tenant_pb2.ListApiKeysResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.api_keys))

    async def update_key(
        self,
        key: str,
        *,
        display_name: str | None = None,
        readers: Iterable[str] | None = None,
        expire_time: Time | Literal["never"] | None = None,
        limits: Limits | None = None,
        tenant: str = _names.MINE,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ApiKey:
        """Change what is given of a key, by its id or name, and leave the rest; in force everywhere within 5 s.

        `limits` are changed by their names, the others stay; 0 takes one away. Raises ValueError if there is nothing to change.
        """
        changed, paths = ApiKey(name=_names.key(key, tenant)), [f"limits.{name}" for name in limits or ()]
        if display_name is not None:
            changed.display_name = display_name
            paths.append("display_name")
        if readers is not None:
            changed.readers.extend(readers)
            paths.append("readers")
        if expire_time is not None:
            if expire_time != "never":
                changed.expire_time.CopyFrom(timestamp(expire_time))
            paths.append("expire_time")
        if limits:
            changed.limits.CopyFrom(of_key(limits))
        if not paths:
            message = "there is nothing to change"
            raise ValueError(message)
        request = keys_pb2.UpdateApiKeyRequest(api_key=changed, update_mask=mask(paths), request_id=request_id)
        return await self._once("TenantService/UpdateApiKey", request, ApiKey, timeout)

    async def rotate_key(
        self,
        key: str,
        *,
        overlap: float | timedelta | None = None,
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> keys_pb2.RotateApiKeyResponse:
        """Give a key, by its id or name, another secret: the answer's `secret`, which can't be read again.

        The secret before works on for `overlap` (seconds, or a timedelta, at most 30 days; a day if it isn't given), with the
        scoped tokens made of it.
        """
        request = keys_pb2.RotateApiKeyRequest(name=_names.key(key, tenant))
        if overlap is not None:
            lasting = overlap if isinstance(overlap, timedelta) else timedelta(seconds=overlap)
            request.overlap.FromTimedelta(lasting)
        return await self._channel.call("TenantService/RotateApiKey", request, keys_pb2.RotateApiKeyResponse, timeout)

    async def revoke_key(
        self, key: str, *, tenant: str = _names.MINE, request_id: str = "", timeout: float | None = None
    ) -> ApiKey:
        """Revoke a key, by its id or name: it is refused everywhere within 5 s."""
        request = tenant_pb2.RevokeApiKeyRequest(name=_names.key(key, tenant), request_id=request_id)
        return await self._once("TenantService/RevokeApiKey", request, ApiKey, timeout)
