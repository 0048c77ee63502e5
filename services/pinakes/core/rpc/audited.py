# SPDX-License-Identifier: Apache-2.0
"""What the chain takes down of calls: by the column `audit` of the rules, and every refusal of a caller."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.log import DURABLE_SECONDS, AuditLog, Group
from pinakes.core.faults import Fault
from pinakes.core.faults import Kind as FaultKind
from pinakes.core.identity.permissions import RULES, Audit, Role, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pinakes.core.identity.principal import Principal
    from pinakes.core.rpc.call import Call
    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.models import TenantRecord

_REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_KEY = re.compile(r"pk_(?P<key>[a-z0-9]{16}|bootstrap)_|pt_(?P<maker>[a-z0-9]{16})\.", re.ASCII)
# Refusals of a key whose secret was right, or of a token that was signed with it: its tenant should see them.
_OF_KNOWN_KEYS = {
    "API_KEY_REVOKED", "API_KEY_EXPIRED", "API_KEY_ROTATED", "SCOPED_TOKEN_EXPIRED", "SCOPED_TOKEN_WIDER",
}  # fmt: skip
_BLOCKS = {4: 24, 6: 48}
_UNTOLD = {"name", "etag", "update_mask"}


class Audited:
    """The link `audit` of the chain."""

    def __init__(self, log: AuditLog, directory: Directory) -> None:
        """Write to this log."""
        self._log, self._directory = log, directory

    async def opening(self, call: Call) -> None:
        """Refuse a change, with a fault of kind UNAVAILABLE, while the log takes nothing: nothing is changed unseen."""
        if self._log.stuck and RULES[call.method].audit is Audit.CHANGE:
            text = "the audit log takes no events now, so nothing that it has to tell of is changed; try again"
            raise Fault(FaultKind.UNAVAILABLE, "AUDIT_UNAVAILABLE", text, retry_after=5.0)

    async def around(self, call: Call, proceed: Callable[[], Awaitable[bytes]]) -> bytes:
        """Take the call down when it has ended; the answer to a change waits until that is on disk."""
        try:
            answer = await proceed()
        except BaseException:
            if call.code in _REFUSALS:
                await self._refused(call)
            else:
                self._ended(call, RULES[call.method])
            raise
        number = self._ended(call, RULES[call.method])
        if number:
            await self._log.durable(number, DURABLE_SECONDS)
        return answer

    def _ended(self, call: Call, rule: Rule) -> int:
        """Take down a call that was let through, and return the number of a change's event, else 0."""
        caller = call.caller
        if caller is None:
            return 0
        if rule.audit is Audit.CHANGE and not getattr(call.request, "validate_only", False):
            return self._log.take(_event(Kind.CHANGE, call, rule))
        if rule.audit is Audit.ACCESS or (caller.role is Role.ADMIN and call.target is not None):
            event = _event(Kind.ACCESS, call, rule)
            # All documents of a collection are one thing here, or reading them one by one would be an event each.
            event.resource = event.resource.partition("/documents/")[0]
            key = (
                event.credential, event.subject, event.action, event.tenant_uid, event.resource, event.code,
                event.justification,
            )  # fmt: skip
            self._log.take_alike(key, event, _group(caller))
        return 0

    async def _refused(self, call: Call) -> None:
        """Take down a refusal. Its tenant is that of the credential, never that of the name."""
        event = _event(Kind.SECURITY, call, RULES[call.method])
        if call.caller is None:
            event.credential = _shown(call)
            event.resource = ""
            tenant = await self._tenant_of_key(event) if call.reason in _OF_KNOWN_KEYS else None
        else:
            home = call.caller.home
            tenant = await self._known(home) if home else None
            if tenant is not None and not call.caller.belongs_to(tenant):
                tenant = None
        event.tenant, event.tenant_uid = _of(tenant)
        network = event.details.get("network", "")
        if call.caller is None:
            # Keys may be made up, so these have a room of their own, apart also from that of their tenant.
            key: tuple[str, ...] = (event.reason, event.credential, network)
            group = Group(known=False, tenant=event.tenant_uid)
        else:
            key = (event.reason, event.credential, event.subject, event.action)
            group = _group(call.caller)
        self._log.take_alike(key, event, group)

    async def _tenant_of_key(self, event: Event) -> TenantRecord | None:
        try:
            record = await self._directory.key(event.credential.removeprefix("key:"))
        except Fault:
            return None
        if record is None:
            return None
        tenant = await self._known(record.tenant_id)
        return tenant if tenant is not None and tenant.uid == record.tenant_uid else None

    async def _known(self, tenant_id: str) -> TenantRecord | None:
        try:
            return await self._directory.tenant(tenant_id)
        except Fault:
            return None


def _group(caller: Principal) -> Group:
    """Return the group of a caller: administrators of the platform, or those of its tenants."""
    return Group(known=True, tenant="" if caller.tenants is None else ",".join(caller.tenant_uids or caller.tenants))


def _event(kind: Kind, call: Call, rule: Rule) -> Event:
    """Return the event of a call."""
    caller = call.caller
    tenant, tenant_uid = _of(call.target)
    return Event(
        kind=kind, action=f"{call.service.rpartition('.')[2]}.{call.rpc}",
        subject=caller.subject if caller else "", role=str(caller.role) if caller else "",
        credential=(caller.credential or caller.subject) if caller else "",
        tenant=tenant, tenant_uid=tenant_uid, resource=call.resource or _named(call, rule),
        code=call.code.name, reason=call.reason, request_id=call.request_id, justification=call.admin_reason,
        fields=_fields(call.request) if kind is Kind.CHANGE else (),
        details={"network": _network(call)} | ({"token": caller.token} if caller and caller.token else {}),
    )  # fmt: skip


def _of(tenant: TenantRecord | None) -> tuple[str, str]:
    return (f"tenants/{tenant.tenant_id}", tenant.uid) if tenant is not None else ("", "")


def _named(call: Call, rule: Rule) -> str:
    """Return the name that the request holds; `tenants/-` in it is told by its id, once that is known."""
    value: Any = call.request
    for part in rule.name_field.split(".") if rule.name_field else ():
        value = getattr(value, part, "")
    name = call.name or (value if isinstance(value, str) else "")
    if call.target is not None and name.startswith("tenants/-"):
        return f"tenants/{call.target.tenant_id}{name.removeprefix('tenants/-')}"
    return name


def _fields(request: object) -> tuple[str, ...]:
    """Return the fields that a change is about: those of its mask, or those that are set in what it holds."""
    if not isinstance(request, Message):
        return ()
    mask = getattr(request, "update_mask", None)
    if mask is not None and mask.paths:
        return tuple(mask.paths)
    held = [value for field, value in request.ListFields() if _is_resource(field)]
    return tuple(field.name for value in held for field, _ in value.ListFields() if field.name not in _UNTOLD)


def _is_resource(field: Any) -> bool:
    return bool(field.message_type) and field.name not in _UNTOLD and field.message_type.file.package == "pinakes.v1"


def _shown(call: Call) -> str:
    """Return what may be told of a credential that wasn't accepted: a key's public id, or what sort it is."""
    header = call.metadata.get("authorization", "")
    token = header.partition(" ")[2].strip() if isinstance(header, str) else ""
    if not header:
        return ""
    if found := _KEY.match(token):
        return f"key:{found['key'] or found['maker']}"
    return "token" if token.count(".") == 2 or token.startswith("pt_") else "unknown"


def _network(call: Call) -> str:
    """Return the block of addresses that the caller is in, as the proxy in front says it, or else by the connection."""
    told = call.metadata.get("x-forwarded-for", "")
    # The proxy puts the address that it sees last; what is before is the caller's own claim.
    text = told.rpartition(",")[2].strip() if isinstance(told, str) else ""
    if not text:
        text = (
            call.context.peer().partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "")
        )
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((address, _BLOCKS[address.version]), strict=False))
