# SPDX-License-Identifier: Apache-2.0
"""Nothing of documents, queries or credentials is in what the platform writes: canaries are planted, and all of it is read.

Every string of every request has a marker of its own; every RPC is called with them, well and badly, and the engine is
made to refuse and to fail. Then log files of all parts, metrics, traces, audit events and Redis are looked through.
"""

from __future__ import annotations

import asyncio
import http.server
import secrets
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from redis import Redis

from pinakes.core.engine.client import EngineRefusal
from pinakes.core.identity.permissions import RULES
from pinakes.core.platform import Platform as Parts
from pinakes.core.writing import changes
from pinakes.local import Platform
from pinakes.v1 import failures_pb2, index_pb2, search_pb2
from pinakes.v1.resources_pb2 import Document
from tests.integration._engine import Direct, direct
from tests.integration._servers import ServerProcess, Tenant, free_port, running
from tests.integration._workers import parts
from tests.wire import INDEX, METHODS, SEARCH, Door, Home, home, put

__all__ = ["direct", "parts"]

CANARY = f"cnry{secrets.token_hex(5)}"
"""Whatever begins so was planted here."""

COLLECTION = {
    "attributes": [
        {"name": "mail", "type": "TYPE_STRING", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"name": "age", "type": "TYPE_NUMBER", "sortable": True, "pii": "PERSONAL_DATA_CLASS_OMIT_FROM_LOGS"},
        {"name": "note", "type": "TYPE_TEXT", "pii": "PERSONAL_DATA_CLASS_HASH"},
    ],
    "personalData": {"rules": [{"path": "title", "pii": "PERSONAL_DATA_CLASS_MASK"}]},
}  # fmt: skip
_DEPTH = 4
# What ends or empties the tenant goes last.
_LAST = ("Delete", "Purge", "Erase", "Suspend", "Revoke", "Rotate", "Move")


def planted(kind: str) -> str:
    """Return the canary of a kind of place."""
    # Not an id of a tenant or collection, which are in audit events by right.
    return f"{CANARY}_{kind}".lower()


def filled(descriptor: Descriptor, depth: int = 0) -> Message:
    """Return a message with a canary in every string, whether that is allowed there or not."""
    message: Message = message_factory.GetMessageClass(descriptor)()
    for one in descriptor.fields:
        _fill(message, one, depth)
    return message


def _fill(message: Message, one: FieldDescriptor, depth: int) -> None:
    text = planted(one.name.replace("_", "-"))
    repeated, value = one.is_repeated, getattr(message, one.name)
    if one.type == FieldDescriptor.TYPE_STRING:
        value.append(text) if repeated else setattr(message, one.name, text)
    elif one.type == FieldDescriptor.TYPE_BYTES and not repeated:
        setattr(message, one.name, text.encode())
    elif one.type == FieldDescriptor.TYPE_MESSAGE and depth < _DEPTH and one.message_type is not None:
        if one.message_type.GetOptions().map_entry:
            with suppress(TypeError, ValueError):
                value[text] = text
        elif one.message_type.full_name == "google.protobuf.Struct" and not repeated:
            value.update({"mail": text, "age": text, "note": text, text: {"deep": [text]}})
        elif not one.message_type.full_name.startswith("google.protobuf."):
            inner = filled(one.message_type, depth + 1)
            value.append(inner) if repeated else value.CopyFrom(inner)


def named(message: Message, path: str | None, name: str) -> Message:
    """Set the field that says what a request is about, so that the rest of it is looked at."""
    if path is None:
        return message
    *outer, last = path.split(".")
    target: Any = message
    for part in outer:
        target = getattr(target, part)
    if isinstance(getattr(target, last), str):
        setattr(target, last, name)
    return message


class Collector(http.server.ThreadingHTTPServer):
    """Takes traces by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        """Listen somewhere."""
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[bytes] = []

    @property
    def url(self) -> str:
        """Where traces go."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Taking(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent."""

    def do_POST(self) -> None:
        """Keep a body."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") in {"gzip", "deflate"}:
            body = zlib.decompress(body, wbits=47)
        self.server.taken.append(body)  # type: ignore[attr-defined]  # it is a `Collector`
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        """Print nothing."""


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector."""
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


class Relay:
    """A relay to the engine that can be cut: what goes through it fails then, in the middle of calls."""

    def __init__(self, target: str) -> None:
        """Relay to an address, once started."""
        self._host, _, port = target.rpartition(":")
        self._port, self._open = int(port), True
        self._writers: list[asyncio.StreamWriter] = []
        self.address = f"127.0.0.1:{free_port()}"

    async def start(self) -> asyncio.Server:
        """Listen."""
        return await asyncio.start_server(self._serve, *self.address.split(":"))

    def cut(self) -> None:
        """Let every connection fail from now on."""
        self._open = False
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, back_writer]
        with suppress(ConnectionError):
            await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@dataclass(slots=True)
class Written:
    """All that was written, by where it is."""

    texts: dict[str, bytes] = field(default_factory=dict)

    def files(self, folder: Path) -> None:
        """Take all files of a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.texts[str(path.relative_to(folder.parent))] = path.read_bytes()

    def places_of(self, text: str) -> dict[str, bytes]:
        """Return where a text is, with what is around it."""
        found: dict[str, bytes] = {}
        for place, data in self.texts.items():
            at = data.lower().find(text.encode())
            if at >= 0:
                found[place] = data[max(0, at - 300) : at + 120]
        return found


@pytest.fixture(scope="module")
def own(platform: Any) -> Iterator[Home]:
    """Make a tenant whose documents hold canaries in every field."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "canaries") as made:
        for name in ("people", "bin"):
            request = index_pb2.CreateCollectionRequest(parent=made.name, collection_id=name)
            door.call(INDEX + "CreateCollection", ParseDict({"collection": COLLECTION}, request), made.service)
        yield made


async def test_nothing_that_was_planted_is_in_what_the_platform_wrote(
    platform: Platform, own: Home, parts: Parts, direct: Direct, tmp_path: Path
) -> None:
    relay = Relay(platform.address("opensearch"))
    async with await relay.start():
        with collector() as traces:
            loud = {
                "PINAKES_LOG_LEVEL": "DEBUG", "PINAKES_TRACING_ENDPOINT": traces.url, "PINAKES_TRACING_RATIO": "1",
                "PINAKES_OPENSEARCH_URLS": f"http://{relay.address}", "OTEL_BSP_SCHEDULE_DELAY": "200",
            }  # fmt: skip
            with (
                running(platform, "index", tmp_path, **loud) as index,
                running(platform, "search", tmp_path, **loud) as search,
            ):
                for server in (index, search):
                    await asyncio.to_thread(_until_up, server, own.service)
                front = Door(platform.endpoint)
                doors = {
                    "pinakes.v1.IndexService": Door(index.address),
                    "pinakes.v1.SearchService": Door(search.address),
                }
                await asyncio.to_thread(
                    _use_well,
                    [front, doors["pinakes.v1.IndexService"]],
                    [front, doors["pinakes.v1.SearchService"]],
                    own,
                )
                await asyncio.to_thread(_use_badly, platform.endpoint, front, doors, own)
                failed = await _refused_by_the_engine(own, parts, direct, front)
                relay.cut()
                await asyncio.to_thread(
                    _use_well, [doors["pinakes.v1.IndexService"]], [doors["pinakes.v1.SearchService"]], own, fails=True
                )
                await asyncio.sleep(1)
                written = Written({"failed writes": failed, **_metrics(platform, (index, search))})
                for server in (index, search):
                    server.terminate()
                    await asyncio.to_thread(server.wait)
            written.texts["traces"] = b"\n".join(traces.taken)
    written.files(tmp_path)
    written.files(platform.places.logs)
    if (engine_logs := platform.places.engine / "logs").exists():
        written.files(engine_logs)
    written.texts["audit"] = await _audit(parts)
    written.texts |= await asyncio.to_thread(_redis, platform)
    own_logs = [text for place, text in written.texts.items() if place.startswith(tmp_path.name)]
    assert len(own_logs) == 2
    assert all(b'"call"' in text for text in own_logs), "nothing was logged at all"
    assert b"UNAVAILABLE" in b"".join(own_logs), "the engine didn't fail"
    assert b"engine search" in written.texts["traces"], "no trace came"
    assert not written.places_of(CANARY)


def _until_up(server: ServerProcess, key: str) -> None:
    """Wait until a server answers."""
    method = {"index": INDEX + "ListCollections", "search": SEARCH + "Search"}[server.name]
    request = message_factory.GetMessageClass(METHODS[method].input_type)(
        parent="tenants/-" if server.name == "index" else "tenants/-/collections/default"
    )
    end = time.monotonic() + 60
    with Door(server.address) as door:
        while True:
            try:
                door.call(method, request, key, 2)
            except grpc.RpcError as error:
                assert time.monotonic() < end, error
                time.sleep(0.2)
            else:
                return


def _use_well(index: list[Door], search: list[Door], own: Home, *, fails: bool = False) -> None:
    """Write and look for documents with canaries in every field, in every mode, as they should be."""
    modes = (index_pb2.WRITE_MODE_SEARCHABLE, index_pb2.WRITE_MODE_ACCEPTED)
    fields = {
        "title": planted("title"), "body": planted("body"), "tags": [planted("tag")], "readers": [planted("reader")],
        "source_uri": f"https://x.test/{planted('uri')}",
        "attributes": {"mail": planted("mail"), "note": planted("note"), "age": 41, planted("key"): planted("value")},
    }  # fmt: skip
    for door in index:
        for number, mode in enumerate(modes):
            with _failing(fails):
                put(door, own.service, own.document(planted(f"id-{number}"), "people"), mode, **fields)
    parent = f"{own.name}/collections/people"
    queries = [
        search_pb2.SearchRequest(parent=parent, query=f"{planted('body')} title:{planted('title')}", explain=True),
        search_pb2.SearchRequest(
            parent=parent, filter=f'mail = "{planted("mail")}" AND attributes.x = "{planted("filter")}"'
        ),
        search_pb2.SearchRequest(parent=parent, query=f"{planted('xq')}*"),
    ]
    for door in search:
        for request in queries:
            for key in (own.service, own.user):
                with _failing(fails):
                    door.call(SEARCH + "Search", request, key, 10)


@contextmanager
def _failing(fails: bool) -> Iterator[None]:  # whether it may
    try:
        yield
    except grpc.RpcError as error:
        denied = error.code() is grpc.StatusCode.PERMISSION_DENIED  # type: ignore[attr-defined]  # a failed call is a call too
        if not fails and not denied:
            raise


def _use_badly(endpoint: str, front: Door, doors: dict[str, Door], own: Home) -> None:
    """Call every RPC with canaries in all places and as credentials; most of it is refused."""
    keys = (
        own.service,
        own.admin,
        own.user,
        planted("token"),
        f"pk_{'a' * 16}_{CANARY * 3}"[:64],
        f"eyJhbGciOiJub25lIn0.{CANARY}.x",
    )
    for method in sorted(METHODS, key=lambda one: any(word in one for word in _LAST)):
        descriptor = METHODS[method]
        rule = RULES[method]
        whole = filled(descriptor.input_type).SerializeToString()
        requests = [whole, CANARY.encode()]
        for target in (own.name, f"{own.name}/collections/bin", own.document("a", "bin")):
            requests.append(named(filled(descriptor.input_type), rule.name_field, target).SerializeToString())
        for door in (front, doors.get(method[1:].rpartition("/")[0])):
            if door is None:
                continue
            for key in keys if method.endswith(("/Search", "/UpdateDocument", "/CreateApiKey")) else keys[:1]:
                for request in requests:
                    with suppress(grpc.RpcError):
                        door.raw(method, request, key, 10)
    extra = [
        ("x-tenant-id", planted("header")),
        ("cookie", planted("cookie")),
        ("x-request-id", f"{CANARY}!"),
        ("user-agent", planted("agent")),
    ]
    channel = grpc.insecure_channel(endpoint)
    call = channel.unary_unary(SEARCH + "Search", request_serializer=None, response_deserializer=None)
    with suppress(grpc.RpcError):
        call(b"", metadata=[("authorization", f"Bearer {own.user}"), *extra], timeout=5)
    channel.close()
    url = f"http://{endpoint}/v1/{own.name}/collections/people:search?query={planted('url')}&{planted('parameter')}=1"
    for address in (url, url.replace("people", planted("path"))):
        headers = {"authorization": f"Bearer {planted('json')}", "x-forwarded-for": planted("hop")}
        with suppress(OSError):
            urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5).read()


async def _refused_by_the_engine(own: Home, parts: Parts, direct: Direct, front: Door) -> bytes:
    """Let the engine refuse values that it quotes, in a bulk of a worker and in searches; return the failed write."""
    scope = await direct.scope(Tenant(own.tenant_id, own.service), "people")
    revision = parts.revisions.take(1)
    made = changes.put(Document(title="fine"), scope.owner, Direct.schema(), "bad", revision)
    body = orjson.loads(made.data) | {"num_00": planted("number"), "time_00": planted("time")}
    bad = made._replace(data=orjson.dumps(body))
    packed = parts.queue.parts(scope.owner, [(0, bad)], 1)
    await parts.queue.enqueue(scope.owner, packed, 1)
    for query in ({"range": {"update_time": {"gte": planted("range")}}}, {planted("kind"): {}}):
        with suppress(EngineRefusal):
            await direct.engine.call("test", "POST", f"/{direct.engine.prefix}-pool-*/_search", body={"query": query})
    request = failures_pb2.ListFailedWritesRequest(parent=f"{own.name}/collections/people")
    for _ in range(200):
        found = await asyncio.to_thread(front.call, INDEX + "ListFailedWrites", request, own.service)
        if found.failed_writes:
            return str([failed.status for failed in found.failed_writes]).encode()
        await asyncio.sleep(0.2)
    message = "the write didn't fail"
    raise AssertionError(message)


def _metrics(platform: Platform, servers: tuple[ServerProcess, ...]) -> dict[str, bytes]:
    """Return what all metrics endpoints say."""
    names = ("search", "index", "tenant", "worker")
    urls = [f"http://{platform.address(f'{name}-metrics')}/metrics" for name in names]
    urls += [server.metrics_url for server in servers]
    return {url: urllib.request.urlopen(url, timeout=10).read() for url in urls}


async def _audit(parts: Parts) -> bytes:
    """Return all audit events and all usage as they are stored, but for the names of what they are about."""
    found = b""
    for kind in ("audit", "usage"):
        with suppress(EngineRefusal):
            path = f"/{parts.engine.prefix}-sys-{kind}*/_search"
            await parts.engine.call("refresh", "POST", f"/{parts.engine.prefix}-sys-{kind}*/_refresh")
            answer = await parts.engine.call("test", "POST", path, body={"size": 10_000, "query": {"match_all": {}}})
            found += orjson.dumps(_unnamed(answer))
    return found


def _unnamed(part: Any) -> Any:
    if isinstance(part, list):
        return [_unnamed(one) for one in part]
    if isinstance(part, dict):
        return {name: _unnamed(value) for name, value in part.items() if name != "resource"}
    return part


def _redis(platform: Platform) -> dict[str, bytes]:
    """Return the names of all keys, and what Redis keeps of slow commands."""
    found: dict[str, bytes] = {}
    for name, url in (("cache", platform.cache_url), ("queue", platform.queue_url)):
        with Redis.from_url(url) as redis:
            found[f"redis {name} keys"] = b"\n".join(redis.scan_iter(count=1000))
            found[f"redis {name} slow log"] = repr(redis.slowlog_get(1000)).encode()
    return found
