# SPDX-License-Identifier: Apache-2.0
"""Who gets in: keys and their roles, revocation in every process, deleted and recreated tenants, tokens of an issuer."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from pinakes.client import (
    AsyncClient,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PinakesError,
    RateLimited,
    Unauthenticated,
    document,
)
from pinakes.local import Platform
from pinakes.v1 import index_pb2, keys_pb2, resources_pb2, tenant_pb2
from tests.integration import _servers
from tests.integration._servers import Tenant, bearer, new_tenant, open_channel, running, stubs

ISSUER, AUDIENCE = "https://issuer.example", "pinakes"
REVOKED_WITHIN = 5.0


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Give a tenant of the test's own."""
    return await new_tenant(platform)


async def refused(attempt: Callable[[], Awaitable[object]], kind: type[PinakesError], seconds: float) -> PinakesError:
    """Wait until a call is refused; fail if it still isn't after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await attempt()
        except kind as error:
            return error
        await asyncio.sleep(0.1)
    message = f"still let in after {seconds} s"
    raise AssertionError(message)


async def test_the_bootstrap_key_administers_everything(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        assert (await admin.get_tenant(tenant.tenant_id)).name == tenant.name
        with pytest.raises(PermissionDenied) as silent:
            await admin.put_document(document("a", title="x"), tenant=tenant.tenant_id)
        assert silent.value.reason == "ADMIN_REASON_REQUIRED"
        speaking = admin.with_admin_reason("a document is missing")
        await speaking.put_document(document("a", title="x"), tenant=tenant.tenant_id)
        with pytest.raises(NotFound):
            await admin.get_tenant("no-such-tenant")
        with pytest.raises(PinakesError) as caught:
            await admin.search("x")
        assert caught.value.reason == "TENANT_AMBIGUOUS"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "CREDENTIAL_MISSING"),
        ("pk_", "API_KEY_MALFORMED"),
        ("pk_bootstrap_" + "A" * 43, "API_KEY_UNKNOWN"),
        ("pk_" + "a" * 16 + "_" + "A" * 43, "API_KEY_UNKNOWN"),
        ("something else", "CREDENTIAL_MALFORMED"),
    ],
)
async def test_without_a_known_key_nobody_gets_in(platform: Platform, key: str | None, reason: str) -> None:
    async with AsyncClient(platform.endpoint, key=key) as client:
        for call in (client.search("x"), client.get_document("x"), client.get_tenant()):
            with pytest.raises(Unauthenticated) as caught:
                await call
            assert caught.value.reason == reason
            assert key is None or len(key) < 10 or key not in str(caught.value)


async def test_the_id_of_a_key_with_another_secret_is_an_unknown_key(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key[:-43] + "A" * 43) as client:
        with pytest.raises(Unauthenticated) as caught:
            await client.search("x")
    assert caught.value.reason == "API_KEY_UNKNOWN"


async def test_each_role_may_do_what_is_its_and_no_more(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as keeper:
        user = (await keeper.create_key("user")).secret
        service = (await keeper.create_key("service")).secret
        await keeper.put_document(document("a", title="x"), mode="searchable")
        with pytest.raises(PermissionDenied):
            await keeper.create_tenant("another-one")
        with pytest.raises(PermissionDenied):
            await keeper.delete_tenant(tenant.tenant_id)
    async with AsyncClient(platform.endpoint, key=service) as client:
        await client.put_document(document("b", title="x"), mode="searchable")
        assert (await client.search("x")).total_size == 2
        with pytest.raises(PermissionDenied):
            await client.create_key("user")
    async with AsyncClient(platform.endpoint, key=user) as client:
        assert (await client.search("x")).total_size == 2
        for call in (
            client.put_document(document("c")), client.delete_document("a"), client.create_collection("more"),
            client.create_key("user"), client.batch_write([document("c")]),
        ):  # fmt: skip
            with pytest.raises(PermissionDenied):
                await call


async def test_readers_see_what_is_theirs_and_what_is_everyone_s(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as keeper:
        anns = (await keeper.create_key("user", readers=["ann"])).secret
        nobodys = (await keeper.create_key("user")).secret
        await keeper.batch_write(
            [document("open", title="x"), document("ann", title="x", readers=["ann", "bob"]),
             document("bob", title="x", readers=["bob"])], mode="searchable",
        )  # fmt: skip
        assert (await keeper.search("x")).total_size == 3
    for key, visible in ((anns, {"open", "ann"}), (nobodys, {"open"})):
        async with AsyncClient(platform.endpoint, key=key) as client:
            found = {r.document.name.rpartition("/")[2] async for r in client.search_all("x")}
            listed = {d.name.rpartition("/")[2] async for d in client.list_documents()}
            got = {d.name.rpartition("/")[2] for d in (await client.get_documents(["open", "ann", "bob"])).documents}
            assert found == listed == got == visible
            with pytest.raises(NotFound):
                await client.get_document("bob")


async def test_a_revoked_key_is_refused_by_every_process_soon(platform: Platform, tenant: Tenant) -> None:
    async with (
        AsyncClient(platform.endpoint, key=tenant.key) as keeper,
        AsyncClient(platform.address("search"), key=tenant.key) as searching,
        AsyncClient(platform.address("index"), key=tenant.key) as indexing,
        AsyncClient(platform.endpoint, key=platform.admin_key) as admin,
    ):
        await asyncio.gather(searching.search("x"), indexing.get_collection())
        (key,) = [key async for key in keeper.list_keys()]
        await admin.revoke_key(key.name, tenant=tenant.tenant_id)
        with pytest.raises(Unauthenticated):
            await keeper.get_tenant()
        for attempt in (lambda: searching.search("x"), indexing.get_collection):
            error = await refused(attempt, Unauthenticated, REVOKED_WITHIN)
            assert error.reason == "API_KEY_REVOKED"


async def test_a_key_is_changed_and_every_process_holds_it_to_that_soon(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as keeper:
        made = await keeper.create_key("user", readers=["ann"], display_name="one", limits={"burst": 7})
        await keeper.batch_write(
            [document("ann", title="x", readers=["ann"]), document("bob", title="x", readers=["bob"])],
            mode="searchable",
        )
        name, soon = made.api_key.name, datetime.now(UTC) + timedelta(hours=1)
        async with AsyncClient(platform.address("search"), key=made.secret) as holder:
            assert (await holder.count_documents("x")).total_size == 1
            changed = await keeper.update_key(name, readers=["ann", "bob"], limits={"requests_per_second": 0.1})
            assert (changed.display_name, list(changed.readers)) == ("one", ["ann", "bob"])
            assert (changed.limits.burst, changed.limits.requests_per_second) == (7, 0.1)
            end = time.monotonic() + REVOKED_WITHIN
            while (await holder.count_documents("x")).total_size != 2:
                assert time.monotonic() < end, "the key still has the readers it had"
                await asyncio.sleep(0.5)
            error = await refused(lambda: holder.count_documents("x"), RateLimited, REVOKED_WITHIN)
            assert error.metadata["of"] == "key"
        changed = await keeper.update_key(name, expire_time=soon, display_name="", limits={"burst": 0})
        assert changed.expire_time.seconds == int(soon.timestamp())
        assert not changed.display_name
        assert changed.limits.requests_per_second == 0.1
        assert not (await keeper.update_key(name, expire_time="never")).HasField("expire_time")

        for wrong, field in (
            ({"expire_time": soon - timedelta(hours=2)}, "api_key.expire_time"),
            ({"limits": {"burst": -1}}, ""),
        ):
            with pytest.raises(InvalidArgument) as caught:
                await keeper.update_key(name, **wrong)  # type: ignore[arg-type]
            assert not field or caught.value.violations[0].field == field
        service = (await keeper.create_key("service")).api_key.name
        with pytest.raises(InvalidArgument) as caught:
            await keeper.update_key(service, readers=["ann"])
        assert caught.value.violations[0].field == "api_key.readers"
        request = keys_pb2.UpdateApiKeyRequest(
            api_key=resources_pb2.ApiKey(name=name, role=1), update_mask={"paths": ["role"]}
        )
        async with open_channel(platform.endpoint) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as masked:
                await stubs(channel).tenant.UpdateApiKey(request, metadata=bearer(tenant.key))
            assert "update_mask" in masked.value.details()
            with pytest.raises(grpc.aio.AioRpcError) as roleless:
                create = tenant_pb2.CreateApiKeyRequest(parent="tenants/-", api_key=resources_pb2.ApiKey())
                await stubs(channel).tenant.CreateApiKey(create, metadata=bearer(tenant.key))
            assert "role must be one of" in roleless.value.details()
        await keeper.revoke_key(name)
        with pytest.raises(PinakesError) as over:
            await keeper.update_key(name, display_name="late")
        assert over.value.reason == "API_KEY_OVER"


async def test_a_rotated_key_has_two_secrets_for_a_while_in_every_process_without_redis(
    platform: Platform, tenant: Tenant, tmp_path: Path
) -> None:
    with running(platform, "search", tmp_path, PINAKES_CACHE_URL="redis://127.0.0.1:9/0") as alone:
        async with (
            AsyncClient(platform.endpoint, key=tenant.key) as keeper,
            AsyncClient(platform.address("index"), key=tenant.key) as indexing,
            AsyncClient(alone.address, key=tenant.key) as searching,
            open_channel(alone.address) as channel,
        ):
            await _servers.until_health(channel)
            await asyncio.gather(searching.search("x"), indexing.get_collection())
            (key,) = [one async for one in keeper.list_keys()]
            assert not key.HasField("rotate_time")
            first = await keeper.rotate_key(key.name, overlap=60)
            assert first.secret.startswith(key.prefix)
            assert first.secret != tenant.key
            assert first.api_key.HasField("previous_secret_expire_time")

            async def works(secret: str) -> None:
                async with (
                    AsyncClient(alone.address, key=secret) as one,
                    AsyncClient(platform.address("index"), key=secret) as other,
                    AsyncClient(platform.endpoint, key=secret) as third,
                ):
                    await asyncio.gather(one.search("x"), other.get_collection(), third.get_tenant())

            await _until(lambda: works(first.secret))
            await works(tenant.key)
            # Rotated again, with no overlap: the first secret ends as the oldest of three, the second at once.
            second = await keeper.rotate_key(key.name, overlap=0)
            assert not second.api_key.HasField("previous_secret_expire_time")
            for attempt in (lambda: searching.search("x"), indexing.get_collection, keeper.get_tenant):
                assert (await refused(attempt, Unauthenticated, REVOKED_WITHIN)).reason == "API_KEY_UNKNOWN"
            async with AsyncClient(alone.address, key=first.secret) as client:
                await refused(lambda: client.search("x"), Unauthenticated, REVOKED_WITHIN)
            await _until(lambda: works(second.secret))
            async with AsyncClient(platform.endpoint, key=second.secret) as again:
                short = await again.rotate_key(key.name, overlap=3)
                await refused(again.get_tenant, Unauthenticated, 3 + REVOKED_WITHIN)
            async with AsyncClient(platform.endpoint, key=short.secret) as last:
                await last.revoke_key(key.name)
                with pytest.raises(Unauthenticated):
                    await last.rotate_key(key.name)
            async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
                with pytest.raises(PinakesError) as caught:
                    await admin.rotate_key(key.name, tenant=tenant.tenant_id)
                assert caught.value.reason == "API_KEY_OVER"
            async with AsyncClient(alone.address, key=short.secret) as client:
                error = await refused(lambda: client.search("x"), Unauthenticated, REVOKED_WITHIN)
                assert error.reason == "API_KEY_REVOKED"


async def _until(attempt: Callable[[], Awaitable[None]]) -> None:
    """Wait until every process has heard of a change."""
    end = time.monotonic() + REVOKED_WITHIN
    while True:
        try:
            return await attempt()
        except Unauthenticated:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)


async def test_a_deleted_tenant_is_gone_for_every_process_soon_and_a_new_one_of_its_name_starts_empty(
    platform: Platform, tenant: Tenant
) -> None:
    async with (
        AsyncClient(platform.address("search"), key=tenant.key) as searching,
        AsyncClient(platform.address("index"), key=tenant.key) as indexing,
        AsyncClient(platform.endpoint, key=platform.admin_key) as admin,
    ):
        await indexing.put_document(document("a", title="old"), mode="searchable")
        assert (await searching.search("old")).total_size == 1
        await admin.delete_tenant(tenant.tenant_id)
        assert (await admin.get_tenant(tenant.tenant_id)).state == resources_pb2.Tenant.STATE_DELETED
        for attempt in (lambda: searching.search("old"), lambda: indexing.get_document("a")):
            await refused(attempt, Unauthenticated, REVOKED_WITHIN)
        await refused(
            lambda: _ask(platform.address("search"), tenant.tenant_id, platform.admin_key), NotFound, REVOKED_WITHIN
        )
        again = await new_tenant(platform, tenant.tenant_id)
        with pytest.raises(Unauthenticated):
            await searching.search("old")
        with pytest.raises(Unauthenticated):
            await indexing.get_document("a")
    async with AsyncClient(platform.endpoint, key=again.key) as client:
        await _let_in(client)
        assert (await client.search("old")).total_size == 0
        assert [found.name async for found in client.list_documents()] == []
        with pytest.raises(NotFound):
            await client.get_document("a")
        await client.put_document(document("a", title="new"), mode="searchable")
        assert (await client.search("new")).total_size == 1


async def _ask(address: str, tenant_id: str, key: str) -> None:
    async with AsyncClient(address, key=key, admin_reason="is the tenant gone") as client:
        await client.search("x", tenant=tenant_id)


async def _let_in(client: AsyncClient) -> None:
    """Wait until every process knows the tenant of a client."""
    end = time.monotonic() + REVOKED_WITHIN
    while True:
        try:
            await client.search("x")
            await client.get_collection()
        except (Unauthenticated, PermissionDenied):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        else:
            return


async def test_a_key_of_a_recreated_tenant_works_at_once_everywhere_and_the_old_one_never(platform: Platform) -> None:
    name = f"again-{uuid.uuid4().hex[:8]}"
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        secrets = []
        for _ in range(2):
            await admin.create_tenant(name)
            secrets.append((await admin.create_key("service", tenant=name)).secret)
            # Each server knows the tenant of that moment from here on.
            async with AsyncClient(platform.endpoint, key=secrets[-1]) as mine:
                await mine.put_document(document("a", title="apple"), mode="searchable")
                assert (await mine.search("apple")).total_size == 1
                assert (await mine.get_tenant()).name == f"tenants/{name}"
            if len(secrets) == 1:
                await admin.delete_tenant(name)
        async with AsyncClient(platform.endpoint, key=secrets[0]) as old:
            await refused(lambda: old.search("apple"), Unauthenticated, REVOKED_WITHIN)


async def test_a_recreated_collection_starts_empty(platform: Platform, tenant: Tenant) -> None:
    async with AsyncClient(platform.endpoint, key=tenant.key) as client:
        first = await client.create_collection("more")
        await client.put_document(document("a", title="old"), collection="more", mode="searchable")
        assert (await client.search("old", collection="more")).total_size == 1
        await client.delete_collection("more")
        with pytest.raises(NotFound):
            await client.get_document("a", collection="more")

        await refused(lambda: client.search("old", collection="more"), NotFound, REVOKED_WITHIN)
        second = await client.create_collection("more")
        assert second.uid != first.uid
        end = time.monotonic() + REVOKED_WITHIN
        while True:
            try:
                found = await client.search("old", collection="more")
            except NotFound:
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            else:
                break
        assert found.total_size == 0
        with pytest.raises(NotFound):
            await client.get_document("a", collection="more")


@dataclass(frozen=True, slots=True)
class Issuer:
    """A token issuer with one key, published at `url`."""

    url: str
    key: ec.EllipticCurvePrivateKey

    def token(self, **claims: object) -> str:
        """Sign a token, good for a minute unless the claims say otherwise."""
        now = int(time.time())
        payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 60, **claims}
        return jwt.encode(payload, self.key, algorithm="ES256", headers={"kid": "one"})


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Give a running issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "one", "alg": "ES256", "use": "sig"}

    async def publish(_request: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk]})

    application = web.Application()
    application.router.add_get("/keys", publish)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield Issuer(f"http://{host}:{port}/keys", key)
    await runner.cleanup()


async def test_a_token_of_the_issuer_opens_the_tenant_that_it_names_and_no_other(
    platform: Platform, tenant: Tenant, issuer: Issuer, tmp_path: Path
) -> None:
    other = await new_tenant(platform)
    settings = {
        "PINAKES_JWT_ISSUER": ISSUER, "PINAKES_JWT_AUDIENCE": AUDIENCE, "PINAKES_JWT_JWKS_URL": issuer.url,
        "PINAKES_JWT_ROLES": "admin=admin,service=service",
    }  # fmt: skip
    with running(platform, "index", tmp_path, **settings) as server:
        async with open_channel(server.address) as channel:
            await _servers.until_health(channel)
            index = stubs(channel).index

            async def write(token: str, parent: str = tenant.collection) -> resources_pb2.Document:
                request = index_pb2.CreateDocumentRequest(
                    parent=parent, document_id=f"d-{uuid.uuid4().hex}", document=resources_pb2.Document(title="x")
                )
                metadata = bearer(token, x_pinakes_admin_reason="administrators say why")
                return await index.CreateDocument(request, metadata=metadata, timeout=10)

            async def code(token: str, parent: str = tenant.collection) -> grpc.StatusCode:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await write(token, parent)
                return caught.value.code()

            mine = issuer.token(tenant_id=tenant.tenant_id, role="service")
            assert (await write(mine)).title == "x"
            assert (await write(mine, "tenants/-/collections/default")).name.startswith(tenant.name)
            assert await code(mine, other.collection) is grpc.StatusCode.PERMISSION_DENIED
            assert await code(issuer.token(tenant_id=tenant.tenant_id)) is grpc.StatusCode.PERMISSION_DENIED
            both = issuer.token(tenant_id=[tenant.tenant_id, other.tenant_id], role="service")
            assert (await write(both, other.collection)).name.startswith(other.name)
            assert (await write(issuer.token(role="admin"))).title == "x"
            for wrong in (
                issuer.token(tenant_id=tenant.tenant_id, role="service", exp=int(time.time()) - 3600),
                issuer.token(tenant_id=tenant.tenant_id, role="service", aud="others"),
                issuer.token(tenant_id=tenant.tenant_id, role="service", iss="https://others.example"),
                issuer.token(tenant_id=tenant.tenant_id, role="emperor"),
                issuer.token(role="service"),
                Issuer(issuer.url, ec.generate_private_key(ec.SECP256R1())).token(tenant_id=tenant.tenant_id),
            ):
                assert await code(wrong) is grpc.StatusCode.UNAUTHENTICATED
