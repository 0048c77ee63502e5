# SPDX-License-Identifier: Apache-2.0
"""Whether a search costs more where there are more tenants: ten tenants alone, and the same ten among ten thousand.

Two platforms, each with its own engine, are up side by side and are asked in turns. The ten tenants that are measured hold
the same documents on both; the many others of the second hold a few each, in the same pool.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pinakes.client import AlreadyExists, Client
from pinakes.demo.corpus import python_documents
from pinakes.local import Platform
from pinakes.v1 import search_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench.load import Plan, Target
from tests.bench.report import CONSOLE, Value, at_most, table
from tests.bench.searching import METHOD, load

HOME = Path(".bench")
FEW, MANY = 10, 10_000
DOCUMENTS, OF_OTHERS = 1000, 2
WORDS = ("asyncio", "error", "open file", "parse", "thread lock", "json", "path join", "time zone", "socket", "class")


@dataclass(frozen=True, slots=True)
class _World:
    """A platform with tenants: the address of its search server and what calls bring."""

    search: str
    metadata: tuple[tuple[str, str], ...]


def run(*, quick: bool, seed: int) -> list[Value]:
    """Search ten tenants on both platforms in turns; compare the medians."""
    documents = list(python_documents())[: 200 if quick else DOCUMENTS]
    many = 200 if quick else MANY
    requests = _requests(seed)
    with ExitStack() as stack:
        few_world = stack.enter_context(_world("few", documents, FEW))
        many_world = stack.enter_context(_world(f"many-{many}", documents, many))
        targets = [
            Target("few", few_world.search, METHOD, requests, few_world.metadata),
            Target("many", many_world.search, METHOD, requests, many_world.metadata),
        ]
        found = load(Plan(targets, 4 if quick else 12, 0.5 if quick else 2.0, 1))
    few, more = (statistics.median(found[name]["latencies"]) * 1e3 for name in ("few", "many"))
    rows = [[f"{FEW} tenants", f"{few:.2f}"], [f"the same among {many:,}", f"{more:.2f}"]]
    table(
        f"Search by how many tenants there are, {len(documents)} documents each, seed {seed}", ["pool", "p50 ms"], rows
    )
    return [at_most("tenants.10k_vs_10.p50", more / few, "x", 1.1)]


def _requests(seed: int) -> list[bytes]:
    """Make distinct requests over the ten tenants, so that no cache knows them."""
    dice = random.Random(seed)
    made = []
    for number in range(4000):
        query = f"{dice.choice(WORDS)} {dice.choice(WORDS)}"
        parent = f"tenants/measured-{number % FEW}/collections/default"
        # The filter makes each request another one, and leaves nothing out.
        made.append(
            search_pb2.SearchRequest(parent=parent, query=query, filter=f'NOT id = "n{number}"').SerializeToString()
        )
    return made


@contextmanager
def _world(name: str, documents: Sequence[Document], tenants: int) -> Iterator[_World]:
    """Start a platform of its own with so many tenants in it; one that was filled by an earlier run is taken as it is."""
    home = HOME / f"tenants-{name}"
    platform = Platform(home=home.absolute(), profile="bench")
    platform.up()
    try:
        reason = "measuring many tenants"
        metadata = (("authorization", f"Bearer {platform.admin_key}"), ("x-pinakes-admin-reason", reason))
        done = home / f"filled-{len(documents)}"
        with Client(platform.endpoint, key=platform.admin_key, timeout=60.0, admin_reason=reason) as admin:
            if not done.exists():
                _fill(admin, documents, tenants)
                done.touch()
        yield _World(platform.address("search"), metadata)
    finally:
        platform.down()


def _fill(admin: Client, documents: Sequence[Document], tenants: int) -> None:
    """Make the ten tenants and the others, and write their documents."""
    for number in range(tenants):
        measured = number < FEW
        tenant = f"measured-{number}" if measured else f"other-{number}"
        try:
            admin.create_tenant(tenant, rate_limit=1_000_000)
        except AlreadyExists:
            pass  # an earlier run was cut off
        if number % 1000 == 999:
            CONSOLE.print(f"{number + 1:,} of {tenants:,} tenants")
        held = (
            documents if measured else [documents[(number * OF_OTHERS + i) % len(documents)] for i in range(OF_OTHERS)]
        )
        written = admin.write_many(held, tenant=tenant, mode="searchable" if measured else "accepted")
        for result in written:
            if not result.ok:
                message = f"{result.id} wasn't written: {result.error}"
                raise RuntimeError(message)
