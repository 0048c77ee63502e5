# SPDX-License-Identifier: Apache-2.0
"""Makes what the engine must hold before the platform can run: templates, the first pool and the system indices.

What an earlier version of the platform made is brought to the present format.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pinakes.core.engine import mapping
from pinakes.core.engine.client import Engine, EngineRefusal
from pinakes.core.faults import unavailable
from pinakes.core.tenancy.placement import Place

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

RECORDS = (
    "tenants",
    "keys",
    "collections",
    "leases",
    "requests",
    "outcomes",
    "failures",
    "operations",
    "deletions",
    "receipts",
    "placement",
    "uses",
    "spool",
)


_MADE_SECONDS = 5.0
_LOOK_SECONDS = 0.1


def pool_alias(prefix: str, number: int = 0) -> str:
    """Return the alias of a pool: all reads and writes go to aliases, so that an index can be replaced behind one."""
    return Place(pool=number).alias(prefix)


def document_indices(prefix: str) -> str:
    """Return the pattern of all indices that hold documents: pools and tenants' own."""
    return f"{prefix}-pool-*,{prefix}-own-*"


def routing_of(hit: dict[str, Any]) -> dict[str, Any]:
    """Return the routing that a document was found with, for an action on it; none where `_id` routes."""
    return {"routing": hit["_routing"]} if "_routing" in hit else {}


def record_index(prefix: str, kind: str) -> str:
    """Return the alias of a system index."""
    return f"{prefix}-sys-{kind}"


async def prepare(engine: Engine, settings: Settings) -> None:
    """Create what is missing and bring up what an earlier version made. Safe in many processes at once, at every start."""
    prefix = settings.index_prefix
    pool = {
        "index_patterns": [f"{prefix}-pool-*"],
        "priority": 100,
        "template": {
            "settings": mapping.pool_settings(settings.pool_shards, settings.replicas),
            "mappings": mapping.document_mapping(),
        },
        "version": mapping.FORMAT,
    }
    own = {
        "index_patterns": [f"{prefix}-own-*"],
        "priority": 100,
        "template": {
            "settings": mapping.pool_settings(settings.pool_shards, settings.replicas),
            "mappings": mapping.document_mapping(routed=False),
        },
        "version": mapping.FORMAT,
    }
    records = {
        "index_patterns": [f"{prefix}-sys-*"],
        "priority": 100,
        "template": {
            "settings": {
                "index": {
                    "number_of_shards": 1,
                    "number_of_replicas": settings.replicas,
                    "refresh_interval": "1s",
                    "replication.type": "DOCUMENT",
                }
            },
            "mappings": mapping.record_mapping(),
        },
        "version": mapping.FORMAT,
    }
    await _put_template(engine, f"{prefix}-pool", pool)
    await _put_template(engine, f"{prefix}-own", own)
    await engine.call("template", "PUT", f"/_index_template/{prefix}-sys", body=records)
    # Late, because they import records, or what has its name from here.
    from pinakes.core.engine import audit, insights, usage
    from pinakes.core.engine.upgrade import upgrade_indices

    await _put_template(engine, f"{prefix}-sys-{insights.KIND}", insights.template(prefix, settings))
    await _put_template(engine, f"{prefix}-sys-{audit.KIND}", audit.template(prefix, settings))
    await _put_template(engine, f"{prefix}-sys-{usage.KIND}", usage.template(prefix, settings))
    # Together: the engine makes many at once in the time of a few, and a first start waits for all of them.
    aliases = [pool_alias(prefix), *(record_index(prefix, kind) for kind in RECORDS)]
    await asyncio.gather(*(_create(engine, alias) for alias in aliases))
    await _until_made(engine, aliases)
    await upgrade_indices(engine)


async def _until_made(engine: Engine, aliases: list[str]) -> None:
    """Wait while another process is just making one of the indices. Raises a fault if that takes too long.

    The engine calls an index yellow as soon as it is declared, before its shards answer; one that lost a shard is red,
    and isn't waited for: what the others hold is served without it.
    """
    parts = "indices.*.status,indices.*.shards.*.primary_active"
    params = {"level": "shards", "filter_path": parts}
    for _ in range(round(_MADE_SECONDS / _LOOK_SECONDS)):
        health = await engine.call("prepare", "GET", f"/_cluster/health/{','.join(aliases)}", params=params)
        if not any(_being_made(index) for index in health["indices"].values()):
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise unavailable("the search engine")


def _being_made(index: dict[str, Any]) -> bool:
    """Tell whether an index was declared and doesn't answer yet."""
    shards = index.get("shards", {}).values()
    return bool(index["status"] != "red" and not all(shard["primary_active"] for shard in shards))


async def _put_template(engine: Engine, name: str, template: dict[str, Any]) -> None:
    """Put a template, unless a later version's is there: servers of both run side by side while they are replaced."""
    # All of them: asked for by its name, one that isn't there is an error.
    parts = "index_templates.name,index_templates.index_template.version"
    found = await engine.call("template", "GET", "/_index_template", params={"filter_path": parts})
    versions = {one["name"]: one["index_template"].get("version", 0) for one in found.get("index_templates", [])}
    if versions.get(name, 0) <= template["version"]:
        await engine.call("template", "PUT", f"/_index_template/{name}", body=template)


async def create_place(engine: Engine, place: Place) -> None:
    """Create the index of a pool, or of a tenant's own with its shards, unless it is there."""
    settings = {"index": {"number_of_shards": place.shards}} if place.shards else {}
    await _create(engine, place.alias(engine.prefix), settings)


async def _create(engine: Engine, alias: str, settings: dict[str, Any] | None = None) -> None:
    """Create an index `ALIAS-v1` behind an alias, unless it is there."""
    body: dict[str, Any] = {"aliases": {alias: {"is_write_index": True}}}
    if settings:
        body["settings"] = settings
    try:
        await engine.call("create_index", "PUT", f"/{alias}-v1", body=body)
    except EngineRefusal as refusal:
        if refusal.error_type != "resource_already_exists_exception":
            raise
