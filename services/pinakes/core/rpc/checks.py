# SPDX-License-Identifier: Apache-2.0
"""What the last links of the chain check in a message: its form, the contract's constraints, and whose name it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import protovalidate
from google.protobuf.message import DecodeError

from pinakes.core.faults import Fault, Kind, Violation, invalid, not_found
from pinakes.core.identity.permissions import (
    ADMINISTRATION,
    BEYOND_COLLECTIONS,
    FILTERED,
    GRANTS,
    TENANT_DATA,
    Role,
    Rule,
    states_of,
)
from pinakes.core.rpc import foreign, names
from pinakes.core.rpc.plain import plain, without_plain
from pinakes.core.tenancy.models import SUSPENDED

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pinakes.core.identity.principal import Principal
    from pinakes.core.rpc.call import Call
    from pinakes.core.tenancy.directory import Directory
    from pinakes.core.tenancy.models import TenantRecord

# Repeated fields whose items have outcomes of their own: their violations refuse the item, not the request.
ITEMS = {
    "/pinakes.v1.IndexService/BatchWriteDocuments": "writes",
    "/pinakes.v1.IndexService/StreamWriteDocuments": "writes",
}
ADMIN_REASON = "x-pinakes-admin-reason"
REASON_CHARS = (10, 200)


async def decode(call: Call) -> None:
    """Parse the message; what isn't one of the contract is the caller's fault, not the server's."""
    try:
        call.request = call.message_type.FromString(call.raw)
    except (DecodeError, UnicodeDecodeError) as error:
        text = "text that isn't UTF-8" if "utf" in str(error).lower() else "bytes that can't be read"
        what = f"message {call.number}" if call.streaming else "the request"
        name = call.message_type.DESCRIPTOR.name
        raise Fault(Kind.INVALID, "MALFORMED_REQUEST", f"{what} isn't a valid {name}: it holds {text}") from None


async def validate(call: Call) -> None:
    """Check the message against the constraints of the contract."""
    violations: list[Violation] = foreign.violations(call.request)
    items: dict[int, list[Violation]] = {}
    prefix = ITEMS.get(call.method)
    if not violations and plain(call.request):
        call.item_violations = {}
        return
    checked = without_plain(call.request, call.raw, prefix) if prefix else call.request
    for found in protovalidate.collect_violations(checked):
        path = field_path(found.proto.field.elements if found.proto.field else ())
        text = found.proto.message or found.proto.rule_id
        index = path[len(prefix) + 1 : path.index("]")] if prefix and path.startswith(prefix + "[") else ""
        if index:
            items.setdefault(int(index), []).append(Violation(path, text))
        else:
            violations.append(Violation(path, text))
    if violations:
        first = violations[0]
        text = f"{first.field}: {first.description}" if first.field else first.description
        raise Fault(Kind.INVALID, "INVALID_ARGUMENT", _placed(call, text), tuple(violations))
    call.item_violations = {index: tuple(found) for index, found in items.items()}


def check_constraints(message: Message) -> None:
    """Check a message that stands in another one for itself. Raises a fault of kind INVALID with what is wrong."""
    found = [
        Violation(field_path(v.proto.field.elements if v.proto.field else ()), v.proto.message or v.proto.rule_id)
        for v in protovalidate.collect_violations(message)
    ]
    if found:
        text = f"{found[0].field}: {found[0].description}" if found[0].field else found[0].description
        raise Fault(Kind.INVALID, "INVALID_ARGUMENT", text, tuple(found))


def field_path(elements: Any) -> str:
    """Return a violation's path as people write it: `writes[3].put.title`, `labels["a"]`."""
    parts: list[str] = []
    for element in elements:
        text = element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            text += f"[{value}]" if element.subscript.field == "index" else f'["{value}"]'
        parts.append(text)
    return ".".join(parts)


async def authorize(call: Call, rule: Rule, directory: Directory) -> None:
    """Check role, reason and tenant. A foreign name is the same refusal whether it exists or not."""
    principal = call.principal
    if rule.permission not in GRANTS[principal.role]:
        raise _denied(f"the role {principal.role} doesn't have the permission {rule.permission}")
    if principal.role is Role.ADMIN:
        call.admin_reason = _admin_reason(call)
    if principal.filter and rule.permission not in FILTERED:
        raise _denied("the token is narrowed by a filter, so it only reads documents")
    if rule.name_field is None:
        return
    name = names.parse(_name_in(call, rule.name_field))
    tenant_id = name.tenant
    if tenant_id == names.OWN:
        if principal.home is None:
            text = "tenants/- means the caller's own tenant, and the caller hasn't just one; name it"
            raise Fault(
                Kind.INVALID, "TENANT_AMBIGUOUS", f"{rule.name_field}: {text}", (Violation(rule.name_field, text),)
            )
        tenant_id = principal.home
    if principal.tenants is not None and tenant_id not in principal.tenants:
        raise _denied("the resource isn't the caller's, or doesn't exist")
    if principal.role is Role.ADMIN and rule.permission in TENANT_DATA and not call.admin_reason:
        raise _reason_required("an administrator who acts in a tenant's data has to say why")
    _check_collection(principal, rule, name.collection)
    administration = rule.permission in ADMINISTRATION
    tenant = await directory.known_tenant(tenant_id, administration=administration)
    if tenant is not None and not principal.belongs_to(tenant):
        tenant = None
    if tenant is not None:
        tenant = _usable(tenant, states_of(call.method, administrator=principal.tenants is None))
    if tenant is None:
        if principal.tenants is None:
            raise not_found("pinakes/Tenant", names.tenant(tenant_id))
        raise _denied("the resource isn't the caller's, or doesn't exist")
    call.target = tenant


def _usable(tenant: TenantRecord, states: frozenset[str]) -> TenantRecord | None:
    """Return a tenant if the call may be about one in its state, or None. A suspended one says so: to its own alone.

    Nobody else comes here: a foreign name has been refused before anything was looked up.
    """
    if tenant.state in states:
        return tenant
    if tenant.state == SUSPENDED:
        text = "the tenant is suspended: nothing of it can be read or written; ask the platform's operators"
        raise Fault(Kind.DENIED, "TENANT_SUSPENDED", text)
    return None


def _admin_reason(call: Call) -> str:
    """Return why an administrator acts, empty if it isn't said. Raises a fault for what can't be kept as a reason."""
    given = call.metadata.get(ADMIN_REASON, "")
    reason = given.strip() if isinstance(given, str) else ""
    fewest, most = REASON_CHARS
    if given and not (fewest <= len(reason) <= most and reason.isprintable()):
        raise _reason_required("the administrator's reason can't be kept")
    return reason


def _reason_required(what: str) -> Fault:
    fewest, most = REASON_CHARS
    text = f"{what}: send the metadata {ADMIN_REASON} with {fewest} to {most} printable characters, or use a key of the tenant"
    return Fault(Kind.DENIED, "ADMIN_REASON_REQUIRED", text, metadata={"metadata": ADMIN_REASON})


def _check_collection(principal: Principal, rule: Rule, collection_id: str) -> None:
    """Hold a narrowed credential to its collections. Another one is the same refusal whether it exists or not."""
    if principal.collections is None:
        return
    if not collection_id and rule.permission not in BEYOND_COLLECTIONS:
        raise _denied("the token is narrowed to some collections, so it can't be used for the whole tenant")
    if collection_id and collection_id not in principal.collections:
        raise _denied("the resource isn't the caller's, or doesn't exist")


def _name_in(call: Call, name_field: str) -> str:
    """Return the name that the message is about. In a stream the first message says it for all."""
    value: Any = call.request
    for part in name_field.split("."):
        value = getattr(value, part)
    name = str(value)
    if not call.streaming:
        return name
    if call.number == 1:
        if not name:
            raise invalid(name_field, "the first message of a stream must say it")
        call.name = name
    elif name not in {"", call.name}:
        text = f"must be empty or that of the first message, {call.name}"
        raise Fault(
            Kind.INVALID, "INVALID_ARGUMENT", _placed(call, f"{name_field}: {text}"), (Violation(name_field, text),)
        )
    return call.name


def _placed(call: Call, text: str) -> str:
    """Say which message of a stream a fault is in."""
    return f"message {call.number}: {text}" if call.streaming else text


def _denied(message: str) -> Fault:
    return Fault(Kind.DENIED, "PERMISSION_DENIED", message)
