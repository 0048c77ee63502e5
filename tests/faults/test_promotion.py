# SPDX-License-Identifier: Apache-2.0
"""When the node with the primary dies, the promoted replica holds every acknowledged write, and nothing comes back on it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from pinakes.core.engine.bodies import PackedPut
from pinakes.core.engine.client import Engine
from pinakes.core.engine.revisions import RevisionClock
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import pool_alias, prepare
from pinakes.core.faults import Fault, Kind
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.core.writing import changes
from pinakes.core.writing.apply import apply
from pinakes.core.writing.changes import Change
from pinakes.v1 import index_pb2, resources_pb2
from tests.faults._nodes import Node, cluster
from tests.integration._engine import Direct

Outcome = index_pb2.WriteResult
TENANT = TenantRecord(tenant_id="promotion", uid="t-promotion")
COLLECTION = CollectionRecord(tenant_uid=TENANT.uid, collection_id="default", uid="c-default")
PLANS: dict[str, tuple[str | None, ...]] = {
    "put": ("first",),
    "deleted": ("first", None),
    "replaced": ("first", "second"),
    "unchanged": ("first", "first"),
    "anew": ("first", None, "second"),
    "absent": (None,),
}
"""Histories of a document: the titles it gets one after the other; None is a deletion."""

AT_ONCE = 4
BEFORE = AFTER = 60
"""Writes acknowledged between the start of the writers and the kill, and between the promotion and the end."""


Standing = tuple[int, str | None]
"""The revision that stands, and the title it gave; None for a tombstone."""


async def nothing_older() -> bool:
    """Say that the queue is empty."""
    return False


@dataclass(slots=True)
class History:
    """Every change that was acknowledged, and what must stand of each document since the last one."""

    scope: TenantScope
    clock: RevisionClock = field(default_factory=RevisionClock)
    done: list[Change] = field(default_factory=list)
    stands: dict[str, Standing] = field(default_factory=dict)

    def change(self, document_id: str, title: str | None) -> Change:
        """Make the next change of a document."""
        revision = self.clock.next()
        if title is None:
            return changes.deletion(document_id, revision)
        made = resources_pb2.Document(title=title)
        return changes.put(made, self.scope.owner, Direct.schema(), document_id, revision)

    async def write(self, document_id: str, title: str | None) -> None:
        """Apply a change until it is acknowledged, as a worker does."""
        change = self.change(document_id, title)
        while True:
            try:
                (applied,) = await apply(self.scope, [change], nothing_older)
            except Fault as fault:
                assert fault.kind in {Kind.UNAVAILABLE, Kind.DEADLINE}
            else:
                if not applied.busy:
                    break
            await asyncio.sleep(0.05)
        assert applied.fault is None
        assert applied.outcome != Outcome.OUTCOME_SUPERSEDED
        self.done.append(change)
        if applied.outcome != Outcome.OUTCOME_NOT_FOUND:
            self.stands[document_id] = (applied.revision, title)

    async def all_plans(self, prefix: str) -> None:
        """Write a document of each plan."""
        for plan, titles in PLANS.items():
            for title in titles:
                await self.write(f"{prefix}-{plan}", title)

    async def acknowledged(self, count: int) -> None:
        """Wait until so many more changes have been acknowledged."""
        wanted = len(self.done) + count
        while len(self.done) < wanted:
            await asyncio.sleep(0.01)

    def late(self) -> list[Change]:
        """Return the changes that something newer stands above."""
        return [c for c in self.done if c.document_id in self.stands and c.revision < self.stands[c.document_id][0]]


@dataclass(slots=True)
class Copies:
    """The copies of the pool on the two nodes."""

    engine: Engine
    index: str

    async def primary(self) -> str:
        """Return the node with the primary."""
        answer = await self.engine.call(
            "shards", "GET", f"/_cat/shards/{self.index}", params={"format": "json", "h": "prirep,node"}
        )
        (node,) = [shard["node"] for shard in answer["answer"] if shard["prirep"] == "p"]
        return str(node)

    async def health(self, status: str, nodes: int) -> None:
        """Wait until there are just so many nodes and every index is of the status or better."""
        params = {"wait_for_status": status, "wait_for_nodes": str(nodes), "wait_for_no_initializing_shards": "true"}
        await self.engine.call("health", "GET", "/_cluster/health", params=params)

    async def make_primary_on(self, node: str, other: str) -> None:
        """Let the copy on a node be the primary: a primary that is given up is followed by its replica."""
        await self.health("green", 2)
        if await self.primary() != node:
            cancel = {"index": self.index, "shard": 0, "node": other, "allow_primary": True}
            await self.engine.call("reroute", "POST", "/_cluster/reroute", body={"commands": [{"cancel": cancel}]})
            await self.health("green", 2)
        assert await self.primary() == node

    async def make_replica_anew(self) -> None:
        """Drop the replica and copy it again from the primary's files, which hold nothing of an engine's own deletes."""
        await self._replicas(0)
        await self.engine.call("flush", "POST", f"/{self.index}/_flush", params={"force": "true"})
        while len(await self._stores()) > 1:
            await asyncio.sleep(0.05)
        await self._replicas(1)
        await self.health("green", 2)

    async def _replicas(self, count: int) -> None:
        body = {"index": {"number_of_replicas": count}}
        await self.engine.call("settings", "PUT", f"/{self.index}/_settings", body=body)

    async def _stores(self) -> list[object]:
        """Return what nodes have on disk of the shard."""
        path = f"/{self.index}/_shard_stores"
        answer = await self.engine.call("stores", "GET", path, params={"status": "green,yellow,red"})
        return list(answer["indices"][self.index]["shards"]["0"]["stores"])


@pytest.fixture
def nodes() -> Iterator[dict[str, Node]]:
    """Give two nodes of one cluster."""
    with cluster() as started:
        yield started


@pytest.fixture
async def direct(nodes: dict[str, Node]) -> AsyncIterator[Direct]:
    """Give the core on the node that stays, with one replica of everything."""
    settings = Settings(
        opensearch_urls=[nodes["a"].url], replicas=1, pool_shards=1, engine_timeout_seconds=30,
        secret_key=SecretStr(secrets.token_urlsafe(32)),
    )  # fmt: skip
    engine = Engine(settings)
    try:
        await engine.call("health", "GET", "/_cluster/health", params={"wait_for_nodes": "2"})
        await prepare(engine, settings)
        yield Direct(engine, Directory(engine, settings.identity_hold_seconds))
    finally:
        await engine.close()


async def delete_without_tombstone(engine: Engine, history: History, document_id: str) -> Change:
    """Write a document and delete it as the engine does, at a higher revision; return the write."""
    first = history.change(document_id, "first")
    await apply(history.scope, [first], nothing_older)
    owner = history.scope.owner
    path = f"/{pool_alias(engine.prefix)}/_doc/{owner.engine_id(document_id)}"
    params = {"routing": owner.tenant_uid, "version": history.clock.next(), "version_type": "external_gte"}
    await engine.call("delete", "DELETE", path, params=params)
    assert await history.scope.get(document_id) is None
    return first


async def send_late(scope: TenantScope, late: list[Change]) -> list[int]:
    """Send bodies again, and return the engine's answers."""
    puts = [PackedPut(change.document_id, change.revision, change.data) for change in late if not change.deletion]
    return [item.status for item in await scope.bulk(puts, searchable=False)]


async def check(history: History) -> None:
    """See that just what was acknowledged stands, by id and in searches."""
    ids = sorted(history.stands)
    there: dict[str, Standing] = {}
    for document_id, found in zip(ids, await history.scope.mget(ids), strict=True):
        if found is not None:
            there[document_id] = (found.revision, found.source.get("title_en"))
            assert found.gone == ("title_en" not in found.source)
    assert there == history.stands
    await history.scope.refresh()
    page = await history.scope.search({"size": 10_000, "_source": ["id"]}, 30)
    listed = sorted(hit.source["id"] for hit in page.hits if not hit.source["id"].startswith("plain-"))
    assert listed == [document_id for document_id in ids if history.stands[document_id][1] is not None]


async def refuse_late(history: History) -> None:
    """See that nothing of what was overtaken is taken, whichever way it comes."""
    late = history.late()
    assert any(history.stands[change.document_id][1] is None for change in late), "no deletion was put to the test"
    assert set(await send_late(history.scope, late)) == {409}
    for change in late:
        (applied,) = await apply(history.scope, [change], nothing_older)
        assert applied.outcome == Outcome.OUTCOME_SUPERSEDED


async def test_a_promoted_replica_has_what_was_acknowledged_and_nothing_comes_back(
    nodes: dict[str, Node], direct: Direct
) -> None:
    engine, history = direct.engine, History(TenantScope.for_work(direct.engine, TENANT, COLLECTION))
    copies = Copies(engine, f"{pool_alias(engine.prefix)}-v1")
    await copies.make_primary_on("b", other="a")

    # What the replica gets when it is made, and what it gets write by write.
    await history.all_plans("recovered")
    recovered = await delete_without_tombstone(engine, history, "plain-recovered")
    await copies.make_replica_anew()
    assert await copies.primary() == "b"
    await history.all_plans("replicated")
    replicated = await delete_without_tombstone(engine, history, "plain-replicated")

    ended = False

    async def write_on(writer: int) -> None:
        number = 0
        while not ended:
            await history.all_plans(f"writer-{writer}-{number}")
            number += 1

    async with asyncio.TaskGroup() as group:
        for writer in range(AT_ONCE):
            group.create_task(write_on(writer))
        await history.acknowledged(BEFORE)
        nodes["b"].kill()
        await copies.health("yellow", 1)
        assert await copies.primary() == "a"
        await history.acknowledged(AFTER)
        ended = True

    await check(history)
    await refuse_late(history)
    # Why deletions are tombstones: the promoted copy knows nothing of a delete that was no document.
    assert await send_late(history.scope, [recovered]) == [201]
    await direct.reopen()
    await check(history)
    await refuse_late(history)
    await check(history)
    # And a copy forgets those that it knew of when it is closed.
    assert await send_late(history.scope, [replicated]) == [201]
