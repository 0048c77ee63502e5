# SPDX-License-Identifier: Apache-2.0
"""Operations and their runner on the real engine: records, leases, take-over, cancelling, draining, retries."""

from __future__ import annotations

import asyncio
import signal

import psutil
import pytest

from pinakes.core.engine.records import Conflict
from pinakes.core.faults import Fault, Kind, unavailable
from pinakes.core.operations.job import Context, Stopped, Why
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import CANCELLED, FAILED, RUNNING, SUCCEEDED, Progress, Row
from pinakes.core.tenancy.marks import Mark
from pinakes.local import Platform as Local
from pinakes.tenant.commands import tenants
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.v1 import tenant_pb2
from tests.integration._operations import COUNT, LEASE_SECONDS, PAGES, Bench, answer, bench, job, last

__all__ = ["bench"]


async def test_a_request_id_means_one_operation_and_no_other_request(bench: Bench) -> None:
    home = await bench.home()
    first = await home.asked("nobody", "once", filter="tags:a").start({})
    again = home.asked("nobody", "once", filter="tags:a")
    assert await again.repeated() == first
    assert await again.start({}) == first
    other = home.asked("nobody", "once", filter="tags:b")
    for attempt in (other.repeated(), other.start({})):
        with pytest.raises(Fault) as caught:
            await attempt
        assert (caught.value.kind, caught.value.reason) == (Kind.INVALID, "REQUEST_ID_REUSED")
    assert await home.asked("nobody").repeated() is None
    stranger = await bench.home()
    assert await stranger.asked("nobody", "once", filter="tags:b").repeated() is None


async def test_the_same_request_at_once_starts_one_operation(bench: Bench) -> None:
    home = await bench.home()
    asked = home.asked("nobody", "race")
    names = {one.name for one in await asyncio.gather(*(asked.start({}) for _ in range(8)))}
    assert len(names) == 1
    assert await bench.store.count_unfinished(home.tenant.uid) == 1


async def test_a_deleted_operation_is_gone_but_its_request_isnt_done_again(bench: Bench) -> None:
    home = await bench.home()
    made = await home.asked("nobody", "gone").finished({}, answer(purge_count=3), Progress(total=3))
    await bench.store.change(home.tenant.uid, last(made), lambda now: now.changed(hidden=True))
    assert await bench.store.get(home.tenant.uid, last(made)) is None
    assert await bench.store.page(home.tenant.uid, None, 10) == []
    assert await home.asked("nobody", "gone").repeated() == made


async def test_a_tenant_has_so_many_unfinished_operations_at_most(bench: Bench) -> None:
    home = await bench.home()
    limits = bench.settings.limits.model_copy(update={"operations": 2})
    object.__setattr__(home.platform, "settings", bench.settings.model_copy(update={"limits": limits}))
    try:
        for _ in range(2):
            await home.start("nobody")
        with pytest.raises(Fault) as caught:
            await home.start("nobody")
    finally:
        object.__setattr__(home.platform, "settings", bench.settings)
    assert (caught.value.kind, caught.value.reason) == (Kind.EXHAUSTED, "OPERATIONS_EXHAUSTED")


async def test_one_worker_at_a_time_has_the_lease_and_its_number_grows(bench: Bench) -> None:
    home = await bench.home()
    found = await bench.get(home, await home.start("nobody"))
    taken = await asyncio.gather(*(bench.store.take(found, f"worker {n}", 0.5) for n in range(5)))
    [first] = [one for one in taken if one is not None]
    assert (first.state, first.fence) == (RUNNING, 1)
    assert await bench.store.take(first, "another", 60) is None
    await asyncio.sleep(0.6)
    second = await bench.store.take(first, "another", 60)
    assert second is not None
    assert second.fence == 2
    for late in (bench.store.renew(first, 60, dict), bench.store.release(first, {"state": SUCCEEDED})):
        with pytest.raises(Stopped) as caught:
            await late
        assert caught.value.why is Why.LOST
    assert (await bench.store.renew(second, 60, lambda: {"checkpoint": {"at": 7}})).checkpoint == {"at": 7}
    released = await bench.store.release(second, {})
    assert await bench.store.take(released, "a third", 60) is not None


async def test_finished_operations_are_swept_and_others_stay(bench: Bench) -> None:
    home = await bench.home()
    done = last(await home.asked("nobody").finished({}, answer(), Progress()))
    waiting = await home.start("nobody")
    await bench.store.sweep(1)
    assert await bench.store.get(home.tenant.uid, done) is not None
    await asyncio.sleep(0.01)
    assert await bench.store.sweep(0) >= 1
    assert await bench.store.get(home.tenant.uid, done) is None
    assert await bench.store.get(home.tenant.uid, waiting) is not None


async def test_a_record_keeps_all_of_an_operation(bench: Bench) -> None:
    home = await bench.home()
    made = await bench.get(home, await home.start("nobody", deep={"list": [1, "two"]}, revision=(1 << 62) + 1))
    assert made.parameters == {"deep": {"list": [1, "two"]}, "revision": (1 << 62) + 1}
    changed = made.changed(
        operation_id="changed", readers=("a", "b"), failures=(Row(1, "R", "m"),), progress=Progress(1, 2, 3, 4, 5)
    )
    await bench.store.create(changed)
    assert await bench.get(home, "changed") == changed
    with pytest.raises(Conflict):
        await bench.store.create(changed)


async def test_a_job_runs_to_its_answer_and_tells_how_far_it_is(bench: Bench) -> None:
    async def run(context: Context) -> object:
        await context.advance({"at": 1}, total=10, done=4, total_bytes=100, done_bytes=40)
        for line in range(1, 150):
            context.fail_row(line, "INVALID_JSON", "not JSON")
        await context.advance({"at": 2}, done=10)
        return answer(purge_count=10)

    home = await bench.home()
    operation_id = await home.start("told")
    async with bench.worker(job("told", run)):
        done = await bench.done(home, operation_id)
    message = operation_message(done)
    metadata, response = verbs_pb2.OperationMetadata(), verbs_pb2.PurgeDocumentsResponse()
    assert message.done
    assert message.metadata.Unpack(metadata)
    assert message.response.Unpack(response)
    assert response.purge_count == 10
    assert (metadata.verb, metadata.state) == ("told", verbs_pb2.OperationMetadata.STATE_SUCCEEDED)
    assert metadata.target == f"tenants/{home.tenant.tenant_id}/collections/default"
    assert (metadata.total, metadata.done, metadata.failed, len(metadata.failures)) == (10, 10, 149, 100)
    assert (metadata.total_bytes, metadata.done_bytes, metadata.failures[99].line) == (100, 40, 100)
    assert metadata.create_time.ToMilliseconds() <= metadata.start_time.ToMilliseconds()
    assert metadata.start_time.ToMilliseconds() <= metadata.end_time.ToMilliseconds()


async def test_a_killed_workers_operation_goes_on_elsewhere_at_its_checkpoint(bench: Bench) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    with bench.process() as first:
        seen = await bench.until(home, operation_id, lambda found: found.progress.done >= 3)
        first.send_signal(signal.SIGKILL)
        first.wait()
        async with bench.worker(COUNT):
            done = await bench.done(home, operation_id)
    assert done.progress.done == PAGES
    assert done.fence == 2
    # The second run began at the first one's stored checkpoint, not at the beginning.
    assert done.checkpoint["fences"] == [1, 2]
    assert seen.checkpoint["number"] >= 3


async def test_a_worker_that_ends_gives_its_operations_back_with_their_checkpoints(bench: Bench) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    with bench.process() as first:
        await bench.until(home, operation_id, lambda found: found.progress.done >= 3)
        first.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, 20) == 0
    left = await bench.get(home, operation_id)
    assert (left.state, left.holder, left.lease_ms) == (RUNNING, "", 0)
    assert left.checkpoint["number"] == left.progress.done >= 3
    async with bench.worker(COUNT):
        done = await bench.done(home, operation_id)
    assert done.checkpoint["fences"] == [1, 2]


async def test_a_cancelled_operation_stops_clears_away_and_keeps_what_it_did(bench: Bench) -> None:
    cleared: list[int] = []

    async def abandon(context: Context) -> None:
        cleared.append(context.checkpoint["number"])

    home = await bench.home()
    operation_id = await home.start("count")
    async with bench.worker(job("count", COUNT.run, abandon=abandon)):
        await bench.until(home, operation_id, lambda found: found.progress.done >= 1)
        await bench.cancel(home, operation_id)
        done = await bench.done(home, operation_id)
    assert done.state == CANCELLED
    assert 1 <= done.progress.done < PAGES
    assert cleared == [done.progress.done]
    message = operation_message(done)
    assert (message.error.code, message.done) == (1, True)


async def test_an_operation_that_nobody_has_begun_is_cancelled_at_once(bench: Bench) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    assert (await bench.cancel(home, operation_id)).state == CANCELLED
    async with bench.worker(COUNT):
        other = await home.start("count")
        await bench.until(home, other, lambda found: found.state == RUNNING)
    assert (await bench.get(home, operation_id)).fence == 0


async def test_a_cancelled_operation_of_a_dead_worker_is_ended_by_the_next(bench: Bench) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    with bench.process() as first:
        await bench.until(home, operation_id, lambda found: found.state == RUNNING)
        first.kill()
        first.wait()
    await bench.cancel(home, operation_id)
    async with bench.worker(COUNT):
        assert (await bench.done(home, operation_id)).state == CANCELLED


async def test_a_job_that_never_looks_up_is_stopped_all_the_same(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinakes.worker.leased.GRACE_SECONDS", 0.2)

    async def deaf(context: Context) -> object:
        await asyncio.Event().wait()
        return answer()

    home = await bench.home()
    operation_id = await home.start("deaf")
    async with bench.worker(job("deaf", deaf)):
        await bench.until(home, operation_id, lambda found: found.state == RUNNING)
        await bench.cancel(home, operation_id)
        assert (await bench.done(home, operation_id)).state == CANCELLED


async def test_a_store_that_is_away_is_waited_for_and_a_refusal_ends_it(bench: Bench) -> None:
    async def patient(context: Context) -> object:
        tries = context.checkpoint.get("tries", 0) + 1
        await context.advance({"tries": tries}, done=tries)
        context.fail_row(tries, "INVALID_JSON", "counts only if the run goes on from here")
        if tries < 3:
            raise unavailable("object storage", 0.01)
        await context.advance()
        return answer(purge_count=tries)

    async def refused(context: Context) -> object:
        raise Fault(Kind.NOT_FOUND, "OBJECT_NOT_FOUND", "there is no such object", metadata={"scheme": "s3"})

    async def broken(context: Context) -> object:
        message = "secret of the inside"
        raise RuntimeError(message)

    home = await bench.home()
    async with bench.worker(job("patient", patient), job("refused", refused), job("broken", broken)):
        waited = await bench.done(home, await home.start("patient"))
        failed = await bench.done(home, await home.start("refused"))
        fallen = await bench.done(home, await home.start("broken"))
    assert (waited.state, waited.progress.done, waited.failures[0].line) == (SUCCEEDED, 3, 3)
    assert waited.progress.failed == 1
    assert failed.state == FAILED
    error = operation_message(failed).error
    assert (error.code, error.message) == (5, "there is no such object")
    assert fallen.state == FAILED
    assert "secret" not in str(operation_message(fallen))


async def test_a_tenant_with_many_operations_leaves_room_for_another(bench: Bench) -> None:
    running: dict[str, int] = {}
    most: dict[str, int] = {}

    async def busy(context: Context) -> object:
        tenant = context.tenant.tenant_id
        running[tenant] = running.get(tenant, 0) + 1
        most[tenant] = max(most.get(tenant, 0), running[tenant])
        await context.sleep(0.3)
        running[tenant] -= 1
        return answer()

    greedy, modest = await bench.home(), await bench.home()
    many = [await greedy.start("busy") for _ in range(4)]
    async with bench.worker(job("busy", busy)):
        one = await modest.start("busy")
        done = await bench.done(modest, one)
        last_of_many = await bench.done(greedy, many[-1])
        for each in many:
            await bench.done(greedy, each)
    assert most[greedy.tenant.tenant_id] == 1
    assert done.end_ms < last_of_many.end_ms


async def test_an_exclusive_verb_is_done_once_at_a_time_in_a_collection(bench: Bench) -> None:
    under_way, together = 0, 0

    async def alone(context: Context) -> object:
        nonlocal under_way, together
        under_way += 1
        together = max(together, under_way)
        await context.sleep(0.4)
        under_way -= 1
        return answer()

    home = await bench.home()
    only = job("alone", alone, exclusive=True)
    both = [await home.start("alone") for _ in range(2)]
    async with bench.worker(only), bench.worker(only):
        for one in both:
            await bench.done(home, one)
    assert together == 1


async def test_an_operation_of_a_collection_that_is_gone_fails_clearly(bench: Bench) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    record = await bench.get(home, operation_id)
    await bench.store.change(home.tenant.uid, operation_id, lambda now: now.changed(collection_uid="of another life"))
    async with bench.worker(COUNT):
        failed = await bench.done(home, operation_id)
    assert failed.error is not None
    assert failed.error["reason"] == "COLLECTION_NOT_FOUND"
    assert record.state == "pending"


async def test_a_lease_is_kept_by_a_job_that_says_nothing_for_longer(bench: Bench) -> None:
    async def silent(context: Context) -> object:
        await context.sleep(LEASE_SECONDS * 2)
        return answer()

    home = await bench.home()
    operation_id = await home.start("silent")
    quiet = job("silent", silent)
    async with bench.worker(quiet), bench.worker(quiet):
        done = await bench.done(home, operation_id)
    assert (done.state, done.fence) == (SUCCEEDED, 1)


async def test_an_engine_that_is_away_for_longer_than_a_lease_is_waited_for(bench: Bench, engine: Local) -> None:
    home = await bench.home()
    operation_id = await home.start("count")
    [pid] = [part.pid for part in engine.status() if part.name == "opensearch"]
    assert pid is not None
    async with bench.worker(COUNT):
        await bench.until(home, operation_id, lambda found: found.progress.done >= 2)
        paused = psutil.Process(pid)
        paused.suspend()
        try:
            await asyncio.sleep(LEASE_SECONDS * 2)
        finally:
            paused.resume()
        done = await bench.done(home, operation_id)
    assert (done.state, done.progress.done) == (SUCCEEDED, PAGES)


@pytest.mark.parametrize("replaced", [False, True])
async def test_an_operation_under_way_ends_soon_after_its_tenant_was_deleted(bench: Bench, *, replaced: bool) -> None:
    home = await bench.home()
    operation_id, tenant_id = await home.start(COUNT.verb), home.tenant.tenant_id
    async with bench.worker(COUNT):
        await bench.until(home, operation_id, lambda found: found.checkpoint)
        await tenants.delete(tenant_pb2.DeleteTenantRequest(name=f"tenants/{tenant_id}"), bench.platform, Mark.new())
        if replaced:
            await tenants.create(tenant_pb2.CreateTenantRequest(tenant_id=tenant_id), bench.platform, Mark.new())
        found = await bench.done(home, operation_id)
    assert (found.state, found.error["reason"]) == (FAILED, "TENANT_NOT_FOUND")
    assert 0 < found.checkpoint["number"] < PAGES
