# SPDX-License-Identifier: Apache-2.0
"""Resource names made of ids: `default` of tenant `acme` is `tenants/acme/collections/default`."""

from __future__ import annotations

MINE = "-"
DEFAULT_COLLECTION = "default"


def tenant(tenant_id: str = MINE) -> str:
    """Name of a tenant, of its id or its name; `-` is the caller's own."""
    return _name(tenant_id, "tenants", "tenants/{}")


def key(key_id: str, tenant_id: str = MINE) -> str:
    """Name of an API key, of its id or its name."""
    return _name(key_id, "apiKeys", f"{tenant(tenant_id)}/apiKeys/{{}}")


def operation(operation_id: str, tenant_id: str = MINE) -> str:
    """Name of an operation, of its id or its name."""
    return _name(operation_id, "operations", f"{tenant(tenant_id)}/operations/{{}}")


def collection(collection_id: str = DEFAULT_COLLECTION, tenant_id: str = MINE) -> str:
    """Name of a collection, of its id or its name."""
    return _name(collection_id, "collections", f"{tenant(tenant_id)}/collections/{{}}")


def document(document_id: str, collection_id: str = DEFAULT_COLLECTION, tenant_id: str = MINE) -> str:
    """Name of a document, of its id or its name; a whole name stands, whatever the collection."""
    return _name(document_id, "documents", f"{collection(collection_id, tenant_id)}/documents/{{}}")


def document_of(parent: str, document_id: str) -> str:
    """Name of a document of the collection named `parent`, of its id or its name.

    Raises ValueError if the name is of another collection: to write to one when another is named would surprise.
    """
    name = _name(document_id, "documents", f"{parent}/documents/{{}}")
    theirs, ours = name.split("/"), parent.split("/")
    tenants = {theirs[1], ours[1]}
    if theirs[3] != ours[3] or (len(tenants) > 1 and MINE not in tenants):
        message = f"{document_id} isn't in {parent}"
        raise ValueError(message)
    # A tenant that was named stays named: only the server knows whether it is the caller's.
    return name if ours[1] == MINE else f"{parent}/documents/{theirs[-1]}"


def failed_write_of(parent: str, failed_write_id: str) -> str:
    """Name of a failed write of the collection named `parent`, of its id or its name."""
    return _name(failed_write_id, "failedWrites", f"{parent}/failedWrites/{{}}")


def parent(name: str) -> str:
    """Name of the resource that holds the one named, `tenants/acme` for `tenants/acme/collections/default`."""
    return name.rsplit("/", 2)[0]


def last(name: str) -> str:
    """Id at the end of a name."""
    return name.rsplit("/", 1)[-1]


def _name(given: str, kind: str, pattern: str) -> str:
    """Take a whole name as it is, and put an id into the pattern. No id contains a slash."""
    if not given:
        message = f"an id or a name is needed, {pattern.format('…')}"
        raise ValueError(message)
    if "/" not in given:
        return pattern.format(given)
    segments = given.split("/")
    if len(segments) % 2 or segments[0] != "tenants" or segments[-2] != kind:
        message = f"{given!r} is neither an id nor a name of {kind}"
        raise ValueError(message)
    return given
