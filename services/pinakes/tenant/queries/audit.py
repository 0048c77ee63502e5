# SPDX-License-Identifier: Apache-2.0
"""What listing audit events means: the newest first, a tenant's own or all, by a filter over a fixed set of fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pinakes.core.engine.audit import AuditStore
from pinakes.core.query.filter import parse_filter
from pinakes.core.query.filter_compiler import compile_fields
from pinakes.core.query.pages import page_size
from pinakes.v1 import audit_pb2

if TYPE_CHECKING:
    from pinakes.core.platform import Platform
    from pinakes.core.tenancy.models import TenantRecord

Json = dict[str, Any]
FIELDS = {
    "time": "time",
    **dict.fromkeys(
        ("kind", "action", "subject", "role", "credential", "tenant", "resource", "code", "reason", "request_id"),
        "keyword",
    ),
}
"""What can be filtered by, and its kind. Fields of the contract and of the log have the same names."""

_TEXTS = (
    "action", "subject", "role", "credential", "tenant", "resource", "code", "reason", "request_id", "justification",
)  # fmt: skip
_Request = audit_pb2.ListAuditEventsRequest | audit_pb2.ListPlatformAuditEventsRequest


async def list_events(
    request: audit_pb2.ListAuditEventsRequest, tenant: TenantRecord, platform: Platform
) -> audit_pb2.ListAuditEventsResponse:
    """List the events of a tenant. Those of an earlier tenant of the same id aren't its."""
    events, token = await _page(request, [{"term": {"tenant_uid": tenant.uid}}], tenant.uid, platform)
    return audit_pb2.ListAuditEventsResponse(events=events, next_page_token=token)


async def list_all_events(
    request: audit_pb2.ListPlatformAuditEventsRequest, platform: Platform
) -> audit_pb2.ListPlatformAuditEventsResponse:
    """List the events of all tenants and of none."""
    events, token = await _page(request, [], "", platform)
    return audit_pb2.ListPlatformAuditEventsResponse(events=events, next_page_token=token)


async def _page(
    request: _Request, filters: Sequence[Json], tenant_uid: str, platform: Platform
) -> tuple[list[audit_pb2.AuditEvent], str]:
    limits = platform.settings.limits
    size = page_size(request.page_size, limits)
    condition = compile_fields(parse_filter(request.filter, limits), FIELDS)
    after = platform.page_tokens.read(request, tenant_uid)
    found = await AuditStore(platform.engine).page([*filters, condition], after, size + 1)
    token = ""
    if len(found) > size:
        last = found[size - 1]
        token = platform.page_tokens.make(request, tenant_uid, [last["time"], last["sequence"]])
    return [_message(entry) for entry in found[:size]], token


def _message(entry: Json) -> audit_pb2.AuditEvent:
    event = audit_pb2.AuditEvent(
        sequence=entry["sequence"], kind=f"KIND_{entry['kind']}",
        fields=entry["fields"], details=entry["details"], count=entry["count"],
        **{name: entry[name] for name in _TEXTS},
    )  # fmt: skip
    event.time.FromMilliseconds(entry["time"])
    if entry["last"]:
        event.last_time.FromMilliseconds(entry["last"])
    return event
