# SPDX-License-Identifier: Apache-2.0
"""Searches on the real engine without a server: documents written to a collection of a test's own, and queries run."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import json_format
from pydantic import SecretStr

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.revisions import EPOCH_US, SLOT_BITS, SLOTS
from pinakes.core.engine.scope import TenantScope
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.platform import Platform as Core
from pinakes.core.query.options import encoded
from pinakes.core.settings import Settings
from pinakes.core.tenancy.models import CollectionRecord, SlotRecord, TenantRecord
from pinakes.local import Platform
from pinakes.search.parts import Parts
from pinakes.search.queries import explain, search
from pinakes.v1 import ranking_pb2, resources_pb2, search_pb2
from tests.integration._engine import ADMIN, write

ATTRIBUTES = (
    SlotRecord(name="kind", type="string", slot="kw_00", sortable=True),
    SlotRecord(name="open", type="bool", slot="kw_01"),
    SlotRecord(name="price", type="number", slot="num_00", sortable=True),
    SlotRecord(name="made", type="time", slot="time_00", sortable=True),
    SlotRecord(name="abstract", type="text", slot="text_00"),
    SlotRecord(name="place", type="geo", slot="geo_00"),
)


_numbers = itertools.count()


def revision_now() -> int:
    """Return a revision of this moment."""
    return (time.time_ns() // 1000 - EPOCH_US) << SLOT_BITS


@dataclass(slots=True)
class Searched:
    """A collection that documents are written to and searched in."""

    scope: TenantScope
    collection: CollectionRecord
    parts: Parts

    async def write(self, *documents: dict[str, Any], searchable: bool = True) -> None:
        """Write documents, given as in JSON with an `id`; `ms` is the time of creation and update."""
        puts = []
        for one in documents:
            given = dict(one)
            document_id, ms = given.pop("id"), given.pop("ms", None)
            message = json_format.ParseDict(given, resources_pb2.Document())
            # No two revisions are the same, as in a server, however many documents are of one moment.
            revision = revision_now() if ms is None else (ms * 1000 - EPOCH_US) << SLOT_BITS | next(_numbers) % SLOTS
            body = compile_document(
                message,
                self.scope.owner,
                self.collection.schema(),
                document_id,
                revision,
                ms or time.time_ns() // 1_000_000,
            )
            puts.append(Put(document_id, body))
        if searchable:
            items = await write(self.parts.platform.engine, self.scope, puts)
        else:
            items = await self.scope.bulk(puts, searchable=False)
        assert all(item.status < 300 for item in items), items

    def as_reader(self, *readers: str) -> Searched:
        """Return the collection as a key with these readers sees it."""
        owner = self.scope.owner
        tenant = TenantRecord(tenant_id=owner.tenant_id, uid=owner.tenant_uid)
        principal = Principal("test", Role.TENANT_USER, (owner.tenant_id,), readers)
        scope = TenantScope(self.parts.platform.engine, principal, tenant, self.collection)
        return Searched(scope, self.collection, self.parts)

    async def search(self, query: str = "", **fields: Any) -> search_pb2.SearchResponse:
        """Search; `fields` are as in JSON."""
        return await search.run(self.request(query, **fields), self.scope, self.collection, self.parts)

    async def explain(self, document_id: str, query: str = "", **fields: Any) -> search_pb2.ExplainDocumentResponse:
        """Explain a document."""
        request = search_pb2.ExplainDocumentRequest(
            name=self.scope.owner.name(document_id), search=self.request(query, **fields)
        )
        return await explain.run(request, self.scope, self.collection, self.parts)

    def request(self, query: str = "", **fields: Any) -> search_pb2.SearchRequest:
        """Return a request in this collection; `fields` are as in JSON."""
        owner = self.scope.owner
        parent = f"tenants/{owner.tenant_id}/collections/{owner.collection_id}"
        return json_format.ParseDict({"parent": parent, "query": query} | fields, search_pb2.SearchRequest())

    async def pages(self, size: int, query: str = "", **fields: Any) -> list[list[search_pb2.SearchResult]]:
        """Return the results of all pages."""
        pages: list[list[search_pb2.SearchResult]] = []
        token = ""
        while not pages or token:
            answer = await self.search(query, pageSize=size, pageToken=token, **fields)
            pages.append(list(answer.results))
            token = answer.next_page_token
        return pages


@dataclass(slots=True)
class Place:
    """Where collections are opened."""

    core: Core
    parts: Parts

    async def collection(
        self, *, languages: Sequence[str] = ("en",), settings: ranking_pb2.SearchSettings | None = None
    ) -> Searched:
        """Open a new collection of a new tenant, with all kinds of attributes. The tenant has a record, the collection none."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        tenant = TenantRecord(tenant_id=name, uid=uuid.uuid4().hex)
        await self.core.directory.tenants.store.create(name, "", tenant.state, tenant.to_json())
        collection = CollectionRecord(
            tenant_uid=tenant.uid, collection_id="default", uid=uuid.uuid4().hex, languages=tuple(languages),
            attributes=ATTRIBUTES, search=encoded(settings) if settings is not None else "",
        )  # fmt: skip
        return Searched(TenantScope(self.core.engine, ADMIN, tenant, collection), collection, self.parts)


@pytest.fixture
async def place(engine: Platform) -> AsyncIterator[Place]:
    """Give the core of a server on the session's engine."""
    settings = Settings(opensearch_urls=[engine.opensearch_url], secret_key=SecretStr(engine.state.secret_key))
    core = await Core.open(settings)
    await asyncio.wait_for(core.prepared.wait(), 60)
    yield Place(core, Parts.of(core))
    await core.close()


def ids(results: Sequence[search_pb2.SearchResult]) -> list[str]:
    """Return the ids of results."""
    return [result.document.name.rpartition("/")[2] for result in results]
