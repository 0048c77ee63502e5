# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with an object, in words for the caller who named it; the store's own words go to the log."""

from __future__ import annotations

from pinakes.core.faults import Fault, Kind, invalid

RETRY_AFTER = 5.0
_TYPE = "pinakes/Object"


def uri_invalid(field: str, description: str) -> Fault:
    """Make the fault of a URI that names nothing, whatever the settings."""
    return invalid(field, description, "URI_INVALID")


def uri_not_allowed(uri: str, why: str) -> Fault:
    """Make the fault of a URI that the deployment, or the tenant's place in it, doesn't allow."""
    return Fault(Kind.DENIED, "URI_NOT_ALLOWED", f"{uri} isn't allowed: {why}")


def object_not_found(uri: str, what: str = "doesn't exist") -> Fault:
    """Make the fault of an object, a bucket or a folder that isn't there."""
    return Fault(Kind.NOT_FOUND, "OBJECT_NOT_FOUND", f"{uri} {what}", resource=(_TYPE, uri))


def object_forbidden(uri: str, why: str = "the storage refuses the platform's credentials for it") -> Fault:
    """Make the fault of an object that the platform may not read or write."""
    return Fault(Kind.DENIED, "OBJECT_FORBIDDEN", f"{uri} can't be used: {why}", resource=(_TYPE, uri))


def object_changed(uri: str) -> Fault:
    """Make the fault of an object that was replaced while it was being read."""
    text = f"{uri} has been changed while it was read; what was read until then is written; start again"
    return Fault(Kind.PRECONDITION, "OBJECT_CHANGED", text, resource=(_TYPE, uri))


def object_truncated(uri: str, where: str) -> Fault:
    """Make the fault of an object that ends before it is complete; `where` says how far it could be read."""
    text = f"{uri} ends early, {where}; rows before that are written; bring the whole object and start again"
    return Fault(Kind.PRECONDITION, "OBJECT_TRUNCATED", text, resource=(_TYPE, uri))


def object_unreadable(uri: str, why: str) -> Fault:
    """Make the fault of an object whose bytes aren't what they should be."""
    return Fault(Kind.PRECONDITION, "OBJECT_UNREADABLE", f"{uri} can't be read: {why}", resource=(_TYPE, uri))


def storage_refused(uri: str) -> Fault:
    """Make the fault of a request that the storage takes for wrong: trying again wouldn't help."""
    text = f"{uri}: the storage refuses the request; tell the platform's operators to check its settings"
    return Fault(Kind.PRECONDITION, "STORAGE_REFUSED", text, resource=(_TYPE, uri))


def storage_unavailable(uri: str, retry_after: float | None = None) -> Fault:
    """Make the fault of a storage that doesn't answer now; jobs try again, after RETRY_AFTER seconds if nobody knows better."""
    text = f"the storage of {uri} isn't available now; try again"
    return Fault(Kind.UNAVAILABLE, "STORAGE_UNAVAILABLE", text, retry_after=retry_after or RETRY_AFTER)
