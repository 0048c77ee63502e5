# SPDX-License-Identifier: Apache-2.0
"""The client through Envoy, on the whole platform."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pinakes.client import (
    AlreadyExists,
    AsyncClient,
    Client,
    Conflict,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    deletion,
    document,
)


@pytest.fixture(scope="module")
def tenant(platform: Any) -> Iterator[str]:
    """Create a tenant for this file, and delete it afterwards."""
    tenant_id = f"client-{secrets.token_hex(4)}"
    with Client(platform.endpoint, key=platform.admin_key) as admin:
        admin.create_tenant(tenant_id, display_name="Client tests", labels={"of": "tests"})
        yield tenant_id
        admin.delete_tenant(tenant_id)


@pytest.fixture(scope="module")
def key(platform: Any, tenant: str) -> str:
    """Create a key that reads and writes."""
    with Client(platform.endpoint, key=platform.admin_key) as admin:
        return admin.create_key("service", tenant=tenant, display_name="writer").secret


def test_a_document_is_written_found_read_and_deleted(platform: Any, key: str) -> None:
    with Client(platform.endpoint, key=key) as client:
        client.put_document(
            document(
                "loop", title="Event loop", body="runs coroutines", tags=["asyncio"], attributes={"kind": "class"}
            ),
            mode="searchable",
        )
        found = client.search("coroutines", filter='tags:asyncio AND attributes.kind = "class"')
        assert [result.document.title for result in found.results] == ["Event loop"]
        assert client.get_document("loop").body == "runs coroutines"
        client.delete_document("loop", mode="searchable")
        with pytest.raises(NotFound):
            client.get_document("loop")
        assert not client.search("coroutines").results


async def test_many_documents_are_written_and_all_pages_read(platform: Any, key: str) -> None:
    async with AsyncClient(platform.endpoint, key=key, timeout=30) as client:
        await client.create_collection("many", attributes=["number:number:sortable"])
        rows = (
            {"id": f"n{number}", "title": f"Row {number}", "attributes": {"number": number}} for number in range(1200)
        )
        written = [result async for result in client.write_many(rows, collection="many", mode="searchable")]
        assert len(written) == 1200
        assert all(result.outcome == "CREATED" for result in written)
        found = [
            result
            async for result in client.search_all(
                "row", collection="many", order_by="attributes.number desc", limit=120
            )
        ]
        assert [result.document.attributes["number"] for result in found] == [float(n) for n in range(1199, 1079, -1)]
        listed = [item.name async for item in client.list_documents(collection="many", filter="attributes.number < 75")]
        assert len(listed) == 75
        gone = [result async for result in client.write_many([deletion("n1"), deletion("absent")], collection="many")]
        assert [result.outcome for result in gone] == ["DELETED", "NOT_FOUND"]
        await client.delete_collection("many")


def test_a_deleted_document_comes_back_and_a_write_with_a_known_request_id_is_done_once(
    platform: Any, key: str
) -> None:
    with Client(platform.endpoint, key=key) as client:
        first = client.put_document({"id": "back", "title": "First"}, request_id="put-1")
        assert client.put_document({"id": "back", "title": "First"}, request_id="put-1") == first
        client.delete_document("back", request_id="delete-1")
        assert client.undelete_document("back", mode="searchable").title == "First"
        client.delete_document("back", request_id="delete-1")
        assert client.get_document("back").title == "First"
        assert list(client.list_failed_writes()) == []
        assert client.retry_failed_writes(all=True).queued == client.discard_failed_writes(all=True) == 0


def test_errors_arrive_with_their_class_and_their_reason(platform: Any, key: str, tenant: str) -> None:
    with Client(platform.endpoint, key=key) as client:
        with pytest.raises(InvalidArgument) as caught:
            client.search("x", filter="tags:")
        assert caught.value.violations[0].field == "filter"
        with pytest.raises(PermissionDenied):
            client.get_tenant("another-tenant")
        with pytest.raises(PermissionDenied):
            client.delete_tenant(tenant)
        made = client.create_document({"id": "once"})
        with pytest.raises(AlreadyExists):
            client.create_document({"id": "once"})
        client.update_document({"id": "once", "title": "New", "etag": made.etag}, ["title"])
        with pytest.raises(Conflict):
            client.update_document({"id": "once", "title": "Newer", "etag": made.etag}, ["title"])
    with Client(platform.endpoint, key="pk_wrong_key") as stranger, pytest.raises(Unauthenticated):
        stranger.search("x")


def test_a_revoked_key_is_refused(platform: Any, tenant: str) -> None:
    with Client(platform.endpoint, key=platform.admin_key) as admin:
        made = admin.create_key("user", tenant=tenant)
        admin.revoke_key(made.api_key.name)
        assert made.api_key.name in {item.name for item in admin.list_keys(tenant=tenant)}
    with Client(platform.endpoint, key=made.secret) as client, pytest.raises(Unauthenticated):
        client.search("x")
