# SPDX-License-Identifier: Apache-2.0
"""Imports on the real engine, a real S3 endpoint and real folders: rows of all kinds, and what is refused."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from backports import zstd
from pydantic import SecretStr

from pinakes.core.operations.records import FAILED
from tests.integration._movement import Mover, counts, documents, mover, row
from tests.integration._objects import objects
from tests.integration._operations import bench, document, last

__all__ = ["bench", "mover", "objects"]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("where", [1, 2])
async def test_rows_go_in_whatever_stands_between_them(mover: Mover, where: int, ending: str) -> None:
    place = await mover.home()
    home, uri = place[0], f"{place[where]}mixed.jsonl{ending}"  # type: ignore[operator]
    good = [row(f"d{i:04}", tags=["t"], attributes={"n": i}) for i in range(1300)]
    lines: list[Any] = list(good)
    lines[700:700] = [b"{broken", b"", row("no such id!"), b"\xff\xfe", row("x", titel="typo"), [1], row("y", tags="t")]
    lines[5:5] = [b"", b"   "]
    lines += [row("z", title="x" * 1001), row("d0001", title="the later one stands")]
    mover.objects.put(uri, [one if isinstance(one, bytes | dict) else json.dumps(one).encode() for one in lines],
                      home.tenant.tenant_id)  # fmt: skip
    record = await mover.run(home, uri)
    assert counts(record) == (1301, 0, 7)
    first = 703
    assert [(failure.line, failure.reason) for failure in record.failures] == [
        (first, "INVALID_JSON"), (first + 2, "DOCUMENT_INVALID"), (first + 3, "INVALID_JSON"),
        (first + 4, "INVALID_DOCUMENT"), (first + 5, "INVALID_JSON"), (first + 6, "INVALID_DOCUMENT"),
        (len(lines) - 1, "DOCUMENT_INVALID"),
    ]  # fmt: skip
    assert record.progress.done_bytes == record.progress.total_bytes > 0
    found = await documents(home)
    assert sorted(found) == [one["id"] for one in good]
    assert found["d0001"].title == "the later one stands"
    # Once more changes nothing but the one that was there twice.
    assert counts(await mover.run(home, uri)) == (2, 1299, 7)


async def test_the_first_hundred_failures_are_kept_and_all_are_counted(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}bad", b"no\n" * 1234)
    record = await mover.run(home, f"{uri}bad")
    assert counts(record) == (0, 0, 1234)
    assert [failure.line for failure in record.failures] == list(range(1, 101))


async def test_an_empty_object_is_an_import_of_nothing(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}empty", b"")
    assert counts(await mover.run(home, f"{uri}empty")) == (0, 0, 0)


async def test_a_row_with_an_etag_goes_only_over_that_version(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    await home.put(document("a"), document("b"))
    found = await home.scope.mget(["a", "b"])
    etags = [mover.bench.platform.etags.make(one.source["revision"], one.source["hash"]) for one in found]
    await home.put(document("b", tags=["changed"]))
    lines = [row("a", etag=etags[0]), row("b", etag=etags[1]), row("c", etag=etags[0])]
    mover.objects.put(f"{uri}conditional", lines)
    record = await mover.run(home, f"{uri}conditional")
    assert counts(record) == (1, 0, 2)
    assert [(f.line, f.reason) for f in record.failures] == [(2, "ETAG_MISMATCH"), (3, "DOCUMENT_NOT_FOUND")]


async def test_what_was_written_since_the_request_stands(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}late", [row("a"), row("b")])
    operation = await mover.ask(home, f"{uri}late")
    await home.put(document("a", tags=["newer"]))
    async with mover.bench.worker():
        record = await mover.bench.done(home, last(operation))
    assert counts(record) == (2, 0, 0)
    found = await documents(home)
    assert list(found["a"].tags) == ["newer"]
    assert list(found["b"].tags) == []


# ---- what is refused


async def test_what_can_never_be_read_is_refused_before_there_is_an_operation(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    other, others, _ = await mover.home()
    mover.objects.put(f"{others}a", [row("a")])
    assert await mover.refusal(home, f"{uri}nothing") == "OBJECT_NOT_FOUND"
    assert await mover.refusal(home, "file:///nothing") == "OBJECT_NOT_FOUND"
    assert await mover.refusal(home, f"{others}a") == "URI_NOT_ALLOWED"
    assert await mover.refusal(home, f"s3://forbidden/{home.tenant.tenant_id}/a") == "URI_NOT_ALLOWED"
    for bad in (
        f"{uri}../{other.tenant.tenant_id}/a",
        f"file:///../{other.tenant.tenant_id}/a",
        "/etc/passwd",
        "s3://x",
    ):
        assert await mover.refusal(home, bad) == "URI_INVALID"
        assert await mover.refusal(home, bad, "export") == "URI_INVALID"
    assert await mover.refusal(home, f"{others}b", "export") == "URI_NOT_ALLOWED"
    assert await mover.refusal(home, f"{uri}b", "export", filter="tags >") == "FILTER_SYNTAX"
    assert await mover.bench.store.page(home.tenant.uid, None, 10) == []


async def test_a_wrong_secret_is_told_at_once(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}a", [row("a")])
    right = mover.bench.platform.storage
    mover.bench.platform.storage = mover.objects.storage(s3_secret_key=SecretStr("wrong" * 8))
    try:
        assert await mover.refusal(home, f"{uri}a") == "OBJECT_FORBIDDEN"
        assert await mover.refusal(home, f"{uri}b", "export") == "OBJECT_FORBIDDEN"
    finally:
        mover.bench.platform.storage = right


async def test_the_same_request_id_starts_one_import(mover: Mover) -> None:
    home, uri, _ = await mover.home()
    mover.objects.put(f"{uri}a", [row("a")])
    mover.objects.put(f"{uri}b", [row("b")])
    first = await mover.ask(home, f"{uri}a", request_id="one")
    mover.objects.path(f"{uri}a").unlink()  # what was started once isn't judged again
    assert await mover.ask(home, f"{uri}a", request_id="one") == first
    assert await mover.refusal(home, f"{uri}b", request_id="one") == "REQUEST_ID_REUSED"
    async with mover.bench.worker():
        record = await mover.bench.done(home, last(first))
    assert record.state == FAILED
    assert record.error is not None
    assert record.error["reason"] == "OBJECT_NOT_FOUND"


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
async def test_a_truncated_object_is_told_and_the_whole_lines_before_are_written(
    mover: Mover, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    home, _, _ = await mover.home()
    lines = b"".join(
        json.dumps(row(f"d{i}", body=random.Random(i).randbytes(99).hex())).encode() + b"\n" for i in range(2000)
    )
    packed = pack(lines)
    folder = mover.objects.home / "import" / home.tenant.tenant_id
    folder.mkdir()
    (folder / f"cut{ending}").write_bytes(packed[: len(packed) * 2 // 3])
    (folder / f"other{ending}").write_bytes(lines)
    record = await mover.run(home, f"file:///cut{ending}")
    assert record.state == FAILED
    assert record.error is not None
    assert record.error["reason"] == "OBJECT_TRUNCATED"
    found = await documents(home)
    assert 0 < len(found) < 2000
    assert sorted(found) == sorted(f"d{i}" for i in range(len(found)))
    assert f"line {len(found)};" in record.error["message"]
    assert record.progress.failed == 0
    record = await mover.run(home, f"file:///other{ending}")
    assert record.error is not None
    assert record.error["reason"] == "OBJECT_UNREADABLE"
