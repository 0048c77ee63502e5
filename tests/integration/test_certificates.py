# SPDX-License-Identifier: Apache-2.0
"""Callers with a client certificate: service accounts by SPIFFE id, and a proxy that is trusted to speak for others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from pinakes.client import AsyncClient
from pinakes.local import Platform
from pinakes.v1 import index_pb2, resources_pb2, tenant_pb2
from tests.integration import _servers
from tests.integration._certificates import Pair, issue, tls_settings
from tests.integration._servers import Metadata, Tenant, bearer, new_tenant, open_channel, reason, running, stubs

INDEXER, READER, PROXY, BOUND, FORMER = (
    f"spiffe://acme.example/{name}" for name in ("indexer", "reader", "envoy", "bound", "former")
)


@dataclass(frozen=True, slots=True)
class Door:
    """An index server that knows service accounts and a proxy; `BOUND` is of the tenant's uid, and `FORMER` of another one's."""

    address: str
    authority: Pair
    tenant: Tenant

    def channel(self, *uris: str) -> grpc.aio.Channel:
        """Connect with a certificate that has these names."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        mine = issue("client", self.authority, names or [x509.DNSName("client")])
        return open_channel(self.address, grpc.ssl_channel_credentials(self.authority.pem, mine.key_pem, mine.pem))

    async def write(self, channel: grpc.aio.Channel, metadata: Metadata = (), parent: str = "") -> str:
        """Write a document; return `OK` or the reason of the refusal."""
        request = index_pb2.CreateDocumentRequest(
            parent=parent or self.tenant.collection, document=resources_pb2.Document(title="x")
        )
        try:
            await stubs(channel).index.CreateDocument(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return reason(error)
        return "OK"


@pytest.fixture(scope="module")
async def door(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """Run the server."""
    tmp_path: Path = tmp_path_factory.mktemp("certificates")
    authority, tenant = issue("authority"), await new_tenant(platform)
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        uid = (await client.get_tenant()).uid
    known = {
        INDEXER: f"service@{tenant.tenant_id}", READER: f"tenant-user@{tenant.tenant_id}",
        BOUND: f"service@{tenant.tenant_id}:{uid}", FORMER: f"service@{tenant.tenant_id}:{uid[::-1]}",
    }  # fmt: skip
    settings = {
        **tls_settings(tmp_path, authority), "PINAKES_TRUSTED_PROXIES": PROXY,
        "PINAKES_SERVICE_ACCOUNTS": ",".join(f"{name}={what}" for name, what in known.items()),
    }  # fmt: skip
    with running(platform, "index", tmp_path, **settings) as process:
        made = Door(process.address, authority, tenant)
        async with made.channel() as channel:
            await _servers.until_health(channel, seconds=60)
        yield made


async def test_a_certificate_is_the_account_of_its_name_in_its_tenants_only(platform: Platform, door: Door) -> None:
    other = await new_tenant(platform)
    async with door.channel(INDEXER) as channel:
        assert await door.write(channel) == "OK"
        assert await door.write(channel, parent="tenants/-/collections/default") == "OK"
        assert await door.write(channel, parent=other.collection) == "PERMISSION_DENIED"
    async with door.channel(READER) as channel:
        assert await door.write(channel) == "PERMISSION_DENIED"
    for uris in ((), (INDEXER + "2",), (INDEXER, READER), (INDEXER, "https://acme.example/x")):
        async with door.channel(*uris) as channel:
            assert await door.write(channel) == "CREDENTIAL_MISSING", uris


async def test_an_account_that_is_bound_to_a_uid_is_of_the_tenant_that_has_it(door: Door) -> None:
    for name, told in ((BOUND, "OK"), (FORMER, "PERMISSION_DENIED")):
        async with door.channel(name) as channel:
            assert await door.write(channel) == told
            assert await door.write(channel, parent="tenants/-/collections/default") == told


async def test_a_key_beside_a_certificate_is_what_counts(door: Door) -> None:
    async with door.channel(READER) as channel:
        assert await door.write(channel, bearer(door.tenant.key)) == "OK"
        assert await door.write(channel, bearer("pk_" + "a" * 16 + "_" + "A" * 43)) == "API_KEY_UNKNOWN"


async def test_a_forwarded_certificate_counts_from_the_proxy_alone(door: Door) -> None:
    forwarded = (("x-forwarded-client-cert", f"By={PROXY};Hash=00;URI={INDEXER}"),)
    async with door.channel(PROXY) as channel:
        assert await door.write(channel, forwarded) == "OK"
        assert await door.write(channel) == "CREDENTIAL_MISSING"
        mine = (("x-forwarded-client-cert", f"URI={INDEXER},Hash=00;URI={READER}"),)
        assert await door.write(channel, mine) == "PERMISSION_DENIED"
    for uris in ((), (READER,), (INDEXER + "2",)):
        async with door.channel(*uris) as channel:
            assert await door.write(channel, forwarded) == (
                "PERMISSION_DENIED" if uris == (READER,) else "CREDENTIAL_MISSING"
            )


async def test_without_a_client_authority_no_header_makes_a_caller_anybody(platform: Platform) -> None:
    async with open_channel(platform.address("tenant")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs(channel).tenant.GetTenant(
                tenant_pb2.GetTenantRequest(name="tenants/-"), timeout=10,
                metadata=(("x-forwarded-client-cert", f"URI={INDEXER}"), ("x-tenant-id", "acme")),
            )  # fmt: skip
    assert reason(caught.value) == "CREDENTIAL_MISSING"
