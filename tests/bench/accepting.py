# SPDX-License-Identifier: Apache-2.0
"""What ACCEPTED costs one caller, over a bare XADD with fsync to the same Redis: one in flight, in turns."""

from __future__ import annotations

import asyncio
import statistics
import time

import grpc
from redis.asyncio import Redis

from pinakes.demo.corpus import python_documents
from pinakes.v1 import index_pb2, index_pb2_grpc
from tests.bench.place import Place
from tests.bench.report import Value, at_most, table

STREAM = "bench:xadd"
PARENT = "tenants/-/collections/default"


def run(place: Place, *, quick: bool) -> Value:
    """Accept documents one by one, each followed by an XADD of as many bytes; compare the medians."""
    ours, bare = asyncio.run(_measure(place, 200 if quick else 2000))
    rows = [["XADD, appendfsync always", f"{bare * 1000:.2f}"], ["UpdateDocument (ACCEPTED)", f"{ours * 1000:.2f}"]]
    table("Accepting one document, one in flight, p50", ["way", "ms"], rows)
    return at_most("write.accepted.p50_vs_xadd", ours / bare, "x", 3.0)


async def _measure(place: Place, count: int) -> tuple[float, float]:
    documents = list(python_documents())[:count]
    redis = Redis.from_url(place.queue)
    ours: list[float] = []
    bare: list[float] = []
    prefix = f"l{time.time_ns()}"
    async with grpc.aio.insecure_channel(place.addresses["index"]) as channel:
        index = index_pb2_grpc.IndexServiceStub(channel)
        for number, document in enumerate(documents):
            request = index_pb2.UpdateDocumentRequest(
                document=document, allow_missing=True, mode=index_pb2.WRITE_MODE_ACCEPTED
            )
            request.update_mask.paths.append("*")
            request.document.name = f"{PARENT}/documents/{prefix}{number}"
            started = time.perf_counter()
            await index.UpdateDocument(request, metadata=place.metadata)
            between = time.perf_counter()
            await redis.xadd(STREAM, {"e": request.document.SerializeToString()})
            ours.append(between - started)
            bare.append(time.perf_counter() - between)
    await redis.delete(STREAM)
    await redis.aclose()
    return statistics.median(ours), statistics.median(bare)
