# SPDX-License-Identifier: Apache-2.0
"""Exports on the real engine and real storage, and back again."""

from __future__ import annotations

import gzip
import json

import pytest
from backports import zstd

from pinakes.core.engine.bodies import Put
from pinakes.core.engine.documents import tombstone
from pinakes.core.identity.permissions import Role
from pinakes.core.identity.principal import Principal
from pinakes.core.operations.messages import operation_message
from pinakes.core.operations.records import SUCCEEDED
from pinakes.v1 import operations_pb2 as verbs_pb2
from pinakes.v1 import resources_pb2
from pinakes.worker.jobs import export
from tests.integration._movement import Mover, counts, documents, mover, row
from tests.integration._objects import objects
from tests.integration._operations import bench, document, last

__all__ = ["bench", "mover", "objects"]


RICH = [
    row("plain"),
    row("rich", body='two\nlines \u2028 "quoted" \\ Τίτλος', tags=["a", "Ü"], language="de", readers=["me"],
        source_uri="https://example.org/?a=b#c", expire_time="2100-01-31T12:00:00.250Z",
        attributes={"n": 1, "f": -2.5, "big": 2**53, "t": True, "none": None, "l": [1, "x", [], {}], "deep": {"er": {"e": 1}}}),
    row("~:._-A"), row("en", language="en"), row("empty", title=""),
]  # fmt: skip


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
async def test_what_is_exported_is_imported_as_it_was(mover: Mover, ending: str) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}in", [*RICH, *(row(f"d{i:03}") for i in range(200))])
    assert counts(await mover.run(home, f"{uri}in")) == (205, 0, 0)
    before = await documents(home)
    record = await mover.run(home, f"{uri}deep/out.jsonl{ending}", "export")
    assert record.state == SUCCEEDED
    found = verbs_pb2.ExportDocumentsResponse()
    operation_message(record).response.Unpack(found)
    written = mover.objects.path(f"{uri}deep/out.jsonl{ending}").read_bytes()
    assert (found.exported_count, found.size_bytes) == (205, len(written))
    assert (record.progress.done, record.progress.total) == (205, 205)
    unpack = {"": bytes, ".gz": gzip.decompress, ".zst": zstd.decompress}[ending]
    lines = [json.loads(line) for line in unpack(written).splitlines()]
    assert [one["id"] for one in lines] == sorted(before)
    assert {one["id"]: one for one in lines}["rich"] == RICH[1]
    # Over itself it changes nothing, and into another tenant it makes the same documents.
    assert counts(await mover.run(home, f"{uri}deep/out.jsonl{ending}")) == (0, 205, 0)
    other, _, file = await mover.home()
    mover.objects.put(f"{file}copy{ending}", unpack(written), other.tenant.tenant_id)
    assert counts(await mover.run(other, f"{file}copy{ending}")) == (205, 0, 0)
    after = await documents(other)
    assert {one: replaced(found) for one, found in after.items()} == {
        one: replaced(found) for one, found in before.items()
    }


def replaced(found: resources_pb2.Document) -> resources_pb2.Document:
    """Return a document without its name."""
    same = resources_pb2.Document()
    same.CopyFrom(found)
    same.ClearField("name")
    return same


async def test_an_export_holds_what_matches_and_what_its_caller_may_read(mover: Mover) -> None:
    home, _, _ = await mover.home()
    await home.put(
        document("a", tags=["x"]), document("b"), resources_pb2.Document(name="c", readers=["her"], tags=["x"])
    )
    record = await mover.run(home, "file:///x.jsonl", "export", filter="tags:x")
    assert record.progress.done == 2
    path = mover.objects.path("file:///x.jsonl", home.tenant.tenant_id)
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == ["a", "c"]
    call = home.call
    call.caller = Principal("him", Role.SERVICE, (home.tenant.tenant_id,), ("him",))
    record = await mover.run(home, "file:///x.jsonl", "export", call=call)
    assert [json.loads(line)["id"] for line in path.read_bytes().splitlines()] == ["a", "b"]


async def test_an_export_of_nothing_is_an_empty_object(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    assert (await mover.run(home, f"{uri}none.gz", "export")).state == SUCCEEDED
    assert gzip.decompress(mover.objects.path(f"{uri}none.gz").read_bytes()) == b""
    assert counts(await mover.run(home, f"{uri}none.gz")) == (0, 0, 0)


async def test_an_export_is_of_one_moment(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is created, changed and deleted while it goes on, nothing is seen; what was written just before is."""
    home, _, _ = await mover.home()
    await home.put(*(document(f"d{i:03}", tags=["before"]) for i in range(300)))
    monkeypatch.setattr(export, "PAGE", 2)
    operation_id = last(await mover.ask(home, "file:///then.jsonl", "export"))
    async with mover.bench.worker():
        await mover.bench.until(home, operation_id, lambda found: found.progress.done)
        await home.put(document("a-new-one"), *(document(f"d{i:03}", tags=["after"]) for i in range(100, 200)))
        gone, revisions = [f"d{i:03}" for i in range(200, 300)], home.platform.revisions
        buried = [Put(one, tombstone(home.scope.owner, one, revisions.next())) for one in gone]
        await home.scope.bulk(buried, searchable=True)
        record = await mover.bench.done(home, operation_id)
    assert (record.state, record.progress.done) == (SUCCEEDED, 300)
    lines = mover.objects.path("file:///then.jsonl", home.tenant.tenant_id).read_bytes().splitlines()
    assert [(one["id"], one["tags"]) for one in map(json.loads, lines)] == [
        (f"d{i:03}", ["before"]) for i in range(300)
    ]


async def test_an_export_whose_moment_the_engine_has_lost_begins_anew(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _, _ = await mover.home()
    await home.put(*(document(f"d{i:04}") for i in range(1500)))
    monkeypatch.setattr(export, "PAGE", 2)
    operation_id = last(await mover.ask(home, "file:///then.jsonl", "export"))
    async with mover.bench.worker():
        await mover.bench.until(home, operation_id, lambda found: found.progress.done)
        await home.put(document("later"))
        await mover.bench.platform.engine.call("close_moments", "DELETE", "/_search/point_in_time/_all")
        record = await mover.bench.done(home, operation_id)
    assert (record.state, record.progress.done) == (SUCCEEDED, 1501)
    lines = mover.objects.path("file:///then.jsonl", home.tenant.tenant_id).read_bytes().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 1501
