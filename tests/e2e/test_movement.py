# SPDX-License-Identifier: Apache-2.0
"""Imports and exports through the front door: the command and the client, with a worker that does the work."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinakes.client import AsyncClient, NotFound, PermissionDenied
from pinakes.local import Platform
from pinakes.v1.operations_pb2 import ExportDocumentsResponse, ImportDocumentsResponse
from tests.integration._servers import Tenant, new_tenant

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROWS = [
    {"id": f"b{n:02}", "title": f"Book {n}", "tags": ["novel"], "attributes": {"year": 1900 + n, "half": n + 0.5}}
    for n in range(60)
]

# What the collection said in a row's stead is in the document, and stays when it goes elsewhere.
EXPORTED = [one | {"language": "en"} for one in ROWS]


@pytest.fixture(scope="module")
async def tenant(platform: Platform) -> Tenant:
    """Make a tenant with a file of rows, one of them broken, in its part of the import folder."""
    made = await new_tenant(platform)
    folder = platform.home / "import" / made.tenant_id
    folder.mkdir(parents=True)
    lines = [json.dumps(one) for one in ROWS]
    (folder / "books.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines[:30], "{broken", *lines[30:]]).encode()))
    return made


@pytest.fixture
def run(platform: Platform, tenant: Tenant, tmp_path: Path) -> Run:
    """Return a function that runs the command in an empty folder."""

    def running(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "PINAKES_ENDPOINT": platform.endpoint,
            "PINAKES_API_KEY": tenant.key,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        return subprocess.run(
            [sys.executable, "-m", "pinakes.cli", *arguments],
            env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        )  # fmt: skip

    return running


async def test_the_client_imports_and_exports(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        started = await client.import_documents("file:///books.jsonl.gz")
        ended = await client.wait_operation(started.name, timeout=60)
        found = ended.result()
        assert isinstance(found, ImportDocumentsResponse)
        assert (found.written_count + found.unchanged_count, found.failed_count) == (60, 1)
        assert [(one.line, one.reason) for one in ended.metadata.failures] == [(31, "INVALID_JSON")]
        assert (ended.metadata.verb, ended.metadata.target) == ("import", tenant.collection)
        # What was just written is searchable within two seconds.
        await client.put_document({"id": "last", "tags": ["other"]}, mode="searchable")
        started = await client.export_documents("file:///deep/novels.jsonl", filter="tags:novel")
        made = (await client.wait_operation(started.name, timeout=60)).result()
        assert isinstance(made, ExportDocumentsResponse)
        assert made.exported_count == 60
        path = platform.home / "export" / tenant.tenant_id / "deep/novels.jsonl"
        assert [json.loads(line) for line in path.read_bytes().splitlines()] == EXPORTED
        assert made.size_bytes == path.stat().st_size
        with pytest.raises(NotFound) as absent:
            await client.import_documents("file:///nothing")
        assert absent.value.reason == "OBJECT_NOT_FOUND"
        with pytest.raises(PermissionDenied) as refused:
            await client.import_documents("s3://bucket/key")
        assert refused.value.reason == "URI_NOT_ALLOWED"
        with pytest.raises(ValueError, match="zstd"):
            await client.import_documents("file:///books.jsonl.gz", compression="lzma")


async def test_an_export_is_of_one_moment_while_documents_come_and_go(platform: Platform) -> None:
    """For each document that goes, another has come before, which stands before it in the file: no moment has neither."""
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        async for written in client.write_many(
            [{"id": f"m{n:04}"} for n in range(3000)] + [{"id": f"z{n:03}"} for n in range(300)], mode="applied"
        ):
            assert written.ok
        numbers = itertools.count()

        async def come_and_go() -> None:
            for n in numbers:
                await client.put_document({"id": f"a{n:03}"}, mode="applied")
                await client.delete_document(f"z{n:03}", mode="applied", allow_missing=True)

        changing = asyncio.create_task(come_and_go())
        try:
            started = await client.export_documents("file:///moment.jsonl")
            await client.wait_operation(started.name, timeout=60)
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
    assert changing.cancelled(), changing.exception()
    path = platform.home / "export" / tenant.tenant_id / "moment.jsonl"
    found = {json.loads(line)["id"] for line in path.read_bytes().splitlines()}
    assert {f"m{n:04}" for n in range(3000)} <= found
    assert next(numbers) > 20, "much has changed meanwhile"
    assert [n for n in range(300) if not {f"a{n:03}", f"z{n:03}"} & found] == []


def test_the_command_loads_and_exports(platform: Platform, tenant: Tenant, run: Run, tmp_path: Path) -> None:
    loaded = run("load", "file:///books.jsonl.gz", "--json")
    assert loaded.returncode == 3, loaded.stderr
    told = json.loads(loaded.stdout)
    assert told["metadata"]["failures"][0]["line"] == "31"
    assert run("search", "x", "--json").returncode == 0
    exported = run("export", "file:///all.jsonl.zst", "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["response"]["exported_count"] == str(61)
    again = run("load", "file:///nothing.jsonl")
    assert again.returncode == 4
    assert again.stderr.startswith("pinakes: OBJECT_NOT_FOUND: file:///nothing.jsonl doesn't exist")
    assert run("load", "books.jsonl").returncode == 2
    assert run("export", "here.jsonl", "--no-wait").returncode == 2


def test_a_file_of_this_machine_is_exported_and_imported_again(run: Run, tmp_path: Path) -> None:
    exported = run("export", "here.jsonl.gz", "--filter", "tags:novel")
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout == "60 documents written to here.jsonl.gz\n"
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in gzip.decompress((tmp_path / "here.jsonl.gz").read_bytes()).splitlines()
    ]
    assert rows == EXPORTED
    assert run("export", "here.jsonl.zst").returncode == 0
    printed = run("export", "-", "--filter", "attributes.year = 1907")
    assert json.loads(printed.stdout)["id"] == "b07"
    assert run("collections", "create", "copy").returncode == 0
    assert run("import", "here.jsonl.gz", "-c", "copy").returncode == 0
    assert run("import", "here.jsonl.zst", "-c", "copy").returncode == 0
    assert run("export", "nowhere/x.jsonl").returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
