# SPDX-License-Identifier: Apache-2.0
"""What five facets over a million documents cost a search, and that they take one round trip of the engine."""

from __future__ import annotations

import asyncio
import statistics
import time

import grpc

from pinakes.client import Client, search_request
from pinakes.v1.resources_pb2 import AttributeDefinition
from tests.bench.place import Place
from tests.bench.recorder import Recorder, recorder
from tests.bench.report import Value, at_most, table, told

METHOD = "/pinakes.v1.SearchService/Search"
FACETS = ("tags", "kind", "words:..10,10..100,100..", "line:100", "update_time:day")
QUERIES = ("return", "value", "file", "string", "class object", "raise error", "module", "default", "socket", "thread")
ROUNDS = 5


def declare(place: Place) -> None:
    """Declare the attributes that are counted; to be done before the documents are written."""
    kinds = {
        "kind": AttributeDefinition.TYPE_STRING,
        "words": AttributeDefinition.TYPE_NUMBER,
        "line": AttributeDefinition.TYPE_NUMBER,
    }
    with Client(place.endpoint, key=place.key) as client:
        collection = client.get_collection()
        for name, kind in kinds.items():
            collection.attributes.add(name=name, type=kind)
        client.update_collection(collection, ["attributes"])


def run(place: Place) -> list[Value]:
    """Ask each query without facets and with five, one in flight, and count the searches that the engine was asked."""
    plain, counted, calls, documents = asyncio.run(_measured(place))
    plain_ms, counted_ms = (statistics.median(taken) * 1e3 for taken in (plain, counted))
    table(
        f"A search of {documents:,} documents, {len(QUERIES)} queries, one in flight",
        ["", "p50 ms"],
        [["no facets", f"{plain_ms:.1f}"], [f"five: {', '.join(FACETS)}", f"{counted_ms:.1f}"]],
    )
    return [
        at_most("search.facets5.round_trips", max(calls), "", 1),
        told("search.facets5.p50_ms", counted_ms, "ms"),
        told("search.facets5.added_p50_ms", counted_ms - plain_ms, "ms"),
    ]


async def _measured(place: Place) -> tuple[list[float], list[float], list[int], int]:
    """Return the seconds of the searches without facets and with, the engine calls of the latter, and how many documents there are.

    A server of its own is asked, without a cache, behind what counts its calls. All is asked once before.
    """
    alternatives = [
        [search_request(query, collection="default", facets=facets).SerializeToString() for query in QUERIES]
        for facets in ((), FACETS)
    ]
    taken: list[list[float]] = [[], []]
    calls: list[int] = []
    async with (
        recorder("search", place.pids["search"], place.engine) as recorded,
        grpc.aio.insecure_channel(recorded.address) as channel,
    ):
        send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        for number in range(ROUNDS + 1):
            for which, requests in enumerate(alternatives):
                for request in requests:
                    recorded.calls.clear()
                    began = time.perf_counter()
                    await send(request, metadata=place.metadata, timeout=30)
                    if number:
                        taken[which].append(time.perf_counter() - began)
                        if which:
                            calls.append(_searches(recorded))
    with Client(place.endpoint, key=place.key, timeout=60.0) as client:
        documents = client.count_documents().total_size
    return taken[0], taken[1], calls, documents


def _searches(recorded: Recorder) -> int:
    """Return how many searches the engine was asked; not those beside them that tell what words weigh."""
    bodies = [body for path, body in recorded.calls if path.partition("?")[0] == "/_msearch"]
    return sum('"aggs"' in body or ('"size":0' not in body and '"_source":false' not in body) for body in bodies)
