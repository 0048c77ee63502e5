# SPDX-License-Identifier: Apache-2.0
"""The judge of the fault tests finds what it is there to find: losses, returns and wrong contents, made on purpose."""

from __future__ import annotations

import asyncio

import redis.asyncio as redis

from pinakes.client import AsyncClient
from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import compile_document
from pinakes.core.engine.revisions import STEP
from pinakes.core.queue import keys
from pinakes.local import Platform
from pinakes.queue.v1 import entry_pb2
from tests.faults import _checks
from tests.faults._chaos import operate
from tests.faults._ledger import Attempt, Key, Ledger, Standing, content
from tests.integration._engine import Direct
from tests.integration._servers import new_tenant

KEY = Key("tenant", "a")


def attempts(*plan: str) -> tuple[Ledger, list[Attempt]]:
    """Make a history of one document: `put`, `delete`, each followed by `?` if nobody learned what came of it."""
    ledger, made = Ledger(), []
    for number, word in enumerate(plan, 1):
        attempt = ledger.attempt(KEY, "applied", deletion=word.startswith("delete"))
        if not word.endswith("?"):
            ledger.acknowledge(attempt, revision=number * 10)
        made.append(attempt)
    return ledger, made


def stands(number: int, revision: int) -> dict[Key, Standing]:
    """Say that a version stands at a revision."""
    return {KEY: Standing(content(KEY, number), revision)}


def grave(revision: int) -> dict[Key, Standing]:
    """Say that a tombstone stands at a revision."""
    return {KEY: Standing(None, revision)}


def test_what_was_promised_or_came_later_is_right() -> None:
    assert not attempts("put", "put")[0].judge(stands(2, 20))
    assert not attempts("put", "put?")[0].judge(stands(1, 10))
    assert not attempts("put", "put?")[0].judge(stands(2, 15))
    assert not attempts("put", "delete?")[0].judge(grave(15))
    assert not attempts("put", "delete")[0].judge(grave(20))
    assert not attempts("put", "delete", "delete")[0].judge(grave(20)), "there was nothing left to delete"
    assert not attempts("put?")[0].judge({})
    assert not attempts("put", "delete?", "put")[0].judge(grave(40)), "a call that broke may come late"


def test_a_lost_write_is_found() -> None:
    assert attempts("put")[0].judge({})
    assert attempts("put", "put")[0].judge(stands(1, 10))
    assert attempts("put", "put?", "put")[0].judge(stands(2, 15))
    assert attempts("put")[0].judge(stands(1, 9)), "the same content at an older revision isn't what was promised"
    assert attempts("put", "put")[0].judge(grave(30))


def test_a_returned_document_is_found() -> None:
    assert attempts("put", "delete")[0].judge(stands(1, 10))
    assert attempts("put", "delete")[0].judge(stands(1, 40)), "a write that was acknowledged before can't come after"
    assert attempts("put?", "delete")[0].judge(stands(1, 5))


def test_a_wrong_content_is_found() -> None:
    wrong = content(KEY, 1)
    wrong.body += " and more"
    assert attempts("put")[0].judge({KEY: Standing(wrong, 10)})
    assert Ledger().judge(stands(1, 10)), "nobody wrote it"
    ledger, (attempt,) = attempts("put")
    attempt.etag = "one"
    assert ledger.judge({KEY: Standing(content(KEY, 1), 10, "another")})


async def test_an_entry_that_is_taken_out_of_the_queue_is_missed(breakable: Platform, inside: Direct) -> None:
    """Drops one accepted write from the stream on purpose, then brings a deleted document back on purpose."""
    tenant, ledger = await new_tenant(breakable), Ledger()
    wanted = [Key(tenant.tenant_id, f"d{number}") for number in range(10)]
    await asyncio.to_thread(operate, breakable, "stop", "worker")
    try:
        async with AsyncClient(breakable.endpoint, key=tenant.key, timeout=20) as client:
            for key in wanted:
                attempt = ledger.attempt(key, "accepted")
                await client.put_document(content(key, attempt.number), mode="accepted")
                ledger.acknowledge(attempt)
        await _drop(breakable, wanted[3])
    finally:
        await asyncio.to_thread(operate, breakable, "start", "worker")
    await _checks.drained(breakable)
    (verdict,) = ledger.judge(await _checks.standings(breakable, inside, [tenant], ledger))
    assert "d3" in verdict
    assert "lost" in verdict

    gone = ledger.attempt(wanted[5], "applied", deletion=True)
    async with AsyncClient(breakable.endpoint, key=tenant.key, timeout=20) as client:
        await client.delete_document(wanted[5].document)
    ledger.acknowledge(gone)
    found = await _checks.standings(breakable, inside, [tenant], ledger)
    assert len(ledger.judge(found)) == 1
    scope = await inside.scope(tenant)
    later = found[wanted[5]].revision + STEP
    body = compile_document(content(wanted[5], 1), scope.owner, inside.schema(), wanted[5].document, later, 1)
    await scope.bulk([Put(wanted[5].document, body)], searchable=False)
    verdicts = ledger.judge(await _checks.standings(breakable, inside, [tenant], ledger))
    assert len(verdicts) == 2
    assert "d5" in verdicts[1]


async def _drop(platform: Platform, key: Key) -> None:
    """Take the entry of a document out of the queue, counts and all, as a store that loses data would."""
    async with redis.Redis.from_url(platform.queue_url) as queue:
        for number in range(_checks.PARTITIONS):
            for entry_id, fields in await queue.xrange(keys.stream(number)):
                entry = entry_pb2.Entry.FromString(fields[b"e"])
                if [write.document_id for write in entry.writes] == [key.document]:
                    assert await queue.xdel(keys.stream(number), entry_id) == 1
                    for name in (entry.tenant_uid, "*"):
                        await queue.hincrby(keys.DOCUMENTS, name, -1)
                        await queue.hincrby(keys.BYTES, name, -len(fields[b"e"]))
                    return
    message = f"{key} isn't queued"
    raise AssertionError(message)
