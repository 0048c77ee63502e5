# SPDX-License-Identifier: Apache-2.0
"""Brings document indices of an earlier format to the present one: first their settings and mapping, then their documents.

Analyzers can only be added to an index that is closed, so the first part costs its tenants the seconds in between; it is
done once, by one process, while the others wait. Documents are found all the while: their words are in the index as
they were. The second part writes them again in the background, so that they are found by the new analysis too.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import orjson

from pinakes.core.engine import mapping
from pinakes.core.engine.bodies import whole
from pinakes.core.engine.bulk import Line, line
from pinakes.core.engine.client import Engine, EngineRefusal, engine_fault
from pinakes.core.engine.documents import content_bytes, prefix_of
from pinakes.core.engine.records import Conflict, RecordStore
from pinakes.core.engine.setup import document_indices, routing_of
from pinakes.core.faults import unavailable
from pinakes.core.query.schema import OTHER_LANGUAGE, language_field
from pinakes.core.query.words import title_key
from pinakes.core.telemetry.logs import logger
from pinakes.core.tenancy.models import now_ms

Json = dict[str, Any]
# Longer than closing and opening takes; if the process dies in between, another takes over after it.
LEASE_SECONDS = 60.0
WAIT_SECONDS = 0.5
PAGE = 50
_RID = "upgrade"
_log = logger("pinakes.upgrade")


async def upgrade_indices(engine: Engine) -> None:
    """Give every document index of an earlier format the present analysis and mapping; do nothing if there is none.

    Returns when all are at the present format, whichever process did it. Raises what the engine's calls raise.
    """
    leases, holder = RecordStore(engine, "leases"), secrets.token_hex(8)
    while await _older(engine):
        if not await _taken(leases, holder):
            await asyncio.sleep(WAIT_SECONDS)
            continue
        try:
            # Asked again: the one who held the lease before may have done it.
            for index, old in (await _older(engine)).items():
                await _upgrade(engine, index, old)
        finally:
            await _give_back(leases, holder)


async def _older(engine: Engine) -> dict[str, int]:
    """Return the document indices of an earlier format and their formats. Those of a later one are left alone."""
    found = await _metas(engine)
    formats = {index: int(meta.get("format", 1)) for index, meta in found.items()}
    return {index: old for index, old in formats.items() if old < mapping.FORMAT}


async def _metas(engine: Engine) -> dict[str, Json]:
    """Return what each document index says of itself, closed ones too."""
    path = f"/{document_indices(engine.prefix)}/_mapping"
    answer = await engine.call("format", "GET", path, params={"expand_wildcards": "all"})
    return {index: found["mappings"].get("_meta", {}) for index, found in answer.items()}


async def _upgrade(engine: Engine, index: str, old: int) -> None:
    """Upgrade one index. Every step may be done again, by whoever comes after a process that died in the middle."""
    _log.info("upgrading", index=index, format=mapping.FORMAT)
    if old < mapping.ANALYSIS_FORMAT:
        await _change_analysis(engine, index)
    # Last, because it says that all is done.
    fields = mapping.document_mapping(routed=index.startswith(f"{engine.prefix}-pool-"))
    fields["_meta"] = {**fields["_meta"], "documents": old}
    await engine.call("mapping", "PUT", f"/{index}/_mapping", body=fields)
    _log.info("upgraded", index=index, format=mapping.FORMAT)


async def _change_analysis(engine: Engine, index: str) -> None:
    """Give an index the present analysis, closed for as long as that takes."""
    present = mapping.pool_settings(1, 0)["index"]
    settings = {name: present[name] for name in ("analysis", "similarity")}
    await engine.call("close", "POST", f"/{index}/_close")
    try:
        await engine.call("analysis", "PUT", f"/{index}/_settings", body={"index": settings})
    finally:
        await engine.call("open", "POST", f"/{index}/_open", params={"wait_for_active_shards": "1", "timeout": "5s"})


async def _taken(leases: RecordStore, holder: str) -> bool:
    """Take the lease of upgrading if nobody has it."""
    stored = await leases.get(_RID)
    if stored is not None and stored.record["expires_ms"] > now_ms():
        return False
    record = {"holder": holder, "expires_ms": now_ms() + round(LEASE_SECONDS * 1000)}
    try:
        if stored is None:
            await leases.create(_RID, "", "active", record)
        else:
            await leases.replace(stored, "", "active", record)
    except Conflict:
        return False
    return True


async def _give_back(leases: RecordStore, holder: str) -> None:
    """Let another have the lease at once, unless it is another's by now."""
    stored = await leases.get(_RID)
    if stored is None or stored.record["holder"] != holder:
        return
    try:
        await leases.delete(stored)
    except Conflict:
        return


async def rewrite_documents(engine: Engine, most: int = 20_000) -> int:
    """Write up to `most` documents of an earlier format again, at their own revisions, and return how many.

    A write that comes between has a greater revision and stands. To be called until it returns 0; then it costs one
    call. Raises a fault of kind UNAVAILABLE if the engine doesn't take one of them.
    """
    written = 0
    try:
        for index, meta in (await _metas(engine)).items():
            if "documents" in meta and meta.get("format") == mapping.FORMAT and written < most:
                written += await _rewrite(engine, index, meta, most - written)
    except EngineRefusal as refusal:
        raise engine_fault(refusal) from None
    return written


async def _rewrite(engine: Engine, index: str, meta: Json, most: int) -> int:
    """Write documents of one index again; when none is left, the index says so from then on."""
    filters = [{"range": {"v": {"lt": mapping.FORMAT}}}, {"term": {"deleted": False}}]
    # Revisions stay, and none is there twice: a page begins where the one before ended, refreshed or not.
    body: Json = {"size": PAGE, "query": {"bool": {"filter": filters}}, "sort": [{"revision": "asc"}]}
    written = 0
    await engine.call("refresh", "POST", f"/{index}/_refresh")
    while written < most:
        # Only where all shards say so there is none left.
        answer = whole(await engine.call("older_documents", "POST", f"/{index}/_search", body=body))
        hits = answer["hits"]["hits"]
        if not hits:
            await engine.call("mapping", "PUT", f"/{index}/_mapping", body={"_meta": {"format": meta["format"]}})
            break
        items = await engine.bulk.write([_again(index, hit) for hit in hits], searchable=False)
        if any(item.status >= 300 and item.status != 409 for item in items):
            raise unavailable("the search engine")
        written += len(hits)
        body["search_after"] = hits[-1]["sort"]
    return written


def _again(index: str, hit: Json) -> Line:
    """Return the line that writes a body again, its text in the fields that its language has now, its title in order."""
    source: Json = hit["_source"] | {"v": mapping.FORMAT}
    field = language_field(source.get("language", ""))
    for name in ("title", "body"):
        if f"{name}_{field}" not in source and f"{name}_{OTHER_LANGUAGE}" in source:
            source[f"{name}_{field}"] = source.pop(f"{name}_{OTHER_LANGUAGE}")
    if key := title_key(source.get(f"title_{field}", "")):
        source["title_key"] = prefix_of(source["tenant"], source["collection"]) + key
    source["bytes"] = content_bytes(source)
    action = {
        "_index": index, "_id": hit["_id"], **routing_of(hit), "version": source["revision"],
        "version_type": "external_gte",
    }  # fmt: skip
    return line(orjson.dumps(action), orjson.dumps(source))
