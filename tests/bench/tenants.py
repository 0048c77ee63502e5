# SPDX-License-Identifier: Apache-2.0
"""What a tenant costs where there are many: a search's time, the engine's cluster state and memory, a server's memory.

Two platforms, each with its own engine, are up side by side: ten tenants alone, and the same ten among ten thousand. The ten
that are measured hold the same documents on both; the many others of the second hold a few each, in the same pool.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import AsyncOpenSearch
from pydantic import SecretStr

from pinakes.client import AlreadyExists, AsyncClient
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.records import RecordStore
from pinakes.core.engine.revisions import RevisionSource
from pinakes.core.engine.scope import TenantScope
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Settings
from pinakes.core.tenancy.collections import new_collection
from pinakes.core.tenancy.directory import collection_rid
from pinakes.core.tenancy.models import DEFAULT_COLLECTION, TenantRecord, now_ms
from pinakes.demo.corpus import python_documents
from pinakes.local import Platform
from pinakes.v1 import facets_pb2, search_pb2, suggest_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench.footprint import Footprint, Part, footprint
from tests.bench.load import Plan, Target
from tests.bench.report import CONSOLE, Value, at_most, table, told
from tests.bench.searching import METHOD, SUGGEST, load

HOME = Path(".bench")
FEW, MANY = 10, 10_000
DOCUMENTS, OF_OTHERS = 1000, 2
PAGE = 500
WARM_SECONDS = 20.0
USUAL = "words"
KINDS = {USUAL: METHOD, "beginning": METHOD, "facets": METHOD, "suggest": SUGGEST}
"""What is asked, and the method that it is asked by."""
REASON = "measuring many tenants"
WORDS = ("asyncio", "error", "open file", "parse", "thread lock", "json", "path join", "time zone", "socket", "class")


@dataclass(frozen=True, slots=True)
class _World:
    """A platform with tenants: the address of its search server, what calls bring, and its parts."""

    search: str
    metadata: tuple[tuple[str, str], ...]
    part: Part


def run(*, quick: bool, seed: int) -> list[Value]:
    """Search ten tenants on both platforms in turns and compare the medians; compare what both hold in memory."""
    documents = list(python_documents())[: 200 if quick else DOCUMENTS]
    many = 200 if quick else MANY
    with ExitStack() as stack:
        worlds = {
            "few": stack.enter_context(_world("few", documents, FEW)),
            "many": stack.enter_context(_world(f"many-{many}", documents, many)),
        }

        def targets(seed: int, first: int) -> list[Target]:
            return [
                Target(f"{kind} {name}", world.search, method, _requests(kind, seed, first), world.metadata)
                for kind, method in KINDS.items()
                for name, world in worlds.items()
            ]

        # An engine that was just started compiles what it runs: that would be measured, and nothing else.
        load(Plan(targets(seed + 1, 100_000), 2, 0.5 if quick else WARM_SECONDS / 2, 8))
        found = load(Plan(targets(seed, 0), 2 if quick else 8, 0.5 if quick else 3.0, 1))
        feet = {
            name: asyncio.run(footprint(world.part, _each(name, many), world.metadata))
            for name, world in worlds.items()
        }
    medians = {name: statistics.median(one["latencies"]) * 1e3 for name, one in found.items()}
    _print(medians, feet, many, len(documents), seed)
    ratios = {kind: medians[f"{kind} many"] / medians[f"{kind} few"] for kind in KINDS}
    return [
        at_most("tenants.10k_vs_10.p50", ratios.pop(USUAL), "x", 1.1),
        *(at_most(f"tenants.10k_vs_10.p50.{kind}", ratio, "x", 1.1) for kind, ratio in ratios.items()),
        *_values(feet["few"], feet["many"], many - FEW),
    ]


def _values(few: Footprint, many: Footprint, more: int) -> list[Value]:
    """Return the measured values; what a tenant costs is the difference of the platforms over the tenants it has more."""
    return [
        at_most("tenants.cluster_state_growth", many.cluster_state / few.cluster_state, "x", 1.01),
        told("tenants.cluster_state_each_dedicated", many.index_state / 1024, "KiB"),
        at_most("tenants.engine_heap_each", (many.engine_heap - few.engine_heap) / more / 1024, "KiB", 16),
        told("tenants.engine_disk_each", (many.engine_disk - few.engine_disk) / more / 1024, "KiB"),
        at_most("tenants.server_memory_each", (many.server_growth - few.server_growth) / more / 1024, "KiB", 16),
        at_most("tenants.poll", many.poll_ms / few.poll_ms, "x", 2.0),
    ]


def _print(medians: dict[str, float], feet: dict[str, Footprint], many: int, documents: int, seed: int) -> None:
    names = {"few": f"{FEW} tenants", "many": f"the same among {many:,}"}
    title = f"Search by how many tenants there are, {documents} documents each, seed {seed}"
    rows = [[kind, *(f"{medians[f'{kind} {name}']:.2f}" for name in names)] for kind in KINDS]
    table(title, ["p50 ms", *names.values()], rows)
    table(
        "What is held for them",
        ["pool", "cluster state, bytes", "engine heap, MiB", "resident", "disk", "server at first, MiB", "after all", "poll, ms"],
        [[names[name], *foot.row()] for name, foot in feet.items()],
    )  # fmt: skip


def _requests(kind: str, seed: int, first: int) -> list[bytes]:
    """Make distinct requests of a kind over the ten tenants, numbered from `first`, so that no cache knows them."""
    dice = random.Random(seed)
    made = []
    for number in range(first, first + 8000):
        tenant, words = f"measured-{number % FEW}", f"{dice.choice(WORDS)} {dice.choice(WORDS)}"
        if kind == "beginning":
            words = f"{words[:-1]}*"
        made.append(_request(tenant, words[:-2] if kind == "suggest" else words, number, kind))
    return made


def _each(name: str, many: int) -> list[bytes]:
    """Make as many requests as there are tenants, one for each where there are many."""
    tenants = [_name(number if name == "many" else number % FEW) for number in range(many)]
    return [_request(tenant, WORDS[number % len(WORDS)], number) for number, tenant in enumerate(tenants)]


def _request(tenant: str, query: str, number: int, kind: str = USUAL) -> bytes:
    # The filter makes each request another one, and leaves nothing out.
    given = {"parent": f"tenants/{tenant}/collections/default", "query": query, "filter": f'NOT id = "n{number}"'}
    if kind == "suggest":
        return suggest_pb2.SuggestRequest(**given).SerializeToString()
    request = search_pb2.SearchRequest(**given)
    if kind == "facets":
        for field in ("tags", "language", "attributes.kind", "attributes.module"):
            request.facets.add(field=field)
        request.facets.add(field="update_time", calendar=facets_pb2.Facet.CALENDAR_DAY)
    return request.SerializeToString()


def _name(number: int) -> str:
    return f"measured-{number}" if number < FEW else f"other-{number}"


@contextmanager
def _world(name: str, documents: Sequence[Document], tenants: int) -> Iterator[_World]:
    """Start a platform of its own with so many tenants in it; one that was filled by an earlier run is taken as it is."""
    home = HOME / f"tenants-{name}"
    platform = Platform(home=home.absolute(), profile="bench")
    platform.up()
    try:
        done = home / f"filled-{len(documents)}"
        if not done.exists():
            asyncio.run(_fill(platform, documents, tenants))
            done.touch()
        # How many segments there are follows from how much was written when, and a search looks into each.
        asyncio.run(_merged(platform))
        state = json.loads((home / "state.json").read_text(encoding="utf-8"))
        pids = {part: process["pid"] for part, process in state["processes"].items()}
        part = Part(platform.opensearch_url, pids["opensearch"], platform.address("search"), pids["search"])
        metadata = (("authorization", f"Bearer {platform.admin_key}"), ("x-pinakes-admin-reason", REASON))
        yield _World(platform.address("search"), metadata, part)
    finally:
        platform.down()


async def _fill(platform: Platform, documents: Sequence[Document], tenants: int) -> None:
    """Make the ten tenants through the front door, and the others as the servers would write them, many in a call."""
    async with AsyncClient(platform.endpoint, key=platform.admin_key, timeout=120.0, admin_reason=REASON) as admin:
        for number in range(FEW):
            try:
                await admin.create_tenant(_name(number), rate_limit=1_000_000)
            except AlreadyExists:
                pass  # an earlier run was cut off
            async for result in admin.write_many(documents, tenant=_name(number), mode="searchable"):
                if not result.ok:
                    message = f"{result.id} wasn't written: {result.error}"
                    raise RuntimeError(message)
    settings = Settings(opensearch_urls=[platform.opensearch_url], secret_key=SecretStr(platform.state.secret_key))
    engine = Engine(settings)
    revisions = RevisionSource(engine, settings.max_clock_skew_seconds)
    await revisions.ready()
    try:
        for begin in range(FEW, tenants, PAGE):
            await _others(engine, revisions, documents, range(begin, min(begin + PAGE, tenants)))
            CONSOLE.print(f"{min(begin + PAGE, tenants):,} of {tenants:,} tenants")
    finally:
        await revisions.close()
        await engine.close()


async def _merged(platform: Platform) -> None:
    """Merge the pool into one segment."""
    async with AsyncOpenSearch([platform.opensearch_url], timeout=300) as engine:
        await engine.indices.forcemerge(index="pinakes-pool-*", max_num_segments=1)
        await engine.indices.refresh(index="pinakes-pool-*")


async def _others(
    engine: Engine, revisions: RevisionSource, documents: Sequence[Document], numbers: Sequence[int]
) -> None:
    now = now_ms()
    tenants = [
        TenantRecord(tenant_id=_name(number), uid=uuid.uuid4().hex, create_ms=now, update_ms=now) for number in numbers
    ]
    collections = [new_collection(tenant, DEFAULT_COLLECTION) for tenant in tenants]
    writing = []
    for number, tenant, collection in zip(numbers, tenants, collections, strict=True):
        scope = TenantScope.for_work(engine, tenant, collection)
        held = [documents[(number * OF_OTHERS + i) % len(documents)] for i in range(OF_OTHERS)]
        writing.append(scope.bulk([_put(one, scope, revisions) for one in held], searchable=False))
    await asyncio.gather(*writing)
    await RecordStore(engine, "collections").put_many([
        (collection_rid(one.tenant_uid, one.collection_id), one.tenant_uid, one.state, one.to_json())
        for one in collections
    ])  # fmt: skip
    await RecordStore(engine, "tenants").put_many([(one.tenant_id, "", one.state, one.to_json()) for one in tenants])


def _put(document: Document, scope: TenantScope, revisions: RevisionSource) -> Put:
    name, revision = document.name.rpartition("/")[2], revisions.next()
    return Put(name, compile_document(document, scope.owner, Schema(languages=("en",)), name, revision, now_ms()))
