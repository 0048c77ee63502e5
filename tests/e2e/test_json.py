# SPDX-License-Identifier: Apache-2.0
"""The platform without gRPC: JSON over HTTP by curl, transcoded by Envoy, and a call of gRPC-Web."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pinakes.v1 import search_pb2
from tests.wire import INTERNAL_WORDS, Door, Home, home


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Curl:
    """curl, with a key."""

    def __init__(self, endpoint: str, key: str | None) -> None:
        """Keep where and who."""
        program = shutil.which("curl")
        assert program, "curl is missing"
        self._program, self._endpoint, self._key = program, endpoint, key

    def __call__(self, method: str, path: str, data: Any = None, **query: str) -> Answer:
        """Send a request; `data` goes as JSON, unless it is bytes."""
        command = [self._program, "--silent", "--show-error", "--include", "--max-time", "20", "--request", method]
        if self._key:
            command += ["--header", f"authorization: Bearer {self._key}"]
        if data is not None:
            kind = "application/grpc-web+proto" if isinstance(data, bytes) else "application/json"
            command += ["--header", f"content-type: {kind}", "--header", "expect:", "--data-binary", "@-"]
        else:
            command += ["--get"]
        for name, value in query.items():
            command += ["--data-urlencode", f"{name}={value}"]
        given = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
        done = subprocess.run(
            [*command, f"http://{self._endpoint}{path}"], check=False, input=given, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(int(first.split()[1]), headers, body)

    def refused(self, status: int, method: str, path: str, data: Any = None, **query: str) -> dict[str, Any]:
        """Send a request that must be refused, and return its status message."""
        answer = self(method, path, data, **query)
        assert answer.status == status, answer
        assert answer.headers["content-type"].startswith("application/json")
        told: dict[str, Any] = answer.json
        assert not [word for word in INTERNAL_WORDS if word in told["message"].lower()]
        info = next(detail for detail in told["details"] if detail["@type"].endswith("google.rpc.ErrorInfo"))
        assert info["domain"] == "pinakes"
        return {"reason": info["reason"], **told}


@pytest.fixture(scope="module")
def own(platform: Any) -> Iterator[Home]:
    """Make a tenant."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "json") as made:
        yield made


@pytest.fixture(scope="module")
def curl(platform: Any, own: Home) -> Curl:
    """Give curl with the key of a service."""
    return Curl(platform.endpoint, own.service)


DOCUMENTS = "/v1/tenants/-/collections/default/documents"
SEARCH = "/v1/tenants/-/collections/default:search"


def test_a_document_is_created_read_changed_listed_and_deleted(curl: Curl, own: Home) -> None:
    given = {"title": "Papyrus", "attributes": {"year": -250, "kind": "scroll"}, "tags": ["old"]}
    created = curl("POST", f"{DOCUMENTS}?document_id=json-1", given).json
    assert created["name"] == own.document("json-1")
    read = curl("GET", f"{DOCUMENTS}/json-1")
    assert (read.status, read.json) == (200, created)
    changed = curl(
        "PATCH",
        f"{DOCUMENTS}/json-1?update_mask=title&mode=WRITE_MODE_SEARCHABLE",
        {"title": "Vellum", "tags": ["ignored"]},
    ).json
    assert (changed["title"], changed["tags"]) == ("Vellum", ["old"])
    listed = curl("GET", DOCUMENTS, read_mask="title").json
    assert [document["title"] for document in listed["documents"]] == ["Vellum"]
    together = curl("GET", f"{DOCUMENTS}:batchGet", names=own.document("json-1")).json
    assert [document["name"] for document in together["documents"]] == [own.document("json-1")]
    deleted = curl("DELETE", f"{DOCUMENTS}/json-1")
    assert (deleted.status, deleted.json) == (200, {})
    assert curl.refused(404, "GET", f"{DOCUMENTS}/json-1")["reason"] == "DOCUMENT_NOT_FOUND"


def test_a_batch_is_written_and_searched_by_get_and_post(curl: Curl, own: Home) -> None:
    writes = [
        {"put": {"name": own.document(f"b{number}"), "title": f"Batch {number}", "attributes": {"number": number}}}
        for number in range(5)
    ]
    body = {"writes": writes, "mode": "WRITE_MODE_SEARCHABLE"}
    results = curl("POST", f"{DOCUMENTS}:batchWrite", body).json["results"]
    assert [result["outcome"] for result in results] == ["OUTCOME_CREATED"] * 5
    by_post = curl("POST", SEARCH, {"query": "batch", "filter": "attributes.number = 3"}).json
    by_get = curl("GET", SEARCH, query="batch", filter="attributes.number = 3").json
    assert [result["document"]["title"] for result in by_post["results"]] == ["Batch 3"]
    assert by_get["results"] == by_post["results"]
    assert by_post["totalSize"] == "1"


def test_a_write_says_in_headers_how_far_it_got(curl: Curl, own: Home) -> None:
    path = f"/v1/{own.document('told')}?update_mask=*&allow_missing=true"
    first = curl("PATCH", path, {"title": "one"})
    second = curl("PATCH", f"{path}&mode=WRITE_MODE_ACCEPTED", {"title": "two"})
    for answer, mode, outcome in ((first, "APPLIED", "CREATED"), (second, "ACCEPTED", "ACCEPTED")):
        assert (answer.status, answer.headers["x-pinakes-write-mode"]) == (200, mode)
        assert answer.headers["x-pinakes-write-outcome"] == outcome
    assert int(second.headers["x-pinakes-revision"]) > int(first.headers["x-pinakes-revision"])
    undone = curl("POST", f"/v1/{own.document('told')}:undelete", {})
    assert undone.status == 409


def test_pages_follow_each_other(curl: Curl, own: Home) -> None:
    writes = [{"put": {"name": own.document(f"p{number}"), "title": "Paged"}} for number in range(3)]
    curl("POST", f"{DOCUMENTS}:batchWrite", {"writes": writes, "mode": "WRITE_MODE_SEARCHABLE"})
    first = curl("GET", SEARCH, query="paged", page_size="2").json
    second = curl("GET", SEARCH, query="paged", page_size="2", page_token=first["nextPageToken"]).json
    names = [result["document"]["name"] for page in (first, second) for result in page["results"]]
    assert sorted(names) == [own.document(f"p{number}") for number in range(3)]
    assert not second.get("nextPageToken")


def test_tenants_keys_and_collections_are_administered(platform: Any, own: Home) -> None:
    admin = Curl(platform.endpoint, own.admin)
    assert admin("GET", "/v1/tenants/-").json["name"] == own.name
    made = admin("POST", "/v1/tenants/-/apiKeys", {"role": "ROLE_TENANT_USER", "displayName": "by curl"}).json
    assert Curl(platform.endpoint, made["secret"])("GET", DOCUMENTS).status == 200
    key_name = made["apiKey"]["name"]
    assert key_name in {key["name"] for key in admin("GET", "/v1/tenants/-/apiKeys").json["apiKeys"]}
    assert admin("POST", f"/v1/{key_name}:revoke", {}).json["state"] == "STATE_REVOKED"
    collection = {"displayName": "Maps", "attributes": [{"name": "scale", "type": "TYPE_NUMBER"}]}
    assert admin("POST", "/v1/tenants/-/collections?collection_id=maps", collection).json["displayName"] == "Maps"
    assert (
        admin("PATCH", "/v1/tenants/-/collections/maps?update_mask=display_name", {"displayName": "Charts"}).status
        == 200
    )
    assert admin("GET", "/v1/tenants/-/collections/maps").json["displayName"] == "Charts"
    assert admin("DELETE", "/v1/tenants/-/collections/maps").status == 200


def test_refusals_are_json_with_their_details(curl: Curl, platform: Any, own: Home) -> None:
    told = curl.refused(400, "GET", SEARCH, filter="tags =")
    assert (told["reason"], told["code"]) == ("FILTER_SYNTAX", 3)
    bad = next(detail for detail in told["details"] if detail["@type"].endswith("google.rpc.BadRequest"))
    assert [violation["field"] for violation in bad["fieldViolations"]] == ["filter"]
    assert curl.refused(403, "GET", "/v1/tenants/somebody-else")["reason"] == "PERMISSION_DENIED"
    assert curl.refused(409, "POST", "/v1/tenants/-/collections?collection_id=default", {})["code"] == 6
    nobody = Curl(platform.endpoint, None)
    assert nobody.refused(401, "GET", SEARCH, query="x")["reason"] == "CREDENTIAL_MISSING"


def test_what_the_contract_does_not_have_is_refused_at_the_door(curl: Curl) -> None:
    assert curl("GET", "/v1/nothing").status == 404
    assert curl("GET", "/").status == 404
    assert curl("GET", SEARCH, quarry="typo").status == 400
    assert curl("POST", SEARCH, {"query": {"not": "text"}}).status == 400


def test_a_browser_calls_by_grpc_web(curl: Curl) -> None:
    message = search_pb2.SearchRequest(parent="tenants/-/collections/default", page_size=1).SerializeToString()
    framed = b"\0" + len(message).to_bytes(4, "big") + message
    answer = curl("POST", "/pinakes.v1.SearchService/Search", framed)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/grpc-web+proto")
    length = int.from_bytes(answer.body[1:5], "big")
    assert search_pb2.SearchResponse.FromString(answer.body[5 : 5 + length]).HasField("took")
    trailers = answer.body[5 + length :]
    assert trailers[0] == 0x80
    assert b"grpc-status:0" in trailers


def test_a_refusal_by_grpc_web_has_its_details(platform: Any) -> None:
    answer = Curl(platform.endpoint, None)("POST", "/pinakes.v1.SearchService/Search", b"\0\0\0\0\0")
    told = answer.headers if "grpc-status" in answer.headers else dict(
        line.split(":", 1) for line in answer.body[5:].decode().split("\r\n") if line
    )  # fmt: skip
    assert told["grpc-status"].strip() == "16"
    packed = told["grpc-status-details-bin"].strip()
    assert b"CREDENTIAL_MISSING" in b64decode(packed + "=" * (-len(packed) % 4))
