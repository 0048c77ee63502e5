# SPDX-License-Identifier: Apache-2.0
"""Nothing of documents, queries or credentials is in what the platform writes: canaries are planted, and all of it is read.

Every string of every request has a marker of its own; every RPC is called with them, well and badly, by the tenant's own and
by administrators, and the engine is made to refuse and to fail. Then log files of all parts, at their loudest, metrics,
traces, audit events on their way and in the chain, and Redis are looked through.
"""

from __future__ import annotations

import asyncio
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf import message_factory
from google.protobuf.json_format import ParseDict
from redis import Redis

from pinakes.core.engine.audit import AuditStore
from pinakes.core.engine.client import EngineRefusal
from pinakes.core.identity.permissions import RULES
from pinakes.core.platform import Platform as Parts
from pinakes.core.writing import changes
from pinakes.local import Platform
from pinakes.v1 import failures_pb2, index_pb2, search_pb2
from pinakes.v1.resources_pb2 import Document
from tests.e2e._canaries import CANARY, Relay, Written, collector, filled, named, planted
from tests.integration._engine import Direct, direct
from tests.integration._servers import ServerProcess, Tenant, open_channel, running, until_health
from tests.integration._workers import parts
from tests.wire import INDEX, METHODS, SEARCH, TENANT, Door, Home, Metadata, home, put

__all__ = ["direct", "parts"]

COLLECTION = {
    "attributes": [
        {"name": "mail", "type": "TYPE_STRING", "pii": "PERSONAL_DATA_CLASS_MASK"},
        {"name": "age", "type": "TYPE_NUMBER", "sortable": True, "pii": "PERSONAL_DATA_CLASS_OMIT_FROM_LOGS"},
        {"name": "note", "type": "TYPE_TEXT", "pii": "PERSONAL_DATA_CLASS_HASH"},
    ],
    "personalData": {"rules": [{"path": "title", "pii": "PERSONAL_DATA_CLASS_MASK"}]},
}  # fmt: skip
_SERVICES = (
    "pinakes.v1.IndexService", "pinakes.v1.SearchService", "pinakes.v1.TenantService", "google.longrunning.Operations",
)  # fmt: skip
_JUSTIFICATION = planted("justification")
"""Why an administrator acts: what one field of audit events is for, and no other place."""

_REASON: Metadata = (("x-pinakes-admin-reason", _JUSTIFICATION),)
_IDS = frozenset(map(planted, ("name", "parent")))
"""Planted where an id goes, so that it is in the names that audit events are about."""

# What ends or empties the tenant goes last.
_LAST = ("Delete", "Purge", "Erase", "Suspend", "Revoke", "Rotate", "Move")


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
    with ExitStack() as stack:
        async with await relay.start():
            traces = stack.enter_context(collector())
            loud = {
                "PINAKES_LOG_LEVEL": "DEBUG", "PINAKES_TRACING_ENDPOINT": traces.url, "PINAKES_TRACING_RATIO": "1",
                "PINAKES_OPENSEARCH_URLS": f"http://{relay.address}", "OTEL_BSP_SCHEDULE_DELAY": "200",
            }  # fmt: skip
            servers = {
                name: stack.enter_context(running(platform, name, tmp_path, **loud))
                for name in ("index", "search", "tenant", "worker")
            }
            for server in servers.values():
                async with open_channel(server.address) as channel:
                    await until_health(channel)
            front = Door(platform.endpoint)
            index, search, tenant = (Door(servers[name].address) for name in ("index", "search", "tenant"))
            managed = stack.enter_context(home(front, platform.admin_key, "managed"))
            await asyncio.to_thread(_use_well, [front, index], [front, search], own)
            await asyncio.to_thread(_administer, tenant, [front, search], platform.admin_key, own)
            callers = (
                (own, own.service, (), True), (own, own.admin, (), False),
                (managed, platform.admin_key, _REASON, False),
            )  # fmt: skip
            doors = dict(zip(_SERVICES, (index, search, tenant, tenant), strict=True))
            for caller in callers:
                await asyncio.to_thread(_call_everything, doors, front, *caller)
            await asyncio.to_thread(_use_badly, platform.endpoint, front, doors, own)
            failed = await _refused_by_the_engine(own, parts, direct, front)
            relay.cut()
            await asyncio.to_thread(_use_well, [index], [search], own, fails=True)
            await asyncio.sleep(1)
            written = Written({"failed writes": failed, **_metrics(platform, tuple(servers.values()))})
            for server in servers.values():
                server.terminate()
                await asyncio.to_thread(server.wait)
            written.texts["traces"] = b"\n".join(traces.taken)
    written.files(tmp_path)
    written.files(platform.places.logs)
    if (engine_logs := platform.places.engine / "logs").exists():
        written.files(engine_logs)
    written.texts |= {"audit": await _audit(parts), "usage": await _usage(parts)}
    written.texts |= await asyncio.to_thread(_redis, platform)
    own_logs = {name: server.log.read_bytes() for name, server in servers.items()}
    assert all(own_logs.values())
    assert all(b'"call"' in own_logs[name] for name in ("index", "search", "tenant")), "nothing was logged at all"
    assert b"UNAVAILABLE" in b"".join(own_logs.values()), "the engine didn't fail"
    assert b"engine search" in written.texts["traces"], "no trace came"
    assert not written.places_of(CANARY)


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


def _administer(tenant: Door, search: list[Door], admin: str, own: Home) -> None:
    """Do what administrators do to a tenant, with canaries in every text of theirs; and look into another, with a reason."""
    tenant_id = f"administered-{secrets.token_hex(4)}"
    name = f"tenants/{tenant_id}"
    texts = {"displayName": planted("tenant"), "labels": {planted("label"): planted("labelled")}}
    key = {"displayName": planted("key"), "role": "ROLE_TENANT_USER", "readers": [planted("reader")]}
    audited = f'reason = "{planted("audited")}"'
    steps: list[tuple[str, dict[str, Any]]] = [
        ("CreateTenant", {"tenantId": tenant_id, "tenant": texts}),
        ("UpdateTenant", {"tenant": {"name": name, **texts}, "updateMask": "displayName,labels"}),
        ("CreateApiKey", {"parent": name, "apiKey": key}),
        ("SuspendTenant", {"name": name, "reason": planted("suspended")}),
        ("ResumeTenant", {"name": name}),
        ("DeleteTenant", {"name": name}),
        ("UndeleteTenant", {"name": name}),
        ("ListAuditEvents", {"parent": name, "filter": audited}),
        ("ListPlatformAuditEvents", {"filter": audited}),
        ("EraseTenant", {"name": name, "confirm": tenant_id, "reason": planted("erased")}),
    ]
    for rpc, fields in steps:
        request = message_factory.GetMessageClass(METHODS[TENANT + rpc].input_type)()
        tenant.call(TENANT + rpc, ParseDict(fields, request), admin, more=_REASON)
    looking = search_pb2.SearchRequest(parent=f"{own.name}/collections/people", query=planted("looked-for"))
    for door in search:
        door.call(SEARCH + "Search", looking, admin, more=_REASON)


def _call_everything(
    doors: dict[str, Door], front: Door, about: Home, key: str, more: Metadata, at_the_front: bool
) -> None:
    """Call every RPC with canaries in all places; most of it is refused."""
    for method in sorted(METHODS, key=lambda one: any(word in one for word in _LAST)):
        for request in _requests(method, about):
            for door in (front, doors[_service_of(method)]) if at_the_front else (doors[_service_of(method)],):
                with suppress(grpc.RpcError):
                    door.raw(method, request, key, 10, more=more)


def _requests(method: str, about: Home) -> list[bytes]:
    """Return requests with canaries in all places, of which some are about something of a tenant's."""
    made, path = METHODS[method].input_type, RULES[method].name_field
    names = (about.name, f"{about.name}/collections/bin", about.document("a", "bin"))
    about_names = [named(filled(made), path, name).SerializeToString() for name in names]
    return [filled(made).SerializeToString(), CANARY.encode(), *about_names]


def _service_of(method: str) -> str:
    return method[1:].rpartition("/")[0]


def _use_badly(endpoint: str, front: Door, doors: dict[str, Door], own: Home) -> None:
    """Call with canaries as credentials, in metadata and in addresses."""
    keys = (
        own.user,
        planted("token"),
        f"pk_{'a' * 16}_{CANARY * 3}"[:64],
        f"eyJhbGciOiJub25lIn0.{CANARY}.x",
    )
    for method in (SEARCH + "Search", INDEX + "UpdateDocument", TENANT + "CreateApiKey"):
        for door in (front, doors[_service_of(method)]):
            for key in keys:
                for request in _requests(method, own):
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
    """Return all audit events, on their way and in the chain, without what has its place there: names and reasons."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        # What is still on its way is looked at as well, and waited for: it must be fit to be read where it goes.
        while waiting := await parts.audit.spool.take(100_000):
            found += [orjson.loads(one.data)["body"] for one in waiting]
            await asyncio.sleep(0.5)
    store = AuditStore(parts.engine)
    await store.refresh()
    async for page in store.walk():
        found += page
    reasoned = {
        event["action"] for event in found if event["justification"] == _JUSTIFICATION and event["code"] == "OK"
    }
    assert reasoned >= {"TenantService.SuspendTenant", "TenantService.EraseTenant", "SearchService.Search"}
    return b"\n".join(orjson.dumps(_unnamed(event)) for event in found)


def _unnamed(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without a reason that was given, and without ids in the name of what it is about."""
    about = [part for part in event["resource"].split("/") if part not in _IDS]
    why = event["justification"]
    return event | {"resource": about, "justification": "" if why == _JUSTIFICATION else why}


async def _usage(parts: Parts) -> bytes:
    """Return all usage as it is stored."""
    path = f"/{parts.engine.prefix}-sys-usage*"
    await parts.engine.call("refresh", "POST", f"{path}/_refresh")
    body = {"size": 10_000, "query": {"match_all": {}}}
    return orjson.dumps(await parts.engine.call("test", "POST", f"{path}/_search", body=body))


def _redis(platform: Platform) -> dict[str, bytes]:
    """Return the names of all keys, and what Redis keeps of slow commands."""
    found: dict[str, bytes] = {}
    for name, url in (("cache", platform.cache_url), ("queue", platform.queue_url)):
        with Redis.from_url(url) as redis:
            found[f"redis {name} keys"] = b"\n".join(redis.scan_iter(count=1000))
            found[f"redis {name} slow log"] = repr(redis.slowlog_get(1000)).encode()
    return found
