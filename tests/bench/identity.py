# SPDX-License-Identifier: Apache-2.0
"""What it costs a call to be let in: credential, limit, authorisation and scope, in this process, with all records known.

Credentials seen before are asked for in turn, as the calls of several callers come; those not seen before are new each time.
Limits are leased from a Redis as a server's are. A call that finds something leased waits for nobody, and these are nearly all;
what one adds that has to lease is told beside them.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from pinakes.client import scoped_token
from pinakes.core.engine.client import Engine
from pinakes.core.engine.scope import TenantScope
from pinakes.core.identity import keys
from pinakes.core.identity.authenticator import Authenticator
from pinakes.core.identity.jwt import der_of
from pinakes.core.identity.peppers import Peppers
from pinakes.core.identity.permissions import RULES, Role
from pinakes.core.limits.limiter import Limiter
from pinakes.core.rpc import checks
from pinakes.core.rpc.call import Call
from pinakes.core.settings import Settings
from pinakes.core.tenancy.collections import new_collection
from pinakes.core.tenancy.directory import Directory, collection_rid
from pinakes.core.tenancy.key_uses import KeyUses
from pinakes.core.tenancy.models import KeyRecord, TenantRecord, now_ms
from pinakes.v1 import search_pb2
from tests.bench.report import Value, at_most, told
from tests.integration._redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

METHOD = "/pinakes.v1.SearchService/Search"
TENANT = TenantRecord(tenant_id="bench", uid="bench-uid")
CALLERS = 200
"""Credentials of each kind in a round."""
ROUNDS = 25
"""What a few thousand instructions take is a matter of what else the machine's cores do just then; some rounds are undisturbed.

So the bounds are for the quietest round, which says what the work takes; the usual one, which says how busy the machine was,
is told.
"""
RATE = 1e6
"""Requests a second that the tenant may: more than come here, or they would be refused."""
REDIS_SECONDS = 5.0
FILTER = 'tags = "public"'
ISSUER = "https://issuer.example"
_ES256 = ec.ECDSA(hashes.SHA256())


class _Context:
    """What a call has of gRPC."""

    def __init__(self, credential: str) -> None:
        """Carry a credential."""
        self._metadata = (("user-agent", "bench"), ("authorization", f"Bearer {credential}"))

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what the caller sent."""
        return self._metadata


class _Door:
    """The steps that let a call in, on the parts that a server has."""

    def __init__(self, issuer_url: str, redis_url: str) -> None:
        """Make the parts; nothing asks the engine, since all is known."""
        settings = Settings(
            secret_key=SecretStr("s" * 32), jwt_issuer=ISSUER, jwt_audience="bench", jwt_jwks_url=issuer_url,
            rate_limit=RATE, cache_url=redis_url,
        )  # fmt: skip
        self.engine = Engine(settings)
        self.directory = Directory(self.engine, settings.identity_hold_seconds)
        self._peppers = Peppers(settings)
        self.authenticator = Authenticator(settings, self.directory, KeyUses(self.engine, self.directory))
        self.limiter = Limiter.open(settings, REDIS_SECONDS)
        self.collection = new_collection(TENANT, "default")
        self.directory.tenants.remember(TENANT.tenant_id, TENANT)
        self.directory.collections.remember(collection_rid(TENANT.uid, "default"), self.collection)
        self._request = search_pb2.SearchRequest(parent="tenants/-/collections/default", query="page")

    def new_key(self) -> str:
        """Make a key that the directory knows."""
        made = keys.generate()
        record = KeyRecord(
            key_id=made.key_id, tenant_id=TENANT.tenant_id, tenant_uid=TENANT.uid, role=Role.SERVICE.value,
            digest=self._peppers.digest(made.secret), public_key=keys.public_half(made.secret), create_ms=now_ms(),
        )  # fmt: skip
        self.directory.keys.remember(made.key_id, record)
        return made.text

    async def let_in(self, credential: str) -> float:
        """Let a call in and return the seconds that took."""
        call = Call(METHOD, cast("Any", _Context(credential)), search_pb2.SearchRequest)
        call.request = self._request
        started = time.perf_counter()
        call.caller = await self.authenticator.authenticate(
            call.metadata, administration=False, peer=call.peer_names
        )  # fmt: skip
        home = call.principal.home
        tenant = await self.directory.tenant(home) if home else None
        budget = self.limiter.budget(call.principal, tenant, METHOD)
        await budget.take()
        budget.told()
        await checks.authorize(call, RULES[METHOD], self.directory)
        collection = await self.directory.collection(call.tenant, "default")
        if collection is None:
            message = "the collection isn't known"
            raise RuntimeError(message)
        TenantScope(self.engine, call.principal, call.tenant, collection).filters()
        taken = time.perf_counter() - started
        budget.leave()
        return taken

    async def lease(self, credential: str, number: int) -> float:
        """Take a token of a tenant of which nothing is leased yet, and return the seconds that took."""
        call = Call(METHOD, cast("Any", _Context(credential)), search_pb2.SearchRequest)
        caller = await self.authenticator.authenticate(call.metadata, administration=False, peer=call.peer_names)
        budget = self.limiter.budget(caller, replace(TENANT, uid=f"bench-uid-{number}"), METHOD)
        started = time.perf_counter()
        await budget.take()
        taken = time.perf_counter() - started
        budget.leave()
        return taken


def run(*, quick: bool) -> list[Value]:
    """Measure keys, scoped tokens and JWTs, each seen before and not, in the quietest of several rounds."""
    return asyncio.run(_run(2000, 1 if quick else ROUNDS))


async def _run(calls: int, rounds: int) -> list[Value]:
    signer = ec.generate_private_key(ec.SECP256R1())
    found: dict[str, list[float]] = {}
    async with _publishing(signer) as url, _redis() as redis_url:
        door = _Door(url, redis_url)
        makers: dict[str, Iterator[str]] = {
            "key": (door.new_key() for _ in itertools.count()),
            "scoped": (_scoped(door.new_key(), n) for n in itertools.count()),
            "jwt": (_token(signer, n) for n in itertools.count()),
        }
        tenants = itertools.count()
        for maker in makers.values():
            await door.let_in(next(maker))  # what is fetched or compiled once
        for _ in range(rounds):
            for kind, maker in makers.items():
                fresh = list(itertools.islice(maker, CALLERS))
                unseen = _median_us([await door.let_in(one) for one in fresh])
                known = itertools.islice(itertools.cycle(fresh), calls)
                seen = _median_us([await door.let_in(one) for one in known])
                found.setdefault(f"{kind}.unseen_us", []).append(unseen)
                found.setdefault(f"{kind}.seen_us", []).append(seen)
            tokens = list(itertools.islice(makers["jwt"], CALLERS))
            found.setdefault("es256_us", []).append(_median_us([_check(signer, one) for one in tokens]))
            leases = [await door.lease(fresh[0], next(tenants)) for _ in range(CALLERS)]
            found.setdefault("lease_us", []).append(_median_us(leases))
        await door.authenticator.close()
        await door.limiter.close()
        await door.engine.close()
    return [
        at_most("identity.added_us.undisturbed", _largest(found, ".seen_us", min), "µs", 25),
        at_most("identity.added_unseen_us.undisturbed", _largest(found, ".unseen_us", min), "µs", 150),
        told("identity.added_us.usual", _largest(found, ".seen_us", statistics.median), "µs"),
        told("identity.added_unseen_us.usual", _largest(found, ".unseen_us", statistics.median), "µs"),
        *(told(f"identity.{name}", min(rounds_of), "µs") for name, rounds_of in found.items()),
    ]


def _largest(found: Mapping[str, list[float]], ending: str, of: Callable[[list[float]], float]) -> float:
    """Return the largest figure among kinds of credentials, each `of` its rounds' medians."""
    return max(of(rounds) for name, rounds in found.items() if name.endswith(ending))


def _check(signer: ec.EllipticCurvePrivateKey, token: str) -> float:
    """Check the signature of a JWT alone, much of what one costs that wasn't seen before; return the seconds that took."""
    signed, _, last = token.rpartition(".")
    public, signature = signer.public_key(), der_of(base64.urlsafe_b64decode(last + "=="))
    started = time.perf_counter()
    public.verify(signature, signed.encode(), _ES256)
    return time.perf_counter() - started


def _scoped(key: str, number: int) -> str:
    return scoped_token(key, expire=3600 + number, collections=["default"], filter=FILTER, readers=["user:ann"])


def _token(signer: ec.EllipticCurvePrivateKey, number: int) -> str:
    claims = {
        "iss": ISSUER, "aud": "bench", "iat": int(time.time()), "exp": int(time.time()) + 3600, "sub": f"user-{number}", "tenant_id": TENANT.tenant_id,
        "groups": ["staff", "search"],
    }  # fmt: skip
    return jwt.encode(claims, signer, algorithm="ES256", headers={"kid": "one"})


@asynccontextmanager
async def _publishing(signer: ec.EllipticCurvePrivateKey) -> AsyncIterator[str]:
    """Publish the public half as an issuer does."""
    found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(signer.public_key())) | {"kid": "one", "use": "sig"}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"keys": [found]})

    application = web.Application()
    application.router.add_get("/keys", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _redis() -> AsyncIterator[str]:
    """Run a Redis of the bench's own."""
    server = RedisServer()
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        server.stop()


def _median_us(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e6
