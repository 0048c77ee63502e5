# SPDX-License-Identifier: Apache-2.0
"""The ladder of a search: bare echo, raw client, a bare forwarder, Search, Search through Envoy; side by side in one run."""

from __future__ import annotations

import asyncio
import pickle
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from string import ascii_lowercase
from typing import Any

import grpc
import orjson

from pinakes.client import Client
from pinakes.demo.corpus import python_documents
from pinakes.v1 import search_pb2, suggest_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench.forward import Ready
from tests.bench.load import Plan, Target
from tests.bench.place import Place
from tests.bench.recorder import recorder
from tests.bench.report import Value, at_least, at_most, table, told

METHOD = "/pinakes.v1.SearchService/Search"
SUGGEST = "/pinakes.v1.SearchService/Suggest"
PARENT = "tenants/-/collections/default"
IN_FLIGHT = 32
OPEN_RATE = 200.0


def run(place: Place, *, quick: bool, seed: int) -> list[Value]:
    """Measure the ladder: p50 with one in flight, throughput with 32, p95 under an open load."""
    documents = list(python_documents())[: 1000 if quick else 8000]
    with Client(place.endpoint, key=place.key, timeout=30.0) as client:
        for written in client.write_many(documents, mode="searchable"):
            if not written.ok:
                message = f"{written.id} wasn't written: {written.error}"
                raise RuntimeError(message)
    requests = distinct_requests(seed, documents, 1500 if quick else 5000)
    bodies, answer = asyncio.run(_recorded(place, requests))
    raw = Target("raw", place.engine, "", bodies)
    asyncio.run(_warmed(place, METHOD, requests))
    # Other texts than those measured, so that engine and server have done this before, but not for these words.
    asyncio.run(_warmed(place, SUGGEST, _typed(seed + 1, documents, len(requests) // 3)))
    direct = Target("search", place.addresses["search"], METHOD, requests, place.metadata)
    envoy = Target("envoy", place.endpoint, METHOD, requests, place.metadata)
    same = Target("cached", place.addresses["search"], METHOD, requests[:1], place.metadata)
    suggest = Target(
        "suggest", place.addresses["search"], SUGGEST, _typed(seed, documents, len(requests)), place.metadata
    )
    rounds, seconds = (2, 0.7) if quick else (6, 2.0)
    ready = pickle.dumps(Ready(place.engine, bodies, answer))
    with _beside("echo", answer) as echoing, _beside("forward", ready) as forwarding:
        echo = Target("echo", echoing, METHOD, requests[:1])
        forward = Target("forward", forwarding, METHOD, [b"%d" % number for number in range(len(bodies))])
        one = load(Plan([echo, raw, forward, direct, envoy, suggest], rounds, seconds, 1))
        many = load(Plan([echo, raw, forward, direct, envoy, same], rounds, seconds, IN_FLIGHT))
        by_clock = load(Plan([raw, direct, envoy], 1 if quick else 3, seconds, 0, OPEN_RATE))
    middle = {name: statistics.median(found["latencies"]) * 1e3 for name, found in one.items()}
    rate = {name: len(found["latencies"]) / found["seconds"] for name, found in many.items()}
    late = {name: statistics.quantiles(found["latencies"], n=20)[-1] * 1e3 for name, found in by_clock.items()}
    names = {
        "echo": "bare grpc.aio echo",
        "raw": "raw async opensearch-py",
        "forward": "bare grpc.aio forwarder",
        "search": "Search",
        "envoy": "Search through Envoy",
    }
    names |= {"cached": "Search, cached", "suggest": "Suggest"}
    slow = statistics.quantiles(one["suggest"]["latencies"], n=20)[-1] * 1e3
    table(
        f"Search: {len(documents)} documents, {len(requests)} distinct queries, answers of {len(answer)} B, seed {seed}",
        ["rung", "p50 ms, 1 in flight", f"a second, {IN_FLIGHT} in flight", f"p95 ms, open loop {OPEN_RATE:g}/s"],
        [
            [
                title,
                *(
                    f"{found[name]:{form}}" if name in found else ""
                    for found, form in ((middle, ".2f"), (rate, ",.0f"), (late, ".2f"))
                ),
            ]
            for name, title in names.items()
        ],
    )
    return [
        at_most("envoy.added_p50_ms", middle["envoy"] - middle["search"], "ms", 0.7),
        at_most("search.uncached.added_p50_ms", middle["search"] - middle["raw"], "ms", 1.0),
        at_least("search.uncached.throughput_vs_raw", rate["search"] / rate["raw"], "x", 1.0),
        at_most("suggest.p95_ms_vs_search_p50", slow / middle["search"], "x", 1.0),
        # What a server of the platform's kind could reach if all that makes it a platform cost nothing.
        told("search.floor.added_p50_ms", middle["forward"] - middle["raw"], "ms"),
        told("search.floor.throughput_vs_raw", rate["forward"] / rate["raw"], "x"),
        told("search.cached.vs_echo", rate["cached"] / rate["echo"], "x"),
        told("search.open.p95_ms", late["search"], "ms"),
    ]


def load(plan: Plan) -> dict[str, dict[str, Any]]:
    """Run a plan in a process of its own; raises CalledProcessError if any call fails."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"], input=_pickled(plan), stdout=subprocess.PIPE, check=True
    )
    found: dict[str, dict[str, Any]] = orjson.loads(done.stdout)
    return found


def _pickled(plan: Plan) -> bytes:
    """Pickle a plan."""
    return pickle.dumps(plan)


def distinct_requests(seed: int, documents: Sequence[Document], count: int) -> list[bytes]:
    """Make distinct requests of one to three words of one document, so that all find something and no cache knows them."""
    dice = random.Random(seed)
    texts = [sorted(set(re.findall(r"[a-z]{4,}", document.body.lower()))) for document in documents]
    texts = [words for words in texts if len(words) >= 3]
    queries: set[str] = set()
    while len(queries) < count:
        queries.add(" ".join(dice.sample(dice.choice(texts), dice.randrange(1, 4))))
    return [search_pb2.SearchRequest(parent=PARENT, query=query).SerializeToString() for query in sorted(queries)]


def _typed(seed: int, documents: Sequence[Document], count: int) -> list[bytes]:
    """Make distinct requests of what somebody has typed of a title so far: its first letters, from two on."""
    dice = random.Random(seed)
    typed: set[str] = set()
    while len(typed) < count:
        title = dice.choice(documents).title
        typed.add(title[: dice.randrange(2, len(title) + 1)] + dice.choice(("", dice.choice(ascii_lowercase))))
    return [suggest_pb2.SuggestRequest(parent=PARENT, query=text).SerializeToString() for text in sorted(typed)]


async def _recorded(place: Place, requests: list[bytes]) -> tuple[list[tuple[str, Any]], bytes]:
    """Ask each of a recorded server; return each search it sent to the engine, and an answer of usual length.

    Words are looked up when they are first seen, so everything is asked twice and the second time is kept.
    """
    async with (
        recorder("search", place.pids["search"], place.engine) as recorded,
        grpc.aio.insecure_channel(recorded.address) as channel,
    ):
        await _asked(channel, place, METHOD, requests)
        recorded.calls.clear()
        answers = await _asked(channel, place, METHOD, requests)
        calls = [body for _, body in recorded.taken("search")]
    # What is known of words is renewed now and then: those calls bring no documents.
    bodies = [
        _search(body)
        for body in calls
        if body.count("\n") == 2 and '"size":0' not in body and '"_source":false' not in body
    ]
    if len(bodies) != len(requests):
        message = f"{len(requests)} searches became {len(bodies)} calls of the engine"
        raise RuntimeError(message)
    return bodies, sorted(answers, key=len)[len(answers) // 2]


async def _asked(channel: grpc.aio.Channel, place: Place, method: str, requests: list[bytes]) -> list[bytes]:
    """Ask each, one after the other."""
    send: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return [await send(request, metadata=place.metadata, timeout=30) for request in requests]


async def _warmed(place: Place, method: str, requests: list[bytes]) -> None:
    """Ask each of the server that is measured: so it has seen every word."""
    async with grpc.aio.insecure_channel(place.addresses["search"]) as channel:
        await _asked(channel, place, method, requests)


def _search(body: str) -> tuple[str, Any]:
    """Turn the one search of an `_msearch` call into path and body of a `_search`, as a program of its own would send it."""
    head, search = (orjson.loads(line) for line in body.splitlines())
    cached = str(head["request_cache"]).lower()
    return f"/{head['index']}/_search?routing={head['routing']}&request_cache={cached}", search


@contextmanager
def _beside(name: str, given: bytes) -> Iterator[str]:
    """Run a server of the bench's own, told what it is to know by its standard input, and give its address."""
    command = [sys.executable, "-m", f"tests.bench.{name}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            message = f"the server {name} has no pipes"
            raise RuntimeError(message)
        try:
            process.stdin.write(given)
            process.stdin.close()
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
