# SPDX-License-Identifier: Apache-2.0
"""Imports and exports that are killed, cancelled, left alone by their storage or replaced under their hands."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import asdict
from typing import Any

import psutil
import pytest
from backports import zstd

from pinakes.core.engine.revisions import STEP
from pinakes.core.operations.records import CANCELLED, SUCCEEDED, OperationRecord
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.worker.jobs import export, import_
from tests.integration._movement import Mover, counts, documents, mover, row
from tests.integration._objects import objects
from tests.integration._operations import Home, bench, document, last

__all__ = ["bench", "mover", "objects"]


async def test_an_import_goes_on_behind_a_worker_that_was_killed(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    total = 8000
    lines: list[Any] = [row(f"d{i:05}", body="text " * 30) for i in range(total)]
    lines[5000:5000] = [b"{broken"]
    mover.objects.put(f"{uri}long.gz", lines)
    operation_id = last(await mover.ask(home, f"{uri}long.gz"))
    with mover.bench.process() as worker:
        await mover.bench.until(home, operation_id, lambda found: found.progress.done >= 1000, 60)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    seen = await mover.bench.get(home, operation_id)
    assert 1000 <= seen.progress.done < total
    # Whoever deletes a row meanwhile won't see it come back by the part that is done again.
    gone = [f"d{i:05}" for i in range(seen.checkpoint["line"], min(seen.checkpoint["line"] + 2000, 4900), 400)]
    there = [one for one in gone if (await home.scope.get(one)) is not None]
    await _delete(home, there)
    async with mover.bench.worker():
        record = await mover.bench.until(home, operation_id, lambda found: found.finished, 60)
    assert record.fence == 2
    assert counts(record) == (total, 0, 1)
    assert [(one.line, one.reason) for one in record.failures] == [(5001, "INVALID_JSON")]
    assert len(await documents(home)) == total - len(there)


async def _delete(home: Home, ids: list[str]) -> None:
    from pinakes.core.writing.apply import apply
    from pinakes.core.writing.changes import deletion

    async def none_older() -> bool:
        return False

    first = home.platform.revisions.take(len(ids) or 1)
    await apply(home.scope, [deletion(one, first + i * STEP) for i, one in enumerate(ids)], none_older)


async def test_an_object_that_is_replaced_meanwhile_isnt_gone_on_with(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}changing", [row("a")])
    operation = await mover.ask(home, f"{uri}changing")
    stored = await mover.bench.get(home, last(operation))
    state = import_.State(version="older", line=1, offset=7)
    await mover.bench.store.change(
        home.tenant.uid, stored.operation_id, lambda now: now.changed(checkpoint=asdict(state))
    )
    async with mover.bench.worker():
        record = await mover.bench.done(home, stored.operation_id)
    assert record.error is not None
    assert record.error["reason"] == "OBJECT_CHANGED"


async def test_an_import_that_is_older_than_deletions_are_remembered_isnt_done(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}old", [row("a")])
    operation_id = last(await mover.ask(home, f"{uri}old"))
    week = 7 * 86_400_000_000 * STEP
    await mover.bench.store.change(
        home.tenant.uid,
        operation_id,
        lambda now: now.changed(parameters=now.parameters | {"revision": now.parameters["revision"] - week}),
    )
    async with mover.bench.worker():
        record = await mover.bench.done(home, operation_id)
    assert record.error is not None
    assert record.error["reason"] == "IMPORT_TOO_OLD"
    assert await documents(home) == {}


@pytest.mark.parametrize("verb", ["import", "export"])
async def test_what_is_cancelled_stops_and_an_export_leaves_nothing(
    mover: Mover, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, uri, _ = await mover.home()
    lines = [row(f"d{i:05}", body="text " * 50) for i in range(8000)]
    mover.objects.put(f"{uri}in.zst", lines)
    if verb == "export":
        assert counts(await mover.run(home, f"{uri}in.zst")) == (8000, 0, 0)
        await documents(home)
    # Slowly, so that there is something to stop.
    monkeypatch.setattr(export, "PAGE", 2)
    monkeypatch.setattr(import_, "CHUNK_LINES", 10)
    target = f"{uri}in.zst" if verb == "import" else "file:///out.jsonl"
    async with mover.bench.worker():
        operation_id = last(await mover.ask(home, target, verb))
        await mover.bench.until(home, operation_id, lambda found: found.start_ms)
        await mover.bench.cancel(home, operation_id)
        record = await mover.bench.done(home, operation_id)
    assert record.state == CANCELLED
    assert record.progress.done < 8000
    folder = mover.objects.home / "export" / home.tenant.tenant_id
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_an_export_that_was_interrupted_begins_anew_and_shows_nothing_before(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _, _ = await mover.home()
    for begin in range(0, 1500, 500):
        await home.put(*(document(f"d{i:04}") for i in range(begin, begin + 500)))
    folder = mover.objects.home / "export" / home.tenant.tenant_id
    operation_id = last(await mover.ask(home, "file:///out.jsonl", "export"))
    monkeypatch.setattr(export, "PAGE", 2)
    monkeypatch.setattr(export, "WRITE_BYTES", 1)
    async with mover.bench.worker():
        await mover.bench.until(home, operation_id, lambda found: found.progress.done)
        assert [path.name for path in folder.iterdir()] == [f".{operation_id}-1.part"]
    assert list(folder.iterdir()) == []
    monkeypatch.undo()
    async with mover.bench.worker():
        record = await mover.bench.done(home, operation_id)
    assert (record.state, record.fence, record.progress.done) == (SUCCEEDED, 2, 1500)
    lines = mover.objects.path("file:///out.jsonl", home.tenant.tenant_id).read_bytes().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"d{i:04}" for i in range(1500)]
    assert [path.name for path in folder.iterdir()] == ["out.jsonl"]


async def test_a_storage_that_is_away_is_waited_for(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}a", [row("a")])
    mover.objects.local.stop("s3")
    try:
        async with mover.bench.worker():
            operation_id = last(await mover.ask(home, f"{uri}a"))
            await mover.bench.until(home, operation_id, lambda found: found.start_ms)
            await asyncio.sleep(1)
            assert not (await mover.bench.get(home, operation_id)).finished
            await asyncio.to_thread(mover.objects.local.start, "s3")
            record = await mover.bench.until(home, operation_id, lambda found: found.finished, 60)
    finally:
        await asyncio.to_thread(mover.objects.local.start, "s3")
    assert counts(record) == (1, 0, 0)


async def test_memory_stays_flat_while_much_goes_through(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    # 150 MB of rows that compress to little: holding them whole would show. All but the first forty change nothing.
    text = "Wir haben gelesen, was hier steht. " * 1500
    packer, packed = zstd.ZstdCompressor(level=1), b""
    for i in range(3000):
        packed += packer.compress(json.dumps(row(f"d{i % 40}", body=text)).encode() + b"\n")
    mover.objects.put(f"{uri}much.bin", packed + packer.flush())
    operation = await mover.ask(home, f"{uri}much.bin", compression=verbs_pb2.COMPRESSION_ZSTD)
    sizes: list[int] = []
    with mover.bench.process() as worker:
        watched = psutil.Process(worker.pid)

        def look(found: OperationRecord) -> bool:
            if found.progress.done > 300:
                sizes.append(watched.memory_info().rss >> 20)
            return found.finished

        record = await mover.bench.until(home, last(operation), look, 120)
    assert counts(record) == (40, 2960, 0)
    half = len(sizes) // 2
    assert max(sizes[half:]) - max(sizes[:half]) < 40, sizes
    assert max(sizes) < 300, sizes
