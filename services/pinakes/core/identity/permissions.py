# SPDX-License-Identifier: Apache-2.0
"""Which RPC needs which permission, and which role has it. An RPC that isn't here can't start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pinakes.core.tenancy.models import ACTIVE, DELETED, ERASED, WHOLE


class Role(StrEnum):
    """What a caller is (design §7)."""

    ADMIN = "admin"
    TENANT_ADMIN = "tenant-admin"
    TENANT_USER = "tenant-user"
    SERVICE = "service"


# Of the roles in a tenant, these see every document; the others see those without readers, and those that name one of theirs.
# An administrator of the platform has no readers that could narrow it.
SEES_ALL = frozenset({Role.TENANT_ADMIN, Role.SERVICE})


class Permission(StrEnum):
    """What an RPC needs."""

    TENANTS_READ = "tenants.read"
    TENANTS_ADMINISTER = "tenants.administer"
    TENANTS_EXPORT = "tenants.export"
    KEYS_ADMINISTER = "keys.administer"
    COLLECTIONS_READ = "collections.read"
    COLLECTIONS_WRITE = "collections.write"
    DOCUMENTS_READ = "documents.read"
    DOCUMENTS_WRITE = "documents.write"
    DOCUMENTS_EXPORT = "documents.export"
    OPERATIONS_READ = "operations.read"
    OPERATIONS_WRITE = "operations.write"
    USAGE_READ = "usage.read"
    AUDIT_READ = "audit.read"


_READ = {Permission.TENANTS_READ, Permission.COLLECTIONS_READ, Permission.DOCUMENTS_READ}
# Operations tell of documents whoever may read them: they are for those who write.
_WRITE = _READ | {
    Permission.COLLECTIONS_WRITE, Permission.DOCUMENTS_WRITE, Permission.DOCUMENTS_EXPORT, Permission.OPERATIONS_READ,
    Permission.OPERATIONS_WRITE,
}  # fmt: skip
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.TENANT_ADMIN: frozenset(
        _WRITE | {Permission.KEYS_ADMINISTER, Permission.TENANTS_EXPORT, Permission.USAGE_READ, Permission.AUDIT_READ}
    ),
    Role.SERVICE: frozenset(_WRITE),
    Role.TENANT_USER: frozenset(_READ),
}
# What a tenant's own data are: an administrator who touches them says why, in the metadata `x-pinakes-admin-reason`.
TENANT_DATA = frozenset({
    Permission.COLLECTIONS_READ, Permission.COLLECTIONS_WRITE, Permission.DOCUMENTS_READ, Permission.DOCUMENTS_WRITE,
    Permission.DOCUMENTS_EXPORT, Permission.TENANTS_EXPORT, Permission.OPERATIONS_READ, Permission.OPERATIONS_WRITE,
})  # fmt: skip
# What is left to a credential that a filter narrows: it reads what the filter lets through. A write can't be held to a filter,
# because it decides itself what the document is from then on.
FILTERED = frozenset({
    Permission.TENANTS_READ, Permission.COLLECTIONS_READ, Permission.DOCUMENTS_READ, Permission.DOCUMENTS_EXPORT,
    Permission.OPERATIONS_READ,
})  # fmt: skip
# What a credential that is narrowed to some collections may do with names that say none: each of these looks to it itself.
BEYOND_COLLECTIONS = frozenset({
    Permission.TENANTS_READ, Permission.COLLECTIONS_READ, Permission.OPERATIONS_READ, Permission.OPERATIONS_WRITE,
})  # fmt: skip
# Changes of who may do what: known identities serve these for 60 s at most when the engine can't be asked.
ADMINISTRATION = frozenset({Permission.TENANTS_ADMINISTER, Permission.KEYS_ADMINISTER})


class Audit(StrEnum):
    """What the audit log takes down of an RPC, beside refusals, which it always does.

    `DATA` is nothing, unless an administrator of the platform does it in a tenant. `ACCESS` is that something was looked
    at that only administrators may see. `CHANGE` is that something was changed: the answer waits until that is on disk.
    """

    DATA = "data"
    ACCESS = "access"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an RPC needs, the request's field (dotted) whose name says the tenant, and what is audited of it.

    There is no such field for RPCs over all tenants.
    """

    permission: Permission
    name_field: str | None
    audit: Audit


_OPERATIONS = "/google.longrunning.Operations/"
_SEARCH, _INDEX, _TENANT = "/pinakes.v1.SearchService/", "/pinakes.v1.IndexService/", "/pinakes.v1.TenantService/"
RULES: dict[str, Rule] = {
    _SEARCH + "Search": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _SEARCH + "BatchSearch": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _SEARCH + "Suggest": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _SEARCH + "CountDocuments": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _SEARCH + "ExplainDocument": Rule(Permission.DOCUMENTS_READ, "name", Audit.DATA),
    _SEARCH + "RecordEvent": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    # Queries tell what others look for: they are for those who write.
    _SEARCH + "GetSearchInsights": Rule(Permission.COLLECTIONS_WRITE, "parent", Audit.DATA),
    _INDEX + "CreateCollection": Rule(Permission.COLLECTIONS_WRITE, "parent", Audit.CHANGE),
    _INDEX + "GetCollection": Rule(Permission.COLLECTIONS_READ, "name", Audit.DATA),
    _INDEX + "ListCollections": Rule(Permission.COLLECTIONS_READ, "parent", Audit.DATA),
    _INDEX + "UpdateCollection": Rule(Permission.COLLECTIONS_WRITE, "collection.name", Audit.CHANGE),
    _INDEX + "DeleteCollection": Rule(Permission.COLLECTIONS_WRITE, "name", Audit.CHANGE),
    _INDEX + "CreateDocument": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.DATA),
    _INDEX + "GetDocument": Rule(Permission.DOCUMENTS_READ, "name", Audit.DATA),
    _INDEX + "UpdateDocument": Rule(Permission.DOCUMENTS_WRITE, "document.name", Audit.DATA),
    _INDEX + "DeleteDocument": Rule(Permission.DOCUMENTS_WRITE, "name", Audit.DATA),
    _INDEX + "UndeleteDocument": Rule(Permission.DOCUMENTS_WRITE, "name", Audit.DATA),
    _INDEX + "ListDocuments": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _INDEX + "BatchGetDocuments": Rule(Permission.DOCUMENTS_READ, "parent", Audit.DATA),
    _INDEX + "BatchWriteDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.DATA),
    _INDEX + "StreamWriteDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.DATA),
    # Failed writes hold documents whoever may read them: they are for those who write.
    _INDEX + "ListFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.DATA),
    _INDEX + "RetryFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.CHANGE),
    _INDEX + "DiscardFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.CHANGE),
    _INDEX + "PurgeDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.CHANGE),
    _INDEX + "ImportDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent", Audit.CHANGE),
    # It writes to the deployment's storage.
    _INDEX + "ExportDocuments": Rule(Permission.DOCUMENTS_EXPORT, "parent", Audit.CHANGE),
    _INDEX + "ReindexCollection": Rule(Permission.COLLECTIONS_WRITE, "name", Audit.CHANGE),
    _TENANT + "CreateTenant": Rule(Permission.TENANTS_ADMINISTER, None, Audit.CHANGE),
    _TENANT + "GetTenant": Rule(Permission.TENANTS_READ, "name", Audit.DATA),
    _TENANT + "ListTenants": Rule(Permission.TENANTS_ADMINISTER, None, Audit.ACCESS),
    _TENANT + "GetPlacementPlan": Rule(Permission.TENANTS_ADMINISTER, None, Audit.ACCESS),
    _TENANT + "UpdateTenant": Rule(Permission.TENANTS_ADMINISTER, "tenant.name", Audit.CHANGE),
    _TENANT + "DeleteTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "SuspendTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "ResumeTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "UndeleteTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "EraseTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "GetErasureReceipt": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.ACCESS),
    _TENANT + "GetReceiptKey": Rule(Permission.TENANTS_ADMINISTER, None, Audit.ACCESS),
    # Keys are told of in it, without their secrets.
    _TENANT + "ExportTenant": Rule(Permission.TENANTS_EXPORT, "name", Audit.CHANGE),
    _TENANT + "MoveTenant": Rule(Permission.TENANTS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "CreateApiKey": Rule(Permission.KEYS_ADMINISTER, "parent", Audit.CHANGE),
    _TENANT + "ListApiKeys": Rule(Permission.KEYS_ADMINISTER, "parent", Audit.ACCESS),
    _TENANT + "UpdateApiKey": Rule(Permission.KEYS_ADMINISTER, "api_key.name", Audit.CHANGE),
    _TENANT + "RotateApiKey": Rule(Permission.KEYS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "RevokeApiKey": Rule(Permission.KEYS_ADMINISTER, "name", Audit.CHANGE),
    _TENANT + "GetUsage": Rule(Permission.USAGE_READ, "parent", Audit.ACCESS),
    _TENANT + "ListAuditEvents": Rule(Permission.AUDIT_READ, "parent", Audit.ACCESS),
    _TENANT + "ListPlatformAuditEvents": Rule(Permission.TENANTS_ADMINISTER, None, Audit.ACCESS),
    _OPERATIONS + "ListOperations": Rule(Permission.OPERATIONS_READ, "name", Audit.DATA),
    _OPERATIONS + "GetOperation": Rule(Permission.OPERATIONS_READ, "name", Audit.DATA),
    _OPERATIONS + "WaitOperation": Rule(Permission.OPERATIONS_READ, "name", Audit.DATA),
    _OPERATIONS + "CancelOperation": Rule(Permission.OPERATIONS_WRITE, "name", Audit.CHANGE),
    _OPERATIONS + "DeleteOperation": Rule(Permission.OPERATIONS_WRITE, "name", Audit.CHANGE),
}

# In which states of a tenant administrators may call what names it; a tenant's own credentials, and all that isn't here,
# only reach an active one.
_ACTIVE = frozenset({ACTIVE})
_ANY = WHOLE | {DELETED, ERASED}
STATES: dict[str, frozenset[str]] = {
    _TENANT + "GetTenant": _ANY,
    _TENANT + "UpdateTenant": WHOLE,
    # A deleted one is NOT_FOUND, too, but for the request that deleted it: that is answered again as it was.
    _TENANT + "DeleteTenant": WHOLE | {DELETED},
    _TENANT + "SuspendTenant": WHOLE,
    _TENANT + "ResumeTenant": WHOLE,
    _TENANT + "UndeleteTenant": _ANY,
    _TENANT + "EraseTenant": _ANY,
    _TENANT + "GetErasureReceipt": _ANY,
    _TENANT + "ExportTenant": WHOLE,
    _TENANT + "CreateApiKey": WHOLE,
    _TENANT + "ListApiKeys": WHOLE,
    _TENANT + "UpdateApiKey": WHOLE,
    _TENANT + "RotateApiKey": WHOLE,
    _TENANT + "RevokeApiKey": WHOLE,
    _TENANT + "GetUsage": WHOLE,
    _TENANT + "ListAuditEvents": _ANY,
    _OPERATIONS + "ListOperations": _ANY,
    _OPERATIONS + "GetOperation": _ANY,
    _OPERATIONS + "WaitOperation": _ANY,
    _OPERATIONS + "CancelOperation": _ANY,
    _OPERATIONS + "DeleteOperation": _ANY,
}


def states_of(method: str, *, administrator: bool) -> frozenset[str]:
    """Return the states in which a tenant may be that a call of a method is about."""
    return STATES.get(method, _ACTIVE) if administrator else _ACTIVE
