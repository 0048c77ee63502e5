# SPDX-License-Identifier: Apache-2.0
"""Exports of whole tenants whose workers are killed: another goes on at the part, and what comes of it is whole."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import RUNNING, SUCCEEDED, OperationRecord
from pinakes.core.tenancy import collections
from pinakes.core.tenancy.marks import Mark
from pinakes.tenant.commands import lifecycle
from pinakes.v1 import lifecycle_pb2
from pinakes.v1 import operations_pb2 as verbs_pb2
from tests.integration._movement import PART_DOCUMENTS, Mover, mover, small_parts
from tests.integration._objects import objects
from tests.integration._operations import Home, bench, document, last

__all__ = ["bench", "mover", "objects"]
# The last part of the one isn't full; that of the other is.
SIZES = {"default": 2 * PART_DOCUMENTS + 30, "default-old": 2 * PART_DOCUMENTS}
PARTS = {"default": 3, "default-old": 2}


async def _homes(mover: Mover) -> dict[str, Home]:
    """Make a tenant with two collections full of documents."""
    first = await mover.bench.home()
    record = collections.new_collection(first.tenant, "default-old")
    made = await collections.create(first.platform.directory, first.tenant, record, Mark.new())
    homes = {"default": first, "default-old": Home(first.platform, first.tenant, made)}
    for name, home in homes.items():
        await home.put(*(document(f"d{n:03}", tags=[name]) for n in range(SIZES[name])))
    return homes


async def _killed_behind(mover: Mover, home: Home, operation_id: str, parts: int) -> OperationRecord:
    """Let a worker go on until the record has so many parts, kill it at the next one, and return the record."""
    with mover.process() as worker:
        found = await mover.bench.until(
            home, operation_id, lambda now: len(now.checkpoint.get("files", ())) == parts, seconds=60
        )
        await asyncio.sleep(0.2)
        worker.kill()
        worker.wait()
    assert found.state == RUNNING
    return await mover.bench.get(home, operation_id)


def _files(folder: Path) -> dict[str, int]:
    """Return the files of an export that are there, and when each was written, in ns."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in found}


async def test_an_export_of_a_tenant_goes_on_at_the_part_at_which_its_worker_was_killed(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = await _homes(mover)
    home, folder = homes["default"], mover.objects.home / "export" / homes["default"].tenant.tenant_id / "whole"
    request = lifecycle_pb2.ExportTenantRequest(
        name=f"tenants/{home.tenant.tenant_id}", destination_uri="file:///whole",
        compression=verbs_pb2.COMPRESSION_GZIP,
    )  # fmt: skip
    operation_id = last(await lifecycle.export(request, home.call, home.platform))
    names = [f"documents/{name}-{part:05}.jsonl.gz" for name, parts in PARTS.items() for part in range(parts)]
    # In the second part of the first collection, and then in that of the second.
    holders, times = set(), {}
    for kills, parts in enumerate((1, 4), 1):
        record = await _killed_behind(mover, home, operation_id, parts)
        assert record.fence == kills
        holders.add(record.holder)
        assert len(record.checkpoint["files"]) == parts
        before, times = times, _files(folder)
        assert sorted(times) == names[:parts], "killed in the middle of the next one"
        assert before.items() <= times.items(), "what is complete isn't written again"
    assert len(holders) == 2
    small_parts(monkeypatch)
    async with mover.bench.worker():
        record = await mover.bench.done(home, operation_id)
    assert (record.state, record.fence) == (SUCCEEDED, 3)
    assert times.items() <= _files(folder).items()

    manifest = json.loads((folder / "manifest.json").read_bytes())
    files = {file["name"]: file for file in manifest["files"]}
    assert len(files) == len(manifest["files"])
    everything = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert everything == {*files, "manifest.json"}, "nothing half-done is left"
    assert [name for name in files if name.startswith("documents/")] == names
    for name, file in files.items():
        data = (folder / name).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SIZES}
    for name in names:
        rows = [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).splitlines()]
        assert len(rows) == files[name]["rows"] <= PART_DOCUMENTS
        found[files[name]["collection"]] += rows
    for name, size in SIZES.items():
        assert [row["id"] for row in found[name]] == [f"d{n:03}" for n in range(size)], "each once, in order"
        assert {tag for row in found[name] for tag in row["tags"]} == {name}
    answer = lifecycle_pb2.ExportTenantResponse()
    operation_message(record).response.Unpack(answer)
    assert answer.exported_count == manifest["documents"] == record.progress.done == sum(SIZES.values())
    assert (answer.file_count, answer.size_bytes) == (len(files), sum(file["bytes"] for file in files.values()))
