# SPDX-License-Identifier: Apache-2.0
"""Purge and reindex on the real engine: what goes, what stays, and what happens when they are interrupted."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.longrunning import operations_pb2
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from redis.asyncio import Redis

from pinakes.core.engine.bodies import Found, Put
from pinakes.core.engine.documents import compile_document, deleted_document
from pinakes.core.engine.scope import TenantScope
from pinakes.core.faults import Fault
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.operations import pages
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import CANCELLED, FAILED, RUNNING, SUCCEEDED, OperationRecord
from pinakes.core.query.schema import AttributeType
from pinakes.core.queue import keys
from pinakes.core.queue.producer import Producer
from pinakes.core.tenancy import collections
from pinakes.index.commands import purge, reindex
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.worker.jobs import reindex as reindex_job
from tests.integration._operations import LEASE_SECONDS, Bench, Home, bench, document, last
from tests.integration._redis import RedisServer, redis_server

__all__ = ["bench", "redis_server"]
Attributes = list[tuple[str, AttributeType, bool]]


def purge_request(home: Home, **fields: Any) -> verbs_pb2.PurgeDocumentsRequest:
    return verbs_pb2.PurgeDocumentsRequest(parent=f"tenants/{home.tenant.tenant_id}/collections/default", **fields)


async def start_purge(home: Home, **fields: Any) -> operations_pb2.Operation:
    return await purge.purge(purge_request(home, **fields), home.call, home.scope, home.collection, home.platform)


async def start_reindex(home: Home, **fields: Any) -> operations_pb2.Operation:
    request = verbs_pb2.ReindexCollectionRequest(name=f"tenants/{home.tenant.tenant_id}/collections/default", **fields)
    return await reindex.reindex(request, home.call, home.collection, home.platform)


def response_of(operation: operations_pb2.Operation, kind: type[Message]) -> Any:
    message = kind()
    assert operation.response.Unpack(message), operation
    return message


def purged(done: OperationRecord) -> int:
    return int(response_of(operation_message(done), verbs_pb2.PurgeDocumentsResponse).purge_count)


async def ids(home: Home, condition: dict[str, Any] | None = None) -> list[str]:
    await home.scope.refresh()
    return [one["id"] async for page in pages.pages(home.scope, [], condition, 10) for one in page]


async def declare(home: Home, attributes: Attributes) -> None:
    await collections.change(
        home.platform.directory,
        home.tenant,
        "default",
        lambda old: collections.with_attributes(old.changed(), attributes),
    )
    await home.refreshed()


@pytest.fixture
def known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the wait for other processes: there are none."""
    monkeypatch.setattr(reindex_job, "KNOWN_SECONDS", 0.0)


async def test_without_force_nothing_goes_and_the_answer_is_there_at_once(bench: Bench) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:03}", tags=["old" if n % 2 else "new"]) for n in range(60)))
    operation = await start_purge(home, filter="tags:old")
    told = response_of(operation, verbs_pb2.PurgeDocumentsResponse)
    assert operation.done
    assert told.purge_count == 30
    assert list(told.purge_sample) == [home.scope.owner.name(f"d{n:03}") for n in range(1, 41, 2)]
    assert operation_message(await bench.get(home, last(operation))) == operation
    assert len(await ids(home)) == 60


@pytest.mark.parametrize("filter_text", ["", "  ", "tags:a", "id:*"])
async def test_deleting_everything_must_be_said(bench: Bench, filter_text: str) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n}", tags=["a"]) for n in range(5)))
    with pytest.raises(Fault) as caught:
        await start_purge(home, filter=filter_text, force=True)
    assert caught.value.reason == "ALL_DOCUMENTS_MATCH"
    operation = await start_purge(home, filter=filter_text, force=True, all_documents=True)
    async with bench.worker():
        assert purged(await bench.done(home, last(operation))) == 5
    assert await ids(home) == []


async def test_a_filter_that_cant_be_read_is_refused_like_a_searchs(bench: Bench) -> None:
    home = await bench.home()
    with pytest.raises(Fault) as caught:
        await start_purge(home, filter="tags =", force=True)
    assert caught.value.reason == "FILTER_SYNTAX"


async def test_a_purge_deletes_what_matches_and_nothing_that_was_written_after_it(bench: Bench) -> None:
    home, neighbour = await bench.home(), await bench.home()
    await home.put(*(document(f"d{n:04}", tags=["old" if n % 3 else "new"]) for n in range(1200)))
    await neighbour.put(document("d0001", tags=["old"]))
    operation = await start_purge(home, filter="tags:old", force=True)
    await home.put(document("d0001", tags=["old"]), document("later", tags=["old"]))
    async with bench.worker():
        done = await bench.done(home, last(operation))
    assert done.state == SUCCEEDED
    assert purged(done) == 799
    assert done.progress.done == done.progress.total == 799
    left = await ids(home)
    assert {"d0001", "later"} <= set(left)
    assert len(left) == 402
    assert await ids(neighbour) == ["d0001"]


async def test_what_a_purge_deleted_can_be_undeleted(bench: Bench) -> None:
    home = await bench.home()
    await home.put(document("kept", price=3), document("other"))
    operation = await start_purge(home, filter="id = kept", force=True)
    async with bench.worker():
        await bench.done(home, last(operation))
    found = await home.scope.get("kept")
    assert found is not None
    assert found.gone
    kept = deleted_document(found.source)
    assert kept is not None
    assert (kept.title, kept.attributes["price"]) == ("title of kept", 3)


async def test_a_look_at_what_would_go_shows_no_document_that_its_caller_may_not_read(bench: Bench) -> None:
    home = await bench.home()
    secret, mine = document("secret", tags=["a"]), document("mine", tags=["a"])
    secret.readers.append("them")
    mine.readers.append("me")
    await home.put(secret, mine, document("open", tags=["a"]), document("other", tags=["b"]))
    # No credential both writes and is bound to readers; that one might is no reason to show more.
    call = home.call
    call.caller = Principal("him", Role.SERVICE, (home.tenant.tenant_id,), ("me",))
    scope = TenantScope(home.platform.engine, call.caller, home.tenant, home.collection)
    operation = await purge.purge(purge_request(home, filter="tags:a"), call, scope, home.collection, home.platform)
    told = response_of(operation, verbs_pb2.PurgeDocumentsResponse)
    assert told.purge_count == 2
    assert list(told.purge_sample) == [home.scope.owner.name(one) for one in ("mine", "open")]


async def test_a_caller_purges_only_what_it_may_read(bench: Bench) -> None:
    home = await bench.home()
    secret, mine = document("secret", tags=["a"]), document("mine", tags=["a"])
    secret.readers.append("them")
    mine.readers.append("me")
    await home.put(secret, mine, document("open", tags=["b"]))
    started = await home.asked("purge", filter="tags:a").start({"filter": "tags:a", "revision": 1 << 62})
    await bench.store.change(home.tenant.uid, last(started), lambda now: now.changed(readers=("me",)))
    async with bench.worker():
        assert purged(await bench.done(home, last(started))) == 1
    assert await ids(home) == ["open", "secret"]


def interrupt(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[int], Awaitable[None]]) -> None:
    """Do something after each page that a job has written."""
    original, number = pages.write, 0

    async def write(*arguments: Any) -> int:
        nonlocal number
        written = await original(*arguments)
        number += 1
        await meanwhile(number)
        return written

    monkeypatch.setattr("pinakes.worker.jobs.purge.write", write)
    monkeypatch.setattr("pinakes.worker.jobs.reindex.write", write)


async def test_a_purge_that_died_between_writing_and_counting_counts_right(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:04}") for n in range(700)))
    operation = await start_purge(home, force=True, all_documents=True)

    async def die(number: int) -> None:
        if number == 2:
            raise asyncio.CancelledError

    interrupt(monkeypatch, die)
    async with bench.worker():
        done = await bench.done(home, last(operation))
    assert purged(done) == 700
    assert await ids(home) == []


async def test_a_cancelled_purge_leaves_the_rest_alone_and_can_be_asked_for_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:04}") for n in range(700)))
    operation = await start_purge(home, force=True, all_documents=True)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(number: int) -> None:
        begun.set()
        await go_on.wait()

    with monkeypatch.context() as patched:
        # So that it looks after each page whether it is to stop.
        patched.setattr("pinakes.core.operations.job.SAVE_SECONDS", 0.0)
        interrupt(patched, wait)
        async with bench.worker():
            await begun.wait()
            await bench.cancel(home, last(operation))
            go_on.set()
            stopped = await bench.done(home, last(operation))
    assert stopped.state == CANCELLED
    left = await ids(home)
    assert 0 < len(left) == 700 - stopped.progress.done
    again = await start_purge(home, force=True, all_documents=True)
    async with bench.worker():
        assert purged(await bench.done(home, last(again))) == len(left)


async def test_a_purge_whose_filter_no_longer_makes_sense_fails(bench: Bench) -> None:
    home = await bench.home()
    await declare(home, [("price", AttributeType.NUMBER, False)])
    await home.put(document("a", price=3), document("b", price=9))
    operation = await start_purge(home, filter="attributes.price > 5", force=True)
    await declare(home, [])
    async with bench.worker():
        failed = await bench.done(home, last(operation))
    assert failed.state == FAILED
    assert failed.error is not None
    assert failed.error["reason"] == "FILTER_NOT_DECLARED"
    assert await ids(home) == ["a", "b"]


def attributes_of(found: Found) -> Struct:
    """Return the attributes that a body keeps."""
    return Struct.FromString(base64.b64decode(found.source["attrs"]))


@pytest.mark.usefixtures("known_at_once")
async def test_documents_get_the_slots_of_attributes_that_were_declared_later(bench: Bench) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:03}", price=n, kind="book") for n in range(200)))
    before = await home.scope.get("d150")
    await home.put(document("dead"))
    await declare(home, [("price", AttributeType.NUMBER, True)])
    assert before is not None
    cheap = pages.condition_of("attributes.price < 50", home.collection, bench.settings.limits)
    assert await ids(home, cheap) == []
    operation = await start_reindex(home)
    async with bench.worker():
        done = await bench.done(home, last(operation))
    told = response_of(operation_message(done), verbs_pb2.ReindexCollectionResponse)
    assert (told.reindexed_count, done.progress.total, done.progress.failed) == (201, 201, 0)
    assert [one.name for one in told.collection.attributes] == ["price"]
    assert len(await ids(home, cheap)) == 50
    after = await home.scope.get("d150")
    assert after is not None
    # The entries of a serialised map come in any order.
    apart = {"kv", "attrs"}
    assert {name: after.source.get(name) for name in before.source.keys() - apart} == {
        name: value for name, value in before.source.items() if name not in apart
    }
    assert attributes_of(after) == attributes_of(before)
    assert (after.source["num_00"], after.revision) == (150, before.revision)


@pytest.mark.usefixtures("known_at_once")
async def test_a_reindex_leaves_newer_writes_and_tombstones_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:03}", price=n) for n in range(60)))
    revision = bench.platform.revisions.next()
    tomb = {"v": 1, "tenant": home.tenant.uid, "collection": home.collection.uid, "id": "d001", "deleted": True}
    read = pages.pages

    async def overtaken(*arguments: Any) -> Any:
        async for page in read(*arguments):
            # Between reading and writing: one document is written anew, one deleted.
            newer = document("d000", price=1000)
            body = compile_document(newer, home.scope.owner, home.collection.schema(), "d000", revision + 4096, 1)
            puts = [Put("d000", body), Put("d001", {**tomb, "revision": revision})]
            await home.scope.bulk(puts, searchable=False)
            yield page

    monkeypatch.setattr("pinakes.worker.jobs.reindex.pages", overtaken)
    operation = await start_reindex(home)
    async with bench.worker():
        done = await bench.done(home, last(operation))
    assert done.state == SUCCEEDED
    [newest, deleted, other] = await home.scope.mget(["d000", "d001", "d002"])
    assert newest is not None
    assert newest.revision == revision + 4096
    assert deleted is not None
    assert deleted.gone
    assert other is not None
    assert not other.gone
    assert response_of(operation_message(done), verbs_pb2.ReindexCollectionResponse).reindexed_count == 58


@pytest.mark.usefixtures("known_at_once")
async def test_freed_slots_are_given_away_again_only_when_nothing_is_left_in_them(bench: Bench) -> None:
    home = await bench.home()
    await declare(home, [("price", AttributeType.NUMBER, False)])
    await home.put(*(document(f"d{n}", price=n) for n in range(5)))
    await declare(home, [])
    assert home.collection.freed == ("num_00",)
    version = home.collection.version
    operation = await start_reindex(home)
    async with bench.worker():
        done = await bench.done(home, last(operation))
    await home.refreshed()
    assert not home.collection.freed
    assert home.collection.version == version + 1
    assert await ids(home, {"exists": {"field": "num_00"}}) == []
    assert done.state == SUCCEEDED
    await declare(home, [("weight", AttributeType.NUMBER, False)])
    assert home.collection.attributes[0].slot == "num_00"


@pytest.mark.usefixtures("known_at_once")
async def test_a_schema_that_changes_on_the_way_is_used_and_frees_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await bench.home()
    await declare(home, [("price", AttributeType.NUMBER, False)])
    await home.put(*(document(f"d{n:03}", price=n, weight=n) for n in range(120)))
    await declare(home, [])

    async def change(number: int) -> None:
        if number == 1:
            await declare(home, [("weight", AttributeType.NUMBER, False)])

    interrupt(monkeypatch, change)
    operation = await start_reindex(home)
    async with bench.worker():
        await bench.done(home, last(operation))
    await home.refreshed()
    assert home.collection.freed == ("num_00",)
    assert await ids(home, {"exists": {"field": "num_00"}}) == []
    # The first page was written by the old schema.
    assert len(await ids(home, {"exists": {"field": "num_01"}})) == 70


@pytest.mark.usefixtures("known_at_once")
async def test_a_value_that_doesnt_fit_is_told_and_the_document_kept(bench: Bench) -> None:
    home = await bench.home()
    await home.put(document("bad", price="dear"), document("good", price=3))
    await declare(home, [("price", AttributeType.NUMBER, False)])
    operation = await start_reindex(home)
    async with bench.worker():
        done = await bench.done(home, last(operation))
    [failure] = done.failures
    assert (failure.reason, failure.line) == ("DOCUMENT_INVALID", 1)
    assert "bad: attributes.price" in failure.message
    assert await ids(home) == ["bad", "good"]


@pytest.mark.usefixtures("known_at_once")
async def test_a_reindex_goes_on_where_another_worker_left_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    home = await bench.home()
    await home.put(*(document(f"d{n:04}", price=n) for n in range(400)))
    operation = await start_reindex(home)
    begun = asyncio.Event()

    async def tell(number: int) -> None:
        if number == 2:
            begun.set()
            await asyncio.sleep(0.05)

    interrupt(monkeypatch, tell)
    async with bench.worker():
        await begun.wait()
    left = await bench.get(home, last(operation))
    if left.state == RUNNING:
        assert left.checkpoint["after"]
    async with bench.worker():
        done = await bench.done(home, last(operation))
    assert (done.state, done.progress.done) == (SUCCEEDED, 400)


async def test_a_purge_waits_for_what_was_accepted_before_it_also_while_the_queue_is_away(
    bench: Bench, redis_server: RedisServer
) -> None:
    home = await bench.home()
    await home.put(document("a", tags=["old"]))
    queued = Redis.from_url(redis_server.url)
    without, bench.platform.queue = (
        bench.platform.queue,
        Producer(bench.settings.model_copy(update={"queue_url": redis_server.url})),
    )
    try:
        name = keys.stream(bench.platform.queue.partitions(home.tenant.uid)[-1])
        entry = await queued.xadd(name, {"t": home.tenant.uid, "e": "what no worker reads here"})
        operation = await start_purge(home, filter="tags:old", force=True, all_documents=True)
        async with bench.worker():
            await bench.until(home, last(operation), lambda found: "queued_before" in found.checkpoint)
            assert await ids(home) == ["a"]
            redis_server.stop()
            await asyncio.sleep(LEASE_SECONDS)
            assert (await bench.get(home, last(operation))).state == RUNNING
            redis_server.start()
            assert entry
            assert purged(await bench.done(home, last(operation))) == 1
    finally:
        await bench.platform.queue.close()
        bench.platform.queue = without
        await queued.aclose()
