# SPDX-License-Identifier: Apache-2.0
"""The platform's side: judged collections written and searched through the public API, as any client does it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from pinakes.client import AsyncClient
from pinakes.demo.corpus import LONGEST_BODY, LONGEST_TITLE, document_id, shorten
from pinakes.local import Platform
from pinakes.v1.resources_pb2 import Document
from pinakes.v1.search_pb2 import SearchResponse
from tests.relevance.judged import Item, Judged, Query, Run

DEPTH, PAGE = 100, 50
IN_FLIGHT = 4
TRIES, BETWEEN_SECONDS = 10, 0.5
LONGEST_QUERY, MOST_WORDS = 500, 32
SECONDS = 60.0
Answer = TypeVar("Answer")


class NotWrittenError(Exception):
    """A document that the platform refused."""


class DegradedError(Exception):
    """A query whose answers all said that they are degraded."""


@asynccontextmanager
async def tenant_of(platform: Platform) -> AsyncIterator[AsyncClient]:
    """Give the client of a tenant made for one run; the tenant is deleted afterwards."""
    name = f"relevance-{secrets.token_hex(4)}"
    async with AsyncClient(platform.endpoint, key=platform.admin_key, timeout=SECONDS) as admin:
        await admin.create_tenant(name, rate_limit=1_000_000)
        try:
            made = await admin.create_key("service", tenant=name, display_name="relevance")
            async with AsyncClient(platform.endpoint, key=made.secret, timeout=SECONDS) as client:
                yield client
        finally:
            await admin.delete_tenant(name)


async def load(client: AsyncClient, judged: Judged) -> int:
    """Create a collection with its synonyms and write its documents, until searches see them; return how many."""
    collection = await client.create_collection(judged.name, languages=judged.languages)
    if judged.synonyms:
        for group in judged.synonyms:
            collection.search.synonyms.add(words=group["words"], means=group.get("means", ()))
        await client.update_collection(collection, ["search"])
    count = 0
    async for written in client.write_many(_messages(judged), collection=judged.name, mode="searchable"):
        if not written.ok:
            message = f"{judged.name}: {written.id} wasn't written: {written.error or written.outcome}"
            raise NotWrittenError(message)
        count += 1
    return count


async def search(client: AsyncClient, judged: Judged, *, depth: int = DEPTH) -> Run:
    """Ask every query; return what it finds, in the order of the results.

    An answer that says that it is degraded isn't what is to be measured: a busy machine isn't. It is asked for again.
    """
    ids = {document_id(name): name for query in judged.queries for name in query.relevant}

    async def ask(query: Query) -> list[str]:
        names: list[str] = []
        token = ""
        while len(names) < depth:
            page = await _whole_page(client, judged, query, token)
            names += [result.document.name.rpartition("/")[2] for result in page.results]
            token = page.next_page_token
            if not token:
                break
        return [ids.get(name, name) for name in names[:depth]]

    found = await _each(ask, judged.queries)
    return {query.id: names for query, names in zip(judged.queries, found, strict=True)}


async def _whole_page(client: AsyncClient, judged: Judged, query: Query, token: str) -> SearchResponse:
    for _ in range(TRIES):
        page = await client.search(
            typed(query.text), collection=judged.name, page_size=PAGE, page_token=token, read_mask=("name",)
        )
        if not page.degraded:
            return page
        await asyncio.sleep(BETWEEN_SECONDS)
    message = f"{judged.name}: all {TRIES} answers to {query.id} were degraded"
    raise DegradedError(message)


async def _each(ask: Callable[[Query], Awaitable[Answer]], queries: Sequence[Query]) -> list[Answer]:
    """Ask some queries at a time; return the answers in the order of the queries."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(query: Query) -> Answer:
        async with gate:
            return await ask(query)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one(query)) for query in queries]
    return [task.result() for task in asked]


def typed(text: str) -> str:
    """Return a query within the limits of the contract: the first 500 characters and 32 words, on one line."""
    words = text.split()[:MOST_WORDS]
    while len(" ".join(words)) > LONGEST_QUERY and len(words) > 1:
        words.pop()
    return " ".join(words)[:LONGEST_QUERY]


def _messages(judged: Judged) -> Iterator[Document]:
    """Make the documents that are written; their ids are their names where these can be ids."""
    for item in judged.documents():
        yield _message(item)


def _message(item: Item) -> Document:
    return Document(
        name=document_id(item.id),
        title=shorten(item.title, LONGEST_TITLE),
        body=shorten(item.body, LONGEST_BODY),
        tags=item.tags,
        language=item.language,
    )
