# SPDX-License-Identifier: Apache-2.0
"""The audit log in the real engine: whatever somebody does to it who can write there, and whatever dies, is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pinakes.core.audit.chain import Seal
from pinakes.core.audit.event import Event, Kind
from pinakes.core.audit.log import AuditLog
from pinakes.core.audit.spool import Spool
from pinakes.core.audit.verify import Report
from pinakes.core.audit.writer import ChainWriter
from pinakes.core.engine.audit import AuditStore
from pinakes.core.engine.client import Engine
from pinakes.core.engine.setup import prepare
from pinakes.core.faults import Fault, unavailable
from pinakes.core.redis import connect
from pinakes.core.settings import Settings
from pinakes.local import Platform
from pinakes.worker.verify_audit import check
from tests.integration._servers import free_port
from tests.integration._workers import settings_of


@dataclass(slots=True)
class Deployment:
    """A deployment with an audit log of its own."""

    settings: Settings
    engine: Engine

    @property
    def seal(self) -> Seal:
        """What its chain is made with."""
        return Seal(self.settings.audit_key)

    def log(self, **changes: object) -> AuditLog:
        """Return the log of a process, which may have other settings."""
        settings = self.settings.model_copy(update=changes)
        return AuditLog(Spool(settings, Engine(settings), self.seal), self.seal)

    def writer(self) -> ChainWriter:
        """Return the writer of a worker."""
        return ChainWriter(AuditStore(self.engine), Spool(self.settings, self.engine, self.seal), self.seal)

    async def record(self, *actions: str, **changes: object) -> None:
        """Record events in a process that dies as soon as they are on disk."""
        log = self.log(**changes)
        numbers = [log.take(Event(kind=Kind.CHANGE, action=action)) for action in actions]
        assert await log.durable(numbers[-1], 5.0)

    async def chained(self, *actions: str) -> None:
        """Record events and put them into the chain."""
        await self.record(*actions)
        assert await self.writer().move() == len(actions)

    async def verify(self) -> Report:
        """Walk the chain."""
        return await check(self.settings)

    async def wrong(self) -> list[str]:
        """Return what a walk finds."""
        return sorted({finding.what for finding in (await self.verify()).findings})

    async def actions(self) -> list[str]:
        """Return the actions in the order of the chain."""
        await AuditStore(self.engine).refresh()
        return [entry["action"] async for page in AuditStore(self.engine).walk() for entry in page]

    async def remove(self, pattern: str) -> None:
        """Delete indices."""
        names = await self.engine.call("look", "GET", f"/{self.engine.prefix}-{pattern}/_alias")
        if names:
            await self.engine.call("clean", "DELETE", f"/{','.join(names)}", params={"ignore_unavailable": "true"})

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Do to the chain what somebody could who can write to the engine: `path` follows the index's name."""
        (index,) = await self.engine.call("look", "GET", f"/{self.engine.prefix}-sys-audit-*/_alias")
        params = {} if method == "GET" else {"refresh": "true"}
        return await self.engine.call("tamper", method, f"/{index}{path}", params=params, body=body)


@pytest.fixture(scope="module")
async def prepared(engine: Platform) -> AsyncIterator[Deployment]:
    """Prepare a deployment on indices and streams of its own."""
    settings = settings_of(engine, index_prefix=f"audit-{uuid.uuid4().hex[:8]}")
    made = Deployment(settings, Engine(settings))
    await prepare(made.engine, settings)
    yield made
    await made.remove("*")
    await made.engine.close()


@pytest.fixture
async def deployed(prepared: Deployment) -> AsyncIterator[Deployment]:
    """Give the deployment with five events in the chain, and take away all that is left of them."""
    await prepared.chained("one", "two", "three", "four", "five")
    yield prepared
    await prepared.remove("sys-audit-*")
    everything: dict[str, Any] = {"query": {"match_all": {}}}
    for kind in ("spool", "leases"):
        index = f"/{prepared.engine.prefix}-sys-{kind}"
        # What isn't refreshed yet would be met at an older version, which is a conflict.
        await prepared.engine.call("clean", "POST", f"{index}/_refresh")
        await prepared.engine.call(
            "clean", "POST", f"{index}/_delete_by_query", params={"refresh": "true"}, body=everything
        )
    redis = connect(prepared.settings.queue_url, 3.0)
    keys = [key async for key in redis.scan_iter(f"pinakes:audit:*:{prepared.engine.prefix}")]
    await redis.delete(*keys)
    await redis.aclose()


def rid(number: int) -> str:
    """Return the id of an entry."""
    return f"{number:015}"


async def test_events_of_many_processes_become_one_chain(deployed: Deployment) -> None:
    await asyncio.gather(*(deployed.record(f"p{n}", f"p{n}") for n in range(5)))
    assert await deployed.writer().move() == 10
    report = await deployed.verify()
    assert (report.intact, report.entries, report.first.sequence, report.last.sequence) == (True, 15, 1, 15)
    assert sorted((await deployed.actions())[5:]) == sorted(f"p{n}" for n in range(5) for _ in range(2))
    assert await deployed.writer().move() == 0


async def test_an_entry_that_is_edited_is_found(deployed: Deployment) -> None:
    found = await deployed.call("GET", f"/_doc/{rid(3)}")
    assert found["_source"]["action"] == "three"
    await deployed.call("PUT", f"/_doc/{rid(3)}", found["_source"] | {"action": "nothing"})
    assert await deployed.wrong() == ["changed"]
    await deployed.call("PUT", f"/_doc/{rid(3)}", found["_source"])
    assert await deployed.wrong() == []


async def test_entries_that_are_deleted_are_found(deployed: Deployment) -> None:
    await deployed.call("DELETE", f"/_doc/{rid(3)}")
    assert await deployed.wrong() == ["lost", "missing"]


async def test_an_entry_that_is_moved_is_found(deployed: Deployment) -> None:
    found = (await deployed.call("GET", f"/_doc/{rid(2)}"))["_source"]
    await deployed.call("PUT", f"/_doc/{rid(6)}", found | {"sequence": 6})
    assert "changed" in await deployed.wrong()


async def test_an_end_that_is_cut_off_is_found_even_when_the_chain_goes_on(deployed: Deployment) -> None:
    for number in (4, 5):
        await deployed.call("DELETE", f"/_doc/{rid(number)}")
    assert await deployed.wrong() == ["cut"]
    await deployed.chained("six")
    assert await deployed.actions() == ["one", "two", "three", "audit.cut", "six"]
    assert "missing" in await deployed.wrong()


async def test_a_log_that_is_deleted_as_a_whole_is_found(deployed: Deployment) -> None:
    await deployed.remove("sys-audit-*")
    assert await deployed.wrong() == ["cut"]


async def test_an_end_that_is_cut_off_with_its_place_in_the_engine_is_known_by_redis_and_by_a_note(
    deployed: Deployment,
) -> None:
    head = (await deployed.verify()).last
    await deployed.call("DELETE", f"/_doc/{rid(5)}")
    await deployed.engine.call("tamper", "DELETE", f"/{deployed.engine.prefix}-sys-leases/_doc/audit-head")
    assert await deployed.wrong() == ["cut"]
    alone = deployed.settings.model_copy(update={"queue_url": ""})
    assert (await check(alone)).intact, "without any place that is known, an end can't be told from another"
    assert [finding.what for finding in (await check(alone, head)).findings] == ["cut"]


async def test_events_that_are_put_in_or_taken_away_before_the_chain_are_told(deployed: Deployment) -> None:
    await deployed.record("a", "b", "c")
    spool = Spool(deployed.settings, deployed.engine, deployed.seal)
    waiting = await spool.take(10)
    await spool.drop(waiting[1:2])
    other = AuditLog(Spool(deployed.settings, deployed.engine, Seal(b"x")), Seal(b"other"))
    assert await other.durable(other.take(Event(kind=Kind.CHANGE, action="forged")), 5.0)
    await deployed.writer().move()
    assert await deployed.actions() == ["one", "two", "three", "four", "five", "audit.forged", "a", "c"]
    assert await deployed.wrong() == ["lost"]


async def test_a_writer_that_dies_before_it_drops_what_it_wrote_puts_nothing_in_twice(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise unavailable("this worker")

    await deployed.record("six", "seven")
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "drop", die)
        with pytest.raises(Fault):
            await deployed.writer().move()
    await deployed.record("eight")
    await deployed.writer().move()
    assert await deployed.actions() == ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    assert await deployed.wrong() == []


async def test_two_workers_that_both_think_it_is_their_turn_make_one_chain(deployed: Deployment) -> None:
    writers = [deployed.writer() for _ in range(3)]
    for number in range(4):
        await deployed.record(*(f"r{number}-{n}" for n in range(20)))
        await asyncio.gather(*(writer.move() for writer in writers), return_exceptions=True)
    while await deployed.writer().move():
        pass
    actions = await deployed.actions()
    assert sorted(actions[5:]) == sorted(f"r{number}-{n}" for number in range(4) for n in range(20))
    assert await deployed.wrong() == []


async def test_a_worker_that_missed_what_another_wrote_writes_nothing_beside_it(deployed: Deployment) -> None:
    """Its batch is longer than what was written meanwhile, so the engine would have room for the rest of it."""
    late = deployed.writer()
    await deployed.record("six")
    await late.move()
    await deployed.chained("seven", "eight")
    await deployed.record("nine", "ten", "eleven", "twelve")
    with pytest.raises(Fault):
        await late.move()
    assert (await deployed.actions())[5:] == ["six", "seven", "eight"]
    assert await late.move() == 4
    assert (await deployed.actions())[8:] == ["nine", "ten", "eleven", "twelve"]
    assert await deployed.wrong() == []


async def test_a_worker_that_hangs_before_its_entries_leave_finds_them_written_by_another(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, go = asyncio.Event(), asyncio.Event()
    append = AuditStore.append

    async def late_append(self: AuditStore, month: str, entries: Sequence[Any]) -> None:
        hanging.set()
        await go.wait()
        await append(self, month, entries)

    late = deployed.writer()
    await deployed.record("six", "seven", "eight")
    with monkeypatch.context() as patch:
        patch.setattr(AuditStore, "append", late_append)
        moving = asyncio.create_task(late.move())
        await hanging.wait()
    await deployed.record("nine", queue_url="")  # in the engine, which is looked into first
    assert await deployed.writer().move() == 4
    go.set()
    assert await moving == 3
    assert (await deployed.actions())[5:] == ["six", "seven", "eight", "nine"]
    assert await deployed.wrong() == []


async def test_what_is_missing_of_a_batch_is_written_before_the_chain_goes_on(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies when its bulk was taken in part."""
    append = AuditStore.append

    async def half_append(self: AuditStore, month: str, entries: Sequence[Any]) -> None:
        await append(self, month, entries[::2])
        raise unavailable("the search engine")

    await deployed.record("six", "seven", "eight")
    with monkeypatch.context() as patch:
        patch.setattr(AuditStore, "append", half_append)
        with pytest.raises(Fault):
            await deployed.writer().move()
    assert await deployed.wrong() == ["missing"]
    await deployed.record("nine")
    assert await deployed.writer().move() == 4
    assert (await deployed.actions())[5:] == ["six", "seven", "eight", "nine"]
    assert await deployed.wrong() == []


async def test_events_outlive_their_process_while_the_engine_or_redis_is_away(deployed: Deployment) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    await deployed.record("engine away", opensearch_urls=[f"http://{nobody}"])
    await deployed.record("redis away", queue_url=f"redis://{nobody}/0")
    await deployed.record("no redis", queue_url="")
    assert await deployed.writer().move() == 3
    assert sorted((await deployed.actions())[5:]) == ["engine away", "no redis", "redis away"]
    assert await deployed.wrong() == []


async def test_what_is_old_enough_goes_and_the_rest_is_still_whole(deployed: Deployment) -> None:
    prefix = f"{deployed.engine.prefix}-sys-audit"
    (present,) = await deployed.engine.call("look", "GET", f"/{prefix}-*/_alias")
    move = {"source": {"index": present}, "dest": {"index": f"{prefix}-2020.01"}}
    await deployed.engine.call("move", "PUT", f"/{prefix}-2020.01", body={})
    await deployed.engine.call("move", "POST", f"/{present}/_refresh")
    await deployed.engine.call("move", "POST", "/_reindex", params={"refresh": "true"}, body=move)
    await deployed.engine.call("move", "DELETE", f"/{present}")
    await deployed.chained("six")
    assert await deployed.wrong() == []
    writer = deployed.writer()
    assert await writer.prune(365.0) == 1
    assert await writer.prune(365.0) == 0
    assert await deployed.actions() == ["six", "audit.pruned"]
    report = await deployed.verify()
    assert (report.intact, report.first.sequence) == (True, 6)
    await deployed.call("DELETE", f"/_doc/{rid(6)}")
    assert await deployed.wrong() == ["missing"]


async def test_the_command_says_whether_the_log_is_whole(deployed: Deployment, engine: Platform) -> None:
    given = {name: value for name, value in engine.env_for("tenant").items() if not name.endswith("_FOLDER")}
    environment = given | {"PINAKES_INDEX_PREFIX": deployed.settings.index_prefix}

    def command() -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "pinakes.worker.verify_audit"]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)

    done = await asyncio.to_thread(command)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["the audit log is whole"]), done.stderr
    await deployed.call("DELETE", f"/_doc/{rid(2)}")
    done = await asyncio.to_thread(command)
    assert done.returncode == 1
    assert "missing: entries 2 to 2 are missing" in done.stdout
