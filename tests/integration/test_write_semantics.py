# SPDX-License-Identifier: Apache-2.0
"""What a write means: masks, upserts, tombstones, revisions, etags and what is visible when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pinakes.client import AlreadyExists, AsyncClient, Conflict, NotFound, deletion, document
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document, tombstone
from pinakes.core.engine.scope import TenantScope
from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2
from tests.integration._engine import Direct, direct
from tests.integration._servers import Tenant, bearer, new_tenant, open_channel, stubs

__all__ = ["direct"]

Outcome = index_pb2.WriteResult
HOUR = 3600 * 1_000_000 << 12
"""In revisions."""


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Give a tenant of the test's own."""
    return await new_tenant(platform)


@pytest.fixture
async def client(platform: Platform, tenant: Tenant) -> AsyncIterator[AsyncClient]:
    """Give its administrator's client."""
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as opened:
        yield opened


def body_of(scope: TenantScope, document_id: str, title: str, revision: int) -> Put:
    """Return a write at a revision of the test's choice, as a late or replayed one would be."""
    made = resources_pb2.Document(title=title)
    return Put(document_id, compile_document(made, scope.owner, Direct.schema(), document_id, revision, 1))


async def test_a_created_document_is_read_back_as_it_was_written(client: AsyncClient, tenant: Tenant) -> None:
    written = document(
        "a", title="Title", body="Body", tags=["one", "two"], language="de", readers=["ann"],
        attributes={"year": 1999, "deep": {"list": [1, "x", True, None]}}, source_uri="https://example.org/a",
        expire_time="2099-01-01T00:00:00Z",
    )  # fmt: skip
    made = await client.create_document(written)
    read = await client.get_document("a")
    assert read == made
    assert read.name == tenant.document("a")
    assert read.etag
    for field in ("title", "body", "tags", "language", "readers", "attributes", "source_uri", "expire_time"):
        assert getattr(read, field) == getattr(written, field), field


async def test_an_existing_document_is_not_created_again(client: AsyncClient) -> None:
    await client.create_document(document("a", title="first"))
    with pytest.raises(AlreadyExists):
        await client.create_document(document("a", title="second"))
    assert (await client.get_document("a")).title == "first"


async def test_of_many_creators_exactly_one_wins(client: AsyncClient) -> None:
    outcomes = await asyncio.gather(
        *(client.create_document(document("a", title=str(n))) for n in range(20)), return_exceptions=True
    )
    won = [made for made in outcomes if isinstance(made, resources_pb2.Document)]
    assert len(won) == 1
    assert all(isinstance(lost, AlreadyExists) for lost in outcomes if lost is not won[0])
    assert (await client.get_document("a")).title == won[0].title


async def test_an_update_changes_the_fields_of_its_mask_and_no_others(client: AsyncClient) -> None:
    made = await client.create_document(document("a", title="old", body="kept", tags=["kept"], attributes={"n": 1}))
    changed = await client.update_document(document("a", title="new", body="dropped"), ["title"])
    assert (changed.title, changed.body, list(changed.tags)) == ("new", "kept", ["kept"])
    assert changed.create_time == made.create_time
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert changed.etag != made.etag
    cleared = await client.update_document(document("a"), ["tags", "attributes"])
    assert not cleared.tags
    assert not cleared.attributes.fields
    assert cleared.body == "kept"
    assert await client.get_document("a") == cleared


async def test_an_update_of_an_absent_document_needs_allow_missing(client: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await client.update_document(document("a", title="x"), ["title"])
    assert (await client.update_document(document("a", title="x"), ["title"], allow_missing=True)).title == "x"
    with pytest.raises(NotFound):
        await client.update_document(document("b", title="x", etag="some"), ["title"], allow_missing=True)


async def test_a_put_replaces_the_whole_and_keeps_the_time_of_creation(client: AsyncClient) -> None:
    first = await client.put_document(document("a", title="first", body="body"))
    second = await client.put_document(document("a", title="second"))
    assert (second.title, second.body) == ("second", "")
    assert second.create_time == first.create_time
    answer = await client.batch_write([document("a", title="third")])
    assert answer.results[0].outcome == Outcome.OUTCOME_UPDATED
    third = await client.get_document("a")
    assert third.create_time == first.create_time
    assert third.etag == answer.results[0].etag


async def test_a_deleted_document_is_gone_and_can_be_created_anew(client: AsyncClient) -> None:
    first = await client.create_document(document("a", title="first"), mode="searchable")
    await client.delete_document("a", mode="searchable")
    with pytest.raises(NotFound):
        await client.get_document("a")
    with pytest.raises(NotFound):
        await client.delete_document("a")
    await client.delete_document("a", allow_missing=True)
    assert (await client.search("first")).total_size == 0
    assert [found.name async for found in client.list_documents()] == []
    again = await client.create_document(document("a", title="again"), mode="searchable")
    assert again.create_time.ToNanoseconds() > first.create_time.ToNanoseconds()
    assert (await client.search("again")).total_size == 1


async def test_a_late_older_write_does_not_bring_a_deleted_document_back(
    client: AsyncClient, tenant: Tenant, direct: Direct
) -> None:
    await client.create_document(document("a", title="first"))
    scope = await direct.scope(tenant)
    written = await scope.get("a")
    assert written is not None
    await client.delete_document("a")
    grave = await scope.get("a")
    assert grave is not None
    assert grave.gone
    assert "title_en" not in grave.source
    for late in (written.revision, grave.revision - 1):
        (answer,) = await scope.bulk([body_of(scope, "a", "undead", late)], searchable=False)
        assert answer.status == 409
    # The engine forgets its own deletes when an index is closed; tombstones stay.
    await direct.reopen()
    (answer,) = await scope.bulk([body_of(scope, "a", "undead", written.revision)], searchable=True)
    assert answer.status == 409
    with pytest.raises(NotFound):
        await client.get_document("a")
    assert (await client.search("undead")).total_size == 0


async def test_a_conditional_write_leaves_no_room_for_an_older_one(
    client: AsyncClient, tenant: Tenant, direct: Direct
) -> None:
    made = await client.create_document(document("a", title="first"))
    scope = await direct.scope(tenant)
    before = await scope.get("a")
    await client.update_document(document("a", title="second", etag=made.etag), ["title"])
    after = await scope.get("a")
    assert before is not None
    assert after is not None
    assert after.revision > before.revision
    (answer,) = await scope.bulk([body_of(scope, "a", "between", after.revision - 1)], searchable=False)
    assert answer.status == 409
    assert (await client.get_document("a")).title == "second"


async def test_a_write_that_a_later_one_has_overtaken_is_superseded(
    client: AsyncClient, tenant: Tenant, direct: Direct
) -> None:
    scope = await direct.scope(tenant)
    await client.create_document(document("a", title="first"))
    found = await scope.get("a")
    assert found is not None
    (answer,) = await scope.bulk([body_of(scope, "a", "later", found.revision + HOUR)], searchable=False)
    assert answer.status == 200
    answers = await client.batch_write([document("a", title="overtaken"), document("b", title="not overtaken")])
    assert [result.outcome for result in answers.results] == [Outcome.OUTCOME_SUPERSEDED, Outcome.OUTCOME_CREATED]
    assert (await client.get_document("a")).title == "later"
    (answer,) = await scope.bulk([Put("a", tombstone(scope.owner, "a", found.revision + 2 * HOUR))], searchable=False)
    assert answer.status == 200
    with pytest.raises(NotFound):
        await client.get_document("a")


async def test_a_replayed_write_changes_nothing(client: AsyncClient, tenant: Tenant, direct: Direct) -> None:
    scope = await direct.scope(tenant)
    await client.create_document(document("a", title="first"))
    found = await scope.get("a")
    assert found is not None
    (answer,) = await scope.bulk([Put("a", found.source)], searchable=False)
    assert answer.status == 200
    again = await scope.get("a")
    assert again is not None
    assert again.source == found.source


async def test_of_many_updates_with_one_etag_exactly_one_wins(client: AsyncClient) -> None:
    made = await client.create_document(document("a", title="start"))
    outcomes = await asyncio.gather(
        *(client.update_document(document("a", title=str(n), etag=made.etag), ["title"]) for n in range(20)),
        return_exceptions=True,
    )
    won = [done for done in outcomes if isinstance(done, resources_pb2.Document)]
    assert len(won) == 1
    lost = [error for error in outcomes if isinstance(error, Conflict)]
    assert len(lost) == 19
    assert {error.reason for error in lost} == {"ETAG_MISMATCH"}
    assert await client.get_document("a") == won[0]


async def test_updates_of_different_fields_at_once_are_all_kept(client: AsyncClient) -> None:
    await client.create_document(document("a", title="start"))
    await asyncio.gather(
        client.update_document(document("a", title="new"), ["title"]),
        client.update_document(document("a", body="new"), ["body"]),
        client.update_document(document("a", tags=["new"]), ["tags"]),
    )
    read = await client.get_document("a")
    assert (read.title, read.body, list(read.tags)) == ("new", "new", ["new"])


async def test_a_stale_etag_stops_every_kind_of_write(client: AsyncClient) -> None:
    old = await client.create_document(document("a", title="one"))
    new = await client.update_document(document("a", title="two"), ["title"])
    with pytest.raises(Conflict):
        await client.update_document(document("a", title="x", etag=old.etag), ["title"])
    with pytest.raises(Conflict):
        await client.delete_document("a", etag=old.etag)
    stale = await client.batch_write([document("a", title="x", etag=old.etag)])
    assert stale.results[0].outcome == Outcome.OUTCOME_CONFLICT
    assert not stale.results[0].etag
    assert await client.get_document("a") == new
    fresh = await client.batch_write([document("a", title="three", etag=new.etag)])
    assert fresh.results[0].outcome == Outcome.OUTCOME_UPDATED
    gone = await client.batch_write([deletion("a", etag=fresh.results[0].etag), deletion("b")])
    assert [r.outcome for r in gone.results] == [Outcome.OUTCOME_DELETED, Outcome.OUTCOME_NOT_FOUND]


async def test_applied_is_read_at_once_and_searchable_is_found_at_once(client: AsyncClient) -> None:
    for n in range(3):
        await client.put_document(document(f"applied-{n}", title="here"))
        assert (await client.get_document(f"applied-{n}")).title == "here"
    for n in range(2):
        await client.put_document(document(f"searchable-{n}", title=f"visible{n}"), mode="searchable")
        assert (await client.search(f"visible{n}")).total_size == 1
    await client.batch_write([document(f"batch-{n}", title="together") for n in range(50)], mode="searchable")
    assert (await client.search("together")).total_size == 50


async def test_bad_items_of_a_batch_are_refused_one_by_one_and_the_others_written(
    platform: Platform, client: AsyncClient, tenant: Tenant
) -> None:
    titles = {
        tenant.document("good"): ["fine"],
        tenant.document("twice"): ["1", "2"],
        tenant.document("long"): ["x" * 1001],
        tenant.document("bad id"): ["x"],
        tenant.document("elsewhere").replace("default", "more"): ["x"],
        "tenants/other/collections/default/documents/foreign": ["x"],
    }
    writes = [
        index_pb2.DocumentWrite(put=resources_pb2.Document(name=name, title=title))
        for name, given in titles.items()
        for title in given
    ]
    async with open_channel(platform.endpoint) as channel:
        answers = await stubs(channel).index.BatchWriteDocuments(
            index_pb2.BatchWriteDocumentsRequest(parent=tenant.collection, writes=writes),
            metadata=bearer(tenant.key), timeout=20,
        )  # fmt: skip
    rejected = Outcome.OUTCOME_REJECTED
    assert [r.outcome for r in answers.results] == [Outcome.OUTCOME_CREATED, *[rejected] * 6]
    for result in answers.results[1:]:
        assert result.status.code == 3
        assert result.status.details
    assert (await client.get_document("good")).title == "fine"
    for absent in ("twice", "long"):
        with pytest.raises(NotFound):
            await client.get_document(absent)
