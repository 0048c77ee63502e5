# SPDX-License-Identifier: Apache-2.0
"""Which RPC needs which permission, and which role has it. An RPC that isn't here can't start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller is (design §7)."""

    ADMIN = "admin"
    TENANT_ADMIN = "tenant-admin"
    TENANT_USER = "tenant-user"
    SERVICE = "service"


class Permission(StrEnum):
    """What an RPC needs."""

    TENANTS_READ = "tenants.read"
    TENANTS_ADMINISTER = "tenants.administer"
    KEYS_ADMINISTER = "keys.administer"
    COLLECTIONS_READ = "collections.read"
    COLLECTIONS_WRITE = "collections.write"
    DOCUMENTS_READ = "documents.read"
    DOCUMENTS_WRITE = "documents.write"
    OPERATIONS_READ = "operations.read"
    OPERATIONS_WRITE = "operations.write"


_READ = {Permission.TENANTS_READ, Permission.COLLECTIONS_READ, Permission.DOCUMENTS_READ}
# Operations tell of documents whoever may read them: they are for those who write.
_WRITE = _READ | {
    Permission.COLLECTIONS_WRITE, Permission.DOCUMENTS_WRITE, Permission.OPERATIONS_READ, Permission.OPERATIONS_WRITE,
}  # fmt: skip
GRANTS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.TENANT_ADMIN: frozenset(_WRITE | {Permission.KEYS_ADMINISTER}),
    Role.SERVICE: frozenset(_WRITE),
    Role.TENANT_USER: frozenset(_READ),
}
# Changes of who may do what: known identities serve these for 60 s at most when the engine can't be asked.
ADMINISTRATION = frozenset({Permission.TENANTS_ADMINISTER, Permission.KEYS_ADMINISTER})


@dataclass(frozen=True, slots=True)
class Rule:
    """What an RPC needs, and the request's field (dotted) whose name says the tenant; none for RPCs over all tenants."""

    permission: Permission
    name_field: str | None


_OPERATIONS = "/google.longrunning.Operations/"
_SEARCH, _INDEX, _TENANT = "/pinakes.v1.SearchService/", "/pinakes.v1.IndexService/", "/pinakes.v1.TenantService/"
RULES: dict[str, Rule] = {
    _SEARCH + "Search": Rule(Permission.DOCUMENTS_READ, "parent"),
    _SEARCH + "BatchSearch": Rule(Permission.DOCUMENTS_READ, "parent"),
    _SEARCH + "Suggest": Rule(Permission.DOCUMENTS_READ, "parent"),
    _SEARCH + "CountDocuments": Rule(Permission.DOCUMENTS_READ, "parent"),
    _SEARCH + "ExplainDocument": Rule(Permission.DOCUMENTS_READ, "name"),
    _SEARCH + "RecordEvent": Rule(Permission.DOCUMENTS_READ, "parent"),
    # Queries tell what others look for: they are for those who write.
    _SEARCH + "GetSearchInsights": Rule(Permission.COLLECTIONS_WRITE, "parent"),
    _INDEX + "CreateCollection": Rule(Permission.COLLECTIONS_WRITE, "parent"),
    _INDEX + "GetCollection": Rule(Permission.COLLECTIONS_READ, "name"),
    _INDEX + "ListCollections": Rule(Permission.COLLECTIONS_READ, "parent"),
    _INDEX + "UpdateCollection": Rule(Permission.COLLECTIONS_WRITE, "collection.name"),
    _INDEX + "DeleteCollection": Rule(Permission.COLLECTIONS_WRITE, "name"),
    _INDEX + "CreateDocument": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "GetDocument": Rule(Permission.DOCUMENTS_READ, "name"),
    _INDEX + "UpdateDocument": Rule(Permission.DOCUMENTS_WRITE, "document.name"),
    _INDEX + "DeleteDocument": Rule(Permission.DOCUMENTS_WRITE, "name"),
    _INDEX + "UndeleteDocument": Rule(Permission.DOCUMENTS_WRITE, "name"),
    _INDEX + "ListDocuments": Rule(Permission.DOCUMENTS_READ, "parent"),
    _INDEX + "BatchGetDocuments": Rule(Permission.DOCUMENTS_READ, "parent"),
    _INDEX + "BatchWriteDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "StreamWriteDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    # Failed writes hold documents whoever may read them: they are for those who write.
    _INDEX + "ListFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "RetryFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "DiscardFailedWrites": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "PurgeDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "ImportDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    # It writes to the deployment's storage.
    _INDEX + "ExportDocuments": Rule(Permission.DOCUMENTS_WRITE, "parent"),
    _INDEX + "ReindexCollection": Rule(Permission.COLLECTIONS_WRITE, "name"),
    _TENANT + "CreateTenant": Rule(Permission.TENANTS_ADMINISTER, None),
    _TENANT + "GetTenant": Rule(Permission.TENANTS_READ, "name"),
    _TENANT + "ListTenants": Rule(Permission.TENANTS_ADMINISTER, None),
    _TENANT + "UpdateTenant": Rule(Permission.TENANTS_ADMINISTER, "tenant.name"),
    _TENANT + "DeleteTenant": Rule(Permission.TENANTS_ADMINISTER, "name"),
    _TENANT + "CreateApiKey": Rule(Permission.KEYS_ADMINISTER, "parent"),
    _TENANT + "ListApiKeys": Rule(Permission.KEYS_ADMINISTER, "parent"),
    _TENANT + "RevokeApiKey": Rule(Permission.KEYS_ADMINISTER, "name"),
    _OPERATIONS + "ListOperations": Rule(Permission.OPERATIONS_READ, "name"),
    _OPERATIONS + "GetOperation": Rule(Permission.OPERATIONS_READ, "name"),
    _OPERATIONS + "WaitOperation": Rule(Permission.OPERATIONS_READ, "name"),
    _OPERATIONS + "CancelOperation": Rule(Permission.OPERATIONS_WRITE, "name"),
    _OPERATIONS + "DeleteOperation": Rule(Permission.OPERATIONS_WRITE, "name"),
}
