# SPDX-License-Identifier: Apache-2.0
"""Streams and imports that are interrupted go on where they were: no gap, no row lost, none told twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.local.state import port_free
from tests.integration._servers import Tenant, new_tenant

DOCUMENTS = 8_000
BAD_JSON, BAD_TITLE = 3001, 7003


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant."""
    return await new_tenant(platform)


def title(number: int) -> str:
    """Return the title of a document."""
    return f"resumed {number}"


async def restart_index(platform: Platform, now: Callable[[], bool], *, kill: bool) -> None:
    """End the index server when the moment has come, and start it again."""
    while not now():
        await asyncio.sleep(0.005)
    await asyncio.to_thread(platform.stop, "index", kill=kill)
    for port in ("index", "index-metrics"):
        # The kernel ends the threads of a killed process one by one, and the last of them closes its ports.
        while not port_free(int(platform.address(port).rpartition(":")[2])):
            await asyncio.sleep(0.02)
    await asyncio.to_thread(platform.start, "index")


async def check_documents(platform: Platform, tenant: Tenant, numbers: set[int]) -> None:
    """Wait until these documents are there, and see that there are no others."""
    async with AsyncClient(platform.endpoint, key=tenant.key, timeout=20) as client:
        last, end = max(numbers), time.monotonic() + 60
        while True:
            await client.put_document({"id": "zzz", "title": str(time.monotonic())}, mode="searchable")
            found = [document async for document in client.list_documents(read_mask=["title"])]
            if len(found) > len(numbers):
                break
            assert time.monotonic() < end, f"{len(found)} of {len(numbers)}, {last} being the last"
            await asyncio.sleep(0.2)
    titles = {document.name.rpartition("/")[2]: document.title for document in found}
    del titles["zzz"]
    assert titles == {f"d{number:06}": title(number) for number in numbers}


@pytest.mark.parametrize(
    ("mode", "kill"),
    [("accepted", True), ("applied", True), ("accepted", False)],
    ids=["accepted, killed", "applied, killed", "accepted, ended in order"],
)
async def test_a_stream_goes_on_behind_the_index_server_that_went(
    platform: Platform, tenant: Tenant, mode: str, kill: bool
) -> None:
    written: list[Any] = []
    places: list[tuple[str, int]] = []
    items = ({"id": f"d{number:06}", "title": title(number)} for number in range(DOCUMENTS))
    restart = asyncio.create_task(restart_index(platform, lambda: len(written) >= DOCUMENTS // 6, kill=kill))
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        results = client.stream_write(
            items, mode=mode, patience=60, on_acknowledged=lambda *place: places.append(place)
        )
        async for page in results.pages():
            written += page
            # Else it would be over before the server is gone.
            await asyncio.sleep(0 if restart.done() else 0.05)
    await restart
    assert [result.id for result in written] == [f"d{number:06}" for number in range(DOCUMENTS)]
    assert all(result.ok for result in written)
    outcomes = Counter(result.outcome for result in written)
    assert set(outcomes) <= ({"ACCEPTED", "REPEATED"} if mode == "accepted" else {"CREATED", "UNCHANGED", "REPEATED"})
    if not kill:
        assert set(outcomes) == {"ACCEPTED"}, "a stream that ends in order leaves nothing unanswered"
    assert places == [(places[0][0], number) for number in range(1, len(places) + 1)]
    await check_documents(platform, tenant, set(range(DOCUMENTS)))


def import_killed_twice(command: list[str], environment: dict[str, str], checkpoint: Path) -> tuple[int, str, str]:
    """Run an import, kill it at its first note of each of two runs, and let the third end; returns what that said."""
    for run in range(3):
        with subprocess.Popen(
            command, cwd=checkpoint.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            seen = checkpoint.read_text() if checkpoint.exists() else ""
            while running.poll() is None and run < 2:
                if checkpoint.exists() and checkpoint.read_text() != seen:
                    running.kill()
                time.sleep(0.002)
            out, err = running.communicate()
        assert run == 2 or running.returncode < 0, f"the import was over before it was killed: {err}"
    return running.returncode, out, err


async def test_an_import_that_was_killed_goes_on_where_it_was(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    file, checkpoint = tmp_path / "rows.jsonl", tmp_path / "rows.jsonl.checkpoint"
    with file.open("w", encoding="utf-8") as rows:
        for number in range(DOCUMENTS):
            bad = {BAD_JSON: "{oops", BAD_TITLE: json.dumps({"id": "bad", "title": "x" * 2000})}
            row = json.dumps({"id": f"d{number:06}", "title": title(number), "body": "lorem ipsum " * 50})
            rows.write(bad.get(number, row) + "\n")
    environment = os.environ | {"PINAKES_ENDPOINT": platform.endpoint, "PINAKES_API_KEY": tenant.key}
    command = [sys.executable, "-m", "pinakes.cli", "import", str(file), "--json"]
    code, out, err = await asyncio.to_thread(import_killed_twice, command, environment, checkpoint)
    assert code == 3, err
    told = json.loads(out)
    assert (told["written"], told["failed"]) == (DOCUMENTS - 2, 2)
    assert "going on after line" in err
    failed = [json.loads(line) for line in (tmp_path / "rows.failed.jsonl").read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in failed] == [
        (BAD_JSON + 1, "INVALID_JSON"),
        (BAD_TITLE + 1, "DOCUMENT_INVALID"),
    ]
    assert failed[1]["message"] == "title: must be at most 1000 bytes"
    assert not checkpoint.exists()
    await check_documents(platform, tenant, set(range(DOCUMENTS)) - {BAD_JSON, BAD_TITLE})
