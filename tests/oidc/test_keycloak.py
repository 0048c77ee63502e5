# SPDX-License-Identifier: Apache-2.0
"""Tokens of a real Keycloak: found by discovery, tenant, roles and groups mapped, a change of the realm's keys followed.

`make test-oidc` runs it; it takes minutes to start, so `make test` doesn't.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pinakes.client import AsyncClient, NotFound, PermissionDenied, PinakesError, Unauthenticated, document
from pinakes.local import Platform
from tests.integration import _servers
from tests.integration._servers import new_tenant, open_channel, running
from tests.oidc.keycloak import AUDIENCE, OTHER_CLIENT, Keycloak, keycloak

pytestmark = pytest.mark.timeout(1800)
# The issuer is asked for a key that isn't known once in ten seconds.
FOLLOWED_SECONDS = 15.0
USERS = {
    "walter": (["search-writer", "admin"], []),
    "keeper": (["search-keeper"], []),
    "ann": ([], ["staff"]),
    "bob": (["viewer"], []),
}


@dataclass(frozen=True, slots=True)
class World:
    """A Keycloak, and an index server that knows nothing of it but its address."""

    keycloak: Keycloak
    address: str

    def client(self, token: str) -> AsyncClient:
        """Call the server with a token."""
        return AsyncClient(self.address, key=token, timeout=30)


@pytest.fixture(scope="module")
async def world(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Start both, with a tenant that is a realm's."""
    folder: Path = tmp_path_factory.mktemp("keycloak")
    tenant = await new_tenant(platform)
    with keycloak(folder) as provider:
        await asyncio.to_thread(provider.make_realm, tenant.tenant_id, USERS)
        settings = {
            "PINAKES_JWT_ISSUER": provider.issuer, "PINAKES_JWT_AUDIENCE": AUDIENCE,
            "PINAKES_JWT_ROLE_CLAIM": "realm_access.roles",
            "PINAKES_JWT_ROLES": "search-writer=service,search-keeper=tenant-admin",
        }  # fmt: skip
        with running(platform, "index", folder, **settings) as server:
            async with open_channel(server.address) as channel:
                await _servers.until_health(channel, seconds=600)
            yield World(provider, server.address)


async def test_roles_and_the_tenant_are_taken_from_the_realm_s_claims(world: World) -> None:
    async with world.client(world.keycloak.token("walter")) as client:
        await client.put_document(document("open", title="x"))
        await client.put_document(document("staff", title="x", readers=["group:staff"]))
        assert (await client.get_document("staff")).title == "x"
    async with world.client(world.keycloak.token("bob")) as client:
        assert (await client.get_document("open")).title == "x"
        with pytest.raises(PermissionDenied):
            await client.put_document(document("bobs", title="x"))
    async with world.client(world.keycloak.token("keeper")) as client:
        await client.create_collection("kept")


async def test_groups_are_readers_and_so_is_the_user_itself(world: World) -> None:
    async with world.client(world.keycloak.token("ann")) as client:
        assert (await client.get_document("staff")).title == "x"
    async with world.client(world.keycloak.token("bob")) as client:
        with pytest.raises(NotFound):
            await client.get_document("staff")


async def test_tokens_for_others_and_of_other_kinds_are_refused(world: World) -> None:
    for token, reason in (
        (world.keycloak.token("walter", OTHER_CLIENT), "TOKEN_AUDIENCE"),
        (world.keycloak.token("walter", kind="id_token"), "TOKEN_AUDIENCE"),
        (world.keycloak.token("walter", kind="refresh_token"), "TOKEN_INVALID"),
    ):
        async with world.client(token) as client:
            with pytest.raises(Unauthenticated) as caught:
                await client.get_document("open")
            assert caught.value.reason == reason


async def test_a_change_of_the_realm_s_keys_is_followed(world: World) -> None:
    old = world.keycloak.token("bob")
    async with world.client(old) as before:
        await before.get_document("open")
        await asyncio.to_thread(world.keycloak.rotate)
        new = world.keycloak.token("bob")
        async with world.client(new) as after:
            end = time.monotonic() + FOLLOWED_SECONDS
            while True:
                try:
                    await after.get_document("open")
                    break
                except PinakesError:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.5)
        # Its key is published no more, and the server has seen the list without it.
        with pytest.raises(Unauthenticated):
            await before.get_document("open")
