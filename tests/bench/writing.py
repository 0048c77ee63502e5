# SPDX-License-Identifier: Apache-2.0
"""Batches and streams against opensearch-py's `parallel_bulk` of the same compiled bodies, until all are searchable."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import grpc
import orjson
from opensearchpy import OpenSearch
from opensearchpy.helpers import bulk, parallel_bulk

from pinakes.core.engine.scope import MGET_FILTER
from pinakes.demo.corpus import python_documents
from pinakes.v1 import index_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench import accepting
from tests.bench.load import Orjson
from tests.bench.place import Place, processor_seconds
from tests.bench.recorder import recorder
from tests.bench.report import Value, at_least, table, told
from tests.bench.streaming import messages, stream

METHOD = "/pinakes.v1.IndexService/BatchWriteDocuments"
PARENT = "tenants/-/collections/default"
BATCH = 500
IN_FLIGHT = 4
PARTS = ("opensearch", "client", "index", "worker", "redis-queue", "redis-cache")
Json = dict[str, Any]


@dataclass(slots=True)
class _Ways:
    """Documents a second of each way, round by round."""

    raw: list[float] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)
    stream: list[float] = field(default_factory=list)
    spent: dict[str, list[dict[str, float]]] = field(default_factory=dict)


def run(place: Place, *, quick: bool, seed: int) -> list[Value]:
    """Write the same documents each way, in turn, under fresh ids each time; compare documents a second."""
    documents = list(python_documents())[: 1500 if quick else 12_000]
    actions = asyncio.run(_compiled(place, documents))
    engine = OpenSearch(hosts=[place.engine], serializer=Orjson(), maxsize=IN_FLIGHT * 2, timeout=60)
    index = actions[0]["_index"]
    ways = _Ways()
    for number in range((2 if quick else 15) + 1):
        tag = f"{seed}-{time.time_ns()}-{number}"
        again = [{**action, "_id": f"{action['_id']}-{tag}"} for action in actions]
        again_looked = [{**action, "_id": f"{action['_id']}-l{tag}"} for action in actions]
        sides: list[tuple[str, list[float], Callable[[], float]]] = [
            ("parallel_bulk", ways.raw, partial(_bulk, engine, index, again)),
            ("with a look", ways.looked, partial(_looked_bulk, engine, index, again_looked)),
            ("batch", ways.batch, partial(_batched_run, place, engine, index, _batched(documents, f"a{tag}~"))),
            ("stream", ways.stream, partial(_streamed_run, place, engine, index, messages(documents, f"s{tag}~"))),
        ]
        random.Random(seed + number).shuffle(sides)
        for name, kept, side in sides:
            _merged(engine, index)
            before = processor_seconds(place)
            seconds = side()
            if number:  # the first round only warms up
                kept.append(len(documents) / seconds)
                after = processor_seconds(place)
                spent = {part: (after[part] - before[part]) / len(documents) * 1e6 for part in after}
                ways.spent.setdefault(name, []).append(spent)
    engine.close()
    raw, looked, batch, streamed = map(statistics.median, (ways.raw, ways.looked, ways.batch, ways.stream))
    table(
        f"Writing {len(documents)} documents, {BATCH} at a time, to the refresh, seed {seed}",
        ["way", "docs/s"],
        [
            [f"parallel_bulk, {IN_FLIGHT} threads", f"{raw:,.0f}"],
            [f"the same, with _mget before each _bulk, {IN_FLIGHT} threads", f"{looked:,.0f}"],
            [f"BatchWriteDocuments (APPLIED), {IN_FLIGHT} in flight", f"{batch:,.0f}"],
            ["StreamWriteDocuments (ACCEPTED), one stream", f"{streamed:,.0f}"],
        ],
    )
    parts = [part for part in PARTS if part in ways.spent["stream"][0]]
    table(
        "Processor time a document, µs",
        ["way", *parts, "all"],
        [_row(name, spent, parts) for name, spent in ways.spent.items()],
    )
    return [
        at_least("write.batch.vs_parallel_bulk", batch / raw, "x", 0.9),
        at_least("write.stream.vs_parallel_bulk", streamed / raw, "x", 1.0),
        # What ready bodies reach whose writer looks first, as every way must that tells created from updated.
        told("write.floor.vs_parallel_bulk", looked / raw, "x"),
        accepting.run(place, quick=quick),
    ]


def _row(name: str, rounds: list[dict[str, float]], parts: list[str]) -> list[str]:
    """Return the medians of what each part spent, and their sum, which decides where every core is busy."""
    medians = [statistics.median(spent[part] for spent in rounds) for part in parts]
    return [name, *(f"{median:.0f}" for median in medians), f"{sum(medians):.0f}"]


def _batched_run(place: Place, engine: OpenSearch, index: str, requests: list[bytes]) -> float:
    return asyncio.run(_batches(place, engine, index, requests))


def _streamed_run(place: Place, engine: OpenSearch, index: str, requests: list[bytes]) -> float:
    return asyncio.run(stream(place, engine, index, requests))


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


def _merged(engine: OpenSearch, index: str) -> None:
    """Wait until the engine has merged what was written before, so that no way pays for what another one left."""
    while engine.indices.stats(index=index, metric="merge")["_all"]["total"]["merges"]["current"]:
        time.sleep(0.1)


def _bulk(engine: OpenSearch, index: str, actions: list[Json]) -> float:
    """Write by `parallel_bulk` and refresh; return the seconds it took. Raises BulkIndexError if a document is refused."""
    started = time.perf_counter()
    for _ in parallel_bulk(engine, actions, thread_count=IN_FLIGHT, chunk_size=BATCH, max_chunk_bytes=64 << 20):
        pass
    engine.indices.refresh(index=index)
    return time.perf_counter() - started


def _looked_bulk(engine: OpenSearch, index: str, actions: list[Json]) -> float:
    """Write as `_bulk` does, but look first what is there; return the seconds it took."""
    chunks = [actions[first : first + BATCH] for first in range(0, len(actions), BATCH)]

    def write(chunk: list[Json]) -> None:
        params = {"routing": chunk[0]["routing"], "filter_path": MGET_FILTER}
        body = {"ids": [action["_id"] for action in chunk]}
        engine.transport.perform_request("POST", f"/{index}/_mget", params=params, body=body)
        bulk(engine, chunk, chunk_size=BATCH, max_chunk_bytes=64 << 20)

    started = time.perf_counter()
    with ThreadPool(IN_FLIGHT) as pool:
        pool.map(write, chunks)
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
