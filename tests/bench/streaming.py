# SPDX-License-Identifier: Apache-2.0
"""StreamWriteDocuments as a client of generated stubs uses it: from the first byte until all is searchable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import grpc
from opensearchpy import OpenSearch
from redis.asyncio import Redis

from pinakes.core.queue import keys
from pinakes.v1 import index_pb2
from pinakes.v1.resources_pb2 import Document
from tests.bench.place import Place

METHOD = "/pinakes.v1.IndexService/StreamWriteDocuments"
PARENT = "tenants/-/collections/default"
MESSAGE = 500
_POLL_SECONDS = 0.01
Ack = index_pb2.StreamWriteDocumentsResponse


def messages(documents: Sequence[Document], prefix: str) -> list[bytes]:
    """Make the messages of a stream, with ids nobody had before."""
    made = []
    for sequence, first in enumerate(range(0, len(documents), MESSAGE), start=1):
        request = index_pb2.StreamWriteDocumentsRequest(parent=PARENT, stream_id=prefix[:60], sequence=sequence)
        for number, document in enumerate(documents[first : first + MESSAGE], start=first):
            put = request.writes.add().put
            put.CopyFrom(document)
            put.name = f"{PARENT}/documents/{prefix}{number}"
        made.append(request.SerializeToString())
    return made


async def stream(place: Place, engine: OpenSearch, index: str, requests: Sequence[bytes]) -> float:
    """Send all messages, wait until the queue is empty, and refresh; return the seconds it took."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(place.addresses["index"], options=options) as channel:
        await channel.channel_ready()
        started = time.perf_counter()
        await send(channel, place, requests)
        await drained(place)
        await asyncio.to_thread(engine.indices.refresh, index=index)
        return time.perf_counter() - started


async def send(channel: grpc.aio.Channel, place: Place, requests: Sequence[bytes]) -> None:
    """Send messages as fast as the window lets. Raises RuntimeError if a write isn't accepted."""
    call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(METHOD)
    room = asyncio.Semaphore(8)

    async def outgoing() -> AsyncIterator[bytes]:
        for request in requests:
            await room.acquire()
            yield request

    acknowledged = 0
    async for raw in call(outgoing(), metadata=place.metadata):
        answer = Ack.FromString(raw)
        if answer.HasField("acknowledgement"):
            acknowledged += 1
            room.release()
            if answer.acknowledgement.faults:
                message = f"a write wasn't accepted: {answer.acknowledgement.faults[0]}"
                raise RuntimeError(message)
    if acknowledged != len(requests):
        message = f"{acknowledged} of {len(requests)} messages were acknowledged"
        raise RuntimeError(message)


async def drained(place: Place) -> None:
    """Wait until every queued write is applied."""
    redis = Redis.from_url(place.queue)
    try:
        while int(await redis.hget(keys.DOCUMENTS, "*") or 0):
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await redis.aclose()
