# SPDX-License-Identifier: Apache-2.0
"""Tricks to reach another tenant: metadata that name it, names that look like others, tokens of its, and a clock."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import statistics
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf import message_factory

from pinakes.core.rpc.paging import PageTokens
from pinakes.v1 import index_pb2, insights_pb2, resources_pb2, search_pb2, tenant_pb2
from tests.e2e._requests import ANCHORS, build
from tests.wire import INDEX, METHODS, OPERATIONS, SEARCH, TENANT, Door, Home, home, put

DENIED, INVALID = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT
TEXT = "amontillado"
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class World:
    """A tenant that calls, one that has something to hide, and a key that reads as nobody in particular."""

    door: Door
    mine: Home
    theirs: Home
    their_uid: str
    address: str
    index: str


@pytest.fixture(scope="module")
def world(platform: Any) -> Iterator[World]:
    """Fill both tenants."""
    with (
        Door(platform.endpoint) as door,
        home(door, platform.admin_key, "mine") as mine,
        home(door, platform.admin_key, "theirs") as theirs,
    ):
        put(door, theirs.service, theirs.document("secret"), title=TEXT, body="nobody else's")
        put(door, mine.service, mine.document("own"), title="own wine", readers=["ann"])
        uid = door.call(TENANT + "GetTenant", tenant_pb2.GetTenantRequest(name="tenants/-"), theirs.user).uid
        yield World(door, mine, theirs, uid, platform.endpoint, platform.address("index"))


# ---- metadata


def spoofed(theirs: Home, uid: str) -> dict[str, str]:
    """Return metadata that some platform or other takes for the caller's identity, all naming the attacked tenant."""
    name, path = theirs.tenant_id, f"/v1/{theirs.document('secret')}"
    ids = "x-tenant-id x-tenant tenant tenant-id x-pinakes-tenant x-pinakes-tenant-id pinakes-tenant x-org-id x-scope-orgid x-account-id x-customer-id x-namespace x-auth-tenant"
    people = "x-user x-user-id x-remote-user remote-user x-auth-user x-authenticated-user x-forwarded-user x-forwarded-email x-pinakes-principal x-pinakes-subject x-consumer-id x-goog-authenticated-user-email x-amzn-oidc-identity x-ms-client-principal-name"
    roles = (
        "x-role x-roles x-user-role x-pinakes-role x-forwarded-groups x-auth-roles x-pinakes-permission x-permissions"
    )
    routes = "x-envoy-original-path x-original-url x-rewrite-url x-forwarded-path x-forwarded-prefix x-forwarded-uri x-envoy-decorator-operation"
    hosts = "x-forwarded-host x-host x-forwarded-server x-envoy-original-dst-host x-envoy-upstream-alt-stat-name"
    return {
        **dict.fromkeys(ids.split(), name),
        **dict.fromkeys(people.split(), f"{name}-admin"),
        **dict.fromkeys(roles.split(), "admin"),
        **dict.fromkeys(routes.split(), path),
        **dict.fromkeys(hosts.split(), f"{name}.example"),
        "x-pinakes-tenant-uid": uid,
        "x-pinakes-readers": "ann",
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "forwarded": f"for=127.0.0.1;host={name}.example",
        "x-envoy-internal": "true",
        "x-envoy-external-address": "127.0.0.1",
        "x-envoy-peer-metadata-id": name,
        "x-forwarded-client-cert": f"By=spiffe://pinakes;URI=spiffe://pinakes/tenants/{name}/service",
        "x-client-cert": f"spiffe://pinakes/tenants/{name}/service",
        "x-jwt-payload": '{"tenant_id":"' + name + '","role":"admin"}',
        "x-authorization": f"Bearer {theirs.admin}",
        "proxy-authorization": f"Bearer {theirs.admin}",
        "x-forwarded-access-token": theirs.admin,
        "x-api-key": theirs.admin,
        "api-key": theirs.admin,
        "cookie": f"authorization=Bearer {theirs.admin}; tenant={name}",
        "x-http-method-override": "DELETE",
        "x-pinakes-admin-reason": "let me in, please",
    }


def asked(channel: grpc.Channel, method: str, request: Any, metadata: Metadata) -> tuple[Any, ...]:
    """Call, and return what can be compared: the status and its message, or the answer without what differs each time."""
    call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
    answer = message_factory.GetMessageClass(METHODS[method].output_type)
    try:
        found: Any = answer.FromString(call(request.SerializeToString(), metadata=metadata, timeout=20))
    except grpc.RpcError as error:
        return error.code(), error.details()  # type: ignore[attr-defined]  # a failed call is a call too
    for field in ("took", "cached", "search_id"):
        if field in found.DESCRIPTOR.fields_by_name:
            found.ClearField(field)
    return grpc.StatusCode.OK, found.SerializeToString(deterministic=True)


@pytest.mark.parametrize("way", ["address", "index"])
def test_metadata_that_name_a_tenant_a_user_or_a_role_change_nothing(world: World, way: str) -> None:
    key: Metadata = (("authorization", f"Bearer {world.mine.user}"),)
    requests = {
        "own": index_pb2.ListDocumentsRequest(parent="tenants/-/collections/default"),
        "theirs": index_pb2.ListDocumentsRequest(parent=world.theirs.default),
    }
    headers = spoofed(world.theirs, world.their_uid)
    with grpc.insecure_channel(getattr(world, way)) as channel:
        method = INDEX + "ListDocuments"
        plain = {name: asked(channel, method, request, key) for name, request in requests.items()}
        assert plain["own"][0] is grpc.StatusCode.OK
        assert plain["theirs"][0] is DENIED
        for one in (*([pair] for pair in headers.items()), list(headers.items())):
            for name, request in requests.items():
                assert asked(channel, method, request, (*key, *one)) == plain[name], one
        # None of them stands for a credential.
        told = asked(channel, method, requests["theirs"], tuple(headers.items()))
        assert told[0] is grpc.StatusCode.UNAUTHENTICATED


def test_the_authority_of_a_call_says_nothing(world: World) -> None:
    key: Metadata = (("authorization", f"Bearer {world.mine.user}"),)
    request = index_pb2.ListDocumentsRequest(parent="tenants/-/collections/default")
    found = set()
    for authority in ("localhost", f"{world.theirs.tenant_id}.example", f"{world.theirs.tenant_id}"):
        options = [("grpc.default_authority", authority)]
        with grpc.insecure_channel(world.address, options=options) as channel:
            found.add(asked(channel, INDEX + "ListDocuments", request, key))
    assert len(found) == 1


def test_of_two_credentials_none_opens_more_than_it_does_alone(world: World) -> None:
    bearers = [f"Bearer {key}" for key in (world.mine.user, "pk_" + "a" * 16 + "_" + "A" * 43)]
    request = index_pb2.GetDocumentRequest(name=world.theirs.document("secret"))
    with grpc.insecure_channel(world.address) as channel:
        for pair in (bearers, bearers[::-1]):
            code, *_ = asked(channel, INDEX + "GetDocument", request, tuple(("authorization", one) for one in pair))
            assert code in {DENIED, grpc.StatusCode.UNAUTHENTICATED}


# ---- names


def lookalikes(theirs: str) -> dict[str, str]:
    """Return tenants' ids that somebody might take for another's."""
    return {
        "capitals": theirs.upper(),
        "one capital": theirs.capitalize(),
        "homoglyph": theirs.replace("e", "\u0435", 1),
        "full width": "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in theirs),
        "combining mark": theirs[0] + "\u0301" + theirs[1:],
        "decomposed": unicodedata.normalize("NFD", "\u00e9") + theirs,
        "composed": unicodedata.normalize("NFC", "e\u0301") + theirs,
        "ligature": theirs.replace("t", "\ufb05", 1),
        "zero-width space": f"{theirs}\u200b",
        "zero-width joiner": f"{theirs[0]}\u200d{theirs[1:]}",
        "byte order mark": f"\ufeff{theirs}",
        "right to left": f"\u202e{theirs[::-1]}",
        "soft hyphen": theirs.replace("-", "\u00ad-", 1),
        "another hyphen": theirs.replace("-", "\u2010", 1),
        "dot behind": f"{theirs}.",
        "space behind": f"{theirs} ",
        "space before": f" {theirs}",
        "tab": f"{theirs}\t",
        "line end": f"{theirs}\n",
        "null": f"{theirs}\0",
        "slash behind": f"{theirs}/",
        "percent-encoded": "".join(f"%{ord(c):02x}" for c in theirs),
        "percent null": f"{theirs}%00",
        "own and up": f"-/../{theirs}",
        "own and up, encoded": f"-%2f..%2f{theirs}",
        "backslash": f"-\\..\\{theirs}",
        "full-width slash": f"-\uff0f..\uff0f{theirs}",
        "wildcard": theirs[:-1] + "*",
        "every": "*",
        "list": f"-,{theirs}",
        "nothing": "",
        "semicolon": f"{theirs};x=1",
        "question mark": f"{theirs}?x=1",
        "fragment": f"{theirs}#x",
    }


def test_a_name_that_looks_like_another_tenants_is_none_of_it(world: World) -> None:
    for label, tenant in lookalikes(world.theirs.tenant_id).items():
        ids = {"tenant": tenant, "collection": "default", "document": "secret"}
        for method, field in ANCHORS.items():
            parts = {part[1:-1] for part in field.pattern.split("/") if part.startswith("{")}
            if METHODS[method].client_streaming or not {"tenant", "collection"} <= parts <= set(ids):
                continue
            valid = {**ids, "tenant": "acme"}
            request = build(method, {field: field.pattern.format_map(valid)}, valid)
            _name(request, field.path, field.pattern.format_map(ids))
            refusal = world.door.refusal(method, request, world.mine.admin)
            assert refusal.code in {INVALID, DENIED}, (label, method, refusal)
            assert TEXT not in refusal.message


def _name(message: Any, path: tuple[str, ...], value: str) -> None:
    for part in path[:-1]:
        message = getattr(message, part)
    setattr(message, path[-1], value)


def test_ids_that_differ_by_case_or_by_a_dot_are_different_documents(world: World) -> None:
    ids = ["Wine", "wine", "wine.", "wine~", "WINE", ".wine", "wine:", "..", "."]
    for document_id in ids:
        put(
            world.door,
            world.mine.service,
            world.mine.document(document_id),
            index_pb2.WRITE_MODE_APPLIED,
            title=document_id,
        )
    for document_id in ids:
        request = index_pb2.GetDocumentRequest(name=world.mine.document(document_id))
        assert world.door.call(INDEX + "GetDocument", request, world.mine.service).title == document_id


def _get(address: str, path: str, key: str, body: Any = None) -> tuple[int, str]:
    """Send a path as it is, which most clients would tidy up first."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.putrequest("GET" if body is None else "POST", path, skip_accept_encoding=True)
        connection.putheader("authorization", f"Bearer {key}")
        data = b"" if body is None else json.dumps(body).encode()
        if data:
            connection.putheader("content-type", "application/json")
            connection.putheader("content-length", str(len(data)))
        connection.endheaders(data or None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def test_no_path_of_http_leads_to_another_tenant(world: World) -> None:
    theirs, mine = world.theirs.tenant_id, world.mine.tenant_id
    rest = "collections/default/documents/secret"
    tails = [f"tenants/{quote(tenant, safe='/%.;*,-')}/{rest}" for tenant in lookalikes(theirs).values()]
    paths = [
        *(f"/v1/{tail}" for tail in tails),
        f"/v1/tenants/-/../{theirs}/{rest}",
        f"/v1/tenants/-/%2e%2e/{theirs}/{rest}",
        f"/v1/tenants/-/..%2f{theirs}/{rest}",
        f"/v1/tenants/-%2f..%2f{theirs}%2f{rest}",
        f"/v1/tenants/{mine}/collections/default/documents/../../../../{theirs}/{rest}",
        f"/v1/tenants/{mine}/./../{theirs}/{rest}",
        f"/v1//tenants//{theirs}//{rest}",
        f"/v1/tenants/-/{rest};/../../../{theirs}",
        f"/v1/tenants/-/{rest}?name=tenants/{theirs}/{rest}",
        f"/v1/tenants/-/collections/default/documents?parent=tenants/{theirs}/collections/default",
        f"/v1/tenants/-/collections/default:search?query={TEXT}&parent=tenants/{theirs}/collections/default",
        f"/v1/tenants/-/collections/default/documents:batchGet?names=tenants/{theirs}/{rest}",
        f"/pinakes.v1.IndexService/GetDocument?name=tenants/{theirs}/{rest}",
        f"http://{theirs}.example/v1/tenants/{theirs}/{rest}",
    ]
    for path in paths:
        status, text = _get(world.address, path.encode("utf-8").decode("latin-1"), world.mine.admin)
        assert TEXT not in text, (path, text)
        assert 400 <= status < 500, (path, status, text)
    bodies = [
        ("/v1/tenants/-/collections/default:search", {"query": TEXT, "parent": world.theirs.default}),
        (
            "/v1/tenants/-/collections/default:batchSearch",
            {"requests": [{"query": TEXT, "parent": world.theirs.default}]},
        ),
    ]
    for path, body in bodies:
        status, text = _get(world.address, path, world.mine.admin, body)
        assert TEXT not in text, (path, text)
        assert status < 500, (path, status, text)


# ---- what belongs to a request


def test_a_page_token_of_another_tenant_opens_nothing(world: World, platform: Any) -> None:
    """Signed by the platform itself, for the very same request of another tenant, in every RPC that has pages."""
    tokens = PageTokens(platform.state.secret_key.encode())
    ids = {"tenant": "-", "collection": "default"}
    paged = [
        method for method, one in METHODS.items() if "page_token" in one.input_type.fields_by_name and method in ANCHORS
    ]
    assert len(paged) > 5
    for method in paged:
        request: Any = build(method, {ANCHORS[method]: ANCHORS[method].pattern.format_map(ids)}, ids)
        request.page_token = tokens.make(request, world.their_uid, ["secret"])
        refusal = world.door.refusal(method, request, world.mine.admin)
        assert (refusal.code, refusal.reason) == (INVALID, "PAGE_TOKEN_MISMATCH"), (method, refusal)


def test_the_id_of_another_tenants_search_is_no_id(world: World) -> None:
    search = search_pb2.SearchRequest(parent="tenants/-/collections/default", query=TEXT)
    theirs = world.door.call(SEARCH + "Search", search, world.theirs.user).search_id
    refusals = []
    for search_id in (theirs, "made-up"):
        event = insights_pb2.RecordEventRequest(
            parent="tenants/-/collections/default", search_id=search_id, document="own",
            type=insights_pb2.RecordEventRequest.TYPE_CLICK,
        )  # fmt: skip
        refusals.append(world.door.refusal(SEARCH + "RecordEvent", event, world.mine.user))
    assert {(one.code, one.reason, one.message, one.details) for one in refusals} == {
        (INVALID, "SEARCH_ID_INVALID", refusals[0].message, refusals[0].details)
    }


def test_an_etag_of_another_tenants_document_is_none_of_ones_own(world: World) -> None:
    request = index_pb2.GetDocumentRequest(name=world.theirs.document("secret"))
    etag = world.door.call(INDEX + "GetDocument", request, world.theirs.user).etag
    refusals = [
        world.door.refusal(
            INDEX + "DeleteDocument", index_pb2.DeleteDocumentRequest(name=world.mine.document("own"), etag=one), world.mine.service
        )
        for one in (etag, etag[::-1])
    ]  # fmt: skip
    assert {one.code for one in refusals} == {grpc.StatusCode.ABORTED}
    assert len({one.message for one in refusals}) == 1


def test_a_request_id_of_another_tenant_is_one_that_never_was(world: World) -> None:
    request_id = secrets.token_hex(8)
    for one in (world.theirs, world.mine):
        request = index_pb2.CreateDocumentRequest(
            parent="tenants/-/collections/default", document=resources_pb2.Document(title="once"), request_id=request_id
        )
        made = world.door.call(INDEX + "CreateDocument", request, one.service)
        assert made.name.startswith(one.name + "/")


def test_a_batch_cannot_reach_out_of_its_own_collection(world: World) -> None:
    request = index_pb2.BatchWriteDocumentsRequest(parent=world.mine.default)
    targets = [world.theirs.document("secret"), world.theirs.document("absent"), world.mine.document("own", "other")]
    for name in targets:
        request.writes.add(put=resources_pb2.Document(name=name, title="taken"))
        request.writes.add(delete=index_pb2.DocumentDeletion(name=name))
    answer = world.door.call(INDEX + "BatchWriteDocuments", request, world.mine.service)
    assert [result.outcome for result in answer.results] == [index_pb2.WriteResult.OUTCOME_REJECTED] * 6
    reads = index_pb2.BatchGetDocumentsRequest(parent=world.mine.default, names=[world.theirs.document("secret")])
    assert world.door.refusal(INDEX + "BatchGetDocuments", reads, world.mine.service).code is INVALID


def test_a_stream_cannot_reach_out_of_its_own_collection(world: World) -> None:
    request = index_pb2.StreamWriteDocumentsRequest(parent=world.mine.default, sequence=1)
    for name in (world.theirs.document("secret"), world.mine.document("own", "other")):
        request.writes.add(put=resources_pb2.Document(name=name, title="taken"))
        request.writes.add(delete=index_pb2.DocumentDeletion(name=name))
    _, answer = world.door.stream([request], world.mine.service)
    assert list(answer.acknowledgement.outcomes) == [index_pb2.WriteResult.OUTCOME_REJECTED] * 4
    elsewhere = index_pb2.StreamWriteDocumentsRequest(parent=world.theirs.default, sequence=2)
    elsewhere.writes.add(put=resources_pb2.Document(name=world.theirs.document("secret"), title="taken"))
    with pytest.raises(grpc.RpcError) as caught:
        world.door.stream([request, elsewhere], world.mine.service)
    assert caught.value.code() is INVALID  # type: ignore[attr-defined]  # a failed call is a call too


def test_a_stream_of_another_tenant_is_one_that_never_was(world: World) -> None:
    request = index_pb2.StreamWriteDocumentsRequest(parent="tenants/-/collections/default", stream_id="shared")
    first = index_pb2.StreamWriteDocumentsRequest(sequence=1)
    first.writes.add(delete=index_pb2.DocumentDeletion(name=world.theirs.document("absent")))
    world.door.stream([request, first], world.theirs.service)
    positions = [world.door.stream([request], one.service)[0].opened.resume_after for one in (world.theirs, world.mine)]
    assert positions == [1, 0]


# ---- time


PAIRS, MOST_PAIRS = 400, 2000
APART = 0.1
"""How far apart two calls may be, as a part of their usual time: a look-up more costs about as much as the whole call."""
_JUDGED = {
    INDEX + "GetDocument": ("index", "user", "collections/default/documents/secret"),
    SEARCH + "Search": ("search", "user", "collections/default"),
    TENANT + "ListApiKeys": ("tenant", "admin", ""),
    OPERATIONS + "ListOperations": ("tenant", "admin", ""),
}


def _apart(there: list[float], absent: list[float]) -> float:
    """Return the median difference of pairs of times, as a part of the median time."""
    return statistics.median(a - b for a, b in zip(there, absent, strict=True)) / statistics.median(there + absent)


@pytest.mark.parametrize("method", _JUDGED)
def test_how_long_a_refusal_takes_does_not_tell_whether_another_tenant_or_its_document_is_there(
    world: World, platform: Any, method: str
) -> None:
    """Both names in turn, in random order, so that what else the machine does meets them alike.

    What isn't near enough yet is measured for longer, and all that was measured counts: a steady difference stays.
    """
    seed = int(os.environ.get("PINAKES_SEED", secrets.randbits(32)))
    print(f"PINAKES_SEED={seed}")
    dice = random.Random(seed)
    unlimited = resources_pb2.Tenant(name=world.mine.name, rate_limit=100_000)
    world.door.call(TENANT + "UpdateTenant", tenant_pb2.UpdateTenantRequest(tenant=unlimited), platform.admin_key)
    server, role, rest = _JUDGED[method]
    absent = "absent-" + "z" * (len(world.theirs.tenant_id) - 7)
    ids = {"there": world.theirs.tenant_id, "absent": absent}
    requests = {}
    for label, tenant in ids.items():
        name = f"tenants/{tenant}/{rest}".rstrip("/")
        requests[label] = build(method, {ANCHORS[method]: name}, {"tenant": tenant, "collection": "default"})
    metadata = (("authorization", f"Bearer {getattr(world.mine, role)}"),)
    times: dict[str, list[float]] = {label: [] for label in ids}
    with grpc.insecure_channel(platform.address(server)) as channel:
        call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)

        def measure(pairs: int) -> None:
            for _ in range(pairs):
                for label in dice.sample(sorted(ids), 2):
                    request = requests[label].SerializeToString()
                    began = time.perf_counter()
                    with pytest.raises(grpc.RpcError) as caught:
                        call(request, metadata=metadata, timeout=20)
                    times[label].append(time.perf_counter() - began)
                    assert caught.value.code() is DENIED  # type: ignore[attr-defined]  # a failed call is a call too

        measure(50)
        times = {label: [] for label in ids}
        while True:
            measure(PAIRS)
            apart = _apart(times["there"], times["absent"])
            if abs(apart) < APART or len(times["there"]) >= MOST_PAIRS:
                break
    print(f"{method}: {apart:+.1%} in {len(times['there'])} pairs")
    assert abs(apart) < APART
