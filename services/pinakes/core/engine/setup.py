# SPDX-License-Identifier: Apache-2.0
"""Makes what the engine must hold before the platform can run: templates, the first pool and the system indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pinakes.core.engine import mapping
from pinakes.core.engine.client import Engine, EngineRefusal

if TYPE_CHECKING:
    from pinakes.core.settings import Settings

RECORDS = ("tenants", "keys", "collections", "leases", "requests", "outcomes", "failures", "operations", "deletions")


def pool_alias(prefix: str, number: int = 0) -> str:
    """Return the alias of a pool: all reads and writes go to aliases, so that an index can be replaced behind one."""
    return f"{prefix}-pool-{number:03}"


def record_index(prefix: str, kind: str) -> str:
    """Return the alias of a system index."""
    return f"{prefix}-sys-{kind}"


async def prepare(engine: Engine, settings: Settings) -> None:
    """Create what is missing. Safe to run from many processes at once, and again at every start."""
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
    await engine.call("template", "PUT", f"/_index_template/{prefix}-pool", body=pool)
    await engine.call("template", "PUT", f"/_index_template/{prefix}-sys", body=records)
    await _create(engine, pool_alias(prefix))
    for kind in RECORDS:
        await _create(engine, record_index(prefix, kind))


async def _create(engine: Engine, alias: str) -> None:
    """Create an index `ALIAS-v1` behind an alias, unless it is there."""
    try:
        await engine.call("create_index", "PUT", f"/{alias}-v1", body={"aliases": {alias: {"is_write_index": True}}})
    except EngineRefusal as refusal:
        if refusal.error_type != "resource_already_exists_exception":
            raise
