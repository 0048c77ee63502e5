# SPDX-License-Identifier: Apache-2.0
"""Calls of TenantService about what happened: usage by day, and the audit log."""

from __future__ import annotations

from datetime import date

from pinakes.client import _names
from pinakes.client._calls import LARGEST_PAGE, Calls, paged
from pinakes.client._pages import Pages
from pinakes.v1 import audit_pb2, usage_pb2
from pinakes.v1.audit_pb2 import AuditEvent


class OversightCalls(Calls):
    """Usage and audit events, for those who administer a tenant."""

    async def get_usage(
        self,
        *,
        start_day: date | str = "",
        end_day: date | str = "",
        tenant: str = _names.MINE,
        timeout: float | None = None,
    ) -> usage_pb2.GetUsageResponse:
        """Tell what a tenant has now, and what it did on each day (UTC), the last 30 unless told otherwise."""
        request = usage_pb2.GetUsageRequest(
            parent=_names.tenant(tenant), start_day=str(start_day), end_day=str(end_day)
        )
        return await self._channel.call("TenantService/GetUsage", request, usage_pb2.GetUsageResponse, timeout)

    def list_audit_events(
        self, filter: str = "", *, tenant: str = _names.MINE, timeout: float | None = None
    ) -> Pages[AuditEvent]:
        """List what was done in a tenant and by its credentials, the newest first; `filter` is AIP-160."""
        parent = _names.tenant(tenant)

        async def ask(token: str) -> audit_pb2.ListAuditEventsResponse:
            request = audit_pb2.ListAuditEventsRequest(
                parent=parent, filter=filter, page_size=LARGEST_PAGE, page_token=token
            )
            return await self._channel.call(
                "TenantService/ListAuditEvents", request, audit_pb2.ListAuditEventsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.events))

    def list_platform_audit_events(self, filter: str = "", *, timeout: float | None = None) -> Pages[AuditEvent]:
        """List the events of all tenants and of none (administrators' keys), the newest first."""

        async def ask(token: str) -> audit_pb2.ListPlatformAuditEventsResponse:
            request = audit_pb2.ListPlatformAuditEventsRequest(filter=filter, page_size=LARGEST_PAGE, page_token=token)
            return await self._channel.call(
                "TenantService/ListPlatformAuditEvents", request, audit_pb2.ListPlatformAuditEventsResponse, timeout
            )

        return Pages(paged(ask, lambda answer: answer.events))
