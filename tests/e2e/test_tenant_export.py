# SPDX-License-Identifier: Apache-2.0
"""A whole tenant exported through the front door, and imported again into another, which is then the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from pinakes.client import AsyncClient, PermissionDenied, PinakesError
from pinakes.local import Platform
from pinakes.v1 import lifecycle_pb2, resources_pb2
from tests.integration._servers import new_tenant

COLLECTIONS = ("books", "books-old", "empty")


def written(number: int) -> dict[str, Any]:
    """Return a document."""
    return {
        "id": f"d{number:03}", "title": f"Book {number}", "body": "words", "tags": ["novel"],
        "attributes": {"year": 1900 + number},
    }  # fmt: skip


async def contents(client: AsyncClient, collection: str) -> list[str]:
    """Return the documents of a collection as callers see them, without what is each tenant's own."""
    found = []
    async for one in client.list_documents(collection=collection):
        same = resources_pb2.Document()
        same.CopyFrom(one)
        for field in ("name", "etag", "create_time", "update_time"):
            same.ClearField(field)
        found.append(one.name.rpartition("/")[2] + json_format.MessageToJson(same, sort_keys=True))
    return found


async def test_an_exported_tenant_can_be_imported_into_another_and_is_the_same(platform: Platform) -> None:
    source, target = await new_tenant(platform), await new_tenant(platform)
    async with (
        AsyncClient(platform.endpoint, key=source.key, timeout=30) as theirs,
        AsyncClient(platform.endpoint, key=target.key, timeout=30) as ours,
    ):
        for name in COLLECTIONS:
            await theirs.create_collection(name, display_name=name.upper(), attributes=["year:number:sortable"])
        await theirs.batch_write([written(n) for n in range(120)], collection="books", mode="searchable")
        await theirs.batch_write([written(n) for n in range(7)], collection="books-old", mode="searchable")
        key = await theirs.create_key("user", readers=["ann"])

        started = await theirs.export_tenant("file:///whole/first", compression="gzip", request_id="once")
        assert (await theirs.export_tenant("file:///whole/first", compression="gzip", request_id="once")).name == (
            started.name
        )
        ended = await theirs.wait_operation(started.name, timeout=90)
        made = ended.result()
        assert isinstance(made, lifecycle_pb2.ExportTenantResponse)
        assert (made.exported_count, made.manifest_uri) == (127, "file:///whole/first/manifest.json")
        assert (ended.metadata.verb, ended.metadata.target) == ("export-tenant", source.name)

        folder = platform.home / "export" / source.tenant_id / "whole/first"
        manifest = json.loads((folder / "manifest.json").read_bytes())
        assert manifest["documents"] == 127
        assert {file["name"] for file in manifest["files"]} == {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        } - {"manifest.json"}
        for file in manifest["files"]:
            data = (folder / file["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        assert key.secret not in (folder / "keys.jsonl").read_text()
        assert {json.loads(line)["name"] for line in (folder / "keys.jsonl").read_text().splitlines()} > {
            key.api_key.name
        }

        imports: Path = platform.home / "import" / target.tenant_id
        for line in (folder / "collections.jsonl").read_text().splitlines():
            kept = json_format.ParseDict(json.loads(line), resources_pb2.Collection())
            name = kept.name.rpartition("/")[2]
            if name != "default":
                await ours.create_collection(name, display_name=kept.display_name, attributes=list(kept.attributes))
        for file in manifest["files"]:
            if file["kind"] == "documents":
                (imports / file["name"]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / file["name"], imports / file["name"])
                loading = await ours.import_documents(f"file:///{file['name']}", collection=file["collection"])
                (await ours.wait_operation(loading.name, timeout=60)).result()
        await ours.put_document({"id": "last"}, mode="searchable")
        for name in COLLECTIONS:
            assert await contents(ours, name) == await contents(theirs, name)
        assert (await ours.search("book", collection="books", order_by="attributes.year desc")).total_size == 120


async def test_what_cannot_be_exported_is_refused_at_once(platform: Platform) -> None:
    tenant = await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as keeper:
        for uri, reason in (("s3://bucket/other/x", "URI_NOT_ALLOWED"), ("file:///a/../b", "URI_INVALID")):
            with pytest.raises(PinakesError) as caught:
                await keeper.export_tenant(uri)
            assert caught.value.reason == reason
        service = (await keeper.create_key("service")).secret
    async with AsyncClient(platform.endpoint, key=service) as client:
        with pytest.raises(PermissionDenied):
            await client.export_tenant("file:///mine")
