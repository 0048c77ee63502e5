# SPDX-License-Identifier: Apache-2.0
"""What a person at a terminal does: grpcurl through Envoy, knowing nothing but the address and a key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire import METHODS, Door, Home, home

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {
    "pinakes.v1.SearchService", "pinakes.v1.IndexService", "pinakes.v1.TenantService", "google.longrunning.Operations",
}  # fmt: skip


class Grpcurl:
    """The program, at the platform's front door."""

    def __init__(self, endpoint: str) -> None:
        """Find the program; that it is missing is a failure."""
        self.program = Path(os.environ.get("PINAKES_TOOLS", ROOT / ".cache" / "bin")) / "grpcurl"
        assert self.program.is_file(), f"{self.program} is missing; run `make tools`"
        self.endpoint = endpoint

    def __call__(self, *arguments: str, key: str | None = None, data: Any = None) -> subprocess.CompletedProcess[str]:
        """Run it, with a key and a request in JSON."""
        command = [str(self.program), "-plaintext", "-max-time", "20"]
        if key:
            command += ["-H", f"authorization: Bearer {key}"]
        if data is not None:
            command += ["-d", json.dumps(data)]
        if data is not None or "/" in arguments[0]:
            command += ["-format-error"]
        return subprocess.run(
            [*command, self.endpoint, *arguments], check=False, capture_output=True, text=True, timeout=60
        )

    def told(self, *arguments: str, key: str | None = None, data: Any = None) -> str:
        """Return what it prints; it must succeed."""
        done = self(*arguments, key=key, data=data)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def grpcurl(platform: Any) -> Grpcurl:
    """Give the program at the platform's address."""
    return Grpcurl(platform.endpoint)


@pytest.fixture(scope="module")
def own(platform: Any) -> Iterator[Home]:
    """Make a tenant."""
    with Door(platform.endpoint) as door, home(door, platform.admin_key, "grpcurl") as made:
        yield made


def test_all_services_are_listed_by_reflection(grpcurl: Grpcurl) -> None:
    listed = set(grpcurl.told("list").split())
    assert listed >= {*SERVICES, "grpc.health.v1.Health"}


def test_every_method_of_the_contract_is_listed(grpcurl: Grpcurl) -> None:
    listed = {name for service in sorted(SERVICES) for name in grpcurl.told("list", service).split()}
    assert listed == {name[1:].replace("/", ".") for name in METHODS}


def test_services_and_messages_describe_themselves(grpcurl: Grpcurl) -> None:
    service = grpcurl.told("describe", "pinakes.v1.SearchService")
    assert "rpc Search ( .pinakes.v1.SearchRequest ) returns ( .pinakes.v1.SearchResponse )" in service
    assert "string query = 2" in grpcurl.told("describe", "pinakes.v1.SearchRequest")


def test_the_whole_platform_is_healthy(grpcurl: Grpcurl) -> None:
    assert json.loads(grpcurl.told("grpc.health.v1.Health/Check"))["status"] == "SERVING"


def test_each_service_answers_a_call(grpcurl: Grpcurl, own: Home) -> None:
    tenant = json.loads(grpcurl.told("pinakes.v1.TenantService/GetTenant", key=own.user, data={"name": "tenants/-"}))
    assert (tenant["name"], tenant["state"]) == (own.name, "STATE_ACTIVE")
    document = {
        "parent": "tenants/-/collections/default", "document_id": "scroll", "mode": "WRITE_MODE_SEARCHABLE",
        "document": {"title": "Scroll", "body": "of papyrus", "attributes": {"length": 11, "kind": "roll"}},
    }  # fmt: skip
    written = json.loads(grpcurl.told("pinakes.v1.IndexService/CreateDocument", key=own.service, data=document))
    assert written["name"] == own.document("scroll")
    query = {"parent": "tenants/-/collections/default", "query": "papyrus", "filter": 'attributes.kind = "roll"'}
    found = json.loads(grpcurl.told("pinakes.v1.SearchService/Search", key=own.user, data=query))
    assert [result["document"]["title"] for result in found["results"]] == ["Scroll"]
    assert found["results"][0]["document"]["attributes"] == {"kind": "roll", "length": 11}


def test_a_refusal_is_shown_with_its_reason_and_place(grpcurl: Grpcurl, own: Home) -> None:
    query = {"parent": "tenants/-/collections/default", "filter": "tags ="}
    done = grpcurl("pinakes.v1.SearchService/Search", key=own.user, data=query)
    assert done.returncode == 64 + 3
    status = json.loads(done.stderr)
    assert "at character 7" in status["message"]
    reasons = [detail.get("reason") for detail in status["details"]]
    assert "FILTER_SYNTAX" in reasons
    fields = [v["field"] for detail in status["details"] for v in detail.get("field_violations", [])]
    assert fields == ["filter"]


def test_without_a_key_nothing_is_answered(grpcurl: Grpcurl) -> None:
    done = grpcurl("pinakes.v1.TenantService/GetTenant", data={"name": "tenants/-"})
    assert done.returncode == 64 + 16
    assert json.loads(done.stderr)["code"] == 16
