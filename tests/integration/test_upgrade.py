# SPDX-License-Identifier: Apache-2.0
"""Indices that an earlier version made are brought up at the start, once, and lose nothing by it.

`format_1.json` holds settings and mapping of a pool as the first version made them.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pinakes.core.engine import mapping
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.client import Engine
from pinakes.core.engine.documents import compile_document, read_document, tombstone
from pinakes.core.engine.records import RecordStore
from pinakes.core.engine.scope import TenantScope
from pinakes.core.engine.setup import RECORDS, pool_alias, prepare, record_index
from pinakes.core.engine.upgrade import rewrite_documents
from pinakes.core.query.schema import Schema
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord, now_ms
from pinakes.local import Platform
from pinakes.v1 import resources_pb2
from tests.integration._engine import ADMIN

OLD = json.loads(Path(__file__).with_name("format_1.json").read_text(encoding="utf-8"))
SECONDS = 10.0
TEXTS = frozenset({"title", "body", "language"})


class CountingEngine(Engine):
    """The engine, with a count of the calls by operation."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.calls: Counter[str] = Counter()

    async def call(self, operation: str, *rest: Any, **more: Any) -> dict[str, Any]:
        self.calls[operation] += 1
        return await super().call(operation, *rest, **more)


class Deployment:
    """A deployment as the first version made it, with indices of its own in the engine."""

    def __init__(self, platform: Platform) -> None:
        self.settings = Settings(
            opensearch_urls=[platform.opensearch_url],
            secret_key=SecretStr(platform.state.secret_key),
            index_prefix=f"old-{uuid.uuid4().hex[:8]}",
        )
        self.engine = CountingEngine(self.settings)
        self.tenant = TenantRecord(tenant_id="t", uid=uuid.uuid4().hex)
        self.collection = CollectionRecord(tenant_uid=self.tenant.uid, collection_id="c", uid=uuid.uuid4().hex)
        self.scope = TenantScope(self.engine, ADMIN, self.tenant, self.collection)
        self.index = f"{pool_alias(self.engine.prefix)}-v1"
        self.revision = 1 << 40

    async def make(self) -> None:
        """Make the pool and the system indices."""
        alias = {pool_alias(self.engine.prefix): {"is_write_index": True}}
        await self.engine.call("make", "PUT", f"/{self.index}", body={**OLD, "aliases": alias})
        records = {"settings": {"number_of_replicas": 0}, "mappings": mapping.record_mapping()}

        async def make_records(kind: str) -> None:
            alias = {record_index(self.engine.prefix, kind): {"is_write_index": True}}
            name = f"{record_index(self.engine.prefix, kind)}-v1"
            await self.engine.call("make", "PUT", f"/{name}", body={**records, "aliases": alias})

        await asyncio.gather(*map(make_records, RECORDS))

    async def write_old(self, name: str, language: str, field: str, title: str) -> None:
        """Write a document as the first version did."""
        self.revision += 4096
        body = {
            "create_time": 1, "v": 1, "tenant": self.tenant.uid, "collection": self.collection.uid, "id": name,
            "revision": self.revision, "deleted": False, "language": language, f"title_{field}": title,
            f"body_{field}": "", "hash": "h", "update_time": 1,
        }  # fmt: skip
        (item,) = await self.scope.bulk([Put(name, body)], searchable=True)
        assert item.status == 201

    async def write(self, name: str, language: str, title: str) -> None:
        """Write a document as the present version does."""
        self.revision += 4096
        document = resources_pb2.Document(title=title, language=language)
        body = compile_document(document, self.scope.owner, Schema(), name, self.revision, 1)
        (item,) = await self.scope.bulk([Put(name, body)], searchable=True)
        assert item.status in {200, 201}

    async def find(self, word: str, *fields: str) -> list[str]:
        """Return the ids of the documents that have a word in one of these fields."""
        matches = [{"match": {field: {"query": word, "operator": "and"}}} for field in fields]
        body = {"query": {"bool": {"should": matches, "minimum_should_match": 1}}, "size": 50, "_source": ["id"]}
        page = await self.scope.search(body, SECONDS)
        return sorted(hit.source["id"] for hit in page.hits)

    async def read(self, name: str) -> tuple[str, str]:
        """Return language and title of a document."""
        found = await self.scope.get(name)
        assert found is not None
        document = read_document(found.source, self.scope.owner, TEXTS, "")
        return document.language, document.title

    async def meta(self) -> dict[str, Any]:
        """Return what the pool says of itself."""
        answer = await self.engine.call("look", "GET", f"/{self.index}/_mapping")
        found: dict[str, Any] = answer[self.index]["mappings"].get("_meta", {})
        return found


@pytest.fixture
async def old(engine: Platform) -> AsyncIterator[Deployment]:
    """Give a deployment of the first version with documents."""
    made = Deployment(engine)
    await made.make()
    await made.write_old("en", "en", "en", "The cities of asyncio.gather")
    await made.write_old("fr", "fr", "fr", "l'amour des villes")
    await made.write_old("fi", "fi", "und", "talossa")
    yield made
    prefix = made.engine.prefix
    names = await made.engine.call("look", "GET", f"/{prefix}-*/_settings", params={"expand_wildcards": "all"})
    await made.engine.call("clean", "DELETE", f"/{','.join(names)}")
    await made.engine.close()


async def test_many_processes_upgrade_a_pool_once(old: Deployment) -> None:
    engines = [CountingEngine(old.settings) for _ in range(4)]
    await asyncio.gather(*(prepare(engine, old.settings) for engine in engines))
    for engine in engines:
        await engine.close()
    assert sum(engine.calls["close"] for engine in engines) == 1
    assert await old.meta() == {"format": mapping.FORMAT, "documents": 1}
    await prepare(old.engine, old.settings)
    assert old.engine.calls["close"] == 0
    assert await RecordStore(old.engine, "leases").get("upgrade") is None


async def test_old_and_new_documents_are_found_and_read(old: Deployment) -> None:
    await prepare(old.engine, old.settings)
    await old.write("new-en", "en", "asyncio.gather in the city")
    await old.write("new-fi", "fi", "talot")
    assert await old.find("city", "title_en", "title_und") == ["en", "new-en"]
    assert await old.find("asyncio.gather", "title_en", "title_und") == ["en", "new-en"]
    assert await old.find("gather", "title_en", "title_und") == ["new-en"], "not before it is written again"
    assert await old.find("talossa", "title_fi", "title_und") == ["fi", "new-fi"]
    assert await old.read("fi") == ("fi", "talossa")
    assert await old.read("new-fi") == ("fi", "talot")


async def test_documents_are_written_again_at_their_revisions(old: Deployment) -> None:
    old.revision += 4096
    await old.scope.bulk([Put("gone", tombstone(old.scope.owner, "gone", old.revision))], searchable=True)
    before = {name: await old.scope.get(name) for name in ("en", "fr", "fi", "gone")}
    assert await rewrite_documents(old.engine) == 0, "the index isn't of the present format yet"
    await prepare(old.engine, old.settings)
    await old.write("en", "en", "Meanwhile")
    assert await rewrite_documents(old.engine, most=1) == 2, "a page at least"
    assert await rewrite_documents(old.engine) == 0
    assert await old.meta() == {"format": mapping.FORMAT}
    await old.scope.refresh()
    assert await old.find("talo", "title_fi") == ["fi"]
    assert await old.find("talo", "title_und") == []
    assert await old.find("amour", "title_fr") == ["fr"]
    assert await old.find("Meanwhile", "title_en") == ["en"]
    # Those written again have their place in the order of titles.
    page = await old.scope.search({"sort": [{"title_key": "asc"}], "_source": ["id"]}, SECONDS)
    assert [hit.source["id"] for hit in page.hits] == ["fr", "en", "fi"]
    assert await old.read("fi") == ("fi", "talossa")
    for name in ("fr", "fi", "gone"):
        after, seen = await old.scope.get(name), before[name]
        assert after is not None
        assert seen is not None
        assert (after.revision, after.source.get("hash")) == (seen.revision, seen.source.get("hash"))
    gone = await old.scope.get("gone")
    assert gone is not None
    assert gone.source["v"] == before["gone"].source["v"]


async def test_a_newer_write_is_never_replaced_by_an_older_one(old: Deployment) -> None:
    """As when a document is written between the page that found it and the line that writes it again."""
    await prepare(old.engine, old.settings)
    await old.engine.call("hide", "PUT", f"/{old.index}/_settings", body={"index": {"refresh_interval": "-1"}})
    old.revision += 4096
    document = resources_pb2.Document(title="newer", language="fi")
    body = compile_document(document, old.scope.owner, Schema(), "fi", old.revision, 1)
    writing = asyncio.create_task(rewrite_documents(old.engine))
    await old.scope.bulk([Put("fi", body)], searchable=False)
    await writing
    assert await old.read("fi") == ("fi", "newer")


async def test_another_takes_over_from_a_process_that_died_with_the_index_closed(old: Deployment) -> None:
    leases = RecordStore(old.engine, "leases")
    await leases.create("upgrade", "", "active", {"holder": "dead", "expires_ms": now_ms() + 1500})
    await old.engine.call("died", "POST", f"/{old.index}/_close")
    waiting = asyncio.create_task(prepare(old.engine, old.settings))
    await asyncio.sleep(0.7)
    assert not waiting.done(), "the lease still holds"
    await asyncio.wait_for(waiting, 30)
    assert (await old.meta())["format"] == mapping.FORMAT
    assert await old.find("cities", "title_en") == ["en"]


async def test_what_a_later_version_made_is_left_alone(old: Deployment) -> None:
    later = mapping.FORMAT + 1
    await prepare(old.engine, old.settings)
    await old.engine.call("later", "PUT", f"/{old.index}/_mapping", body={"_meta": {"format": later}})
    name = f"{old.engine.prefix}-pool"
    template = {"index_patterns": [f"{name}-*"], "priority": 100, "template": {}, "version": later}
    await old.engine.call("later", "PUT", f"/_index_template/{name}", body=template)
    old.engine.calls.clear()
    await prepare(old.engine, old.settings)
    assert old.engine.calls["close"] == 0
    assert await old.meta() == {"format": later}
    found = await old.engine.call("look", "GET", f"/_index_template/{name}")
    assert found["index_templates"][0]["index_template"]["version"] == later


async def test_a_new_deployment_is_of_the_present_format(old: Deployment) -> None:
    settings = old.settings.model_copy(update={"index_prefix": f"{old.engine.prefix}-new"})
    engine = CountingEngine(settings)
    await prepare(engine, settings)
    answer = await engine.call("look", "GET", f"/{pool_alias(engine.prefix)}/_mapping")
    assert [found["mappings"]["_meta"] for found in answer.values()] == [{"format": mapping.FORMAT}]
    assert engine.calls["close"] == engine.calls["leases_get"] == 0
    await engine.close()
