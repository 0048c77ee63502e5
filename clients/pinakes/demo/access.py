# SPDX-License-Identifier: Apache-2.0
"""The demo's two tenants with their keys: created once, found again by every later run."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pinakes.client import AlreadyExists, AsyncClient, NotFound, PermissionDenied, Unauthenticated

COLLECTION = "docs"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A tenant of the demo: its id, what it is called, and the attributes that its collection declares."""

    tenant: str
    display_name: str
    attributes: tuple[str, ...]


PYTHON = Shelf(
    "python-docs",
    "Documentation of the Python standard library",
    (
        "kind:string:sortable",
        "module:string:sortable",
        "package:string",
        "line:number:sortable",
        "words:number:sortable",
        "public:bool",
        "signature:text",
    ),
)
PACKAGES = Shelf(
    "packages",
    "Installed distributions",
    (
        "package:string:sortable",
        "version:string",
        "license:string:sortable",
        "requirements:number:sortable",
        "readme_words:number:sortable",
        "typed:bool",
    ),
)


def saved_keys(path: Path) -> dict[str, str]:
    """Read the keys of an earlier run; none if there is no such file or it can't be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(tenant): str(key) for tenant, key in found["keys"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def save_keys(path: Path, keys: dict[str, str]) -> None:
    """Write the keys for later runs; nobody but the owner can read the file, at no moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": keys}, file, indent=2)
    fresh.replace(path)


async def open_shelf(admin: AsyncClient, endpoint: str, shelf: Shelf, keys_file: Path) -> str:
    """Make sure that a tenant, a key of it and its collection exist; return the key.

    Raises PinakesError if the platform refuses. A key that an earlier run saved is used as long as it opens its tenant.
    """
    try:
        await admin.create_tenant(shelf.tenant, display_name=shelf.display_name)
    except AlreadyExists:
        pass  # an earlier run made it
    keys = saved_keys(keys_file)
    key = keys.get(shelf.tenant, "")
    if not key or not await _opens(endpoint, key, shelf.tenant):
        made = await admin.create_key("service", tenant=shelf.tenant, display_name="pinakes demo")
        key = made.secret
        save_keys(keys_file, {**keys, shelf.tenant: key})
    async with AsyncClient(endpoint, key=key) as client:
        try:
            await client.create_collection(COLLECTION, display_name=shelf.display_name, attributes=shelf.attributes)
        except AlreadyExists:
            pass  # an earlier run made it
    return key


async def _opens(endpoint: str, key: str, tenant: str) -> bool:
    """Tell whether a key is still accepted and is of this tenant, not of one that had its name before."""
    async with AsyncClient(endpoint, key=key) as client:
        try:
            found = await client.get_tenant()
        except (Unauthenticated, PermissionDenied, NotFound):
            return False
    return found.name == f"tenants/{tenant}"
