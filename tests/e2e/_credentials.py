# SPDX-License-Identifier: Apache-2.0
"""Every kind of credential that somebody may come with: none, wrong ones, dead ones, forged ones, and those of another tenant."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pinakes.client import scoped_token
from pinakes.core.identity.permissions import Role
from pinakes.v1 import resources_pb2, tenant_pb2
from tests.wire import ROLES, TENANT, Door, Home, new_key

ISSUER, AUDIENCE, KEY_ID = "https://issuer.example", "pinakes", "one"
KEY_SECONDS = 3
"""How long the key and the token live that expire."""
_HOUR = timedelta(hours=1)


class Opens(StrEnum):
    """What a credential opens."""

    NOTHING = "nothing"
    ONE_TENANT = "one tenant"
    ALL = "all tenants, with a reason"


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential: the `authorization` header (None: not sent), what it opens, and as what.

    `certificate` is what the connection is made with, key and certificate as PEM; `forwarded` says whose a proxy has seen.
    One that isn't `alive` is verified, but its own tenant isn't there to be asked for: nobody's, or one that is suspended.
    `narrowed` is the claim that leaves a scoped token less than its role may: `filter` or `collections`.
    """

    label: str
    header: str | None
    opens: Opens = Opens.NOTHING
    role: Role | None = None
    alive: bool = True
    narrowed: str = ""
    certificate: tuple[bytes, bytes] | None = None
    forwarded: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with a call."""
        said = {"authorization": self.header, "x-forwarded-client-cert": self.forwarded or None}
        return tuple((name, value) for name, value in said.items() if value is not None)


@dataclass(slots=True)
class Issuer:
    """An identity provider on loopback, with one key, and a stranger who has another."""

    url: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    stranger: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def settings(self) -> dict[str, str]:
        """What makes a server accept its tokens."""
        return {
            "PINAKES_JWT_ISSUER": ISSUER, "PINAKES_JWT_AUDIENCE": AUDIENCE, "PINAKES_JWT_JWKS_URL": self.url,
            "PINAKES_JWT_ROLES": ",".join(f"{role}={role}" for role in Role),
        }  # fmt: skip

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public key."""
        public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return public | {"kid": KEY_ID, "alg": "ES256", "use": "sig"}

    def token(self, *, stranger: bool = False, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign claims that are right but for those that are given; None takes one away."""
        now = int(time.time())
        right = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 600, "iat": now, "sub": "someone"}
        kept = {name: value for name, value in {**right, **claims}.items() if value is not None}
        key = self.stranger if stranger else self.key
        return jwt.encode(kept, key, algorithm="ES256", headers={"kid": KEY_ID, **(headers or {})})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Give an issuer that publishes its key on a free port."""
    made: list[Issuer] = []

    class Publish(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server looks for
            body = json.dumps({"keys": [made[0].jwk]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Publish)
    made.append(Issuer(f"http://127.0.0.1:{server.server_port}/jwks"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bearer(label: str, text: str, **more: Any) -> Credential:
    return Credential(label, f"Bearer {text}", **more)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _forged(token: str, header: dict[str, Any], secret: bytes | None) -> str:
    """Return a token with its header replaced, signed by HMAC with a secret or not at all."""
    payload = token.split(".")[1]
    head = _encode(json.dumps(header).encode())
    signature = "" if secret is None else _encode(hmac.digest(secret, f"{head}.{payload}".encode(), "sha256"))
    return f"{head}.{payload}.{signature}"


def tokens(provider: Issuer, mine: str, theirs: str) -> list[Credential]:
    """Return JSON Web Tokens that must open nothing; each names the tenant that is attacked, which it must not help."""
    claims = {"tenant_id": theirs, "role": Role.TENANT_ADMIN.value}
    good = provider.token(**claims)
    head, payload, signature = good.split(".")
    pem = provider.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = provider.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    jwk = json.dumps(provider.jwk).encode()
    theirs_by_stranger = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(provider.stranger.public_key()))
    now = int(time.time())
    changed = _encode(json.dumps({"tenant_id": theirs, "role": "admin", "iss": ISSUER, "aud": AUDIENCE}).encode())
    wrong = {
        "token: expired": provider.token(**claims, exp=now - 3600),
        "token: not yet valid": provider.token(**claims, nbf=now + 3600),
        "token: never expires": provider.token(**claims, exp=None),
        "token: of another issuer": provider.token(**claims, iss="https://another.example"),
        "token: of no issuer": provider.token(**claims, iss=None),
        "token: for another audience": provider.token(**claims, aud="another"),
        "token: for no audience": provider.token(**claims, aud=None),
        "token: signed by another key under the issuer's id": provider.token(stranger=True, **claims),
        "token: signed by a key that isn't published": provider.token(stranger=True, headers={"kid": "two"}, **claims),
        "token: signed by a key that it brings": provider.token(
            stranger=True, headers={"jwk": theirs_by_stranger}, **claims
        ),
        "token: signed by a key that it says where to get": provider.token(
            stranger=True, headers={"jku": "http://127.0.0.1:1/keys"}, **claims
        ),
        "token: alg none": _forged(good, {"alg": "none", "typ": "JWT", "kid": KEY_ID}, None),
        "token: alg nOnE": _forged(good, {"alg": "nOnE", "typ": "JWT", "kid": KEY_ID}, None),
        "token: without a signature": f"{head}.{payload}.",
        "token: HMAC with the public key as PEM": _forged(good, {"alg": "HS256", "kid": KEY_ID}, pem),
        "token: HMAC with the public key as DER": _forged(good, {"alg": "HS256", "kid": KEY_ID}, der),
        "token: HMAC with the public key as JWK": _forged(good, {"alg": "HS256", "kid": KEY_ID}, jwk),
        "token: HMAC with nothing": _forged(good, {"alg": "HS256", "kid": KEY_ID}, b""),
        "token: another algorithm than its key's": _forged(good, {"alg": "RS256", "kid": KEY_ID}, pem),
        "token: changed claims": f"{head}.{changed}.{signature}",
        "token: of another type": provider.token(headers={"typ": "logout+jwt"}, **claims),
        "token: of no tenant": provider.token(role=Role.SERVICE.value),
        "token: of an unknown role": provider.token(tenant_id=theirs, role="emperor"),
        "token: of two tenants, as a user": provider.token(tenant_id=[mine, theirs]),
        "token: a tenant that isn't text": provider.token(tenant_id={"id": theirs}, role=Role.SERVICE.value),
        "token: three dots": "...",
    }  # fmt: skip
    return [_bearer(label, text) for label, text in wrong.items()]


def wrong_keys(mine: Home, theirs: Home) -> list[Credential]:
    """Return keys that were never given out, scoped tokens that no key has made, and what isn't even a key."""
    _, known, secret = mine.service.split("_", 2)
    foreign = theirs.service.split("_", 2)[1]
    stranger = f"pk_{'a' * 16}_{'A' * 43}"
    head, _, signature = scoped_token(mine.service, expire=_HOUR, collections=["default"]).split(".")
    wide = scoped_token(mine.service, expire=_HOUR, role="service").split(".")[1]
    return [
        Credential("nothing", None),
        Credential("an empty header", ""),
        Credential("another scheme", "Basic " + _encode(b"admin:admin")),
        Credential("a scheme without a key", "Bearer "),
        Credential("a key without a scheme", mine.service),
        _bearer("garbage", "nonsense"),
        _bearer("garbage: long", "x" * 6000),
        _bearer("key: malformed", "pk_short"),
        _bearer("key: in capitals", mine.service.upper()),
        _bearer("key: more behind it", mine.service + "A"),
        _bearer("key: unknown", stranger),
        _bearer("key: own with a wrong secret", f"pk_{known}_{'A' * 43}"),
        _bearer("key: theirs with a wrong secret", f"pk_{foreign}_{'A' * 43}"),
        _bearer("key: theirs with the caller's secret", f"pk_{foreign}_{secret}"),
        _bearer("key: a guessed administrator's", "pk_bootstrap_" + "A" * 43),
        _bearer("scoped: of an unknown key", scoped_token(stranger, expire=_HOUR)),
        _bearer("scoped: of their key by a guessed secret", scoped_token(f"pk_{foreign}_{'A' * 43}", expire=_HOUR)),
        _bearer("scoped: of their key by the caller's secret", scoped_token(f"pk_{foreign}_{secret}", expire=_HOUR)),
        _bearer("scoped: changed claims", f"{head}.{wide}.{signature}"),
        _bearer("scoped: wider than its key", scoped_token(mine.user, expire=_HOUR, role="service")),
        _bearer("scoped: malformed", f"pt_{known}.e30"),
    ]


def deleted_tenant(mine: Home) -> str:
    """Return the id of the tenant that `dead_keys` deletes."""
    return f"gone-{mine.tenant_id[-8:]}"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A tenant that was deleted, and whose id another one has: `uid` is its own, `issued` is a time in its life, in s since 1970."""

    tenant_id: str
    uid: str
    issued: int
    key: str


@contextmanager
def earlier_tenant(door: Door, admin_key: str, mine: Home) -> Iterator[Earlier]:
    """Make a tenant with a key, delete it, and make another one of its id, which is deleted afterwards."""
    create = tenant_pb2.CreateTenantRequest(tenant_id=f"anew-{mine.tenant_id[-8:]}")
    first = door.call(TENANT + "CreateTenant", create, admin_key)
    key = new_key(door, admin_key, create.tenant_id, ROLES.ROLE_TENANT_ADMIN).secret
    issued = int(time.time())
    delete = tenant_pb2.DeleteTenantRequest(name=first.name)
    door.call(TENANT + "DeleteTenant", delete, admin_key)
    time.sleep(1)  # tokens say in whole seconds when they were issued
    door.call(TENANT + "CreateTenant", create, admin_key)
    try:
        yield Earlier(create.tenant_id, first.uid, issued, key)
    finally:
        door.call(TENANT + "DeleteTenant", delete, admin_key)


def dead_keys(door: Door, admin_key: str, mine: Home, earlier: Earlier) -> list[Credential]:
    """Return keys that opened something once, and tokens made of them: revoked, expired, of a deleted tenant, of one made anew."""
    revoked = new_key(door, admin_key, mine.tenant_id, ROLES.ROLE_TENANT_ADMIN)
    door.call(TENANT + "RevokeApiKey", tenant_pb2.RevokeApiKeyRequest(name=revoked.api_key.name), admin_key)
    soon = resources_pb2.ApiKey(role=ROLES.ROLE_TENANT_ADMIN)
    soon.expire_time.FromSeconds(int(time.time()) + KEY_SECONDS)
    request = tenant_pb2.CreateApiKeyRequest(parent=mine.name, api_key=soon)
    expired = door.call(TENANT + "CreateApiKey", request, admin_key)
    name = deleted_tenant(mine)
    door.call(TENANT + "CreateTenant", tenant_pb2.CreateTenantRequest(tenant_id=name), admin_key)
    gone = new_key(door, admin_key, name, ROLES.ROLE_TENANT_ADMIN)
    door.call(TENANT + "DeleteTenant", tenant_pb2.DeleteTenantRequest(name=f"tenants/{name}"), admin_key)
    dead = {
        "revoked": revoked.secret, "expired": expired.secret, "of a deleted tenant": gone.secret,
        "of an earlier tenant of the name": earlier.key,
    }  # fmt: skip
    return [
        *(_bearer(f"key: {what}", secret) for what, secret in dead.items()),
        *(_bearer(f"scoped: key {what}", scoped_token(secret, expire=_HOUR)) for what, secret in dead.items()),
        _bearer("scoped: expired", scoped_token(mine.service, expire=KEY_SECONDS)),
    ]


def of_another_tenant(door: Door, admin_key: str, provider: Issuer, mine: Home, second: Home) -> list[Credential]:
    """Return credentials that are good, and not of the tenant that is attacked."""
    one = Opens.ONE_TENANT
    reader = new_key(door, admin_key, mine.tenant_id, ROLES.ROLE_TENANT_USER, ("ann",)).secret
    both = [mine.tenant_id, second.tenant_id]
    return [
        _bearer("key: tenant-admin", mine.admin, opens=one, role=Role.TENANT_ADMIN),
        _bearer("key: service", mine.service, opens=one, role=Role.SERVICE),
        _bearer("key: tenant-user", mine.user, opens=one, role=Role.TENANT_USER),
        _bearer("key: tenant-user with readers", reader, opens=one, role=Role.TENANT_USER),
        *(
            _bearer(
                f"token: {role}", provider.token(tenant_id=mine.tenant_id, role=role.value, readers=["ann"]), opens=one, role=role
            )
            for role in Role
            if role is not Role.ADMIN
        ),
        _bearer("token: service of two tenants", provider.token(tenant_id=both, role="service"), opens=one, role=Role.SERVICE),
    ]  # fmt: skip


def scoped_tokens(mine: Home) -> list[Credential]:
    """Return scoped tokens that are good, and not of the tenant that is attacked: as wide as they can be, and narrower."""
    narrowings: dict[str, dict[str, Any]] = {
        "": {}, "collections": {"collections": ["default"]}, "filter": {"filter": 'tags = "public"'},
    }  # fmt: skip
    user = scoped_token(mine.service, expire=_HOUR, readers=["ann"])
    return [
        *(
            _bearer(
                f"scoped: service {what}".rstrip(), scoped_token(mine.service, expire=_HOUR, role="service", **claims),
                opens=Opens.ONE_TENANT, role=Role.SERVICE, narrowed=what,
            )
            for what, claims in narrowings.items()
        ),
        _bearer("scoped: tenant-user with readers", user, opens=Opens.ONE_TENANT, role=Role.TENANT_USER),
    ]  # fmt: skip


def of_a_suspended_tenant(provider: Issuer, asleep: Home) -> list[Credential]:
    """Return credentials of each kind, good but for their tenant's being suspended."""
    admin, service, user = Role.TENANT_ADMIN, Role.SERVICE, Role.TENANT_USER
    made = {
        "key: tenant-admin": (asleep.admin, admin), "key: service": (asleep.service, service), "key: tenant-user": (asleep.user, user),
        "token: tenant-admin": (provider.token(tenant_id=asleep.tenant_id, role=admin.value), admin),
        "scoped: service": (scoped_token(asleep.service, expire=_HOUR, role="service"), service),
    }  # fmt: skip
    return [
        _bearer(f"suspended, {label}", text, opens=Opens.ONE_TENANT, role=role, alive=False)
        for label, (text, role) in made.items()
    ]


def of_an_earlier_tenant(provider: Issuer, earlier: Earlier) -> list[Credential]:
    """Return tokens of the issuer, good but for their tenant's having been deleted and another one's having its id."""
    return [
        _bearer(
            f"token: {role} of an earlier tenant of the name",
            provider.token(tenant_id=earlier.tenant_id, role=role.value, iat=earlier.issued), opens=Opens.ONE_TENANT,
            role=role, alive=False,
        )
        for role in Role
        if role is not Role.ADMIN
    ]  # fmt: skip


def of_strange_tenants(provider: Issuer, theirs: str) -> list[Credential]:
    """Return tokens of the issuer whose tenant is nobody's, though it may look like the attacked one."""
    strange = {
        "absent": f"absent-{theirs[-8:]}", "everybody's own": "-", "in capitals": theirs.upper(), "as a name": f"tenants/{theirs}",
        "by a path": f"x/../{theirs}", "with a space behind": f"{theirs} ", "with a dot behind": f"{theirs}.",
        "with a zero-width space": f"{theirs}\u200b", "with a homoglyph": theirs.replace("e", "\u0435", 1), "empty list": "*",
    }  # fmt: skip
    return [
        _bearer(
            f"token: tenant {label}", provider.token(tenant_id=text, role="tenant-admin"), opens=Opens.ONE_TENANT,
            role=Role.TENANT_ADMIN, alive=False,
        )
        for label, text in strange.items()
    ]  # fmt: skip


def administrators(admin_key: str, provider: Issuer) -> list[Credential]:
    """Return the credentials of administrators who don't say why."""
    return [
        _bearer("administrator: key", admin_key, opens=Opens.ALL, role=Role.ADMIN),
        _bearer("administrator: token", provider.token(role="admin"), opens=Opens.ALL, role=Role.ADMIN),
    ]
