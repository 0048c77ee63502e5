# SPDX-License-Identifier: Apache-2.0
"""Objects by URI on a real S3 endpoint that checks signatures, and in real folders: what goes wrong, and what is seen when."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pinakes.core.faults import Fault, Kind
from pinakes.core.storage.objects import Storage
from pinakes.core.storage.uris import Location, parse
from tests.integration._objects import Objects, objects
from tests.integration._servers import free_port

__all__ = ["objects"]
BUCKET = "s3://pinakes/acme"
BOTH = pytest.mark.parametrize("base", [BUCKET, "file:///folder"])


def at(uri: str) -> Location:
    return parse(uri, "uri")


async def reason(work: Awaitable[Any]) -> str:
    with pytest.raises(Fault) as caught:
        await work
    fault = caught.value
    text = f"{fault.message} {fault.metadata}".lower()
    assert not [word for word in ("127.0.0.1", "/tmp", "xml", "signature", "error performing", "errno") if word in text]
    return fault.reason


async def read(storage: Storage, uri: str, tenant: str = "acme") -> bytes:
    source = await storage.source(at(uri), tenant)
    try:
        parts = [await source.read(offset, 1000) for offset in range(0, source.size, 1000)]
    finally:
        await source.close()
    return b"".join(parts)


async def write(storage: Storage, uri: str, *parts: bytes, tenant: str = "acme", finish: bool = True) -> None:
    async with await storage.sink(at(uri), tenant, "operation", 1) as sink:
        for part in parts:
            await sink.write(part)
        if finish:
            await sink.finish()


@BOTH
async def test_an_object_comes_back_as_it_was_written(objects: Objects, base: str) -> None:
    storage = objects.storage(export_folder=objects.home / "import")
    data = os.urandom(12_345)
    await write(storage, f"{base}/Ünï code %20 ?x#y", data[:5000], b"", data[5000:])
    assert await read(storage, f"{base}/Ünï code %20 ?x#y") == data
    await write(storage, f"{base}/Ünï code %20 ?x#y", b"other")
    assert await read(storage, f"{base}/Ünï code %20 ?x#y") == b"other"
    await write(storage, f"{base}/empty")
    assert await read(storage, f"{base}/empty") == b""


@BOTH
async def test_nothing_is_seen_before_the_end_and_nothing_after_an_error(objects: Objects, base: str) -> None:
    storage = objects.storage(export_folder=objects.home / "import")
    uri = f"{base}/whole"
    await write(storage, uri, b"before")
    # Parts are sent once there are 16 MiB.
    parts = [os.urandom(1 << 20) for _ in range(40)]
    async with await storage.sink(at(uri), "acme", "operation", 1) as sink:
        for part in parts:
            await sink.write(part)
            assert await read(storage, uri) == b"before"
        await sink.finish()
    assert objects.path(uri, "acme").read_bytes() == b"".join(parts)
    await write(storage, uri, *parts[:20], finish=False)
    with pytest.raises(ZeroDivisionError):
        async with await storage.sink(at(uri), "acme", "operation", 2) as sink:
            await sink.write(parts[0])
            raise ZeroDivisionError
    assert objects.path(uri, "acme").read_bytes() == b"".join(parts)
    assert [path.name for path in objects.path(uri, "acme").parent.iterdir() if path.name.startswith(".")] == []


async def test_what_an_earlier_attempt_left_in_a_folder_is_dropped(objects: Objects) -> None:
    storage = objects.storage()
    first = await storage.sink(at("file:///left/a"), "acme", "op", 1)
    await first.write(b"half")
    folder = objects.home / "export/acme/left"
    assert [path.name for path in folder.iterdir()] == [".op-1.part"]
    async with await storage.sink(at("file:///left/a"), "acme", "op", 3) as second:
        assert [path.name for path in folder.iterdir()] == [".op-3.part"]
        await second.write(b"whole")
        await second.finish()
    # The older run, still alive, can't put its half there.
    assert await reason(first.finish()) == "OBJECT_NOT_FOUND"
    await first.__aexit__(None, None, None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a": b"whole"}


@BOTH
async def test_what_isnt_there_is_not_found(objects: Objects, base: str) -> None:
    storage = objects.storage()
    assert await reason(read(storage, f"{base}/nothing")) == "OBJECT_NOT_FOUND"
    assert await reason(storage.check_readable(at(f"{base}/nothing"), "acme")) == "OBJECT_NOT_FOUND"
    await storage.check_writable(at(f"{base}/nothing"), "acme")


async def test_a_bucket_that_isnt_there_is_told_when_it_is_written_to(objects: Objects) -> None:
    storage = objects.storage(s3_buckets=["nowhere"])
    assert await reason(read(storage, "s3://nowhere/acme/a")) == "OBJECT_NOT_FOUND"
    assert await reason(write(storage, "s3://nowhere/acme/a", b"x")) == "OBJECT_NOT_FOUND"
    assert await reason(write(storage, "s3://nowhere/acme/a", *[bytes(1 << 20)] * 20)) == "OBJECT_NOT_FOUND"


async def test_a_wrong_secret_is_refused_by_the_storage_itself(objects: Objects) -> None:
    objects.put(f"{BUCKET}/secret", b"content")
    for changes in ({"s3_secret_key": SecretStr("wrong" * 8)}, {"s3_access_key": "somebody"}):
        storage = objects.storage(**changes)
        assert await reason(read(storage, f"{BUCKET}/secret")) == "OBJECT_FORBIDDEN"
        assert await reason(storage.check_readable(at(f"{BUCKET}/secret"), "acme")) == "OBJECT_FORBIDDEN"
        assert await reason(storage.check_writable(at(f"{BUCKET}/secret"), "acme")) == "OBJECT_FORBIDDEN"
        assert await reason(write(storage, f"{BUCKET}/secret", b"x")) == "OBJECT_FORBIDDEN"
        assert await reason(write(storage, f"{BUCKET}/secret", *[bytes(1 << 20)] * 20)) == "OBJECT_FORBIDDEN"
    assert objects.path(f"{BUCKET}/secret").read_bytes() == b"content"


async def test_another_tenants_objects_and_other_buckets_are_out_of_reach(objects: Objects) -> None:
    storage = objects.storage()
    for uri in ("s3://pinakes/other/a", "s3://forbidden/acme/a", "s3://pinakes/acme-2/a"):
        objects.put(uri, b"foreign")
        for work in (
            read(storage, uri), storage.check_readable(at(uri), "acme"), write(storage, uri, b"x"),
            storage.check_writable(at(uri), "acme"),
        ):  # fmt: skip
            assert await reason(work) == "URI_NOT_ALLOWED"
        assert objects.path(uri).read_bytes() == b"foreign"


async def test_a_folder_gives_each_tenant_its_own_files(objects: Objects) -> None:
    objects.put("file:///same", b"acme's", "acme")
    objects.put("file:///same", b"other's", "other")
    storage = objects.storage()
    assert await read(storage, "file:///same") == b"acme's"
    assert await read(storage, "file:///same", "other") == b"other's"
    await write(storage, "file:///same", b"new")
    assert (objects.home / "export/acme/same").read_bytes() == b"new"
    assert not (objects.home / "export/other").exists()


async def test_symbolic_links_lead_nowhere(objects: Objects, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for folder in ("import", "export"):
        mine = objects.home / folder / "linking"
        (mine / "inner").mkdir(parents=True)
        (mine / "file").symlink_to(secret)
        (mine / "folder").symlink_to(tmp_path)
        (mine / "inner/up").symlink_to("../..")
        (objects.home / folder / "linked").symlink_to(objects.home / folder / "acme")
    storage = objects.storage()
    for name in ("file", "folder/secret", "inner/up/acme/same"):
        assert await reason(read(storage, f"file:///{name}", "linking")) == "OBJECT_FORBIDDEN"
    assert await reason(read(storage, "file:///same", "linked")) == "OBJECT_FORBIDDEN"
    for name in ("folder/new", "inner/up/acme/new"):
        assert await reason(write(storage, f"file:///{name}", b"x", tenant="linking")) == "OBJECT_FORBIDDEN"
    await write(storage, "file:///file", b"mine", tenant="linking")  # the link itself is replaced
    assert secret.read_bytes() == b"secret"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret"]
    assert not (objects.home / "export/linking/file").is_symlink()


async def test_what_is_no_file_is_refused_at_once(objects: Objects) -> None:
    folder = objects.home / "import/acme/odd"
    (folder / "folder").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "plain").write_bytes(b"x")
    (objects.home / "export/acme/odd/folder").mkdir(parents=True)
    storage = objects.storage()
    async with asyncio.timeout(5):  # nobody writes into the pipe
        assert await reason(read(storage, "file:///odd/pipe")) == "OBJECT_NOT_FOUND"
    assert await reason(read(storage, "file:///odd/folder")) == "OBJECT_NOT_FOUND"
    assert await reason(read(storage, "file:///odd/plain/below")) == "OBJECT_NOT_FOUND"
    assert await reason(storage.check_writable(at("file:///odd/folder"), "acme")) == "OBJECT_FORBIDDEN"
    assert await reason(write(storage, "file:///odd/folder", b"x")) == "OBJECT_FORBIDDEN"


@BOTH
async def test_an_object_that_is_replaced_while_it_is_read_is_noticed(objects: Objects, base: str) -> None:
    uri = objects.put(f"{base}/changing", b"a" * 5000, "acme")
    source = await objects.storage().source(at(uri), "acme")
    assert await source.read(0, 1000) == b"a" * 1000
    objects.put(uri, b"b" * 5000, "acme")
    assert await reason(source.read(1000, 1000)) == "OBJECT_CHANGED"
    await source.close()
    again = await objects.storage().source(at(uri), "acme")
    assert again.version != source.version
    await again.close()


async def test_an_object_without_an_etag_is_known_by_its_time(objects: Objects) -> None:
    uri = f"{BUCKET}/bare"
    path = objects.path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a" * 5000)  # put where the endpoint keeps its objects: it knows no etag of it
    source = await objects.storage().source(at(uri), "acme")
    assert await source.read(0, 5000) == b"a" * 5000
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))
    assert await reason(source.read(0, 5000)) == "OBJECT_CHANGED"


async def test_storage_that_is_away_is_unavailable_and_no_reason_to_refuse(objects: Objects) -> None:
    storage = objects.storage(s3_endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Fault) as caught:
        await storage.source(at(f"{BUCKET}/a"), "acme")
    assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    assert caught.value.retry_after
    assert await reason(write(storage, f"{BUCKET}/a", b"x")) == "STORAGE_UNAVAILABLE"
    await storage.check_readable(at(f"{BUCKET}/a"), "acme")
    await storage.check_writable(at(f"{BUCKET}/a"), "acme")


async def test_storage_that_keeps_failing_is_left_alone_for_a_while(objects: Objects) -> None:
    storage = objects.storage(s3_endpoint=f"http://127.0.0.1:{free_port()}")
    await asyncio.gather(*(reason(read(storage, f"{BUCKET}/{number}")) for number in range(10)))
    began = time.monotonic()
    with pytest.raises(Fault) as caught:
        await storage.source(at(f"{BUCKET}/a"), "acme")
    assert time.monotonic() - began < 0.1, "the storage was asked once more"
    assert caught.value.reason == "STORAGE_UNAVAILABLE"
    assert caught.value.retry_after is not None
    assert 20 < caught.value.retry_after <= 30
    # What the storage refuses says nothing against it.
    works = objects.storage()
    for number in range(12):
        assert await reason(read(works, f"{BUCKET}/nothing-{number}")) == "OBJECT_NOT_FOUND"
    await write(works, f"{BUCKET}/there", b"x")
