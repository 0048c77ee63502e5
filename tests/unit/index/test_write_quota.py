# SPDX-License-Identifier: Apache-2.0
"""What is only asked, or tried again, takes a tenant's room once or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pinakes.core.engine.bodies import Found, Put
from pinakes.core.engine.documents import Owner
from pinakes.core.engine.usage import Counts
from pinakes.core.faults import Fault, Kind
from pinakes.core.limits.figures import in_force
from pinakes.core.limits.quota import Quota
from pinakes.core.queue.producer import Claim, Enqueued
from pinakes.core.rpc import call as calls
from pinakes.core.settings import Limits
from pinakes.core.tenancy.etags import Etags
from pinakes.core.tenancy.models import CollectionRecord, TenantRecord
from pinakes.core.usage.ledger import Usage
from pinakes.core.writing.requests import Attempt
from pinakes.index.commands import write
from pinakes.index.commands.items import Given, write_items
from pinakes.index.commands.write import Writer
from pinakes.v1 import index_pb2, resources_pb2
from tests.unit.core.limits._world import DEFAULTS, tenant

ACCEPTED, APPLIED = index_pb2.WRITE_MODE_ACCEPTED, index_pb2.WRITE_MODE_APPLIED
Outcome = index_pb2.WriteResult
FIRST_REVISION = 893_066_049_208_067_500
FULL = Fault(Kind.EXHAUSTED, "QUEUE_FULL", "full", retry_after=1.0)


class Store:
    """Engine and queue of one tenant. `counted` is what the engine counts, `lost` how often others come first.

    `answers` are those of the queue, the first one first; `claims` what it remembers of request ids.
    """

    owner = Owner("t", "c", "id-t", "default")

    def __init__(self) -> None:
        self.there: dict[str, Found] = {}
        self.counted = Counts(0, 0)
        self.lost = 0
        self.answers: list[Fault | Enqueued] = []
        self.claims: dict[str, bytes] = {}
        self.revisions = itertools.count(FIRST_REVISION, 1000)

    async def settled(self, ids: Sequence[str]) -> list[Found | None]:
        return [self.there.get(one) for one in ids]

    async def mget(self, ids: Sequence[str], _fields: Sequence[str]) -> list[Found | None]:
        return await self.settled(ids)

    async def write_if(self, put: Put, _seen: Found | None, *, searchable: bool) -> bool:
        assert not searchable
        self.lost -= 1
        if self.lost < 0:
            self.there[put.document_id] = Found(put.body, 1, 1, 1)
        return self.lost < 0

    async def count(self, tenants: Sequence[TenantRecord]) -> list[Counts | None]:
        return [self.counted for _ in tenants]

    def parts(self, *_: object) -> list[Any]:
        return []

    async def check_unused(self, _tenant: str, _id: str) -> None:
        """Find it unused."""

    async def claimed(self, _tenant: str, request_id: str) -> bytes | None:
        return self.claims.get(request_id)

    async def enqueue(self, *_: object, claim: Claim | None = None, **__: object) -> Enqueued:
        if claim is not None:
            self.claims[claim.request_id] = claim.value
        answer = self.answers.pop(0) if self.answers else Enqueued()
        if isinstance(answer, Fault):
            raise answer
        return answer

    async def once(
        self,
        _tenant: str,
        _id: str,
        _request: object,
        _count: int,
        _answer: object,
        work: Callable[..., Awaitable[Any]],
    ) -> Any:
        return await work(Attempt(next(self.revisions)))


def made(**limits: int) -> tuple[Writer, Store]:
    """Make the writer of a call of a tenant with limits."""
    store: Any = Store()
    engine: Any = SimpleNamespace(prefix="p")
    usage = Usage(engine, 60.0)
    usage.store = store
    platform: Any = SimpleNamespace(
        etags=Etags(b"x" * 40), settings=SimpleNamespace(limits=Limits()), queue=store, requests=store,
        quota=Quota(usage, lambda record: in_force(record, DEFAULTS)),
        revisions=SimpleNamespace(next=lambda: next(store.revisions), take=lambda _: next(store.revisions)),
    )  # fmt: skip
    call: Any = SimpleNamespace(tenant=tenant("t", **limits), tell=lambda **_: None)
    calls.enter(call)
    collection = CollectionRecord(tenant_uid="t", collection_id="default", uid="c", languages=("en",))
    return Writer(store, collection, collection.schema(), platform), store


def creation(document_id: str = "", mode: index_pb2.WriteMode = APPLIED, **more: Any) -> Any:
    document = resources_pb2.Document(title="T")
    return index_pb2.CreateDocumentRequest(document=document, document_id=document_id, mode=mode, **more)


def update(body: str, **more: Any) -> Any:
    return index_pb2.UpdateDocumentRequest(document=resources_pb2.Document(body=body), **more)


def puts(*ids: str, **fields: str) -> Given:
    request = index_pb2.BatchWriteDocumentsRequest()
    for document_id in ids:
        request.writes.add(put=resources_pb2.Document(name=Store.owner.name(document_id), **fields))
    return Given(request.writes, {}, request.SerializeToString(), request.WRITES_FIELD_NUMBER)


async def refused(work: Awaitable[object]) -> str:
    with pytest.raises(Fault) as caught:
        await work
    return caught.value.reason


async def test_what_is_only_validated_takes_no_room() -> None:
    writer, _ = made(documents=2)
    for number in range(4):
        await write.create(creation(f"d{number}", validate_only=True), writer)
        await write.create(creation(mode=ACCEPTED, validate_only=True), writer)
        await write.update(update("b", allow_missing=True, validate_only=True), f"d{number}", writer)
    await write.create(creation("a"), writer)
    await write.create(creation(mode=ACCEPTED), writer)
    assert await refused(write.create(creation("c"), writer)) == "DOCUMENTS_EXHAUSTED"
    assert await refused(write.create(creation("c", validate_only=True), writer)) == "DOCUMENTS_EXHAUSTED"


async def test_an_update_that_others_come_before_takes_its_room_once() -> None:
    writer, store = made(bytes=10)
    await write.update(update("1234", allow_missing=True), "d", writer)
    store.lost = 3
    await write.update(update("123456789"), "d", writer)
    assert store.lost < 0
    await write.update(update("1234567890"), "d", writer)
    assert await refused(write.update(update("12345678901"), "d", writer)) == "BYTES_EXHAUSTED"


async def test_a_creation_that_others_come_before_takes_no_room() -> None:
    writer, store = made(documents=1)
    store.lost = 2
    for _ in range(2):
        assert await refused(write.create(creation("d"), writer)) == "DOCUMENT_EXISTS"
    await write.create(creation("d"), writer)
    assert await refused(write.create(creation("e"), writer)) == "DOCUMENTS_EXHAUSTED"


async def test_what_the_queue_did_not_take_has_taken_no_room() -> None:
    writer, store = made(documents=2)
    store.answers = [FULL] * 3
    for _ in range(3):
        assert await refused(write.create(creation(mode=ACCEPTED), writer)) == "QUEUE_FULL"
    given = puts("a", "b")
    store.answers = [FULL, Enqueued(repeated=True), FULL, Enqueued(seen=b"kept")]
    for answer in list(store.answers):
        if isinstance(answer, Fault):
            assert await refused(write_items(given, writer, ACCEPTED)) == "QUEUE_FULL"
        else:
            await write_items(given, writer, ACCEPTED)
    items = await write_items(given, writer, ACCEPTED)
    assert [one.outcome for one in items.outcomes] == [Outcome.OUTCOME_ACCEPTED] * 2
    assert await refused(write.create(creation(mode=ACCEPTED), writer)) == "DOCUMENTS_EXHAUSTED"


async def test_a_write_that_an_etag_binds_takes_the_room_of_its_content_alone() -> None:
    writer, store = made(bytes=4)
    await write.update(update("1234", allow_missing=True), "d", writer)
    for body, outcome in (("5678", Outcome.OUTCOME_UPDATED), ("56789", Outcome.OUTCOME_REJECTED)):
        given = puts("d", body=body, etag=writer.etag(store.there["d"].source))
        items = await write_items(given, writer, APPLIED)
        assert [one.outcome for one in items.outcomes] == [outcome]


async def test_what_was_accepted_is_answered_as_it_was_though_the_tenant_is_full_now() -> None:
    writer, _ = made(documents=2)
    create = creation(mode=ACCEPTED, request_id="create")
    replace = update("b", update_mask={"paths": ["*"]}, allow_missing=True, mode=ACCEPTED, request_id="replace")
    first = await write.create(create, writer), await write.update(replace, "d", writer)
    assert (await write.create(create, writer), await write.update(replace, "d", writer)) == first
    for request_id, reason in (
        ("", "DOCUMENTS_EXHAUSTED"),
        ("new", "DOCUMENTS_EXHAUSTED"),
        ("replace", "REQUEST_ID_REUSED"),
    ):
        assert await refused(write.create(creation(mode=ACCEPTED, request_id=request_id), writer)) == reason
    asked = creation(mode=ACCEPTED, request_id="create", validate_only=True)
    assert await refused(write.create(asked, writer)) == "DOCUMENTS_EXHAUSTED"
