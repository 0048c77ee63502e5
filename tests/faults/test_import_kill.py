# SPDX-License-Identifier: Apache-2.0
"""`pinakes import` ends complete though the index server is killed twice on the way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pinakes.client import AsyncClient
from pinakes.local import Platform
from tests.faults import _checks
from tests.faults._chaos import operate
from tests.faults.conftest import LONG
from tests.integration._servers import Tenant, new_tenant

DOCUMENTS = 200_000 if LONG else 50_000
KILLS = 2
_WRITES = re.compile(r'^pinakes_writes_total\{outcome="\w+"\} (\S+)$', re.MULTILINE)


def title(number: int) -> str:
    """Return the title of a document."""
    return f"document {number} of {DOCUMENTS}"


def rows(path: Path) -> None:
    """Write the file that is imported."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(DOCUMENTS):
            row = {"id": f"d{number:06}", "title": title(number), "attributes": {"number": number}}
            file.write(json.dumps(row) + "\n")


def writes(platform: Platform) -> float:
    """Return how many writes the index server has answered since it was started; 0 while it is away."""
    try:
        with urllib.request.urlopen(f"http://{platform.address('index-metrics')}/metrics", timeout=2) as answer:
            return sum(map(float, _WRITES.findall(answer.read().decode())))
    except OSError:
        return 0.0


async def kill_on_the_way(platform: Platform, running: subprocess.Popen[str]) -> int:
    """Kill the index server whenever it has answered a tenth of the rows; return how often that was."""
    for kill in range(KILLS):
        base = await asyncio.to_thread(writes, platform) if kill == 0 else 0.0
        while await asyncio.to_thread(writes, platform) - base < DOCUMENTS / 10:
            if running.poll() is not None:
                return kill
            await asyncio.sleep(0.01)
        await asyncio.to_thread(operate, platform, "kill", "index")
        await asyncio.to_thread(operate, platform, "start", "index")
    return KILLS


def importing(platform: Platform, tenant: Tenant, path: Path) -> subprocess.Popen[str]:
    """Start the command as a user would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PINAKES_")}
    environment |= {"PINAKES_ENDPOINT": platform.endpoint, "PINAKES_API_KEY": tenant.key}
    command = [str(Path(sys.executable).parent / "pinakes"), "import", str(path), "--patience", "120", "--json"]
    return subprocess.Popen(
        command, cwd=path.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(1200 if LONG else 240)
async def test_an_import_ends_complete_though_the_index_server_is_killed_twice(
    breakable: Platform, tmp_path: Path
) -> None:
    tenant, path = await new_tenant(breakable), tmp_path / "rows.jsonl"
    rows(path)
    began = time.monotonic()
    with importing(breakable, tenant, path) as running:
        try:
            output = asyncio.create_task(asyncio.to_thread(running.communicate))
            kills = await kill_on_the_way(breakable, running)
            said, complained = await output
        finally:
            running.kill()
    print(f"{DOCUMENTS} documents in {time.monotonic() - began:.1f} s with {kills} kills; {said.strip()}")
    assert running.returncode == 0, complained
    assert kills == KILLS, "the import was over before it could be disturbed"
    assert json.loads(said)["failed"] == 0
    await _checks.drained(breakable)

    async with AsyncClient(breakable.endpoint, key=tenant.key, timeout=20) as client:
        await client.put_document({"id": "last", "title": "last"}, mode="searchable")
        found = [document async for document in client.list_documents(read_mask=["title"])]
    assert len(found) == DOCUMENTS + 1
    expected = {tenant.document(f"d{number:06}"): title(number) for number in range(DOCUMENTS)}
    expected[tenant.document("last")] = "last"
    assert {document.name: document.title for document in found} == expected
