# SPDX-License-Identifier: Apache-2.0
"""BatchWriteDocuments against opensearch-py's `parallel_bulk` of the same compiled bodies, until both are searchable."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import grpc
import orjson
from opensearchpy import OpenSearch
from opensearchpy.helpers import parallel_bulk

from pinakes.demo.corpus import python_documents
from pinakes.v1 import index_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench.load import Orjson
from tests.bench.place import Place
from tests.bench.recorder import recorder
from tests.bench.report import Value, at_least, table

METHOD = "/pinakes.v1.IndexService/BatchWriteDocuments"
PARENT = "tenants/-/collections/default"
BATCH = 500
IN_FLIGHT = 4
Json = dict[str, Any]


def run(place: Place, *, quick: bool, seed: int) -> list[Value]:
    """Write the same documents both ways, in turn, under fresh ids each time; compare documents a second."""
    documents = list(python_documents())[: 1500 if quick else 8000]
    actions = asyncio.run(_compiled(place, documents))
    rounds = 2 if quick else 5
    ours: list[float] = []
    raw: list[float] = []
    engine = OpenSearch(hosts=[place.engine], serializer=Orjson(), maxsize=IN_FLIGHT * 2, timeout=60)
    index = actions[0]["_index"]
    for number in range(rounds + 1):
        tag = f"{seed}-{time.time_ns()}-{number}"
        sides = [
            lambda t=tag: asyncio.run(_batches(place, engine, index, _batched(documents, f"a{t}~"))),
            lambda t=tag: _bulk(engine, index, [{**action, "_id": f"{action['_id']}-{t}"} for action in actions]),
        ]
        order = (0, 1) if number % 2 else (1, 0)
        spent = {side: sides[side]() for side in order}
        if number:  # the first round only warms up
            ours.append(len(documents) / spent[0])
            raw.append(len(documents) / spent[1])
    engine.close()
    mine, theirs = statistics.median(ours), statistics.median(raw)
    table(
        f"Writing {len(documents)} documents, batches of {BATCH}, {IN_FLIGHT} in flight, to the refresh, seed {seed}",
        ["way", "docs/s"],
        [["parallel_bulk", f"{theirs:,.0f}"], ["BatchWriteDocuments (APPLIED)", f"{mine:,.0f}"]],
    )
    return [at_least("write.batch.vs_parallel_bulk", mine / theirs, "x", 0.9)]


def _batched(documents: Sequence[Document], prefix: str) -> list[bytes]:
    """Make requests, with ids nobody had before."""
    requests = []
    for first in range(0, len(documents), BATCH):
        request = index_pb2.BatchWriteDocumentsRequest(parent=PARENT, mode=index_pb2.WRITE_MODE_APPLIED)
        for number, document in enumerate(documents[first : first + BATCH], start=first):
            put = request.writes.add().put
            put.CopyFrom(document)
            put.name = f"{PARENT}/documents/{prefix}{number}"
        requests.append(request.SerializeToString())
    return requests


async def _batches(place: Place, engine: OpenSearch, index: str, requests: list[bytes]) -> float:
    """Send all batches, some at a time, and refresh; return the seconds it took."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(place.addresses["index"], options=options) as channel:
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        await channel.channel_ready()
        left = iter(requests)
        started = time.perf_counter()

        async def writer() -> None:
            for request in left:
                answer = await send(request, metadata=place.metadata, timeout=60)
                for result in index_pb2.BatchWriteDocumentsResponse.FromString(answer).results:
                    if result.outcome != index_pb2.WriteResult.OUTCOME_CREATED:
                        message = f"{result.name} wasn't created: {result}"
                        raise RuntimeError(message)

        await asyncio.gather(*(writer() for _ in range(IN_FLIGHT)))
        await asyncio.to_thread(engine.indices.refresh, index=index)
        return time.perf_counter() - started


def _bulk(engine: OpenSearch, index: str, actions: list[Json]) -> float:
    """Write by `parallel_bulk` and refresh; return the seconds it took. Raises BulkIndexError if a document is refused."""
    started = time.perf_counter()
    for _ in parallel_bulk(engine, actions, thread_count=IN_FLIGHT, chunk_size=BATCH, max_chunk_bytes=64 << 20):
        pass
    engine.indices.refresh(index=index)
    return time.perf_counter() - started


async def _compiled(place: Place, documents: list[Document]) -> list[Json]:
    """Have a recorded server compile the documents; return them as actions for `parallel_bulk`."""
    async with (
        recorder("index", place.pids["index"], place.engine) as recorded,
        grpc.aio.insecure_channel(recorded.address, options=[("grpc.max_send_message_length", -1)]) as channel,
    ):
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        for request in _batched(documents, f"c{time.time_ns()}~"):
            await send(request, metadata=place.metadata, timeout=60)
        calls = recorded.taken("_bulk")
    return [action for path, body in calls for action in actions_of(path, body)]


def actions_of(path: str, body: str) -> list[Json]:
    """Read a bulk call back into actions; what its path says goes to each of them."""
    address = urlsplit(path)
    folder = address.path.removesuffix("_bulk").strip("/")
    common = {key: value for key, value in parse_qsl(address.query) if key == "routing"}
    if folder:
        common["_index"] = folder
    lines = [orjson.loads(line) for line in body.splitlines() if line.strip()]
    actions = []
    for head, source in zip(lines[::2], lines[1::2], strict=True):
        ((kind, target),) = head.items()
        actions.append({**common, **target, "_op_type": kind, "_source": source})
    return actions
