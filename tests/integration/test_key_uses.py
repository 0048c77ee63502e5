# SPDX-License-Identifier: Apache-2.0
"""What servers note of keys on the real engine: when they were last used, and their hashes with a new pepper."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from pydantic import SecretStr

from pinakes.client import AsyncClient, scoped_token
from pinakes.core.engine.client import Engine
from pinakes.core.faults import Fault
from pinakes.core.identity.authenticator import Authenticator
from pinakes.core.identity.peppers import pepper_id
from pinakes.core.settings import Settings
from pinakes.core.tenancy.directory import Directory
from pinakes.core.tenancy.key_uses import KeyUses
from pinakes.core.tenancy.models import now_ms
from pinakes.local import Platform
from tests.integration._servers import Tenant, new_tenant

PEPPER, NEWER = "p" * 40, "n" * 40


@dataclass(slots=True)
class Server:
    """What a server process has of identity, with peppers of its own."""

    engine: Engine
    directory: Directory
    uses: KeyUses
    authenticator: Authenticator

    async def let_in(self, credential: str) -> str:
        """Return who a credential is, or the reason that it is refused for."""
        try:
            found = await self.authenticator.authenticate(
                {"authorization": f"Bearer {credential}"}, administration=False
            )
        except Fault as fault:
            return fault.reason
        return found.subject

    async def hash_of(self, key_id: str) -> str:
        """Return the pepper that a key's record is hashed with, as it was last written."""
        record = await self.directory.keys.fresh(key_id)
        assert record is not None
        return record.pepper


@pytest.fixture
async def servers(platform: Platform) -> AsyncIterator[list[Server]]:
    """Give servers of a deployment that has no pepper, learns one, has it, learns another, has both, and has that alone."""
    made = []
    env = platform.env_for("tenant")
    learning = f"{env['PINAKES_SECRET_KEY']},{PEPPER}"
    for peppers in ("", learning, PEPPER, f"{PEPPER},{NEWER}", f"{NEWER},{PEPPER}", NEWER):
        settings = Settings(
            secret_key=SecretStr(env["PINAKES_SECRET_KEY"]), key_peppers=SecretStr(peppers),
            opensearch_urls=[env["PINAKES_OPENSEARCH_URLS"]],
        )  # fmt: skip
        engine = Engine(settings)
        directory = Directory(engine, 60)
        uses = KeyUses(engine, directory)
        made.append(Server(engine, directory, uses, Authenticator(settings, directory, uses)))
    yield made
    for server in made:
        await server.engine.close()


@pytest.fixture
async def tenant(platform: Platform) -> Tenant:
    """Give a tenant of the test's own."""
    return await new_tenant(platform)


async def moved(server: Server) -> int:
    """Write what a server has noted, make it searchable, and take hashes over as TenantService does."""
    await server.uses.write()
    await server.engine.call("refresh", "POST", f"/{server.engine.prefix}-sys-uses/_refresh")
    return await server.uses.take_over(server.authenticator._peppers.newest)


async def test_a_key_that_is_used_moves_to_the_newest_pepper_and_works_when_the_old_one_is_gone(
    tenant: Tenant, servers: list[Server]
) -> None:
    bare, _, peppered, _, both, last = servers
    key_id, name = tenant.key[3:19], f"key:{tenant.key[3:19]}"
    assert await bare.let_in(tenant.key) == name
    assert await bare.hash_of(key_id) == ""
    # One that came before there were peppers is hashed with the first one when it is used.
    assert await peppered.let_in(tenant.key) == name
    assert await moved(peppered) >= 1
    assert await bare.hash_of(key_id) == pepper_id(PEPPER.encode())
    assert await last.let_in(tenant.key) == "API_KEY_UNKNOWN"
    assert await both.let_in(tenant.key) == name
    assert await moved(both) >= 1
    assert await moved(both) == 0
    written = await bare.directory.keys.store.get(key_id)
    unknowing = KeyUses(both.engine, Directory(both.engine, 60))
    assert await unknowing.take_over(both.authenticator._peppers.newest) == 0
    assert await bare.directory.keys.store.get(key_id) == written, "what is taken over isn't written again each time"
    await both.engine.call("refresh", "POST", f"/{both.engine.prefix}-sys-uses/_refresh")
    assert key_id not in {use["key_id"] for use in await both.uses.store.page(None, ("rehashed",), None, 500)}, (
        "nor read"
    )
    assert (await both.uses.last_used([key_id]))[0] > 0
    for server in (both, last):
        assert await server.hash_of(key_id) == pepper_id(NEWER.encode())
        assert await server.let_in(tenant.key) == name
        assert await server.let_in(tenant.key[:-1] + ("A" if tenant.key[-1] != "A" else "E")) != name
    assert await last.let_in(scoped_token(tenant.key, expire=60)) == name


async def test_while_a_pepper_is_changed_step_by_step_every_server_lets_every_key_in(
    tenant: Tenant, servers: list[Server]
) -> None:
    """Servers of two steps that follow each other are there at once: what one hashes the other verifies, both ways."""
    key_id, name = tenant.key[3:19], f"key:{tenant.key[3:19]}"
    for before, after in pairwise(servers):
        for hashing, other in ((after, before), (before, after), (after, before)):
            assert await hashing.let_in(tenant.key) == name
            await moved(hashing)
            assert await other.hash_of(key_id) == hashing.authenticator._peppers.newest
            assert await other.let_in(tenant.key) == name
            assert await other.let_in(scoped_token(tenant.key, expire=60)) == name


async def test_a_server_that_has_missed_a_step_does_not_know_keys_that_the_others_hash(
    tenant: Tenant, servers: list[Server]
) -> None:
    """Why a pepper is learnt everywhere before it hashes."""
    _, _, peppered, _, both, _ = servers
    assert await peppered.let_in(tenant.key) == f"key:{tenant.key[3:19]}"
    assert await both.let_in(tenant.key) == f"key:{tenant.key[3:19]}"
    assert await moved(both) >= 1
    await peppered.hash_of(tenant.key[3:19])
    assert await peppered.let_in(tenant.key) == "API_KEY_UNKNOWN"


async def test_a_hash_that_was_noted_before_a_rotation_does_not_undo_it(
    platform: Platform, tenant: Tenant, servers: list[Server]
) -> None:
    key_id = tenant.key[3:19]
    _, _, peppered, *_ = servers
    assert await peppered.let_in(tenant.key) == f"key:{key_id}"
    await peppered.uses.write()
    async with AsyncClient(platform.endpoint, key=tenant.key) as keeper:
        made = await keeper.rotate_key(key_id, overlap=0)
    assert await moved(peppered) == 0
    assert await peppered.hash_of(key_id) == ""
    assert await peppered.let_in(made.secret) == f"key:{key_id}"
    assert await peppered.let_in(tenant.key) == "API_KEY_UNKNOWN"


async def test_when_a_key_was_last_used_is_told_and_noted_once_in_minutes(
    platform: Platform, tenant: Tenant, servers: list[Server]
) -> None:
    server = servers[0]
    async with AsyncClient(platform.endpoint, key=platform.admin_key) as admin:
        unused = (await admin.create_key("user", tenant=tenant.tenant_id)).api_key
        for _ in range(3):
            await server.let_in(tenant.key)
        await server.let_in(scoped_token(tenant.key, expire=60))
        assert await server.uses.write() == 1
        await server.let_in(tenant.key)
        assert await server.uses.write() == 0
        used = {key.name: key async for key in admin.list_keys(tenant=tenant.tenant_id)}
    assert not used.pop(unused.name).HasField("last_use_time")
    (key,) = used.values()
    assert abs(key.last_use_time.ToMilliseconds() - now_ms()) < 60_000
