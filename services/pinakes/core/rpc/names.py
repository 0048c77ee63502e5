# SPDX-License-Identifier: Apache-2.0
"""Resource names: `tenants/{tenant}/collections/{collection}/documents/{document}` and their parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

OWN = "-"


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed name. Parts that the name doesn't have are empty. The contract's patterns were checked before."""

    tenant: str
    collection: str = ""
    document: str = ""
    key: str = ""
    operation: str = ""
    failed_write: str = ""


@lru_cache(maxsize=8192)
def parse(text: str) -> Name:
    """Split a name that has passed the contract's pattern. Every call's is, some twice: the latest ones are remembered."""
    parts = dict(zip(*[iter(text.split("/"))] * 2, strict=False))
    return Name(
        tenant=parts.get("tenants", ""),
        collection=parts.get("collections", ""),
        document=parts.get("documents", ""),
        key=parts.get("apiKeys", ""),
        operation=parts.get("operations", ""),
        failed_write=parts.get("failedWrites", ""),
    )


def tenant(tenant_id: str) -> str:
    """Return the name of a tenant."""
    return f"tenants/{tenant_id}"


def collection(tenant_id: str, collection_id: str) -> str:
    """Return the name of a collection."""
    return f"tenants/{tenant_id}/collections/{collection_id}"


def document(tenant_id: str, collection_id: str, document_id: str) -> str:
    """Return the name of a document."""
    return f"tenants/{tenant_id}/collections/{collection_id}/documents/{document_id}"


@lru_cache(maxsize=4096)
def document_prefixes(tenant_id: str, collection_id: str) -> tuple[str, str]:
    """Return what the names of a collection's documents begin with: the caller's own tenant has two names."""
    return document(tenant_id, collection_id, ""), document(OWN, collection_id, "")


def api_key(tenant_id: str, key_id: str) -> str:
    """Return the name of a key."""
    return f"tenants/{tenant_id}/apiKeys/{key_id}"


def operation(tenant_id: str, operation_id: str) -> str:
    """Return the name of an operation."""
    return f"tenants/{tenant_id}/operations/{operation_id}"


def failed_write(tenant_id: str, collection_id: str, failed_id: str) -> str:
    """Return the name of a failed write."""
    return f"tenants/{tenant_id}/collections/{collection_id}/failedWrites/{failed_id}"
